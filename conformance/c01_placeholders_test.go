package conformance

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// looks keeps what the looks at placeholders have found.
type looks struct {
	mu    sync.Mutex
	found []framework.OldPlaceholders
}

func (l *looks) OnPlaceholders(p framework.OldPlaceholders) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.Table == "orders" {
		l.found = append(l.found, p)
	}
}

// last is the last look; ok is false before the first one.
func (l *looks) last() (p framework.OldPlaceholders, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.found) == 0 {
		return p, false
	}
	return l.found[len(l.found)-1], true
}

// age makes placeholders old soon.
func age(d time.Duration, policy framework.PlaceholderPolicy, hooks ...any) func(*framework.Config) {
	return func(c *framework.Config) { c.PlaceholderAge, c.PlaceholderPolicy, c.Hooks = d, policy, hooks }
}

// keys are those of the placeholders, as the public list has them.
func (w *world) placeholders() (keys []string) {
	w.t.Helper()
	for p, err := range framework.Placeholders(context.Background(), w.db, framework.PlaceholderFilter{Group: w.group, Table: "orders"}) {
		require.NoError(w.t, err)
		require.Equal(w.t, "Order", p.Model)
		require.Equal(w.t, "shop", p.Source)
		keys = append(keys, p.Key)
	}
	return keys
}

func early(key, typ string, at time.Time) said {
	return said{id: key + " " + typ, source: "shop", typ: typ, key: key, at: at, data: `{"customer":"ann","note":"` + key + `"}`}
}

// TestC01Aged: what nobody completes is listed and reported, once per change of state.
func TestC01PlaceholdersAreReportedWhileTheyAreOld(t *testing.T) {
	each(t, "C01", func(t *testing.T, at combination) {
		w := newWorld(t, at, 1)
		hook, began := &looks{}, time.Now().Add(-time.Hour)
		w.tell(0, early("o-1", "order.paid", began), early("o-2", "order.noted", began), early("o-3", "order.paid", began), early("o-2", "order.placed", began.Add(-time.Minute)))
		w.start(age(100*time.Millisecond, framework.PlaceholderKeep, hook))
		w.drain(1)
		require.Equal(t, []string{"o-1", "o-3"}, w.placeholders())
		var live, waiting []Order
		require.NoError(t, w.db.Scopes(guards.Live).Find(&live).Error)
		require.NoError(t, w.db.Scopes(guards.Placeholders).Order("ek_born, id").Find(&waiting).Error)
		require.Len(t, live, 1)
		require.Len(t, waiting, 2)

		found := func(count int64) {
			t.Helper()
			w.eventually(func() bool { p, ok := hook.last(); return ok && p.Count == count }, func() string {
				p, ok := hook.last()
				return fmt.Sprintf("the last look (%t): %+v, not %d", ok, p, count)
			})
		}
		found(2)
		p, _ := hook.last()
		require.Equal(t, "o-1", p.OldestKey)
		require.Equal(t, waiting[0].EkBorn, p.OldestBorn.UnixMicro())
		w.tell(0, early("o-1", "order.placed", began.Add(-time.Minute)))
		found(1)
		w.tell(0, early("o-3", "order.placed", began.Add(-time.Minute)))
		found(0)
		require.Equal(t, 1, w.log.count("placeholders are old"))
		require.Equal(t, 1, w.log.count("no placeholder is old any more"))
		require.Equal(t, 1, w.log.count("table orders is read whole to find its placeholders"))
		require.Empty(t, w.placeholders())
		w.check()
	})
}

