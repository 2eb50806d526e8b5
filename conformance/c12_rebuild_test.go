package conformance

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/testutil"
)

// Bill is under Set, Last under Modify by time, Total under Once, Chain under Sequence.
type Bill struct {
	ID       string `gorm:"primaryKey"`
	Customer string
	Paid     int64
	Status   string
	Mine     string `evenkeel:"unmanaged"`
	guards.Guarded
}

type Last struct {
	ID    string `gorm:"primaryKey"`
	Name  string
	Trail string
	guards.Guarded
}

type Total struct {
	ID  string `gorm:"primaryKey"`
	N   int64
	Sum int64
	guards.Guarded
}

type Chain struct {
	ID    string `gorm:"primaryKey"`
	Trail string
	guards.Guarded
}

// mendable wires the four models. With the bug each handler writes something wrong; before,
// if any, hears of each run, and may fail it.
func mendable(bug bool, before func(id string) error) *handlers.Registry {
	if before == nil {
		before = func(string) error { return nil }
	}
	wrong := int64(0)
	if bug {
		wrong = 1000
	}
	reg := handlers.NewRegistry(guards.Timestamp(), guards.MaxLateness(maxLateness), guards.MaxFuture(maxFuture))
	handlers.Set(reg, "fact.made", func(_ context.Context, d *handlers.Delivery[body, Bill]) error {
		if err := before(d.Event.ID); err != nil {
			return err
		}
		d.Entity.Customer = d.Payload.Customer
		if bug {
			d.Entity.Customer = "wrong"
		}
		return nil
	}, handlers.Creates(), handlers.Writes("Customer"))
	handlers.Set(reg, "fact.paid", func(_ context.Context, d *handlers.Delivery[body, Bill]) error {
		if err := before(d.Event.ID); err != nil {
			return err
		}
		d.Entity.Paid = d.Payload.Amount + wrong
		return nil
	}, handlers.Writes("Paid"))
	handlers.Project(reg, func(f *Bill) { f.Status = fmt.Sprint(f.Customer, " ", f.Paid) }, handlers.Writes("Status"))
	handlers.Modify(reg, "last.renamed", func(_ context.Context, d *handlers.Delivery[body, Last]) error {
		if err := before(d.Event.ID); err != nil {
			return err
		}
		if d.Payload.Customer != "" {
			d.Entity.Name = d.Payload.Customer
		}
		d.Entity.Trail += fmt.Sprint(d.Payload.Amount+wrong, " ")
		return nil
	}, guards.Timestamp(), handlers.Writes("Name", "Trail"))
	handlers.Modify(reg, "total.added", func(_ context.Context, d *handlers.Delivery[body, Total]) error {
		if err := before(d.Event.ID); err != nil {
			return err
		}
		d.Entity.N++
		d.Entity.Sum += d.Payload.Amount + wrong
		return nil
	}, guards.Once(), handlers.Writes("N", "Sum"))
	handlers.Modify(reg, "chain.moved", func(_ context.Context, d *handlers.Delivery[body, Chain]) error {
		if err := before(d.Event.ID); err != nil {
			return err
		}
		d.Entity.Trail += fmt.Sprint(d.Event.Version+wrong, " ")
		return nil
	}, guards.Sequence(), handlers.Writes("Trail"))
	return reg
}

// mendables are the tables, and the columns that must come out as from an empty database.
// What is not among them, revisions and times of birth, may differ.
var mendables = map[string]string{
	"bills":  "id, customer, paid, status, ek_time, ek_tie, ek_fields, ek_state",
	"lasts":  "id, name, trail, ek_time, ek_tie, ek_fields, ek_state",
	"totals": "id, n, sum, ek_time, ek_tie, ek_fields, ek_state",
	"chains": "id, trail, ek_time, ek_tie, ek_fields, ek_state",
}

// mends makes the events of such a world, in the order in which they are sent: each key's go
// to one partition, with duplicates, and numbers out of their order.
type mends struct {
	w       *world
	i       int
	numbers map[string]int64
}

// mendRound is a number of events after which no number is missing.
const mendPartitions, mendKeys, mendRound = 3, 7, 4 * 7 * 2

// send sends n more.
func (m *mends) send(n int) {
	m.w.t.Helper()
	byPartition := map[int32][]said{}
	for range n {
		i := m.i
		m.i++
		k := i / 4 % mendKeys
		e := said{id: fmt.Sprintf("e-%d", i), source: "shop", at: m.w.began.Add(time.Duration(i-5000) * time.Second)}
		e.data = fmt.Sprintf(`{"amount":%d,"customer":"c-%d"}`, i, i)
		switch i % 4 {
		case 0:
			e.typ, e.key = "fact.paid", fmt.Sprintf("f-%d", k)
			if i/4/mendKeys%3 == 1 {
				e.typ = "fact.made"
			}
		case 1:
			e.typ, e.key = "last.renamed", fmt.Sprintf("l-%d", k)
			if i%3 == 0 { // does not name: the name must come from an older one
				e.data = fmt.Sprintf(`{"amount":%d}`, i)
			}
		case 2:
			e.typ, e.key = "total.added", fmt.Sprintf("t-%d", k)
		case 3:
			e.typ, e.key = "chain.moved", fmt.Sprintf("n-%d", k)
			next := m.numbers[e.key]
			e.version = next ^ 1 + 1 // 2 1 4 3 6 5 …
			m.numbers[e.key]++
		}
		p := int32(k % mendPartitions)
		byPartition[p] = append(byPartition[p], e)
		if i%5 == 0 {
			byPartition[p] = append(byPartition[p], e)
		}
	}
	for _, p := range slices.Sorted(maps.Keys(byPartition)) {
		m.w.tell(p, byPartition[p]...)
	}
}

