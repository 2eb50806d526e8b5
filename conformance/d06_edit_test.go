package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
)

// mended is the edit that makes of a broken move one that its handler takes.
func mended(l *dlq.Letter) dlq.Edit {
	e := l.Edit()
	e.Value = []byte(strings.Replace(string(e.Value), "1000", "1", 1))
	return e
}

// TestD06Edit: what came broken is edited and applied in its place; what can't be edited is
// reissued and comes as a new event.
func TestD06EditAndReissue(t *testing.T) {
	each(t, "D06", func(t *testing.T, at combination) {
		w := newWorld(t, at, 1)
		w.registry = accountsUnder(guards.None())
		w.tables(&Account{})
		m := w.start()
		w.tell(0, broken("a", 1), moved("a", 2), broken("b", 1), moved("b", 2))
		w.settle(2, map[string]string{"a-2": "behind", "b-2": "behind"})
		ctx := t.Context()
		of := func(entity string) *dlq.Letter {
			for _, l := range w.letters() {
				if l.Entity == entity {
					return l
				}
			}
			return nil
		}
		// An edit that makes another event of it is found by the member at the latest.
		other := of("a").Edit()
		other.Value = []byte(strings.Replace(string(other.Value), `"a-1"`, `"z-1"`, 1))
		require.NotEqual(t, string(of("a").Record.Value), string(other.Value))
		if err := framework.Edit(ctx, w.db, other, operator); err == nil {
			_, err = framework.Replay(ctx, w.db, []dlq.Ref{{ID: of("a").ID}}, operator)
			require.NoError(t, err)
			w.eventually(func() bool { return of("a").State == dlq.Open }, func() string { return fmt.Sprint(w.outcomes()) })
			require.Contains(t, of("a").Error, "another event")
		} else {
			require.ErrorAs(t, err, new(*dlq.RefusedError))
		}
		edit := of("a").Edit()
		edit.Value = []byte(strings.Replace(string(of("a").Record.Value), "1000", "1", 1))
		require.NoError(t, framework.Edit(ctx, w.db, edit, operator))
		came := string(of("a").Record.Value)
		_, err := framework.Replay(ctx, w.db, []dlq.Ref{of("a").Ref()}, operator)
		require.NoError(t, err)
		w.ended(map[string]int{"applied": 1, "open": 1})
		require.Equal(t, came, string(of("a").Record.Value), "what came stays")
		w.eventually(func() bool { return w.trail("a") == "1 2" }, func() string { return w.trail("a") })

		// A member that starts looks at once for what is to be sent.
		m.stop()
		number := int64(3)
		done, err := framework.Reissue(ctx, w.db, dlq.Reissue{Ref: of("b").Ref(), Version: &number, Data: []byte(`{"seen":1}`), Codec: codec()}, operator)
		require.NoError(t, err)
		require.Equal(t, w.topic, done.Topic)
		w.start()
		w.eventually(func() bool { return w.trail("b") == "2 3" }, func() string { return w.trail("b") })
		w.ended(map[string]int{"applied": 1, "reissued": 1})
		w.drain(1)
	})
}

// TestD06OperatorsMeet: two people act on each of a hundred letters at once, as they have both
// seen it, while a member replays: each of the four acts meets each, itself too. One of them
// does, the other is told who was first.
func TestD06OperatorsMeet(t *testing.T) {
	each(t, "D06 race", func(t *testing.T, at combination) {
		const (
			rounds = 100
			replay = 0 // the index in acts
			member = "evenkeel"
		)
		w := newWorld(t, at, 2)
		w.registry = accountsUnder(guards.None())
		w.tables(&Account{})
		w.start(unbroken)
		var all [2][]said
		for k := range rounds {
			all[k%2] = append(all[k%2], broken(fmt.Sprint("k", k), 1))
		}
		w.tell(0, all[0]...)
		w.tell(1, all[1]...)
		w.eventually(func() bool { return len(w.letters()) == rounds }, func() string { return fmt.Sprint(len(w.letters())) })
		letters := w.letters()
		several := func(act func(context.Context, []dlq.Ref, framework.LetterAct) (framework.LetterReport, error)) func(*dlq.Letter, framework.LetterAct) error {
			return func(l *dlq.Letter, by framework.LetterAct) error {
				report, err := act(t.Context(), []dlq.Ref{l.Ref()}, by)
				return errors.Join(append(report.Refused, err)...)
			}
		}
		acts := []func(*dlq.Letter, framework.LetterAct) error{
			several(func(ctx context.Context, refs []dlq.Ref, by framework.LetterAct) (framework.LetterReport, error) {
				return framework.Replay(ctx, w.db, refs, by)
			}),
			func(l *dlq.Letter, by framework.LetterAct) error {
				return framework.Edit(t.Context(), w.db, mended(l), by)
			},
			several(func(ctx context.Context, refs []dlq.Ref, by framework.LetterAct) (framework.LetterReport, error) {
				return framework.Discard(ctx, w.db, refs, by)
			}),
			func(l *dlq.Letter, by framework.LetterAct) error {
				_, err := framework.Reissue(t.Context(), w.db, dlq.Reissue{Ref: l.Ref(), Topic: w.dlq + ".none", Codec: codec()}, by)
				return err
			},
		}
		people := [2]string{"ann", "bob"}
		for i, l := range letters {
			var wg sync.WaitGroup
			var errs [2]error
			act := [2]int{i % len(acts), i / len(acts) % len(acts)}
			both := make(chan struct{})
			for who, name := range people {
				wg.Go(func() {
					<-both
					errs[who] = acts[act[who]](l, framework.LetterAct{By: dlq.Actor{Name: name}, Reason: "mine"})
				})
			}
			close(both)
			wg.Wait()
			require.True(t, (errs[0] == nil) != (errs[1] == nil), "one of two: %v, %v", errs[0], errs[1])
			winner := 0
			if errs[0] != nil {
				winner = 1
			}
			var taken *dlq.TakenError
			require.ErrorAs(t, errs[1-winner], &taken)
			require.NotNil(t, taken.First, "%v", taken)
			// The member may have carried the winner's replay out by now.
			if act[winner] != replay || taken.First.By.Name != member {
				require.Contains(t, taken.Error(), " by "+people[winner]+" at ")
			}
			lines, err := dlq.Audit(t.Context(), w.db, dlq.AuditFilter{Letter: l.ID})
			require.NoError(t, err)
			lines = slices.DeleteFunc(lines, func(line dlq.AuditEntry) bool { return line.By.Name == member })
			require.Len(t, lines, 1, "nobody acted on what the other had in hand")
			require.Equal(t, people[winner], lines[0].By.Name)
		}
		w.eventually(func() bool { return w.outcomes()["replaying"] == 0 }, func() string { return fmt.Sprint(w.outcomes()) })
		var edited []dlq.Ref
		for _, l := range w.letters() {
			if len(l.Edits) > 0 {
				edited = append(edited, l.Ref())
			}
		}
		_, err := framework.Replay(t.Context(), w.db, edited, operator)
		require.NoError(t, err)
		w.eventually(func() bool { return w.outcomes()["applied"] == len(edited) }, func() string { return fmt.Sprint(w.outcomes()) })
		for _, l := range w.letters() {
			want := ""
			if len(l.Edits) > 0 {
				want = "1"
			}
			require.Equal(t, want, w.trail(l.Entity), "%s %s", l.State, l.Outcome)
		}
		var posted int64
		require.NoError(t, w.db.Table("evenkeel_outbox").Count(&posted).Error)
		require.EqualValues(t, w.outcomes()["reissued"], posted, "each once")
	})
}
