package conformance

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// accountsUnder wires moves that look at the row under a guard without numbers; those whose
// payload says a thousand are refused by the handler.
func accountsUnder(guard guards.Stamper) func() *handlers.Registry {
	return func() *handlers.Registry {
		reg := handlers.NewRegistry()
		handlers.Modify(reg, "account.moved", func(_ context.Context, d *moveDelivery) error {
			if d.Payload.Seen == 1000 {
				return handlers.DeadLetter(errNotNow)
			}
			d.Entity.Trail += fmt.Sprint(d.Event.Version, " ")
			return nil
		}, guard, handlers.Writes("Trail"), handlers.OnMissing(handlers.MissingPlaceholder))
		return reg
	}
}

// broken is a move that its handler refuses.
func broken(key string, number int64) said {
	e := moved(key, number)
	e.data = `{"seen":1000}`
	return e
}

var operator = framework.LetterAct{By: dlq.Actor{Name: "ann"}, Reason: "known to be broken"}

// discard ends the group's open letters, all of them.
func (w *world) discard(letters int) {
	w.t.Helper()
	refs, err := dlq.Refs(context.Background(), w.db, dlq.Filter{Group: w.group, State: dlq.Open})
	require.NoError(w.t, err)
	require.Len(w.t, refs, letters)
	report, err := framework.Discard(context.Background(), w.db, refs, operator)
	require.NoError(w.t, err)
	require.Equal(w.t, framework.LetterReport{Done: letters}, report)
}

func (w *world) restoreLetter(id string) {
	w.t.Helper()
	report, err := framework.Restore(context.Background(), w.db, []dlq.Ref{{ID: id}}, operator)
	require.NoError(w.t, err)
	require.Equal(w.t, 1, report.Done)
}

// settle waits until all that was sent has been read, so many letters are there and these
// events wait.
func (w *world) settle(letters int, waiting map[string]string) {
	w.t.Helper()
	w.eventually(func() bool {
		return w.finished(w.partitions) && len(w.letters()) == letters && fmt.Sprint(w.waiting()) == fmt.Sprint(waiting)
	}, func() string { return fmt.Sprint(len(w.letters()), " letters, waiting: ", w.waiting()) })
}

// A letter that is dealt with lets its entity go on at once, not when the events behind it
// would be looked at anyway.
func TestD01DiscardedLettersLetTheirEntityGoOn(t *testing.T) {
	each(t, "D01", func(t *testing.T, at combination) {
		t.Run("None", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, at, 1)
			w.registry = accountsUnder(guards.None())
			w.tables(&Account{})
			w.start()
			w.tell(0, broken("a", 1), moved("a", 2), moved("a", 3), moved("b", 1))
			w.settle(1, map[string]string{"a-2": "behind", "a-3": "behind"})
			w.discard(1)
			w.drain(1)
			require.Equal(t, "2 3", w.trail("a"))
			require.Equal(t, "1", w.trail("b"))

			letter := w.letters()[0]
			require.Equal(t, dlq.Discarded, letter.State)
			w.restoreLetter(letter.ID)
			w.tell(0, moved("a", 4))
			w.settle(1, map[string]string{"a-4": "behind"})
			w.discard(1)
			w.drain(1)
			require.Equal(t, "2 3 4", w.trail("a"))
		})
		t.Run("Sequence, a gap", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, at, 1)
			w.registry = accounts(guards.GapTimeout(200 * time.Millisecond))
			w.tables(&Account{})
			w.start()
			w.tell(0, moved("a", 1), moved("a", 3), moved("a", 4))
			w.settle(1, map[string]string{"a-4": "behind"})
			w.discard(1)
			w.drain(1)
			require.Equal(t, "1 4", w.trail("a"))
			w.tell(0, moved("a", 5), moved("a", 6))
			w.drain(1)
			require.Equal(t, "1 4 5 6", w.trail("a"), "what comes later is no gap of its own")
			require.Len(t, w.letters(), 1)
			s := w.streamOf("a")
			require.Equal(t, [][2]int64{{2, 2}}, s.Skipped)
			require.EqualValues(t, 7, s.Next)
			w.tell(0, moved("a", 2))
			w.settle(2, map[string]string{})
			require.Equal(t, "1 4 5 6", w.trail("a"), "a number that was passed over is kept, and holds nothing up")
		})
		t.Run("Sequence, two gaps", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, at, 1)
			w.registry = accounts(guards.GapTimeout(200 * time.Millisecond))
			w.tables(&Account{})
			w.start()
			w.tell(0, moved("a", 1), moved("a", 3), moved("a", 4), moved("a", 7), moved("a", 8))
			w.settle(1, map[string]string{"a-4": "behind", "a-7": "behind", "a-8": "behind"})
			w.discard(1)
			// The time of the second gap begins.
			w.settle(2, map[string]string{"a-8": "behind"})
			require.Equal(t, "1 4", w.trail("a"))
			w.discard(1)
			w.drain(1)
			require.Equal(t, "1 4 8", w.trail("a"))
		})
		t.Run("Sequence, a failure", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, at, 1)
			w.registry = accountsThat(func(d *moveDelivery) error {
				if d.Payload.Seen == 1000 {
					return handlers.DeadLetter(errNotNow)
				}
				return nil
			})
			w.tables(&Account{})
			w.start()
			w.tell(0, moved("a", 1), broken("a", 2), moved("a", 3), moved("a", 4))
			w.settle(1, map[string]string{"a-3": "behind", "a-4": "behind"})
			w.discard(1)
			w.drain(1)
			require.Equal(t, "1 3 4", w.trail("a"))
			require.Empty(t, w.streamOf("a").Skipped, "its number was used up")
		})
		t.Run("Timestamp", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, at, 1)
			w.registry = accountsUnder(guards.Timestamp())
			w.tables(&Account{})
			w.start()
			w.tell(0, broken("a", 1), moved("a", 2))
			w.settle(1, map[string]string{})
			require.Equal(t, "2", w.trail("a"), "here letters hold up nobody")
			w.discard(1)
			w.tell(0, moved("a", 3))
			w.drain(1)
			require.Equal(t, "2 3", w.trail("a"))
		})
	})
}

