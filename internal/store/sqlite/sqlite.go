// Package sqlite is the store for SQLite: for the demo, for tests, and for services with
// one small machine. One writer has the whole database, so what Postgres guards by row
// locks holds here by itself; the guards by revision are the same, since a batch reads
// before it begins to write.
package sqlite

import (
	"context"
	"fmt"
	"regexp"
	"sync"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

// Store implements store.Store.
type Store struct {
	tables.Plain

	mu      sync.RWMutex
	claimed map[string]*model // by table
}

var parameter = regexp.MustCompile(`\$(\d+)`)

// begin takes the writer's place at once. A transaction that began by reading would fail
// when it wants to write and another one has written since, and no waiting mends that.
const begin = "BEGIN IMMEDIATE"

// New makes a store on the database handle's own pool.
func New(db *gorm.DB) (*Store, error) {
	pool, err := db.DB()
	if err != nil {
		return nil, fmt.Errorf("evenkeel needs the database handle itself, not a transaction: %w", err)
	}
	s := &Store{claimed: map[string]*model{}}
	s.Plain = tables.Plain{DB: db, Pool: pool, Dialect: &tables.Dialect{
		Begin:       begin,
		EachFirst:   eachFirst,
		RowID:       "rowid",
		Now:         "CAST(unixepoch('now', 'subsec') * 1000000 AS integer)",
		Marks:       "(SELECT value ->> 'id' AS id, value ->> 'rev' AS rev FROM json_each($1)) AS m",
		Rebind:      func(q string) string { return parameter.ReplaceAllString(q, "?$1") },
		Classify:    classify,
		Lost:        classify, // a COMMIT that failed was not done
		Local:       true,
		Table:       tableInfo,
		Indexes:     `SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND '"' || replace(tbl_name, '"', '""') || '"' = $1`,
		CreateIndex: "CREATE INDEX",
		EkTypes:     ekTypes,
		Prepare:     s.prepare,
	}}
	return s, nil
}

func (s *Store) prepare(_ context.Context, _ tables.Querier, m *handlers.Model, _ map[string]tables.Info) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.claimed[m.Table] = newModel(m)
	return nil, nil
}

func (s *Store) modelOf(m *handlers.Model) (*model, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	o := s.claimed[m.Table]
	if o == nil {
		return nil, &store.SetupError{Problems: []string{fmt.Sprintf("table %s was not claimed; call Claim before the first batch", m.Table)}}
	}
	return o, nil
}

func tableInfo(ctx context.Context, q tables.Querier, table string) (columns map[string]tables.Info, ok bool, err error) {
	rows, err := q.QueryContext(ctx, `SELECT c.name, c.type, c."notnull" <> 0 OR c.pk <> 0,
		(c.pk <> 0 AND (SELECT count(*) FROM pragma_table_info(?1) k WHERE k.pk <> 0) = 1)
		OR EXISTS (SELECT 1 FROM pragma_index_list(?1) i WHERE i."unique" AND NOT i.partial
			AND (SELECT count(*) FROM pragma_index_info(i.name)) = 1 AND (SELECT x.name FROM pragma_index_info(i.name) x) = c.name)
		FROM pragma_table_info(?1) c`, table)
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	columns = map[string]tables.Info{}
	for rows.Next() {
		var name string
		var c tables.Info
		if err := rows.Scan(&name, &c.Type, &c.NotNull, &c.Unique); err != nil {
			return nil, false, err
		}
		columns[name] = c
	}
	return columns, len(columns) > 0, rows.Err()
}

// ekTypes are what gorm.io/driver/sqlite makes of guards.Guarded.
var ekTypes = map[string]string{ //nolint:gochecknoglobals // a constant
	"ek_rev":    "integer NOT NULL DEFAULT 0",
	"ek_time":   "integer NOT NULL DEFAULT 0",
	"ek_tie":    "blob NOT NULL DEFAULT ''",
	"ek_fields": "text NOT NULL DEFAULT ''",
	"ek_state":  "smallint NOT NULL DEFAULT 0",
	"ek_born":   "integer NOT NULL DEFAULT 0",
	"ek_gen":    "integer NOT NULL DEFAULT 0",
}

var _ store.Store = (*Store)(nil)

// eachFirst is the dialect's: there is no LATERAL, but a subquery may have a LIMIT.
func eachFirst(table, where string) string {
	return "CROSS JOIN " + table + " AS r ON r.rowid IN (SELECT q.rowid FROM " + table + " AS q WHERE " + where + ")"
}