// TestC01Policies: old placeholders go, and what made them is recorded or kept.
func TestC01OldPlaceholdersAreSweptByPolicy(t *testing.T) {
	each(t, "C01 swept", func(t *testing.T, at combination) {
		w := newWorld(t, at, 1)
		require.NoError(t, w.db.Exec("CREATE INDEX orders_early ON orders (ek_born, id) WHERE ek_state = 1").Error)
		began := time.Now().Add(-time.Hour)
		// What is completed is so before anything is old.
		begins := func(policy framework.PlaceholderPolicy, events ...said) *member {
			t.Helper()
			m := w.start(age(time.Hour, policy))
			w.tell(0, events...)
			w.drain(1)
			m.stop()
			return w.start(age(100*time.Millisecond, policy))
		}
		gone := func(key string) {
			t.Helper()
			w.eventually(func() bool { return len(w.placeholders()) == 0 }, func() string { return fmt.Sprint("placeholders ", w.placeholders()) })
			require.NotContains(t, all(w, func(o *Order) string { return o.ID }), key)
		}

		m := begins(framework.PlaceholderDelete,
			early("o-1", "order.paid", began), early("o-1", "order.noted", began.Add(time.Second)), early("o-2", "order.paid", began), early("o-2", "order.placed", began))
		gone("o-1")
		require.EqualValues(t, 1, m.final().PlaceholdersSwept)
		for _, id := range []string{"o-1 order.paid", "o-1 order.noted"} {
			require.Equal(t, map[string]int{"orphaned": 1}, w.judgements(id))
		}
		require.Empty(t, w.letters())
		require.Zero(t, w.log.count("is read whole to find its placeholders")-w.log.count("table stocks is read whole to find its placeholders"))

		m = begins(framework.PlaceholderDeadLetter,
			early("o-3", "order.paid", began), early("o-3", "order.noted", began.Add(time.Second)), early("o-4", "order.shipped", began), early("o-4", "order.placed", began))
		gone("o-3")
		copies, letters := w.copies(2)
		require.Len(t, copies, 2)
		for i, id := range []string{"o-3 order.paid", "o-3 order.noted"} {
			l := letters[i]
			require.Equal(t, [3]string{id, "orders", "o-3"}, [3]string{l.EventID, l.Table, l.Entity})
			require.Equal(t, guards.Orphaned, l.Verdict.Reason)
			require.Equal(t, map[string]int{"orphaned": 1}, w.judgements(id))
		}
		require.Len(t, w.letters(), 2)
		w.eventually(func() bool {
			var n int64
			require.NoError(t, w.db.Table("evenkeel_origins").Count(&n).Error)
			return n == 0
		}, func() string { return "origins are left" })

		// The creating events come after all, and a rewind repeats nothing of it.
		w.tell(0, early("o-1", "order.placed", began.Add(time.Minute)), early("o-3", "order.placed", began.Add(time.Minute)))
		w.drain(1)
		rows := all(w, func(o *Order) string { return o.ID })
		require.Len(t, rows, 4)
		for _, key := range []string{"o-1", "o-3"} {
			require.Equal(t, guards.Alive, rows[key].EkState)
			require.Nil(t, rows[key].PaidAt)
		}
		m.stop()
		w.broker.ResetOffset(t, w.group, w.topic, 0, 4) // the letters' events and what came after
		again := w.start(age(time.Hour, framework.PlaceholderKeep))
		w.eventually(func() bool { return again.consumer.Stats().Records == 6 }, func() string { return fmt.Sprintf("%+v", again.consumer.Stats()) })
		w.drain(1)
		require.Equal(t, rows, all(w, func(o *Order) string { return o.ID }))
		require.EqualValues(t, 2, again.final().Verdicts["discard/redelivered"])
	})
}

// TestC01Race: the creating events come while the sweep is at it. Each early event has its
// effect or its letter, and never both.
func TestC01ASweepAndTheCompletingEventCantBothWin(t *testing.T) {
	each(t, "C01 race", func(t *testing.T, at combination) {
		const partitions, keys, apart = 2, 200, 24
		w := newWorld(t, at, partitions)
		began := time.Now().Add(-time.Hour)
		var records []event.Record
		add := func(i int, typ string, at time.Time) {
			if key := fmt.Sprintf("o-%03d", i); i >= 0 && i < keys {
				e := early(key, typ, at)
				records = append(records, w.record(int32(i%partitions), key, e.value()))
			}
		}
		for i := range keys + apart {
			add(i, "order.paid", began)
			add(i-apart, "order.placed", began.Add(-time.Minute)) // a few batches later
		}
		w.broker.Produce(t, records...)
		quick := func(c *framework.Config) {
			c.BatchSize, c.SweepInterval = 7, time.Millisecond
			c.PlaceholderAge, c.PlaceholderPolicy = 40*time.Millisecond, framework.PlaceholderDeadLetter
		}
		w.start(quick)
		w.start(quick)
		w.drain(partitions)
		// What was swept before its creation came is a row without the early event.
		letters := map[string]bool{}
		for _, l := range w.letters() {
			require.Equal(t, guards.Orphaned, l.Verdict.Reason)
			require.False(t, letters[l.Entity])
			letters[l.Entity] = true
		}
		rows := all(w, func(o *Order) string { return o.ID })
		require.Len(t, rows, keys)
		for key, o := range rows {
			require.Equal(t, guards.Alive, o.EkState, key)
			require.NotEqual(t, o.PaidAt != nil, letters[key], "%s: an effect (%v) and a letter (%t)", key, o.PaidAt, letters[key])
		}
		t.Logf("%d of %d were swept before they were completed", len(letters), keys)
	})
}

