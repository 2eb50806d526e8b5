package conformance

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// Purse is an entity whose events leave entries.
type Purse struct {
	ID    string `gorm:"primaryKey"`
	Owner string
	Note  string
	N     int64
	Sum   int64
	Last  string
	guards.Guarded
}

// Entry is a row of the service's own. Nothing but the framework keeps it from being there
// twice, and it can't be there without its purse.
type Entry struct {
	ID      uint `gorm:"primaryKey"`
	EventID string
	Handler string
	Amount  int64
	PurseID string `gorm:"size:64"`
	Purse   *Purse `gorm:"constraint:OnDelete:CASCADE"`
}

// Unique is a row of the service's own of which there is one per event.
type Unique struct {
	EventID string `gorm:"primaryKey"`
	N       int64
}

type entryDelivery = handlers.Delivery[body, Purse]

// enter writes an entry by GORM, and checks that the purse is there.
func enter(d *entryDelivery) error {
	var n int64
	if err := d.Tx().Model(&Purse{}).Where("id = ?", d.Entity.ID).Count(&n).Error; err != nil || n != 1 {
		return fmt.Errorf("%d purses: %w", n, err)
	}
	return d.Tx().Create(&Entry{EventID: d.Event.ID, Handler: d.Event.Type, Amount: d.Payload.Amount, PurseID: d.Entity.ID}).Error
}

// entered is a registry whose handlers enter under each guard, beside one that has no SQL
// of its own. before hears of each run.
func entered(before func(n int64)) *handlers.Registry {
	reg := handlers.NewRegistry()
	var runs atomic.Int64
	on := func(do func(*entryDelivery)) func(context.Context, *entryDelivery) error {
		return func(_ context.Context, d *entryDelivery) error {
			do(d)
			err := enter(d)
			if before != nil {
				before(runs.Add(1)) // with the entry in the open transaction
			}
			return err
		}
	}
	fine := handlers.OnMissing(handlers.MissingPlaceholder)
	handlers.Set(reg, "purse.opened", on(func(d *entryDelivery) { d.Entity.Owner = d.Event.ID }), handlers.Creates(), handlers.Writes("Owner"), handlers.UsesTx())
	handlers.Set(reg, "purse.noted", on(func(d *entryDelivery) { d.Entity.Note = d.Event.ID }), handlers.Writes("Note"), handlers.UsesTx(), fine)
	handlers.Modify(reg, "purse.counted", on(func(d *entryDelivery) {
		d.Entity.N++
		d.Entity.Sum += d.Payload.Amount
	}), guards.Once(), handlers.Writes("N", "Sum"), handlers.UsesTx())
	handlers.Set(reg, "purse.closed", func(_ context.Context, d *entryDelivery) error {
		d.Delete()
		return nil
	}, handlers.Writes(), fine)
	handlers.Set(reg, "purse.plain", func(_ context.Context, d *entryDelivery) error {
		d.Entity.Last = d.Event.ID
		return nil
	}, handlers.Writes("Last"), fine)
	return reg
}

func newPurseWorld(t testing.TB, at combination, partitions int, reg func() *handlers.Registry) *world {
	t.Helper()
	w := newWorld(t, at, partitions)
	w.registry = reg
	w.tables(&Purse{}, &Entry{}, &Unique{})
	return w
}

func (w *world) pursed(typ, key, id string, amount int64, at time.Time) said {
	return said{id: id, source: "shop", typ: "purse." + typ, key: key, at: at, data: fmt.Sprintf(`{"amount":%d}`, amount)}
}

// entries counts the entries by event.
func (w *world) entries() map[string]int {
	w.t.Helper()
	var es []Entry
	require.NoError(w.t, w.db.Find(&es).Error)
	n := map[string]int{}
	for _, e := range es {
		n[e.EventID]++
	}
	return n
}