// What waits for a discarded event goes on at once, whether anything came before that or not.
func TestD01DiscardedCausesCountAsSeen(t *testing.T) {
	each(t, "D01 causal", func(t *testing.T, at combination) {
		w := newWorld(t, at, 1)
		w.registry = func() *handlers.Registry {
			reg := handlers.NewRegistry(guards.Vector(guards.Causal(time.Hour)))
			handlers.Set(reg, "decided", func(_ context.Context, x *handlers.Delivery[cartOf, Cart]) error {
				if x.Payload.Items[0] == "?" {
					return handlers.DeadLetter(errNotNow)
				}
				x.Entity.Items = x.Payload.Items[0]
				return nil
			}, handlers.Writes("Items"), handlers.Creates())
			return reg
		}
		w.tables(&Cart{})
		w.start()
		for _, key := range []string{"new", "old"} {
			if key == "old" {
				w.causalSaved(0, "decided", key, "b", edit{"b1" + key, map[string]int64{"b": 1}, []string{"first"}})
			}
			w.causalSaved(0, "decided", key, "a", edit{"a1" + key, map[string]int64{"a": 1}, []string{"?"}})
			w.causalSaved(0, "decided", key, "a", edit{"a2" + key, map[string]int64{"a": 2}, []string{"second"}})
			w.causalSaved(0, "decided", key, "c", edit{"c1" + key, map[string]int64{"a": 2, "c": 1}, []string{"third"}})
		}
		w.settle(2, map[string]string{"a2new": "gap", "c1new": "gap", "a2old": "gap", "c1old": "gap"})
		w.discard(2)
		w.drain(1)
		require.Len(t, w.letters(), 2)
		rows := all(w, func(c *Cart) string { return c.ID })
		require.Equal(t, "third", rows["new"].Items)
		require.Equal(t, "third", rows["old"].Items)
	})
}