// Letterbox has a handler for each answer to a missing row.
type Letterbox struct {
	ID, Sender, Stood, Waited, Refused, Dropped string
	guards.Guarded
}

// TestC01Missing: each answer to a missing row does what it says, and once the row is
// there all of them apply.
func TestC01EachAnswerToAMissingRow(t *testing.T) {
	each(t, "C01 missing", func(t *testing.T, at combination) {
		w := newWorld(t, at, 1)
		w.tables(&Letterbox{})
		type boxDelivery = handlers.Delivery[struct{}, Letterbox]
		w.registry = func() *handlers.Registry {
			reg := handlers.NewRegistry()
			handlers.Set(reg, "sent", func(_ context.Context, d *boxDelivery) error { d.Entity.Sender = d.Event.ID; return nil }, handlers.Creates(), handlers.Writes("Sender"))
			for _, a := range []struct {
				field  string
				policy handlers.OnMissingPolicy
				set    func(*Letterbox) *string
			}{
				{"Stood", handlers.MissingPlaceholder, func(p *Letterbox) *string { return &p.Stood }},
				{"Waited", handlers.MissingPark, func(p *Letterbox) *string { return &p.Waited }},
				{"Refused", handlers.MissingDeadLetter, func(p *Letterbox) *string { return &p.Refused }},
				{"Dropped", handlers.MissingDiscard, func(p *Letterbox) *string { return &p.Dropped }},
			} {
				handlers.Set(reg, a.field, func(_ context.Context, d *boxDelivery) error { *a.set(d.Entity) = d.Event.ID; return nil },
					handlers.OnMissing(a.policy), handlers.Writes(a.field))
			}
			return reg
		}
		began := time.Now().Add(-time.Hour)
		tell := func(key, id string, types ...string) {
			for i, typ := range types {
				w.tell(0, said{id: id + typ, source: "shop", typ: typ, key: key, at: began.Add(time.Duration(i) * time.Second)})
			}
		}
		w.start()
		// The placeholder comes last: it is no row that the others could go by.
		tell("p-1", "1", "Dropped", "Refused", "Waited", "Stood")
		w.atEnd(1)
		require.Equal(t, map[string]string{"1Waited": "missing"}, w.waiting())
		require.Equal(t, map[string]int{"missing": 1}, w.judgements("1Dropped"))
		require.Equal(t, map[string]int{"missing": 1}, w.judgements("1Refused"))
		row := all(w, func(p *Letterbox) string { return p.ID })["p-1"]
		require.Equal(t, guards.Placeholder, row.EkState)
		require.Equal(t, "1Stood", row.Stood)
		tell("p-1", "2", "Dropped", "Refused") // and a placeholder counts as missing
		w.atEnd(1)
		row = all(w, func(p *Letterbox) string { return p.ID })["p-1"]
		require.Empty(t, row.Dropped+row.Refused+row.Waited)

		tell("p-1", "3", "sent", "Dropped", "Refused")
		w.drain(1)
		row = all(w, func(p *Letterbox) string { return p.ID })["p-1"]
		require.Equal(t, guards.Alive, row.EkState)
		require.Equal(t, [5]string{"3sent", "1Stood", "1Waited", "3Refused", "3Dropped"}, [5]string{row.Sender, row.Stood, row.Waited, row.Refused, row.Dropped})
		var refused []string
		for _, l := range w.letters() {
			require.Equal(t, guards.MissingRow, l.Verdict.Reason)
			refused = append(refused, l.EventID)
		}
		slices.Sort(refused)
		require.Equal(t, []string{"1Refused", "2Refused"}, refused)
	})
}
