package conformance

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// explainable has a kind of handler for each thing that can become of an event.
func explainable() *handlers.Registry {
	reg := registry()
	handlers.Set(reg, cursed, func(context.Context, *delivery) error {
		return handlers.DeadLetter(errCursed)
	}, handlers.Writes("Note"), blankIsFine)
	handlers.Modify(reg, "account.moved", func(_ context.Context, d *moveDelivery) error {
		d.Entity.Trail += fmt.Sprint(d.Event.Version, " ")
		return nil
	}, guards.Sequence(guards.Stream("moves"), guards.GapTimeout(time.Hour)), handlers.Writes("Trail"), handlers.OnMissing(handlers.MissingPlaceholder))
	handlers.Modify(reg, "counted", func(_ context.Context, d *handlers.Delivery[body, Counter]) error {
		d.Entity.N++
		return nil
	}, guards.Once(), handlers.Writes("N"))
	return reg
}

func (w *world) explain(id, entity string) *framework.Explanation {
	w.t.Helper()
	e, err := framework.Explain(context.Background(), w.db, framework.EventQuery{ID: id, Group: w.group, Entity: entity})
	require.NoError(w.t, err)
	return e
}

// Of each event a person is told what became of it, and what beat it, with the numbers.
func TestD05ExplainedEvents(t *testing.T) {
	each(t, "D05", func(t *testing.T, at combination) {
		w := newWorld(t, at, 1)
		w.registry = explainable
		w.tables(&Account{}, &Counter{})
		w.start()
		base := time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
		order := func(id, typ string, after time.Duration) said {
			return said{id: id, source: "shop", typ: typ, key: "o-1", at: base.Add(after), data: `{"customer":"c"}`}
		}
		w.tell(0,
			order("placed", "order.placed", 0), order("paid", "order.paid", 14*time.Second),
			order("superseded", "order.paid", 10*time.Second), order("paid", "order.paid", 14*time.Second),
			order("shipped", "order.shipped", 20*time.Second),
			order("noted", "order.noted", 30*time.Second), order("masked", "order.placed", 25*time.Second),
			order("late", "order.paid", -30*time.Hour),
			order("unhandled", "order.sung", 0),
			w.counted("c-1", "once", 1, base), w.counted("c-1", "once", 1, base),
			moved("a", 1), moved("a", 3), moved("a", 1),
			order("letter", cursed, 40*time.Second),
		)
		w.settle(2, map[string]string{"a-3": "gap"})

		stamp := func(after time.Duration) string { return base.Add(after).Format(time.RFC3339) }
		letter := func(id string) string {
			for _, l := range w.letters() {
				if l.EventID == id {
					return l.ID
				}
			}
			return ""
		}
		for _, c := range []struct {
			id       string
			standing framework.Standing
			says     []string
		}{
			{"superseded", framework.StandsEnded, []string{"It was superseded: field `paid_at` was already written by event paid of shop, of " + stamp(14*time.Second) + ", which is newer by 4s."}},
			{"masked", framework.StandsApplied, []string{"It had its effect, but for Note, which newer events had written: `note` is now by event noted of shop"}},
			{"paid", framework.StandsApplied, []string{"had its effect when it came first", "duplicate: `paid_at` of orders o-1 is by it"}},
			{"shipped", framework.StandsApplied, []string{"It had its effect, which stands: `shipped_at` of orders o-1 is by it"}},
			{"late", framework.StandsAsLetter, []string{"30h0m30s late, and 24h is allowed", "evenkeel dlq explain " + letter("late")[:12]}},
			{"unhandled", framework.StandsEnded, []string{"discarded (unhandled): it has a type for which no handler is registered"}},
			{"once", framework.StandsApplied, []string{"taken once by handler counted→Counter for c-1"}},
			{"a-3", framework.StandsParked, []string{"It waits: it is ahead of an event that has to come before it (its number is 3 in stream moves)"}},
			{"a-1", framework.StandsRepeated, []string{"It had come before"}},
			{"letter", framework.StandsAsLetter, []string{"It is a dead letter (open)", "was given up by its handler", "evenkeel dlq explain " + letter("letter")[:12]}},
		} {
			e := w.explain(c.id, "")
			require.True(t, e.Found, c.id)
			require.NotEmpty(t, e.Units, c.id)
			require.Equal(t, c.standing, e.Units[0].Standing, "%s: %+v", c.id, e)
			for _, text := range c.says {
				require.Contains(t, e.Conclusion, text, c.id)
			}
		}
		e := w.explain("superseded", "")
		require.Equal(t, "shop", e.Source)
		require.Equal(t, "order.paid", e.EventType)
		require.WithinDuration(t, base.Add(10*time.Second), e.OccurredAt, 0)
		require.Len(t, e.Steps, 1)
		require.Len(t, e.Positions, 1)
		require.EqualValues(t, 15, e.Positions[0].Next)
		require.Equal(t, e.Conclusion, w.explain("superseded", "o-1").Conclusion)

		e = w.explain("never", "o-1")
		require.False(t, e.Found)
		require.Contains(t, e.Conclusion, "No trace of it at o-1")
		require.Len(t, e.Positions, 1)

		s, err := framework.ShowEntity(t.Context(), w.db, "Order", "o-1")
		require.NoError(t, err)
		require.Equal(t, guards.Alive, s.Existence)
		require.Equal(t, "masked", s.Lived.ID, "the newest creating event")
		wrote := map[string]string{}
		for i := range s.Columns {
			if c := &s.Columns[i]; c.Clock != nil {
				wrote[c.Name] = c.Clock.ID
			}
		}
		require.Equal(t, map[string]string{"customer": "masked", "amount": "masked", "note": "noted", "paid_at": "paid", "shipped_at": "shipped"}, wrote)
		require.Len(t, s.Letters, 2)

		// What somebody did to a letter is told, too.
		report, err := framework.Discard(t.Context(), w.db, []dlq.Ref{{ID: letter("letter")}}, operator)
		require.NoError(t, err)
		require.Equal(t, 1, report.Done)
		e = w.explain("letter", "")
		require.Equal(t, framework.StandsEnded, e.Units[0].Standing)
		require.Contains(t, e.Conclusion, `discarded by ann`)
		require.True(t, strings.HasSuffix(e.Steps[len(e.Steps)-1].Text, "was discarded by ann: known to be broken"), e.Steps)
	})
}
