package postgres_test

import (
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/clocks"
	"github.com/evenkeel-go/evenkeel/internal/ledger"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/migrations"
	"github.com/evenkeel-go/evenkeel/internal/store/postgres"
	"github.com/evenkeel-go/evenkeel/testutil"
)

type account struct {
	ID       string `gorm:"primaryKey"`
	Owner    string
	Status   string
	Balance  int64
	OpenedAt *time.Time
	guards.Guarded
}

// lane is a store with one model and one owned ledger row.
type lane struct {
	db     *gorm.DB
	s      *postgres.Store
	m      *handlers.Model
	layout *clocks.Layout
	ledger ledger.State
}

var now = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func newLane(tb testing.TB, db *gorm.DB) *lane {
	tb.Helper()
	ctx := tb.Context()
	require.NoError(tb, migrations.Up(ctx, db))
	require.NoError(tb, db.AutoMigrate(&account{}))
	reg := handlers.NewRegistry()
	handlers.Set(reg, "account", func(context.Context, *handlers.Delivery[struct{}, account]) error { return nil }, handlers.Creates())
	w, err := reg.Wire(db.NamingStrategy)
	require.NoError(tb, err)
	l := &lane{db: db, m: w.Models[0]}
	l.s, err = postgres.New(db)
	require.NoError(tb, err)
	layouts, err := l.s.Claim(ctx, "g", w.Models, false)
	require.NoError(tb, err)
	l.layout = layouts[0]
	l.ledger, _, err = l.s.Own(ctx, ledger.Key{Cluster: "c", TopicID: "t", Group: "g"}, "accounts", "me")
	require.NoError(tb, err)
	return l
}

func stamp(n int64) event.Stamp {
	return event.Stamp{Time: n, Tie: event.Tie(true, "https://example.com/accounts", fmt.Sprintf("0197f3c2-0000-7000-8000-%012d", n))}
}

func (l *lane) row(id string, n int64) *store.Row {
	r := &store.Row{Model: l.m, Layout: l.layout, Key: id, Entity: reflect.ValueOf(&account{ID: id, Owner: "Ada Lovelace", Status: "open", OpenedAt: &now}), State: guards.Alive, Clocks: l.layout.New()}
	for i := range r.Clocks.Stamps {
		r.Clocks.Stamps[i] = stamp(n)
	}
	return r
}

// batch completes a batch with the lane's ledger.
func (l *lane) batch(b *store.Batch) *store.Batch {
	next := l.ledger
	next.Next += 1000
	next.High = next.Next
	b.Group, b.Now, b.Ledger = "g", now, &next
	return b
}

func (l *lane) commit(tb testing.TB, b *store.Batch) {
	tb.Helper()
	require.NoError(tb, l.s.Commit(tb.Context(), l.batch(b)))
	l.ledger = *b.Ledger
	l.ledger.Rev++
}

func (l *lane) want(keys []string) *store.Want {
	return &store.Want{Group: "g", Rows: []store.WantRows{{Model: l.m, Layout: l.layout, Keys: keys}}}
}

// BenchmarkLoadAndUpdate is what a lane asks of the database per batch: read 1,000 rows of
// 50,000, change them and their clocks, write them under their revisions, and the ledger.
func BenchmarkLoadAndUpdate(b *testing.B) {
	const entities, size = 50_000, 1000
	l := newLane(b, testutil.Postgres(b))
	for from := 0; from < entities; from += 5000 {
		var rows []*store.Row
		for i := range 5000 {
			rows = append(rows, l.row(fmt.Sprintf("account-%08d", from+i), int64(from+i+1)))
		}
		l.commit(b, &store.Batch{Insert: rows})
	}
	require.NoError(b, l.db.Exec("VACUUM ANALYZE accounts").Error)
	keys := make([]string, size)
	at := 0
	one := func(n int64) {
		for i := range keys {
			at = (at + 7919) % entities // visits every entity, far from the last one
			keys[i] = fmt.Sprintf("account-%08d", at)
		}
		loaded, err := l.s.Load(b.Context(), l.want(keys))
		if err != nil {
			b.Fatal(err)
		}
		rows := make([]*store.Row, 0, size)
		for _, r := range loaded.Rows["accounts"] {
			r.Entity.Interface().(*account).Balance++
			s := stamp(n + 1_000_000)
			for i := range r.Clocks.Stamps {
				if i%2 == 0 {
					r.Clocks.Stamps[i] = s
				}
			}
			rows = append(rows, r)
		}
		l.commit(b, &store.Batch{Update: rows})
	}
	for i := range 10 {
		one(int64(i))
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		one(int64(i))
	}
	b.ReportMetric(float64(size*b.N)/b.Elapsed().Seconds(), "rows/s")
}