// newMendWorld is a world whose rows a bug has made wrong.
func newMendWorld(t testing.TB, at combination, events int) (*world, *mends) {
	t.Helper()
	w := newWorld(t, at, mendPartitions)
	w.tables(&Bill{}, &Last{}, &Total{}, &Chain{})
	w.registry = func() *handlers.Registry { return mendable(true, nil) }
	m := &mends{w: w, numbers: map[string]int64{}}
	m.send(events)
	buggy := w.start(smallBatches(50))
	w.drain(mendPartitions)
	buggy.stop()
	require.NoError(t, w.db.Exec("UPDATE bills SET mine = 'mine ' || id").Error)
	w.registry = func() *handlers.Registry { return mendable(false, nil) }
	return w, m
}

func rowsOf(t testing.TB, db *gorm.DB, table, columns string) (rows []map[string]any) {
	t.Helper()
	require.NoError(t, db.Raw("SELECT "+columns+" FROM "+table+" ORDER BY id").Scan(&rows).Error)
	for _, r := range rows { // the drivers disagree about types
		for k, v := range r {
			if b, ok := v.([]byte); ok {
				v = string(b)
			}
			r[k] = fmt.Sprintf("%v", v)
		}
	}
	return rows
}

// contentOf reads the mendable tables.
func contentOf(t testing.TB, db *gorm.DB) map[string][]map[string]any {
	t.Helper()
	all := map[string][]map[string]any{}
	for table, columns := range mendables {
		all[table] = rowsOf(t, db, table, columns)
	}
	return all
}

// fresh is what a new group makes of the topic in an empty database.
func (w *world) fresh() map[string][]map[string]any {
	w.t.Helper()
	empty := *w
	empty.at.store = storeSQLite
	empty.dsn = testutil.SQLiteDSN(w.t)
	empty.db = openDB(w.t, storeSQLite, empty.dsn)
	empty.group = w.broker.Group("fresh")
	empty.migrate()
	empty.tables(&Bill{}, &Last{}, &Total{}, &Chain{})
	m := empty.start()
	empty.drain(mendPartitions)
	m.stop()
	return contentOf(w.t, empty.db)
}

func (w *world) rebuild(o framework.RebuildOptions, change ...func(*framework.Config)) (framework.RebuildStatus, error) {
	w.t.Helper()
	cfg := w.config()
	cfg.BatchSize = 20
	for _, c := range change {
		c(cfg)
	}
	return framework.Rebuild(context.Background(), w.db, cfg, o)
}

// wholeAgain checks that nothing of a rebuild is left.
func (w *world) wholeAgain() {
	w.t.Helper()
	for table := range mendables {
		var n int64
		require.NoError(w.t, w.db.Raw("SELECT count(*) FROM "+table+" WHERE ek_state >= 8").Scan(&n).Error)
		require.Zero(w.t, n, "rows of %s that are still marked", table)
	}
	var n int64
	require.NoError(w.t, w.db.Raw("SELECT count(*) FROM evenkeel_memos WHERE grp = ? AND kind = 'sequence' AND body LIKE '%rebuilding%'", w.group).Scan(&n).Error)
	require.Zero(w.t, n, "streams that are still held")
	open, err := framework.OpenRebuild(context.Background(), w.db, w.group)
	require.NoError(w.t, err)
	require.Nil(w.t, open)
}