// rewind makes the group read everything again.
func (w *world) rewind(m *member, partitions int) *member {
	w.t.Helper()
	m.stop()
	for p := range int32(partitions) {
		w.broker.ResetOffset(w.t, w.group, w.topic, p, 0)
	}
	m = w.start(smallBatches(31))
	w.eventually(func() bool {
		for p := range int32(partitions) {
			if _, committed, end := w.position(p); committed < end {
				return false
			}
		}
		return true
	}, func() string { return "the rewound group is not at the end" })
	return m
}

// wallet makes a random stream of all kinds; older events come later, too, so that some are
// superseded and most are early.
func (w *world) wallet(events, keys int) (all []said, want map[string]int, sums map[string]int64) {
	want, sums = map[string]int{}, map[string]int64{}
	rng := newRand(10)
	for i := range events {
		typ := []string{"noted", "counted", "plain", "opened"}[rng.IntN(4)]
		id, key := fmt.Sprintf("e-%d", i), fmt.Sprintf("p-%d", i%keys)
		all = append(all, w.pursed(typ, key, id, int64(i+1), w.began.Add(-time.Duration(rng.IntN(10_000))*time.Second)))
		if typ != "plain" {
			want[id] = 1
		}
		if typ == "counted" {
			sums[key] += int64(i + 1)
		}
	}
	return all, want, sums
}

// Each event comes three times, on any of two partitions, in any order; then everything is
// read again.
func TestC10OwnSQLTakesEffectOnce(t *testing.T) {
	each(t, "C10", func(t *testing.T, at combination) {
		const partitions, events, keys = 2, 150, 6
		w := newPurseWorld(t, at, partitions, func() *handlers.Registry { return entered(nil) })
		stream, want, sums := w.wallet(events, keys)
		rng := newRand(11)
		var say []said
		for range 3 {
			say = append(say, stream...)
		}
		rng.Shuffle(len(say), func(i, j int) { say[i], say[j] = say[j], say[i] })
		for _, s := range say {
			w.tell(rng.Int32N(partitions), s)
		}
		m := w.start(smallBatches(23))
		w.drain(partitions)
		check := func() {
			t.Helper()
			require.Equal(t, want, w.entries())
			for k, p := range all(w, func(p *Purse) string { return p.ID }) {
				require.Equal(t, sums[k], p.Sum, k)
			}
			require.Empty(t, w.letters())
		}
		check()
		w.rewind(m, partitions)
		check()
	})
}

// Two lanes run the same events' handlers for one key, which has no row yet.
func TestC10TwoLanesOnOneKey(t *testing.T) {
	each(t, "C10", func(t *testing.T, at combination) {
		const events = 40
		w := newPurseWorld(t, at, 2, func() *handlers.Registry { return entered(nil) })
		want := map[string]int{}
		for i := range events {
			e := w.pursed("counted", fmt.Sprintf("p-%d", i%3), fmt.Sprintf("e-%d", i), 1, w.began.Add(-time.Minute))
			n := w.pursed("noted", fmt.Sprintf("p-%d", (i+1)%3), fmt.Sprintf("n-%d", i), 1, w.began.Add(-time.Duration(i)*time.Minute))
			want[e.id], want[n.id] = 1, 1
			w.tell(0, e, n)
			w.tell(1, n, e)
		}
		w.start(smallBatches(5))
		w.drain(2)
		require.Equal(t, want, w.entries())
	})
}

// A Set handler's SQL stays for an event that newer ones have superseded; its event has no
// letter and its fields are masked.
func TestC10SupersededEventsKeepTheirSQL(t *testing.T) {
	each(t, "C10", func(t *testing.T, at combination) {
		w := newPurseWorld(t, at, 1, func() *handlers.Registry { return entered(nil) })
		older, newer := w.pursed("noted", "p", "older", 1, w.began.Add(-2*time.Hour)), w.pursed("noted", "p", "newer", 1, w.began.Add(-time.Hour))
		w.tell(0, newer, older, older, newer)
		m := w.start(smallBatches(1))
		w.drain(1)
		w.rewind(m, 1)
		require.Equal(t, map[string]int{"older": 1, "newer": 1}, w.entries())
		require.Equal(t, "newer", all(w, func(p *Purse) string { return p.ID })["p"].Note)
		require.Equal(t, 1, w.judgements("older")["superseded"])
	})
}

