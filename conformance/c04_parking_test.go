package conformance

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

var errNotNow = errors.New("not now")

// A numbered event that fails, for a while and for good, and one that the database refuses:
// each holds what comes after it in its stream, and nothing else.
func TestC04WhatFailsHoldsItsStream(t *testing.T) {
	each(t, "C04", func(t *testing.T, at combination) {
		t.Run("for a while", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, at, 1)
			var away atomic.Bool
			away.Store(true)
			w.registry = accountsThat(func(d *moveDelivery) error {
				if d.Event.ID == "a-2" && away.Load() {
					return errNotNow
				}
				return nil
			})
			w.tables(&Account{})
			w.start(w.patient())
			w.tell(0, moved("a", 1), moved("a", 3), moved("a", 2), moved("b", 1), moved("a", 5))
			w.eventually(func() bool { return w.trail("b") == "1" && w.attempts("a-2") > 1 }, func() string { return fmt.Sprint(w.waiting()) })
			require.Equal(t, "1", w.trail("a"))
			w.tell(0, moved("a", 4))
			w.atEnd(1)
			require.Equal(t, "1", w.trail("a"))
			away.Store(false)
			w.drain(1)
			require.Equal(t, "1 2 3 4 5", w.trail("a"))
			require.Empty(t, w.letters())
		})
		t.Run("for good", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, at, 1)
			w.registry = accountsThat(func(d *moveDelivery) error {
				if d.Event.ID == "a-1" {
					return handlers.DeadLetter(errNotNow)
				}
				return nil
			}, guards.GapTimeout(50*time.Millisecond), guards.OnGap(guards.GapSkip))
			w.tables(&Account{})
			w.start()
			w.tell(0, moved("a", 1), moved("a", 2), moved("a", 4), moved("b", 1))
			w.eventually(func() bool { return w.trail("b") == "1" && len(w.letters()) == 1 }, func() string { return fmt.Sprint(w.waiting()) })
			require.Equal(t, map[string]string{"a-2": "behind", "a-4": "behind"}, w.waiting(), "no gap timer runs behind a blocking letter")
			require.Empty(t, w.trail("a"))
			// Somebody deals with the letter.
			require.NoError(t, w.db.Exec("UPDATE evenkeel_dead_letters SET state = 'resolved', rev = rev + 1 WHERE grp = ?", w.group).Error)
			require.NoError(t, w.db.Exec("UPDATE evenkeel_parked SET due = 1, rev = rev + 1 WHERE grp = ?", w.group).Error)
			w.drain(1)
			require.Equal(t, "2 4", w.trail("a"), "then the timer of the gap runs")
		})
		t.Run("refused by the database", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, at, 1)
			w.registry = accounts()
			w.tables(&Account{})
			w.start()
			tooMuch := moved("a", 2)
			tooMuch.data = `{"seen":1000}`
			w.tell(0, tooMuch, moved("a", 3), moved("b", 1))
			w.eventually(func() bool { return len(w.waiting()) == 2 }, func() string { return fmt.Sprint(w.waiting()) })
			w.tell(0, moved("a", 1))
			w.eventually(func() bool { return len(w.letters()) == 1 && w.waiting()["a-3"] == "behind" }, func() string {
				return fmt.Sprint(w.letters(), w.waiting())
			})
			require.Equal(t, "1", w.trail("a"), "what filled the gap is not to blame")
			l := w.letters()[0]
			require.Equal(t, "a-2", l.EventID)
			require.Equal(t, guards.Constraint, l.Verdict.Reason)
			require.True(t, l.Blocking)
		})
	})
}

// Each handler's events are bounded, also those that never wait for each other.
func TestC04NoMoreThanSoManyWaitUnderOneKey(t *testing.T) {
	each(t, "C04 cap", func(t *testing.T, at combination) {
		w := newWorld(t, at, 1)
		w.registry = func() *handlers.Registry {
			reg := handlers.NewRegistry()
			handlers.Set(reg, "account.owned", func(context.Context, *moveDelivery) error { return errNotNow }, handlers.Writes("Owner"), handlers.OnMissing(handlers.MissingPlaceholder))
			return reg
		}
		w.tables(&Account{})
		w.start(w.patient(), smallBatches(3), func(c *framework.Config) { c.MaxParkedPerKey = 4 })
		for n := range int64(10) {
			e := moved("a", n+1)
			e.typ = "account.owned"
			w.tell(0, e)
		}
		other := moved("b", 1)
		other.typ = "account.owned"
		w.tell(0, other)
		w.atEnd(1)
		require.Len(t, w.waiting(), 5)
		ls := w.letters()
		require.Len(t, ls, 6)
		for _, l := range ls {
			require.Equal(t, guards.Behind, l.Verdict.Reason)
			require.False(t, l.Blocking, "a Set waits for nobody")
		}
	})
}
