package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

// Rehearse is store.Rehearsals'.
func (s *Store) Rehearse(ctx context.Context) (store.Rehearsal, error) {
	return s.Plain.Rehearse(ctx, tables.Rehearsing{Load: s.rehearse, Settled: s.settled})
}

// rehearse is Lock inside a transaction that is open already.
func (s *Store) rehearse(ctx context.Context, conn *sql.Conn, want *store.Want) (*store.Loaded, error) {
	l := &locked{s: s, conn: conn}
	var err error
	if l.loaded, err = s.load(ctx, conn, want); err != nil {
		return nil, classify(err)
	}
	l.loaded.Tx = l
	return l.loaded, nil
}

// settled looks for the parents of the rows that the batch writes, as COMMIT does where
// foreign keys are switched on: SQLite has no other way to ask before it.
func (s *Store) settled(ctx context.Context, conn *sql.Conn, b *store.Batch) error {
	on := false
	if err := conn.QueryRowContext(ctx, "PRAGMA foreign_keys").Scan(&on); err != nil || !on {
		return classify(err)
	}
	orphans := map[string][]string{} // by table
	for _, rows := range [...][]*store.Row{b.Insert, b.Update} {
		for _, r := range rows {
			o, err := s.modelOf(r.Model)
			if err != nil {
				return err
			}
			queries, known := orphans[r.Model.Table]
			if !known {
				if queries, err = orphaned(ctx, conn, r.Model.Table, r.Model.Key.Name); err != nil {
					return classify(err)
				}
				orphans[r.Model.Table] = queries
			}
			key, err := o.key(r.Key)
			if err != nil {
				return err
			}
			for _, query := range queries {
				var n int
				if err := conn.QueryRowContext(ctx, query, key).Scan(&n); err != nil {
					return classify(err)
				}
				if n > 0 {
					return &store.DataError{State: "787", Table: r.Model.Table, Err: fmt.Errorf("table %s, key %q: FOREIGN KEY constraint failed", r.Model.Table, r.Key)}
				}
			}
		}
	}
	return nil
}

// orphaned are queries, one for each foreign key of the table, that count the row with the
// key ?1 if it has no parent.
func orphaned(ctx context.Context, conn *sql.Conn, table, key string) (queries []string, err error) {
	type foreign struct {
		parent string
		pairs  [][2]string
	}
	var keys []*foreign
	last := -1
	err = each(ctx, conn, `SELECT f.id, f."table", f."from", coalesce(f."to", (SELECT k.name FROM pragma_table_info(f."table") k WHERE k.pk = f.seq + 1), '')
		FROM pragma_foreign_key_list(?1) f ORDER BY f.id, f.seq`, []any{table}, func(rows *sql.Rows) error {
		var id int
		var parent string
		var pair [2]string
		if err := rows.Scan(&id, &parent, &pair[0], &pair[1]); err != nil {
			return err
		}
		if id != last {
			keys, last = append(keys, &foreign{parent: parent}), id
		}
		keys[len(keys)-1].pairs = append(keys[len(keys)-1].pairs, pair)
		return nil
	})
	for _, f := range keys {
		var set, same []string
		for _, pair := range f.pairs {
			child := "c." + tables.QuoteOne(pair[0])
			set = append(set, child+" IS NOT NULL")
			same = append(same, "p."+tables.QuoteOne(pair[1])+" = "+child)
		}
		queries = append(queries, fmt.Sprintf("SELECT count(*) FROM %s c WHERE c.%s = ?1 AND %s AND NOT EXISTS (SELECT 1 FROM %s p WHERE %s)",
			tables.Quote(table), tables.QuoteOne(key), strings.Join(set, " AND "), tables.QuoteOne(f.parent), strings.Join(same, " AND ")))
	}
	return queries, err
}