// Numbered events come backwards, each filling gaps for those that wait: a batch finds out
// only while it judges that what follows has SQL of its own.
func TestC10WhatFollowsInAStream(t *testing.T) {
	each(t, "C10", func(t *testing.T, at combination) {
		const numbers = 12
		w := newPurseWorld(t, at, 1, func() *handlers.Registry {
			reg := handlers.NewRegistry()
			fine := handlers.OnMissing(handlers.MissingPlaceholder)
			handlers.Modify(reg, "purse.counted", func(_ context.Context, d *entryDelivery) error {
				d.Entity.N++
				return enter(d)
			}, guards.Sequence(), handlers.Writes("N"), handlers.UsesTx(), fine)
			handlers.Modify(reg, "purse.plain", func(_ context.Context, d *entryDelivery) error {
				d.Entity.Last = d.Event.ID
				return nil
			}, guards.Sequence(), handlers.Writes("Last"), fine)
			return reg
		})
		want := map[string]int{}
		var say []said
		for n := int64(numbers); n > 0; n-- {
			typ := "counted"
			if n == 1 {
				typ = "plain"
			}
			s := w.pursed(typ, "p", fmt.Sprintf("e-%d", n), 1, w.began.Add(-time.Minute))
			s.version = n
			if say = append(say, s, s); n > 1 {
				want[s.id] = 1
			}
		}
		w.tell(0, say...)
		m := w.start(smallBatches(1))
		w.drain(1)
		require.Zero(t, w.log.count("is not available"), "the batch asks for a transaction, and is not tried until it has one")
		w.rewind(m, 1)
		require.Equal(t, want, w.entries())
		require.Equal(t, int64(numbers-1), all(w, func(p *Purse) string { return p.ID })["p"].N)
	})
}

// What makes a placeholder becomes a letter when nothing completes it: the early row that
// entries refer to is not mistaken for somebody else's.
func TestC10OrphansOfHandlersWithSQL(t *testing.T) {
	each(t, "C10", func(t *testing.T, at combination) {
		w := newPurseWorld(t, at, 1, func() *handlers.Registry { return entered(nil) })
		w.tell(0, w.pursed("noted", "p", "first", 1, w.began.Add(-2*time.Hour)), w.pursed("noted", "p", "second", 1, w.began.Add(-time.Hour)),
			w.pursed("opened", "q", "opened", 1, w.began.Add(-2*time.Hour)), w.pursed("noted", "q", "third", 1, w.began.Add(-time.Hour)))
		w.start(func(c *framework.Config) {
			c.PlaceholderAge, c.PlaceholderPolicy = 40*time.Millisecond, framework.PlaceholderDeadLetter
		})
		w.eventually(func() bool { return len(w.letters()) == 2 }, func() string { return fmt.Sprintf("%d letters", len(w.letters())) })
		for _, l := range w.letters() {
			require.Equal(t, guards.Orphaned, l.Verdict.Reason)
			require.Equal(t, "p", l.Entity)
		}
		require.Equal(t, map[string]int{"opened": 1, "third": 1}, w.entries(), "entries go with their purse")
	})
}

// An event that only the horizon of purged rows masks becomes a letter after its handler has
// run; what that has written is undone, or a replay would write it twice.
func TestC10BehindThePurgeHorizon(t *testing.T) {
	each(t, "C10", func(t *testing.T, at combination) {
		w := newPurseWorld(t, at, 1, func() *handlers.Registry { return entered(nil) })
		when := func(s int) time.Time { return w.began.Add(-time.Hour).Add(time.Duration(s) * time.Second) }
		w.tell(0, w.pursed("opened", "p", "opened", 1, when(0)), w.pursed("closed", "p", "closed", 1, when(5)))
		w.start(func(c *framework.Config) { c.PurgeDeletedAfter = 300 * time.Millisecond })
		w.drain(1)
		w.eventually(func() bool { return len(all(w, func(p *Purse) string { return p.ID })) == 0 }, func() string { return "not purged" })
		w.tell(0, w.pursed("noted", "p", "newer", 1, when(10)), w.pursed("opened", "p", "older", 1, when(4)))
		w.drain(1)
		require.Equal(t, map[string]int{"newer": 1}, w.entries())
		ls := w.letters()
		require.Len(t, ls, 1)
		require.Equal(t, guards.Late, ls[0].Verdict.Reason)
	})
}

