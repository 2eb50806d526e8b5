package conformance

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// replayed replays the group's open letters and waits until so many have each outcome.
func (w *world) replayed(want map[string]int) {
	w.t.Helper()
	refs, err := dlq.Refs(context.Background(), w.db, dlq.Filter{Group: w.group, State: dlq.Open})
	require.NoError(w.t, err)
	report, err := framework.Replay(context.Background(), w.db, refs, operator)
	require.NoError(w.t, err)
	require.Empty(w.t, report.Refused)
	w.ended(want)
}

// ended waits until so many letters have each outcome, or state.
func (w *world) ended(want map[string]int) {
	w.t.Helper()
	w.eventually(func() bool { return fmt.Sprint(w.outcomes()) == fmt.Sprint(want) }, func() string { return fmt.Sprint(w.outcomes(), ", expected ", want) })
}

func (w *world) outcomes() map[string]int {
	got := map[string]int{}
	for _, l := range w.letters() {
		if l.Outcome != "" {
			got[string(l.Outcome)]++
		} else {
			got[string(l.State)]++
		}
	}
	return got
}

// fixable wires moves that fail for one number of each account until they are fixed.
func fixable(guard guards.Stamper, fixed *atomic.Bool) func() *handlers.Registry {
	return func() *handlers.Registry {
		reg := handlers.NewRegistry()
		handlers.Modify(reg, "account.moved", func(_ context.Context, d *moveDelivery) error {
			if d.Event.Version == 2 && !fixed.Load() {
				return handlers.DeadLetter(errNotNow)
			}
			d.Entity.Trail += fmt.Sprint(d.Event.Version, " ")
			return nil
		}, guard, handlers.Writes("Trail"), handlers.OnMissing(handlers.MissingPlaceholder))
		return reg
	}
}

// TestD02Replay: a service with a bug leaves letters, its mended release replays them.
func TestD02ReplayGoesThroughTheGuards(t *testing.T) {
	each(t, "D02", func(t *testing.T, at combination) {
		for _, c := range []struct {
			name  string
			guard guards.Stamper
			want  map[string]int
			trail string
		}{
			{"None", guards.None(), map[string]int{"applied": 3}, "1 2 3 4 5"},
			{"Sequence", guards.Sequence(), map[string]int{"applied": 3}, "1 2 3 4 5"},
			{"Timestamp", guards.Timestamp(), map[string]int{"obsolete": 3}, "1 3 4 5"},
			{"Once", guards.Once(), map[string]int{"applied": 3}, "1 3 4 2 5"},
		} {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				var fixed atomic.Bool
				w := newWorld(t, at, 2)
				w.registry = fixable(c.guard, &fixed)
				w.tables(&Account{})
				m := w.start()
				began := time.Now().Add(-time.Minute)
				for k := range 3 {
					for n := int64(1); n <= 4; n++ {
						e := moved(fmt.Sprint("k", k), n)
						e.at = began.Add(time.Duration(n) * time.Second)
						w.tell(int32(k%2), e)
					}
				}
				w.atEnd(2)
				require.Len(t, w.letters(), 3)
				if c.want["obsolete"] == 0 {
					w.replayed(map[string]int{"open": 3})
					for _, l := range w.letters() {
						require.Equal(t, 2, l.Attempts, "it failed again, and is the same letter")
					}
				}
				m.stop()
				fixed.Store(true)
				w.start()
				w.replayed(c.want)
				for k := range 3 {
					e := moved(fmt.Sprint("k", k), 5)
					e.at = began.Add(time.Minute)
					w.tell(int32(k%2), e)
				}
				w.drain(2)
				for k := range 3 {
					require.Equal(t, c.trail, w.trail(fmt.Sprint("k", k)))
				}
				// All of it once more changes nothing.
				for _, l := range w.letters() {
					report, err := framework.Replay(t.Context(), w.db, []dlq.Ref{{ID: l.ID}}, operator)
					require.NoError(t, err)
					require.Len(t, report.Refused, 1)
				}
				lines, err := dlq.Audit(t.Context(), w.db, dlq.AuditFilter{Group: w.group, Verb: "resolve"})
				require.NoError(t, err)
				require.Len(t, lines, 3)
				if c.name == "Timestamp" {
					require.Contains(t, lines[0].Reason, "superseded")
				}
				if c.name == "None" { // which refuses a rebuild
					return
				}
				_, err = w.rebuild(framework.RebuildOptions{Models: []string{"Account"}})
				require.NoError(t, err)
				w.drain(2)
				for k := range 3 {
					require.Equal(t, "1 2 3 4 5", w.trail(fmt.Sprint("k", k)), "what was replayed is read again with all else (R20)")
				}
				require.Equal(t, c.want, w.outcomes())
			})
		}
	})
}