// What was discarded stays without effect when its record is read once more, and the topic
// hears of each change of state.
func TestD01DiscardedLettersStayKnown(t *testing.T) {
	each(t, "D01 known", func(t *testing.T, at combination) {
		var fail atomic.Bool
		w := newCounterWorld(t, at, 1, func(*handlers.Delivery[body, Counter]) error {
			if fail.Load() {
				return handlers.DeadLetter(errors.New("no"))
			}
			return nil
		})
		fail.Store(true)
		m := w.start()
		at0 := time.Now().Add(-time.Minute)
		w.tell(0, w.counted("a", "e1", 5, at0))
		w.settle(1, map[string]string{})
		w.copies(1)
		held, total := w.ids()
		require.Equal(t, []int64{1, 1}, []int64{held, total})
		w.discard(1)
		held, total = w.ids()
		require.Equal(t, []int64{0, 1}, []int64{held, total}, "it may be forgotten in its time, and not before")
		m.stop()
		fail.Store(false)
		w.broker.ResetOffset(t, w.group, w.topic, 0, 0)
		m = w.start()
		w.tell(0, w.counted("a", "e1", 5, at0), w.counted("a", "e2", 7, at0))
		w.drain(1)
		require.Equal(t, map[string][2]int64{"a": {1, 7}}, w.counts())
		require.Equal(t, map[string]int{"rejected": 1, "redelivered": 1, "duplicate": 1}, w.judgements("e1"))

		// The relay leaves young letters to whoever wrote them.
		require.NoError(t, w.db.Exec("UPDATE evenkeel_dead_letters SET created_at = 1 WHERE grp = ?", w.group).Error)
		var ls []*dlq.Letter
		_, ls = w.copies(2)
		states := map[string]int64{}
		for _, l := range ls {
			states[string(l.State)] = l.Rev
		}
		require.Equal(t, map[string]int64{"open": 1, "discarded": 2}, states)
		require.Equal(t, ls[0].ID, ls[1].ID)

		// Long after that its bytes go, and it stays known all the same.
		m.stop()
		w.broker.ResetOffset(t, w.group, w.topic, 0, 0)
		w.start(func(c *framework.Config) { c.KeepLetters = time.Microsecond })
		w.eventually(func() bool {
			purged, err := dlq.Count(t.Context(), w.db, dlq.Filter{Group: w.group, State: dlq.Purged})
			return err == nil && purged == 1
		}, func() string { return "the letter is not purged" })
		w.drain(1)
		require.Equal(t, map[string][2]int64{"a": {1, 7}}, w.counts())
		require.Empty(t, w.letters(), "what was purged is no letter for people")
	})
}

// TestD01Race: letters are discarded and restored while the entity's events come. Whatever
// the interleaving, each event is applied once and in its order, and nothing is left waiting.
func TestD01OperatorsAndLanesMeet(t *testing.T) {
	each(t, "D01 race", func(t *testing.T, at combination) {
		const keys, numbers, rounds = 4, 60, 25
		w := newWorld(t, at, 2)
		w.registry = accountsUnder(guards.None())
		w.tables(&Account{})
		w.start(smallBatches(3))
		for k := range keys {
			w.tell(int32(k%2), broken(fmt.Sprint("k", k), 1))
		}
		w.eventually(func() bool { return len(w.letters()) == keys }, func() string { return fmt.Sprint(w.letters()) })
		letters := w.letters()
		done := make(chan error, 1)
		go func() {
			done <- func() error {
				for round := range rounds {
					for _, l := range letters {
						act := framework.Discard
						if round%2 == 1 {
							act = framework.Restore
						}
						report, err := act(t.Context(), w.db, []dlq.Ref{{ID: l.ID}}, operator)
						if err != nil || report.Done != 1 {
							return fmt.Errorf("round %d: %+v, %w", round, report, err)
						}
					}
				}
				return nil
			}()
		}()
		want := make([]string, 0, numbers)
		for n := int64(2); n <= numbers; n++ {
			want = append(want, fmt.Sprint(n))
			for k := range keys {
				w.tell(int32(k%2), moved(fmt.Sprint("k", k), n))
			}
		}
		require.NoError(t, <-done)
		w.drain(2) // the last round was a discard
		for k := range keys {
			require.Equal(t, strings.Join(want, " "), w.trail(fmt.Sprint("k", k)))
		}
		lines, err := dlq.Audit(t.Context(), w.db, dlq.AuditFilter{Group: w.group, Limit: 1000})
		require.NoError(t, err)
		require.Len(t, lines, keys*rounds)
	})
}
