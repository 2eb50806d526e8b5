package storetest

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/clocks"
	"github.com/evenkeel-go/evenkeel/internal/ledger"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/migrations"
	"github.com/evenkeel-go/evenkeel/internal/store/open"
)

func runSchema(t *testing.T, db func(t *testing.T) *gorm.DB) {
	t.Helper()
	t.Run("migrations run once, from many processes", func(t *testing.T) {
		t.Parallel()
		d := db(t)
		require.ErrorContains(t, migrations.Check(t.Context(), d), "evenkeel migrate")
		var g errgroup.Group
		for range 4 {
			g.Go(func() error { return migrations.Up(t.Context(), d) })
		}
		require.NoError(t, g.Wait())
		require.NoError(t, migrations.Check(t.Context(), d))

		require.NoError(t, d.Exec("INSERT INTO evenkeel_schema (version, applied_at) VALUES (99, 0)").Error)
		var setup *store.SetupError
		require.ErrorAs(t, migrations.Check(t.Context(), d), &setup)
		require.ErrorContains(t, setup, "upgrade the service")
		require.ErrorAs(t, migrations.Up(t.Context(), d), &setup)

		require.NoError(t, d.Exec("DELETE FROM evenkeel_schema").Error)
		require.ErrorAs(t, migrations.Check(t.Context(), d), &setup)
	})
	t.Run("the printed migration is the one that runs", func(t *testing.T) {
		t.Parallel()
		d := db(t)
		text, err := migrations.Print(d.Name())
		require.NoError(t, err)
		pool, err := d.DB()
		require.NoError(t, err)
		_, err = pool.ExecContext(t.Context(), text)
		require.NoError(t, err)
		require.NoError(t, migrations.Check(t.Context(), d))
	})
	t.Run("a claim lists all that is missing, with its SQL", func(t *testing.T) {
		t.Parallel()
		missing(t, db(t))
	})
}

func missing(t *testing.T, d *gorm.DB) {
	t.Helper()
	models, err := wire(d.NamingStrategy)
	require.NoError(t, err)
	s, err := open.Open(d)
	require.NoError(t, err)
	var setup *store.SetupError
	_, err = s.Claim(t.Context(), group, models, false)
	require.ErrorAs(t, err, &setup)
	all := strings.Join(setup.Problems, "\n")
	require.Contains(t, all, "evenkeel migrate")
	require.Contains(t, all, "framework.Migrate")
	require.Contains(t, all, "table orders of model Order is not there", "both at once")

	require.NoError(t, migrations.Up(t.Context(), d))
	require.NoError(t, d.Exec("CREATE TABLE orders (id text PRIMARY KEY, status text, total bigint, deleted_at timestamp, ek_tie "+map[string]string{"postgres": "bytea", "sqlite": "blob"}[d.Name()]+")").Error)
	_, err = s.Claim(t.Context(), group, models, false)
	require.ErrorAs(t, err, &setup)
	all = strings.Join(setup.Problems, "\n")
	require.Contains(t, all, "table a_lines of model Line is not there")
	require.Contains(t, all, "column ek_tie of table orders must be NOT NULL")
	var fixes []string
	for _, p := range setup.Problems {
		if _, sql, ok := strings.Cut(p, "; run: "); ok {
			fixes = append(fixes, sql)
		}
	}
	require.Len(t, fixes, 4+6, all)
	for _, sql := range fixes {
		require.NoError(t, d.Exec(sql).Error, sql)
	}
	require.Equal(t, int64(0), (&bench{t: t, db: d}).count(t, "evenkeel_models"), "with problems nothing is claimed")
	if d.Name() == "sqlite" {
		require.NoError(t, d.Exec("ALTER TABLE orders DROP COLUMN ek_tie").Error)
	} else {
		require.NoError(t, d.Exec("ALTER TABLE orders ALTER COLUMN ek_tie SET DEFAULT '', ALTER COLUMN ek_tie SET NOT NULL").Error)
	}
	require.NoError(t, migrate(d))
	_, err = s.Claim(t.Context(), group, models, false)
	require.NoError(t, err)
}

func claimCases() []testCase {
	return []testCase{
		{"a table belongs to one group", claimGroups},
		{"new columns are of the next generation", claimGenerations},
		{"processes that claim at once agree", claimTogether},
		{"a batch before the claim is told", unclaimed},
	}
}

func claimGroups(b *bench) {
	t := b.t
	_, err := b.s.Claim(t.Context(), "other", b.models, false)
	var setup *store.SetupError
	require.ErrorAs(t, err, &setup)
	require.Len(t, setup.Problems, len(b.models))
	require.Contains(t, setup.Problems[0], `belongs to the group "orders"`)
	_, err = b.s.Claim(t.Context(), "other", b.models, true)
	require.NoError(t, err)
	_, err = b.s.Claim(t.Context(), group, b.models, false)
	require.ErrorAs(t, err, &setup)
}

