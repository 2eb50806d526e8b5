package storetest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/clocks"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

func rowCases() []testCase {
	return []testCase{
		{"rows are made, read and changed", rowsRoundTrip},
		{"field clocks come back", fieldClocks},
		{"a row that is there conflicts with an insert", insertConflict},
		{"a row that changed conflicts with an update", updateConflict},
		{"nothing of a batch that fails is written", failureWritesNothing},
		{"two lanes make one new key", twoLanes},
		{"lanes that change the same rows lose nothing", lanesAdd},
		{"a fenced owner writes nothing", fenced},
		{"a row of somebody else is foreign", foreign},
		{"a newer generation is told", newerGeneration},
		{"parents come before children", parents},
		{"a unique index is the data's fault", uniqueIndex},
		{"times are cut to microseconds and soft deletes come back", softDelete},
		{"many rows in one batch", manyRows},
	}
}

func rowsRoundTrip(b *bench) {
	t := b.t
	paid := time.Date(2026, 1, 2, 3, 4, 5, 678_901_000, time.UTC)
	r := b.order(t, &Order{ID: "a", Status: "new", Total: -7, Note: ptr("")}, 10)
	require.NoError(t, b.commit(t, &store.Batch{Insert: []*store.Row{r}}))

	got := b.one(t, "orders", "a")
	o := got.Entity.Interface().(*Order)
	require.Equal(t, "new", o.Status)
	require.Equal(t, int64(-7), o.Total)
	require.Equal(t, "", *o.Note)
	require.Nil(t, o.PaidAt)
	require.Equal(t, b.now, o.CreatedAt.UTC())
	require.Equal(t, b.now, o.UpdatedAt.UTC())
	require.Equal(t, b.now.UnixMicro(), got.Rev)
	require.Equal(t, b.now, got.Born)
	require.Equal(t, guards.Alive, got.State)
	require.Equal(t, r.Clocks, got.Clocks)
	require.Equal(t, got.Rev, o.EkRev)
	require.Equal(t, []byte(got.Clocks.Newest().Tie), o.EkTie)

	made := b.now
	b.now = b.now.Add(time.Hour)
	o.Status, o.Note, o.PaidAt = "paid", nil, &paid
	got.State = guards.Deleted
	require.NoError(t, b.commit(t, &store.Batch{Update: []*store.Row{got}}))
	again := b.one(t, "orders", "a")
	o = again.Entity.Interface().(*Order)
	require.Equal(t, "paid", o.Status)
	require.Nil(t, o.Note)
	require.Equal(t, paid, o.PaidAt.UTC())
	require.Equal(t, made, o.CreatedAt.UTC(), "an update leaves the creation time")
	require.Equal(t, b.now, o.UpdatedAt.UTC())
	require.Equal(t, got.Rev+1, again.Rev)
	require.Equal(t, made, again.Born)
	require.Equal(t, guards.Deleted, again.State)
	require.Empty(t, b.load(t, "orders", "nobody"))
}

func fieldClocks(b *bench) {
	t := b.t
	r := b.order(t, &Order{ID: "a"}, 10)
	r.Clocks.Stamps[0] = stampAt(3)
	r.Clocks.Stamps[1] = event.Stamp{}
	require.NoError(t, b.commit(t, &store.Batch{Insert: []*store.Row{r}}))
	require.Equal(t, r.Clocks, b.one(t, "orders", "a").Clocks)
}

func insertConflict(b *bench) {
	t := b.t
	require.NoError(t, b.commit(t, &store.Batch{Insert: []*store.Row{b.order(t, &Order{ID: "a", Status: "first"}, 1)}}))
	err := b.commit(t, &store.Batch{Insert: []*store.Row{b.order(t, &Order{ID: "b"}, 1), b.order(t, &Order{ID: "a", Status: "second"}, 2)}})
	require.ErrorIs(t, err, store.ErrConflict)
	require.Equal(t, "first", b.one(t, "orders", "a").Entity.Interface().(*Order).Status)
	require.Empty(t, b.load(t, "orders", "b"))
}