// Without a member a replay waits for one; who does not want to wait takes it back.
func TestD02ReplayWithoutAMember(t *testing.T) {
	each(t, "D02 cancel", func(t *testing.T, at combination) {
		var fixed atomic.Bool
		w := newWorld(t, at, 1)
		w.registry = fixable(guards.Sequence(guards.GapTimeout(200*time.Millisecond)), &fixed)
		w.tables(&Account{})
		m := w.start()
		w.tell(0, moved("a", 1), moved("a", 4), moved("a", 5), moved("b", 1), moved("b", 2), moved("b", 3))
		w.settle(2, map[string]string{"a-5": "behind", "b-3": "behind"})
		m.stop()
		refs, err := dlq.Refs(t.Context(), w.db, dlq.Filter{Group: w.group, State: dlq.Open})
		require.NoError(t, err)
		report, err := framework.Replay(t.Context(), w.db, refs, operator)
		require.NoError(t, err)
		require.Equal(t, 2, report.Done)
		require.Equal(t, map[string]int{"replaying": 2}, w.outcomes())
		for i := range refs {
			refs[i].Rev = 0
		}
		report, err = framework.CancelReplay(t.Context(), w.db, refs, operator)
		require.NoError(t, err)
		require.Equal(t, 2, report.Done)
		w.settle(2, map[string]string{"a-5": "behind", "b-3": "behind"})
		fixed.Store(true)
		w.start()
		w.replayed(map[string]int{"applied": 2})
		w.drain(1)
		require.Equal(t, "1 4 5", w.trail("a"), "the stream goes on without what is missing")
		require.Equal(t, [][2]int64{{2, 3}}, w.streamOf("a").Skipped)
		require.Equal(t, "1 2 3", w.trail("b"))
	})
}

// TestD02Race: operators replay, discard and cancel the same letters while members come and
// go. Each letter has one end, and only what was applied is in its row.
func TestD02OperatorsMeet(t *testing.T) {
	each(t, "D02 race", func(t *testing.T, at combination) {
		const keys = 12
		var fixed atomic.Bool
		w := newWorld(t, at, 2)
		w.registry = fixable(guards.None(), &fixed)
		w.tables(&Account{})
		w.start(smallBatches(3))
		for k := range keys {
			w.tell(int32(k%2), moved(fmt.Sprint("k", k), 2), moved(fmt.Sprint("k", k), 3))
		}
		w.eventually(func() bool { return len(w.letters()) == keys }, func() string { return fmt.Sprint(w.letters()) })
		fixed.Store(true)
		letters := w.letters()
		var wg sync.WaitGroup
		failed := make(chan error, 100)
		for _, act := range []func(context.Context, *world, dlq.Ref) error{
			func(ctx context.Context, w *world, r dlq.Ref) error {
				_, err := framework.Replay(ctx, w.db, []dlq.Ref{r}, operator)
				return err
			},
			func(ctx context.Context, w *world, r dlq.Ref) error {
				_, err := framework.Discard(ctx, w.db, []dlq.Ref{r}, operator)
				return err
			},
			func(ctx context.Context, w *world, r dlq.Ref) error {
				_, err := framework.CancelReplay(ctx, w.db, []dlq.Ref{r}, operator)
				return err
			},
		} {
			wg.Go(func() {
				for range 3 {
					for _, l := range letters {
						if err := act(t.Context(), w, dlq.Ref{ID: l.ID}); err != nil {
							failed <- err
						}
					}
				}
			})
		}
		wg.Wait()
		close(failed)
		for err := range failed {
			require.NoError(t, err)
		}
		w.eventually(func() bool { return w.outcomes()["replaying"] == 0 }, func() string { return fmt.Sprint(w.outcomes()) })
		if w.outcomes()["open"] > 0 {
			refs, err := dlq.Refs(t.Context(), w.db, dlq.Filter{Group: w.group, State: dlq.Open})
			require.NoError(t, err)
			_, err = framework.Replay(t.Context(), w.db, refs, operator)
			require.NoError(t, err)
		}
		w.drain(2)
		w.eventually(func() bool { o := w.outcomes(); return o["applied"]+o["discarded"] == keys }, func() string { return fmt.Sprint(w.outcomes()) })
		for _, l := range w.letters() {
			want := "2 3"
			if l.State == dlq.Discarded {
				want = "3"
			}
			require.Equal(t, want, w.trail(l.Entity), l.State)
			lines, err := dlq.Audit(t.Context(), w.db, dlq.AuditFilter{Letter: l.ID})
			require.NoError(t, err)
			ends := 0
			for _, line := range lines {
				if slices.Contains([]string{"resolve", "discard"}, line.Verb) {
					ends++
				}
			}
			require.Equal(t, 1, ends)
		}
	})
}