func claimGenerations(b *bench) {
	t := b.t
	require.Equal(t, int32(1), b.lay["orders"].Current)
	for i, g := range b.lay["orders"].Gens {
		if b.lay["orders"].Clocked[i] {
			require.Equal(t, int32(1), g)
		}
	}
	// An older release knew fewer columns, a newer one more.
	require.NoError(t, b.sql().Exec(`UPDATE evenkeel_models SET columns = '{"@exists":1,"status":1,"later":1}' WHERE tbl = 'orders'`).Error)
	layouts, err := b.s.Claim(t.Context(), group, b.models, false)
	require.NoError(t, err)
	var l *clocks.Layout
	for i, m := range b.models {
		if m.Table == "orders" {
			l = layouts[i]
		}
	}
	require.Equal(t, int32(2), l.Current)
	gens := map[string]int32{}
	for i, n := range l.Names {
		if l.Clocked[i] {
			gens[n] = l.Gens[i]
		}
	}
	require.Equal(t, map[string]int32{"@exists": 1, "status": 1, "later": 1, "note": 2, "total": 2, "paid_at": 2}, gens)

	// A row of generation 1 was never written in a column of generation 2.
	require.NoError(t, b.commit(t, &store.Batch{Insert: []*store.Row{b.order(t, &Order{ID: "a"}, 7)}}))
	b.lay["orders"] = l
	r := b.one(t, "orders", "a")
	for i, n := range l.Names {
		require.Equal(t, l.Clocked[i] && l.Gens[i] == 1, !r.Clocks.Stamps[i].IsZero(), n)
	}
	again, err := b.s.Claim(t.Context(), group, b.models, false)
	require.NoError(t, err)
	require.Equal(t, layouts, again)
}

func claimTogether(b *bench) {
	t := b.t
	require.NoError(t, b.sql().Exec("DELETE FROM evenkeel_models").Error)
	var g errgroup.Group
	got := make([][]*clocks.Layout, 4)
	for i := range got {
		g.Go(func() error {
			models := append([]*handlers.Model{}, b.models...)
			if i%2 == 0 {
				models[0], models[2] = models[2], models[0]
			}
			l, err := b.s.Claim(t.Context(), group, models, false)
			if err == nil && i%2 == 0 {
				l[0], l[2] = l[2], l[0]
			}
			got[i] = l
			return err
		})
	}
	require.NoError(t, g.Wait())
	for _, l := range got {
		require.Equal(t, got[0], l)
		require.Equal(t, int32(1), l[0].Current)
	}
}

func unclaimed(b *bench) {
	t := b.t
	s, err := open.Open(b.sql())
	require.NoError(t, err)
	var setup *store.SetupError
	_, err = s.Load(t.Context(), b.want("orders", false, "a"))
	require.ErrorAs(t, err, &setup)
	require.ErrorAs(t, s.Commit(t.Context(), b.full(&store.Batch{Insert: []*store.Row{b.order(t, &Order{ID: "a"}, 1)}})), &setup)
	require.NoError(t, b.commit(t, &store.Batch{}), "the connection is as good as before")
}

func ledgerCases() []testCase {
	return []testCase{
		{"the first owner finds nothing", ownership},
		{"the ledger keeps ranges and watermarks", ledgerRoundTrip},
		{"the highest Lamport time of a group", lamportTimes},
		{"a position moves without a batch", position},
		{"a topic's first partition count stays", topics},
		{"the clock is the database's", clock},
	}
}

func ownership(b *bench) {
	t := b.t
	k := key(1)
	s, found, err := b.s.Own(t.Context(), k, "orders", "me")
	require.NoError(t, err)
	require.False(t, found)
	require.Equal(t, ledger.State{Key: k, Topic: "orders", Epoch: 1, Next: -1, High: -1}, s)
	s, found, err = b.s.Own(t.Context(), k, "orders", "me")
	require.NoError(t, err)
	require.False(t, found, "nothing was committed")
	require.Equal(t, int64(2), s.Epoch)
	s.Next, s.High = 0, 0
	s, err = b.s.Position(t.Context(), s)
	require.NoError(t, err)
	again, found, err := b.s.Own(t.Context(), k, "orders", "other")
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, s.Epoch+1, again.Epoch)
	require.Equal(t, s.Rev, again.Rev)

	_, err = b.s.Settle(t.Context(), key(77))
	require.ErrorIs(t, err, store.ErrFenced)
}

func ledgerRoundTrip(b *bench) {
	t := b.t
	next := b.ledger
	next.Next, next.High = 10, math.MaxInt64
	next.Watermark, next.HasWatermark = math.MinInt64, true
	next.Gaps = ledger.Ranges{{From: 0, To: 5}, {From: 7, To: 8, Watermark: -4, HasWatermark: true}}
	next.Done = ledger.Ranges{{From: 12, To: 1 << 60, Watermark: 1 << 60, HasWatermark: true}}
	next.Lamport = 1 << 62
	require.NoError(t, b.s.Commit(t.Context(), &store.Batch{Group: group, Now: start, Ledger: &next}))
	next.Rev++
	got, err := b.s.Settle(t.Context(), next.Key)
	require.NoError(t, err)
	require.Equal(t, next, got)
}