func updateConflict(b *bench) {
	t := b.t
	require.NoError(t, b.commit(t, &store.Batch{Insert: []*store.Row{b.order(t, &Order{ID: "a"}, 1), b.order(t, &Order{ID: "b"}, 1)}}))
	mine := b.load(t, "orders", "a", "b")
	theirs := b.load(t, "orders", "a")
	theirs["a"].Entity.Interface().(*Order).Status = "theirs"
	require.NoError(t, b.commit(t, &store.Batch{Update: []*store.Row{theirs["a"]}}))
	mine["a"].Entity.Interface().(*Order).Status = "mine"
	mine["b"].Entity.Interface().(*Order).Status = "mine"
	require.ErrorIs(t, b.commit(t, &store.Batch{Update: []*store.Row{mine["b"], mine["a"]}}), store.ErrConflict)
	require.Equal(t, "theirs", b.one(t, "orders", "a").Entity.Interface().(*Order).Status)
	require.Equal(t, "", b.one(t, "orders", "b").Entity.Interface().(*Order).Status)

	require.NoError(t, b.sql().Unscoped().Delete(&Order{}, "id = ?", "b").Error)
	require.ErrorIs(t, b.commit(t, &store.Batch{Update: []*store.Row{mine["b"]}}), store.ErrConflict, "a row that vanished is not made again")
}

func failureWritesNothing(b *bench) {
	t := b.t
	require.NoError(t, b.commit(t, &store.Batch{Insert: []*store.Row{b.order(t, &Order{ID: "a"}, 1)}}))
	before, err := b.s.Settle(t.Context(), b.ledger.Key)
	require.NoError(t, err)
	err = b.commit(t, &store.Batch{
		Insert:   []*store.Row{b.order(t, &Order{ID: "b"}, 1)},
		Letters:  []*dlq.Letter{b.letter("l1")},
		Park:     []*store.Parked{b.parked("p1", "a", 1)},
		Verdicts: []store.Verdict{{EventID: "e"}},
		Release:  []store.Mark{{ID: "nobody", Rev: 1}},
	})
	require.ErrorIs(t, err, store.ErrConflict)
	require.Empty(t, b.load(t, "orders", "b"))
	for _, table := range []string{"evenkeel_dead_letters", "evenkeel_parked", "evenkeel_verdicts"} {
		require.Zero(t, b.count(t, table))
	}
	after, err := b.s.Settle(t.Context(), b.ledger.Key)
	require.NoError(t, err)
	require.Equal(t, before, after)
}

func twoLanes(b *bench) {
	t := b.t
	const lanes = 4
	var g errgroup.Group
	won := make(chan int, lanes)
	for lane := range lanes {
		state, _, err := b.s.Own(t.Context(), key(int32(10+lane)), "orders", "me")
		require.NoError(t, err)
		var rows []*store.Row
		for i := range 50 { // in an order of their own
			rows = append(rows, b.order(t, &Order{ID: fmt.Sprint((i*7 + lane*13) % 50), Status: fmt.Sprint(lane)}, 1))
		}
		g.Go(func() error {
			state.Next, state.High = 1, 1
			err := retry(func() error {
				return b.s.Commit(t.Context(), &store.Batch{Group: group, Insert: rows, Ledger: &state, Now: start})
			})
			if err == nil {
				won <- lane
			}
			if errors.Is(err, store.ErrConflict) {
				return nil
			}
			return err
		})
	}
	require.NoError(t, g.Wait())
	close(won)
	require.Len(t, won, 1)
	winner := <-won
	for i := range 50 {
		require.Equal(t, fmt.Sprint(winner), b.one(t, "orders", fmt.Sprint(i)).Entity.Interface().(*Order).Status)
	}
}

// retry runs what another writer only kept waiting for too long again.
func retry(fn func() error) error {
	var transient *store.TransientError
	for try := 0; ; try++ {
		if err := fn(); try == 20 || !errors.As(err, &transient) {
			return err
		}
	}
}