// moves wires moves that always succeed, in a member that may die in one.
func moves(f *faults) func() *handlers.Registry {
	var runs atomic.Int64
	return func() *handlers.Registry {
		reg := handlers.NewRegistry()
		handlers.Modify(reg, "account.moved", func(_ context.Context, d *moveDelivery) error {
			f.strike(dieAtHandler, runs.Add(1))
			d.Entity.Trail += fmt.Sprint(d.Event.Version, " ")
			return nil
		}, guards.None(), handlers.Writes("Trail"), handlers.OnMissing(handlers.MissingPlaceholder))
		return reg
	}
}

// TestD02Killed: a member is killed while it replays, after it has replayed others. The next
// one replays the rest, and each letter has one end.
func TestD02KilledInAReplay(t *testing.T) {
	each(t, "D02 killed", func(t *testing.T, at combination) {
		const keys = 8
		var fixed atomic.Bool
		w := newWorld(t, at, 2)
		w.registry = fixable(guards.None(), &fixed)
		w.tables(&Account{})
		m := w.start()
		for k := range keys {
			w.tell(int32(k%2), moved(fmt.Sprint("k", k), 2), moved(fmt.Sprint("k", k), 3))
		}
		w.eventually(func() bool { return len(w.letters()) == keys && len(w.waiting()) == keys }, func() string { return fmt.Sprint(w.letters()) })
		m.stop()
		replay := func(letters []*dlq.Letter) {
			for _, l := range letters {
				report, err := framework.Replay(t.Context(), w.db, []dlq.Ref{l.Ref()}, operator)
				require.NoError(t, err)
				require.Equal(t, 1, report.Done)
			}
		}
		letters := w.letters()
		replay(letters[:keys/2])
		// Of each letter that is applied the event behind it is a run, too.
		dead := w.spawn(func(s *childSpec) { s.Replays, s.Fault, s.Nth = true, dieAtHandler, keys+2 })
		w.ended(map[string]int{"applied": keys / 2, "open": keys / 2})
		w.eventually(func() bool { return len(w.waiting()) == keys/2 }, func() string { return fmt.Sprint(w.waiting()) })
		replay(letters[keys/2:])
		dead.died()
		require.Positive(t, w.outcomes()["replaying"])
		// The claim of the dead ends after a minute.
		require.NoError(t, w.db.Exec("UPDATE evenkeel_parked SET due = 0 WHERE grp = ?", w.group).Error)
		require.NoError(t, w.db.Exec("DELETE FROM evenkeel_claims WHERE grp = ?", w.group).Error)
		fixed.Store(true)
		w.start()
		w.ended(map[string]int{"applied": keys})
		w.drain(2)
		for k := range keys {
			require.Equal(t, "2 3", w.trail(fmt.Sprint("k", k)))
		}
		lines, err := dlq.Audit(t.Context(), w.db, dlq.AuditFilter{Group: w.group, Verb: "resolve", Limit: 1000})
		require.NoError(t, err)
		require.Len(t, lines, keys)
	})
}