// Two lanes write the same rows of the service's own in opposite orders. The one that the
// database ends runs again, and nobody's event has failed.
func TestC10DeadlocksAreNobodysFault(t *testing.T) {
	each(t, "C10 deadlock", func(t *testing.T, at combination) {
		arrived := [2]chan struct{}{make(chan struct{}), make(chan struct{})}
		var once [2]sync.Once
		w := newPurseWorld(t, at, 2, func() *handlers.Registry {
			reg := handlers.NewRegistry()
			handlers.Modify(reg, "purse.counted", func(_ context.Context, d *entryDelivery) error {
				d.Entity.N++
				p := d.Event.Record.Partition
				names := []string{"left", "right"}
				touch := func(i int32) error {
					return d.Tx().Model(&Unique{}).Where("event_id = ?", names[i]).Update("n", gorm.Expr("n + 1")).Error
				}
				if err := touch(p); err != nil {
					return err
				}
				once[p].Do(func() { close(arrived[p]) })
				<-arrived[1-p]
				return touch(1 - p)
			}, guards.None(), handlers.Writes("N"), handlers.UsesTx())
			return reg
		})
		require.NoError(t, w.db.Create(&[]Unique{{EventID: "left"}, {EventID: "right"}}).Error)
		w.tell(0, w.pursed("counted", "p-0", "e-0", 1, w.began))
		w.tell(1, w.pursed("counted", "p-1", "e-1", 1, w.began))
		m := w.start()
		w.drain(2)
		require.Positive(t, m.consumer.Stats().Conflicts)
		for id, u := range all(w, func(u *Unique) string { return u.EventID }) {
			require.Equal(t, int64(2), u.N, id)
		}
		require.Empty(t, w.judgements("e-0"))
		require.Empty(t, w.judgements("e-1"))
	})
}

var errEntry = errors.New("the handler fails")

// failingEntries are handlers that fail in each way that there is; all of them enter first.
func failingEntries(kept *sync.Map) *handlers.Registry {
	reg := handlers.NewRegistry()
	fine := handlers.OnMissing(handlers.MissingPlaceholder)
	on := func(name string, fn func(d *entryDelivery) error, more ...handlers.Option) {
		handlers.Set(reg, "purse."+name, func(_ context.Context, d *entryDelivery) error {
			d.Entity.Note = d.Event.ID
			if err := enter(d); err != nil {
				return err
			}
			return fn(d)
		}, append(more, handlers.Writes("Note"), fine, handlers.UsesTx())...)
	}
	on("good", func(*entryDelivery) error { return nil })
	on("fails", func(*entryDelivery) error { return handlers.DeadLetter(errEntry) })
	on("panics", func(*entryDelivery) error { panic(handlers.DeadLetter(errEntry)) })
	on("discards", func(*entryDelivery) error { return handlers.Discard("not for us") })
	on("once", func(d *entryDelivery) error { // the quick second try passes
		if d.Attempt == 1 {
			return errEntry
		}
		return nil
	})
	on("later", func(d *entryDelivery) error { // the sweeper's passes
		if d.Attempt <= 2 {
			return errEntry
		}
		return nil
	})
	on("strays", func(d *entryDelivery) error {
		d.Entity.Sum = 7 // not declared: found after the handler has returned
		return nil
	})
	on("breaks", func(d *entryDelivery) error { // a statement that the table refuses
		for range 2 {
			if err := d.Tx().Create(&Unique{EventID: d.Event.ID}).Error; err != nil {
				return err
			}
		}
		return nil
	})
	on("swallows", func(d *entryDelivery) error { // and goes on
		for range 2 {
			_ = d.Tx().Create(&Unique{EventID: d.Event.ID}).Error
		}
		return nil
	})
	on("nested", func(d *entryDelivery) error { // what may fail, where it may
		for range 2 {
			_ = d.Tx().Transaction(func(tx *gorm.DB) error { return tx.Create(&Unique{EventID: d.Event.ID}).Error })
		}
		return nil
	})
	on("trespasses", func(d *entryDelivery) error { // and does not care
		_ = d.Tx().Model(&Purse{}).Where("id = ?", d.Entity.ID).Update("note", "by hand")
		return nil
	})
	on("commits", func(d *entryDelivery) error {
		_ = d.Tx().Exec("/* at last */ commit").Error
		return nil
	})
	on("rolls", func(d *entryDelivery) error {
		d.Tx().Rollback()
		return nil
	})
	on("tampers", func(d *entryDelivery) error {
		_ = d.Tx().Exec("DELETE FROM evenkeel_verdicts").Error
		return nil
	})
	on("leaks", func(d *entryDelivery) error { // rows that nobody closes
		rows, err := d.Tx().Model(&Entry{}).Rows() //nolint:rowserrcheck,sqlclosecheck // that is what it does
		if err == nil {
			rows.Next()
		}
		kept.Store("tx", d.Tx())
		kept.Store("d", d)
		return err
	})
	on("defers", func(d *entryDelivery) error { // what shows at COMMIT only
		return d.Tx().Exec("INSERT INTO deferreds (purse_id) VALUES ('nobody')").Error
	})
	handlers.Set(reg, "purse.undeclared", func(_ context.Context, d *entryDelivery) error {
		_ = enter(d)
		d.Entity.Last = d.Event.ID
		return nil
	}, handlers.Writes("Last"), fine)
	return reg
}