func lamportTimes(b *bench) {
	t := b.t
	highest := func(group string) int64 {
		t.Helper()
		n, err := b.s.Lamport(t.Context(), group)
		require.NoError(t, err)
		return n
	}
	require.Zero(t, highest("nobody"))
	require.Zero(t, highest(group))
	for partition, n := range []int64{7, 12, 9} {
		s, _, err := b.s.Own(t.Context(), key(int32(20+partition)), "orders", "me")
		require.NoError(t, err)
		s.Next, s.High, s.Lamport = 1, 1, n
		s, err = b.s.Position(t.Context(), s)
		require.NoError(t, err)
		again, _, err := b.s.Own(t.Context(), s.Key, "orders", "another")
		require.NoError(t, err)
		require.Equal(t, n, again.Lamport, "the next owner goes on from it")
	}
	require.EqualValues(t, 12, highest(group))
	require.Zero(t, highest("nobody"))
}

func position(b *bench) {
	t := b.t
	s := b.ledger
	s.Next, s.High = 100, 100
	moved, err := b.s.Position(t.Context(), s)
	require.NoError(t, err)
	require.Equal(t, s.Rev+1, moved.Rev)
	_, err = b.s.Position(t.Context(), s)
	require.ErrorIs(t, err, store.ErrFenced)
	got, err := b.s.Settle(t.Context(), s.Key)
	require.NoError(t, err)
	require.Equal(t, moved, got)
}

func topics(b *bench) {
	t := b.t
	n, known, err := b.s.Topic(t.Context(), "cluster", "id", "orders", group, 3)
	require.NoError(t, err)
	require.False(t, known)
	require.Equal(t, int32(3), n)
	n, known, err = b.s.Topic(t.Context(), "cluster", "id", "orders", group, 9)
	require.NoError(t, err)
	require.True(t, known)
	require.Equal(t, int32(3), n)
	_, known, err = b.s.Topic(t.Context(), "cluster", "id", "orders", "other", 9)
	require.NoError(t, err)
	require.False(t, known)
}

func clock(b *bench) {
	t := b.t
	now, err := b.s.Now(t.Context())
	require.NoError(t, err)
	var n string
	require.NoError(t, b.sql().Raw("SELECT CAST(CURRENT_TIMESTAMP AS text)").Scan(&n).Error)
	require.Contains(t, n, fmt.Sprint(now.Year()))
	require.Equal(t, time.UTC, now.Location())
}

func lockCases() []testCase {
	return []testCase{
		{"a lock holds until it ends", lockHolds},
		{"a lock's end gives the connection back", lockEnds},
	}
}

func lockHolds(b *bench) {
	t := b.t
	require.NoError(t, b.commit(t, &store.Batch{Insert: []*store.Row{b.order(t, &Order{ID: "a"}, 1)}}))
	optimist := b.one(t, "orders", "a")
	l, err := b.s.Lock(t.Context(), b.want("orders", true, "a", "missing"))
	require.NoError(t, err)
	require.Len(t, l.Loaded().Rows["orders"], 1)
	done := make(chan error, 1)
	go func() {
		done <- retry(func() error {
			return b.s.Commit(t.Context(), &store.Batch{Group: group, Now: start, Update: []*store.Row{optimist}})
		})
	}()
	r := l.Loaded().Rows["orders"]["a"]
	r.Entity.Interface().(*Order).Status = "locked"
	require.NoError(t, b.commitWith(t, l.Commit, &store.Batch{Update: []*store.Row{r}, Insert: []*store.Row{b.order(t, &Order{ID: "missing"}, 1)}}))
	err = <-done
	require.ErrorIs(t, err, store.ErrConflict, "whoever came later")
	require.Equal(t, "locked", b.one(t, "orders", "a").Entity.Interface().(*Order).Status)
	require.Error(t, l.Commit(t.Context(), &store.Batch{}))
	l.Rollback()
}

func lockEnds(b *bench) {
	t := b.t
	pool, err := b.sql().DB()
	require.NoError(t, err)
	require.NoError(t, b.commit(t, &store.Batch{Insert: []*store.Row{b.order(t, &Order{ID: "a"}, 1)}}))
	for range 3 {
		l, err := b.s.Lock(t.Context(), b.want("orders", false, "a"))
		require.NoError(t, err)
		require.Equal(t, 1, pool.Stats().InUse)
		l.Rollback()
		l.Rollback()
		require.Zero(t, pool.Stats().InUse)
		l, err = b.s.Lock(t.Context(), b.want("orders", false, "a"))
		require.NoError(t, err)
		r := l.Loaded().Rows["orders"]["a"]
		r.Rev--
		require.ErrorIs(t, b.commitWith(t, l.Commit, &store.Batch{Update: []*store.Row{r}}), store.ErrConflict)
		require.Zero(t, pool.Stats().InUse)
	}
	require.NoError(t, b.commit(t, &store.Batch{Update: []*store.Row{b.one(t, "orders", "a")}}))
}
