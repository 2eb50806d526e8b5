// Package postgres is the store for PostgreSQL. Whatever a batch holds goes to the
// server as typed arrays in a fixed number of statements and one round trip.
package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/clocks"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

// Store implements store.Store.
type Store struct {
	tables.Plain
	fixed *fixed

	mu      sync.RWMutex
	claimed map[string]*model // by table
	// relation and references are the claimed tables' identities and foreign keys, rank
	// the order in which rows are made so that a parent comes before its children.
	relation   map[string]string
	references map[string][]string
	rank       map[string]int
}

// New makes a store on the database handle's own pool.
func New(db *gorm.DB) (*Store, error) {
	pool, err := db.DB()
	if err != nil {
		return nil, fmt.Errorf("evenkeel needs the database handle itself, not a transaction: %w", err)
	}
	s := &Store{
		fixed:      newFixed(),
		claimed:    map[string]*model{},
		relation:   map[string]string{},
		references: map[string][]string{},
		rank:       map[string]int{},
	}
	s.Plain = tables.Plain{DB: db, Pool: pool, Dialect: &tables.Dialect{
		Begin:       "BEGIN ISOLATION LEVEL READ COMMITTED",
		Bounds:      "SELECT set_config('lock_timeout', '" + lockTimeout + "', true), set_config('idle_in_transaction_session_timeout', '" + idleTimeout + "', true)",
		Brief:       "SELECT set_config('lock_timeout', '" + briefLockTimeout + "', true), set_config('idle_in_transaction_session_timeout', '" + lockedIdleTimeout + "', true)",
		LockKey:     "SELECT pg_advisory_xact_lock($1)",
		ForUpdate:   " FOR UPDATE",
		SkipLocked:  " FOR UPDATE SKIP LOCKED",
		ByIndex:     "SELECT set_config(name, 'off', true) FROM unnest('{enable_sort,enable_seqscan,enable_bitmapscan,enable_hashjoin,enable_mergejoin,jit}'::text[]) AS u(name)",
		EachFirst:   eachFirst,
		RowID:       "ctid",
		Now:         "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
		Marks:       "json_to_recordset($1::json) AS m(id text, rev bigint)",
		Rebind:      func(q string) string { return q },
		Classify:    classify,
		Lost:        lost,
		Table:       tableInfo,
		Indexes:     "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = to_regclass($1) AND indisvalid",
		CreateIndex: "CREATE INDEX CONCURRENTLY",
		EkTypes:     ekTypes,
		Prepare:     s.prepare,
	}}
	return s, nil
}

// Claim is store.Store's. It fails before it claims anything when the handle's driver is
// not the one that batches need.
func (s *Store) Claim(ctx context.Context, group string, models []*handlers.Model, steal bool) ([]*clocks.Layout, error) {
	return s.claim(ctx, group, models, tables.Claiming{Steal: steal})
}

// ClaimToRebuild is store.Rebuilds'.
func (s *Store) ClaimToRebuild(ctx context.Context, group string, models []*handlers.Model) ([]*clocks.Layout, error) {
	return s.claim(ctx, group, models, tables.Claiming{ToRebuild: true})
}

func (s *Store) claim(ctx context.Context, group string, models []*handlers.Model, how tables.Claiming) ([]*clocks.Layout, error) {
	err := s.Conn(ctx, func(conn *sql.Conn) error { return raw(conn, func(*pgx.Conn) error { return nil }) })
	if err != nil {
		return nil, err
	}
	return s.ClaimAs(ctx, group, models, how)
}

// modelOf returns what a claim has made of a model.
func (s *Store) modelOf(m *handlers.Model) (*model, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	o := s.claimed[m.Table]
	if o == nil {
		return nil, &store.SetupError{Problems: []string{fmt.Sprintf("table %s was not claimed; call Claim before the first batch", m.Table)}}
	}
	return o, nil
}

func (s *Store) rankOf(table string) int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.rank[table]
}

var _ store.Store = (*Store)(nil)