func lanesAdd(b *bench) {
	t := b.t
	const lanes, rounds, keys = 3, 10, 5
	var names []string
	var rows []*store.Row
	for i := range keys {
		names = append(names, fmt.Sprint(i))
		rows = append(rows, b.order(t, &Order{ID: fmt.Sprint(i)}, 1))
	}
	require.NoError(t, b.commit(t, &store.Batch{Insert: rows}))
	var g errgroup.Group
	for lane := range lanes {
		state, _, err := b.s.Own(t.Context(), key(int32(20+lane)), "orders", "me")
		require.NoError(t, err)
		g.Go(func() error {
			for round := 0; round < rounds; {
				want := b.want("orders", false, names...)
				var commit func(context.Context, *store.Batch) error
				var l *store.Loaded
				var err error
				if lane == 0 { // the pessimistic one among optimists
					var locked store.Locked
					locked, err = b.s.Lock(t.Context(), want)
					if err == nil {
						l, commit = locked.Loaded(), locked.Commit
					}
				} else {
					l, err = b.s.Load(t.Context(), want)
					commit = b.s.Commit
				}
				var transient *store.TransientError
				if errors.As(err, &transient) || errors.Is(err, store.ErrConflict) {
					continue
				}
				if err != nil {
					return err
				}
				batch := &store.Batch{Group: group, Now: start}
				for _, r := range l.Rows["orders"] {
					r.Entity.Interface().(*Order).Total++
					batch.Update = append(batch.Update, r)
				}
				next := state
				next.Next, next.High = int64(round), int64(round)
				batch.Ledger = &next
				switch err := commit(t.Context(), batch); {
				case err == nil:
					state.Rev++
					round++
				case errors.Is(err, store.ErrConflict) || errors.As(err, &transient):
				default:
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, g.Wait())
	for _, r := range b.load(t, "orders", names...) {
		require.Equal(t, int64(lanes*rounds), r.Entity.Interface().(*Order).Total)
	}
}

func fenced(b *bench) {
	t := b.t
	require.NoError(t, b.commit(t, &store.Batch{Insert: []*store.Row{b.order(t, &Order{ID: "a"}, 1)}}))
	zombie := b.ledger
	next, found, err := b.s.Own(t.Context(), key(0), "orders", "other")
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, zombie.Epoch+1, next.Epoch)

	r := b.one(t, "orders", "a")
	r.Entity.Interface().(*Order).Status = "zombie"
	require.ErrorIs(t, b.commit(t, &store.Batch{Update: []*store.Row{r}}), store.ErrFenced)
	require.Equal(t, "", b.one(t, "orders", "a").Entity.Interface().(*Order).Status)

	b.ledger = next
	require.NoError(t, b.commit(t, &store.Batch{Update: []*store.Row{r}}))
	b.ledger.Rev--
	require.ErrorIs(t, b.commit(t, &store.Batch{}), store.ErrFenced, "an older revision of the same epoch")
}

func foreign(b *bench) {
	t := b.t
	require.NoError(t, b.sql().Create(&Order{ID: "theirs", Status: "made by hand"}).Error)
	r := b.one(t, "orders", "theirs")
	require.Equal(t, guards.Foreign, r.State)
	require.Zero(t, r.Rev)
	require.True(t, r.Born.IsZero())
	require.Equal(t, b.lay["orders"].New(), r.Clocks)

	r.State = guards.Alive
	r.Clocks.Stamps[0] = stampAt(5)
	require.NoError(t, b.commit(t, &store.Batch{Update: []*store.Row{r}}))
	again := b.one(t, "orders", "theirs")
	require.Equal(t, int64(1), again.Rev)
	require.Equal(t, r.Clocks, again.Clocks)

	// A service that saves its own row leaves the clocks alone.
	o := again.Entity.Interface().(*Order)
	o.EkRev, o.Status = 99, "saved"
	require.NoError(t, b.sql().Save(o).Error)
	saved := b.one(t, "orders", "theirs")
	require.Equal(t, int64(1), saved.Rev)
	require.Equal(t, "saved", saved.Entity.Interface().(*Order).Status)
}

func newerGeneration(b *bench) {
	t := b.t
	r := b.order(t, &Order{ID: "a"}, 1)
	newer := *r.Layout
	newer.Current++
	r.Layout = &newer
	require.NoError(t, b.commit(t, &store.Batch{Insert: []*store.Row{r}}))
	_, err := b.s.Load(t.Context(), b.want("orders", false, "a"))
	require.ErrorIs(t, err, clocks.ErrNewerGeneration)
}

func parents(b *bench) {
	t := b.t
	line := b.row(t, &Line{ID: 1, OrderID: ptr("a"), Text: "x"}, "a_lines", 1)
	require.NoError(t, b.commit(t, &store.Batch{Insert: []*store.Row{line, b.order(t, &Order{ID: "a"}, 1)}}))
	require.Equal(t, "a", *b.one(t, "a_lines", "1").Entity.Interface().(*Line).OrderID)

	b.sql() // foreign keys are the database's
	orphan := b.row(t, &Line{ID: 2, OrderID: ptr("nobody")}, "a_lines", 1)
	var data *store.DataError
	require.ErrorAs(t, b.commit(t, &store.Batch{Insert: []*store.Row{orphan}}), &data)
	require.Empty(t, b.load(t, "a_lines", "2"))
}

func uniqueIndex(b *bench) {
	t := b.t
	require.NoError(t, b.sql().Exec("CREATE UNIQUE INDEX one_status ON orders (status)").Error)
	require.NoError(t, b.commit(t, &store.Batch{Insert: []*store.Row{b.order(t, &Order{ID: "a", Status: "x"}, 1)}}))
	err := b.commit(t, &store.Batch{Insert: []*store.Row{b.order(t, &Order{ID: "b", Status: "x"}, 1)}})
	var data *store.DataError
	require.ErrorAs(t, err, &data, "neither a conflict nor silence")
	require.NotEmpty(t, data.State)
	if b.postgres() {
		require.Equal(t, "orders", data.Table)
	}
}

func softDelete(b *bench) {
	t := b.t
	at := time.Date(2026, 5, 6, 7, 8, 9, 123_456_789, time.FixedZone("x", 3600))
	r := b.order(t, &Order{ID: "a", PaidAt: &at, DeletedAt: gorm.DeletedAt{Time: at.UTC().Truncate(time.Microsecond), Valid: true}}, 1)
	require.NoError(t, b.commit(t, &store.Batch{Insert: []*store.Row{r}}))
	o := b.one(t, "orders", "a").Entity.Interface().(*Order)
	require.Equal(t, at.UTC().Truncate(time.Microsecond), o.PaidAt.UTC())
	require.True(t, o.DeletedAt.Valid)
	require.Equal(t, at.UTC().Truncate(time.Microsecond), o.DeletedAt.Time.UTC())

	got := b.one(t, "orders", "a")
	got.Entity.Interface().(*Order).DeletedAt = gorm.DeletedAt{}
	require.NoError(t, b.commit(t, &store.Batch{Update: []*store.Row{got}}))
	require.False(t, b.one(t, "orders", "a").Entity.Interface().(*Order).DeletedAt.Valid)
}

func manyRows(b *bench) {
	t := b.t
	const n = 3000
	var rows []*store.Row
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("key-%d", i))
		rows = append(rows, b.order(t, &Order{ID: names[i], Total: int64(i)}, int64(i)))
	}
	require.NoError(t, b.commit(t, &store.Batch{Insert: rows}))
	got := b.load(t, "orders", names...)
	require.Len(t, got, n)
	var all []*store.Row
	for i, k := range names {
		require.Equal(t, int64(i), got[k].Entity.Interface().(*Order).Total)
		all = append(all, got[k])
	}
	require.NoError(t, b.commit(t, &store.Batch{Update: all}))
}