// failureEnd is what becomes of an event: how many entries, and the letter.
type failureEnd struct {
	entry  int
	reason guards.Reason
	text   string
}

// All of them are in one batch, each between two good ones of the same purse.
func TestC10FailuresAreUndoneAlone(t *testing.T) {
	each(t, "C10 failures", func(t *testing.T, at combination) {
		ends := map[string]failureEnd{
			"good":       {entry: 1},
			"once":       {entry: 1},
			"later":      {entry: 1},
			"nested":     {entry: 1},
			"leaks":      {entry: 1},
			"fails":      {reason: guards.Rejected, text: errEntry.Error()},
			"panics":     {reason: guards.Exhausted, text: "panic"},
			"discards":   {},
			"strays":     {reason: guards.Rejected, text: "Sum"},
			"breaks":     {reason: guards.Constraint},
			"trespasses": {reason: guards.Rejected, text: "purses"},
			"commits":    {reason: guards.Rejected, text: `begins with "commit"`},
			"rolls":      {reason: guards.Rejected, text: "Commit and Rollback"},
			"tampers":    {reason: guards.Rejected, text: "evenkeel_verdicts"},
			"defers":     {reason: guards.Exhausted},
			"undeclared": {reason: guards.Rejected, text: "handlers.UsesTx()"},
		}
		if at.store == storePostgres { // its transaction is spoiled
			ends["swallows"] = failureEnd{reason: guards.Constraint, text: "went on although a statement of its own had failed"}
		} else {
			ends["swallows"] = failureEnd{entry: 1}
		}
		var kept sync.Map
		w := newPurseWorld(t, at, 1, func() *handlers.Registry { return failingEntries(&kept) })
		require.NoError(t, w.db.Exec("CREATE TABLE deferreds (purse_id varchar(64) REFERENCES purses(id) DEFERRABLE INITIALLY DEFERRED)").Error)
		var say []said
		want := map[string]int{}
		reasons := map[string]guards.Reason{}
		when := w.began.Add(-time.Hour)
		for typ, end := range ends {
			key := "p-" + typ
			when = when.Add(time.Second)
			before, own, after := w.pursed("good", key, "before-"+typ, 1, when.Add(-time.Minute)), w.pursed(typ, key, "own-"+typ, 1, when), w.pursed("good", "q-"+typ, "after-"+typ, 1, when)
			alone := w.pursed(typ, "alone-"+typ, "alone-"+typ, 1, when)
			say = append(say, before, own, after, alone)
			want[before.id], want[after.id] = 1, 1
			for _, id := range []string{own.id, alone.id} {
				if end.entry > 0 {
					want[id] = 1
				}
				if end.reason != "" {
					reasons[id] = end.reason
				}
			}
		}
		w.tell(0, say...)
		w.start(smallBatches(100))
		w.drain(1)
		require.Equal(t, want, w.entries())
		got := map[string]guards.Reason{}
		for _, l := range w.letters() {
			got[l.EventID] = l.Verdict.Reason
			require.Contains(t, l.Error, ends[l.EventType[len("purse."):]].text, l.EventID)
		}
		require.Equal(t, reasons, got)
		purses := all(w, func(p *Purse) string { return p.ID })
		for typ, end := range ends {
			_, there := purses["alone-"+typ]
			require.Equal(t, end.entry == 1, there, "the row of a purse whose only event has failed: %s", typ)
			require.Contains(t, []string{"before-" + typ, "own-" + typ}, purses["p-"+typ].Note)
		}
		tx, _ := kept.Load("tx")
		require.ErrorContains(t, tx.(*gorm.DB).Create(&Unique{EventID: "afterwards"}).Error, "after its handler had returned")
		d, _ := kept.Load("d")
		require.ErrorContains(t, d.(*entryDelivery).Tx().Create(&Unique{EventID: "afterwards"}).Error, "after its handler had returned")
	})
}