// TestC12ARebuildMendsWhatABugHasWritten: a rewind changes nothing; a rebuild does, beside a
// consumer that goes on receiving events.
func TestC12ARebuildMendsWhatABugHasWritten(t *testing.T) {
	each(t, "C12", func(t *testing.T, at combination) {
		w, sends := newMendWorld(t, at, 8*mendRound)
		wrong := contentOf(t, w.db)
		for p := range int32(mendPartitions) {
			w.broker.ResetOffset(t, w.group, w.topic, p, 0)
		}
		live := w.start()
		w.drain(mendPartitions)
		require.Equal(t, wrong, contentOf(t, w.db), "a rewind alone has no effect on rows that have seen the events")

		var plan *framework.RebuildPlan
		phases := map[string]int{}
		status, err := w.rebuild(framework.RebuildOptions{
			Models: []string{"Bill", "lasts", "Total", "Chain"},
			Confirm: func(p *framework.RebuildPlan) error {
				plan = p
				require.Equal(t, wrong, contentOf(t, w.db), "nothing is touched before it is confirmed")
				return nil
			},
			Progress: func(s framework.RebuildStatus) {
				phases[s.Phase]++
				if sends.i < 20*mendRound {
					sends.send(mendRound / 2)
				}
			},
		})
		require.NoError(t, err)
		require.Empty(t, status.Phase)
		require.EqualValues(t, 4*mendKeys, status.Cleared)
		require.GreaterOrEqual(t, status.Ended, status.Cleared)
		require.Zero(t, status.Letters)
		for _, phase := range []string{"clearing", "replaying", "ending"} {
			require.Positive(t, phases[phase], phase)
		}
		require.Len(t, plan.Models, 4)
		require.Len(t, plan.Partitions, mendPartitions)
		require.Empty(t, plan.Objections)
		w.drain(mendPartitions)
		live.stop()
		w.wholeAgain()
		require.Empty(t, w.letters())
		require.Equal(t, w.fresh(), contentOf(t, w.db))
		for _, f := range all(w, func(f *Bill) string { return f.ID }) {
			require.Equal(t, "mine "+f.ID, f.Mine, "a column that is somebody else's stays")
		}
	})
}

// TestC12TheSetAndNothingElse: rows outside of the keys stay as they are, byte for byte.
func TestC12TheSetAndNothingElse(t *testing.T) {
	each(t, "C12", func(t *testing.T, at combination) {
		w, _ := newMendWorld(t, at, 4*mendRound)
		want := w.fresh()
		for table, key := range map[string]string{"bills": "f-1", "lasts": "l-1", "totals": "t-1", "chains": "n-1"} {
			others := func() (rest map[string][]map[string]any) {
				rest = map[string][]map[string]any{}
				for other := range mendables {
					rest[other] = rowsOf(t, w.db, other, "*")
				}
				rest[table] = slices.DeleteFunc(rest[table], func(r map[string]any) bool { return r["id"] == key })
				return rest
			}
			before := others()
			status, err := w.rebuild(framework.RebuildOptions{Models: []string{table}, Keys: []string{key}})
			require.NoError(t, err)
			require.EqualValues(t, 1, status.Cleared)
			require.EqualValues(t, 1, status.Ended)
			require.Equal(t, before, others())
			is := func(r map[string]any) bool { return r["id"] == key }
			have := rowsOf(t, w.db, table, mendables[table])
			require.Equal(t, want[table][slices.IndexFunc(want[table], is)], have[slices.IndexFunc(have, is)])
		}
		w.wholeAgain()
	})
}

// TestC12OneAtATime: a second rebuild is refused while one is at work; one that is taken over
// ends the first; one of other models waits until that has ended.
func TestC12OneAtATime(t *testing.T) {
	each(t, "C12", func(t *testing.T, at combination) {
		w, _ := newMendWorld(t, at, 4*mendRound)
		o := framework.RebuildOptions{Models: []string{"Total", "Last"}}
		first := o
		steps := 0
		var second error
		first.Progress = func(s framework.RebuildStatus) {
			if steps++; s.Phase != "replaying" || second != nil {
				return
			}
			var open *framework.RebuildOpenError
			_, err := w.rebuild(o)
			require.ErrorAs(t, err, &open)
			require.True(t, open.Alive)
			require.Equal(t, s.ID, open.Status.ID)
			other := o
			other.Models, other.TakeOver = []string{"Chain"}, true
			_, err = w.rebuild(other)
			require.ErrorAs(t, err, &open)
			require.False(t, open.Alive)
			second = open
			other = o
			other.TakeOver = true
			status, err := w.rebuild(other)
			require.NoError(t, err)
			require.Equal(t, s.ID, status.ID, "it is the same rebuild that goes on")
		}
		_, err := w.rebuild(first)
		require.ErrorIs(t, err, framework.ErrRebuildTaken)
		require.Error(t, second)
		w.wholeAgain()
		want, have := w.fresh(), contentOf(t, w.db)
		require.Equal(t, want["totals"], have["totals"])
		require.Equal(t, want["lasts"], have["lasts"])
		require.NotEqual(t, want["chains"], have["chains"])

		_, err = framework.CancelRebuild(t.Context(), w.db, w.config(), nil)
		require.ErrorIs(t, err, framework.ErrNoRebuild)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		cfg := w.config()
		cfg.BatchSize = 20
		_, err = framework.Rebuild(ctx, w.db, cfg, framework.RebuildOptions{Models: []string{"Chain"}, Progress: func(s framework.RebuildStatus) {
			if s.Phase == "replaying" {
				cancel()
			}
		}})
		require.ErrorIs(t, err, context.Canceled)
		status, err := framework.CancelRebuild(t.Context(), w.db, w.config(), nil)
		require.NoError(t, err)
		require.True(t, status.Cancelled)
		w.wholeAgain()
		_, err = w.rebuild(framework.RebuildOptions{Models: []string{"Chain"}})
		require.NoError(t, err)
		require.Equal(t, want["chains"], contentOf(t, w.db)["chains"], "what was cancelled can be done again")
	})
}
