// Package storetest is the conformance suite of package store: what holds for one
// database holds for all.
package storetest

import (
	"context"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/clocks"
	"github.com/evenkeel-go/evenkeel/internal/ledger"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/migrations"
	"github.com/evenkeel-go/evenkeel/internal/store/open"
)

// Run runs the suite. db returns a new empty database for each call.
func Run(t *testing.T, db func(t *testing.T) *gorm.DB) {
	t.Helper()
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(newBench(t, db(t)))
		})
	}
	runSchema(t, db)
}

// RunWithoutSQL runs what the suite asks of a store that is no database. A case goes as far
// as it needs no SQL of its own. open returns a new empty store for each call.
func RunWithoutSQL(t *testing.T, open func() store.Store) {
	t.Helper()
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(benchOf(t, open(), nil, schema.NamingStrategy{}))
		})
	}
}

type testCase struct {
	name string
	run  func(*bench)
}

func cases() []testCase {
	var all []testCase
	for _, cs := range [][]testCase{
		rowCases(), claimCases(), ledgerCases(), parkedCases(), letterCases(), typeCases(), lockCases(), txCases(), memoryCases(), agedCases(),
		streamCases(), outboxCases(), rebuildCases(), moveCases(), replayCases(), rehearseCases(), jobCases(), editCases(), consumerCases(), kindCases(),
	} {
		all = append(all, cs...)
	}
	return all
}

// bench is a database with the suite's tables, claimed, and one owned ledger row.
type bench struct {
	t      *testing.T
	db     *gorm.DB // nil where there is no SQL: see sql
	s      store.Store
	models []*handlers.Model
	lay    map[string]*clocks.Layout
	now    time.Time
	ledger ledger.State
}

const group = "orders"

var start = time.Date(2026, 3, 4, 5, 6, 7, 891_234_000, time.UTC) //nolint:gochecknoglobals // a constant

func newBench(t *testing.T, db *gorm.DB) *bench {
	t.Helper()
	require.NoError(t, migrations.Up(t.Context(), db))
	require.NoError(t, migrate(db))
	s, err := open.Open(db)
	require.NoError(t, err)
	return benchOf(t, s, db, db.NamingStrategy)
}

func benchOf(t *testing.T, s store.Store, db *gorm.DB, namer schema.Namer) *bench {
	t.Helper()
	b := &bench{t: t, db: db, s: s, now: start, lay: map[string]*clocks.Layout{}}
	var err error
	b.models, err = wire(namer)
	require.NoError(t, err)
	layouts, err := s.Claim(t.Context(), group, b.models, false)
	require.NoError(t, err)
	for i, m := range b.models {
		b.lay[m.Table] = layouts[i]
	}
	b.ledger, _, err = s.Own(t.Context(), key(0), "orders", "me")
	require.NoError(t, err)
	return b
}

func key(partition int32) ledger.Key {
	return ledger.Key{Cluster: "cluster", TopicID: "topic-id", Group: group, Partition: partition}
}

// sql is the database beneath the store. A store without one ends the case here.
func (b *bench) sql() *gorm.DB {
	b.t.Helper()
	if b.db == nil {
		b.t.SkipNow()
	}
	return b.db
}

func (b *bench) postgres() bool { return b.db != nil && b.db.Name() == "postgres" }

func (b *bench) model(table string) *handlers.Model {
	for _, m := range b.models {
		if m.Table == table {
			return m
		}
	}
	panic(table)
}

// row makes a row that is to be inserted, with all its clocks at one stamp.
func (b *bench) row(t *testing.T, entity any, table string, stamp int64) *store.Row {
	t.Helper()
	m := b.model(table)
	v := reflect.ValueOf(entity)
	k, err := m.KeyText(v)
	require.NoError(t, err)
	r := &store.Row{Model: m, Layout: b.lay[table], Key: k, Entity: v, State: guards.Alive, Clocks: b.lay[table].New()}
	for i := range r.Clocks.Stamps {
		r.Clocks.Stamps[i] = stampAt(stamp)
	}
	return r
}

func stampAt(n int64) event.Stamp {
	return event.Stamp{Time: n, Tie: event.Tie(true, "source", "id-\x00-"+time.UnixMicro(n).UTC().String())}
}

func (b *bench) order(t *testing.T, o *Order, stamp int64) *store.Row {
	t.Helper()
	return b.row(t, o, "orders", stamp)
}

// commit commits a batch under the bench's ledger and moves it on.
func (b *bench) commit(t *testing.T, batch *store.Batch) error {
	t.Helper()
	return b.commitWith(t, b.s.Commit, batch)
}

func (b *bench) full(batch *store.Batch) *store.Batch {
	batch.Group, batch.Now = group, b.now
	next := b.ledger.Clone()
	next.Next++
	next.High = max(next.High, next.Next)
	batch.Ledger = &next
	return batch
}

func (b *bench) load(t *testing.T, table string, keys ...string) map[string]*store.Row {
	t.Helper()
	l, err := b.s.Load(t.Context(), b.want(table, false, keys...))
	require.NoError(t, err)
	return l.Rows[table]
}

func (b *bench) want(table string, parked bool, keys ...string) *store.Want {
	return &store.Want{Group: group, Rows: []store.WantRows{{Model: b.model(table), Layout: b.lay[table], Keys: keys, Parked: parked}}}
}

func (b *bench) one(t *testing.T, table, k string) *store.Row {
	t.Helper()
	r := b.load(t, table, k)[k]
	require.NotNil(t, r, "row %s of %s", k, table)
	return r
}

func ptr[T any](v T) *T { return &v }

func (b *bench) commitWith(t *testing.T, commit func(context.Context, *store.Batch) error, batch *store.Batch) error {
	t.Helper()
	b.full(batch)
	err := commit(t.Context(), batch)
	if err == nil {
		b.ledger = *batch.Ledger
		b.ledger.Rev++
	}
	return err
}

func (b *bench) count(t *testing.T, table string) (n int64) {
	t.Helper()
	require.NoError(t, b.sql().Table(table).Count(&n).Error)
	return n
}