// A handler's own deadline cuts off a statement, and on PostgreSQL the connection with it.
func TestC10AHandlersDeadlineIsItsOwn(t *testing.T) {
	each(t, "C10 failures", func(t *testing.T, at combination) {
		w := newPurseWorld(t, at, 1, func() *handlers.Registry {
			reg := entered(nil)
			handlers.Set(reg, "purse.hurried", func(ctx context.Context, d *entryDelivery) error {
				d.Entity.Note = d.Event.ID
				if err := enter(d); err != nil {
					return err
				}
				short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
				defer cancel()
				slow := "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 100000000) SELECT count(*) FROM c"
				var n int64
				return d.Tx().WithContext(short).Raw(slow).Scan(&n).Error
			}, handlers.Writes("Note"), handlers.UsesTx(), handlers.OnMissing(handlers.MissingPlaceholder))
			return reg
		})
		w.tell(0, w.pursed("counted", "p", "before", 1, w.began.Add(-time.Hour)), w.pursed("hurried", "p", "own", 1, w.began.Add(-time.Minute)), w.pursed("counted", "p", "after", 1, w.began.Add(-time.Hour)))
		w.start(func(c *framework.Config) { c.Retry.Attempts = 2 })
		w.drain(1)
		require.Equal(t, map[string]int{"before": 1, "after": 1}, w.entries())
		ls := w.letters()
		require.Len(t, ls, 1)
		require.Equal(t, guards.Exhausted, ls[0].Verdict.Reason)
	})
}

// The member dies with entries in its open transaction; another takes over.
func TestC10KilledInTheMiddle(t *testing.T) {
	each(t, "C10 killed", func(t *testing.T, at combination) {
		t.Parallel()
		const partitions, events, keys = 2, 200, 8
		w := newPurseWorld(t, at, partitions, func() *handlers.Registry { return entered(nil) })
		stream, want, sums := w.wallet(events, keys)
		w.tell(-1, stream...)
		dead := w.spawn(func(s *childSpec) { s.Entries, s.Fault, s.Nth, s.BatchSize = true, dieAtHandler, 60, 25 })
		dead.died()
		require.Less(t, len(w.entries()), 60, "the batch under way is not in the database")
		w.start(quick)
		w.drain(partitions)
		require.Equal(t, want, w.entries())
		for k, p := range all(w, func(p *Purse) string { return p.ID }) {
			require.Equal(t, sums[k], p.Sum, k)
		}
	})
}
