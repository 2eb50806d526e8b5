package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

// writer prepares each text of a batch once.
type writer struct {
	ctx      context.Context //nolint:containedctx // lives for one call
	q        tables.Querier
	now      int64
	prepared map[string]*sql.Stmt
}

func (w *writer) run(query string, args []any) (sql.Result, error) {
	st := w.prepared[query]
	if st == nil {
		p, ok := w.q.(interface {
			PrepareContext(context.Context, string) (*sql.Stmt, error)
		})
		if !ok {
			return w.q.ExecContext(w.ctx, query, args...)
		}
		var err error
		if st, err = p.PrepareContext(w.ctx, query); err != nil {
			return nil, err
		}
		if w.prepared == nil {
			w.prepared = map[string]*sql.Stmt{}
		}
		w.prepared[query] = st
	}
	return st.ExecContext(w.ctx, args...)
}

func (w *writer) close() {
	for _, st := range w.prepared {
		_ = st.Close()
	}
}

func (w *writer) exec(query string, args ...any) error {
	_, err := w.run(query, args)
	return err
}

// guarded fails with broken unless exactly one row changes.
func (w *writer) guarded(broken error, query string, args ...any) error {
	r, err := w.run(query, args)
	if err != nil {
		return err
	}
	n, err := r.RowsAffected()
	if err == nil && n != 1 {
		err = broken
	}
	return err
}

func values[T any](fields []tables.Field[T], t *T) []any {
	args := make([]any, len(fields), len(fields)+2)
	for i := range fields {
		args[i] = fields[i].Arg(t)
	}
	return args
}

// insertOne inserts the fields and then the more columns.
func insertOne[T any](table string, fields []tables.Field[T], more ...string) string {
	names := strings.Join(append([]string{tables.Names(fields)}, more...), ", ")
	return fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", table, names, strings.Repeat("?, ", len(fields)+len(more)-1)+"?")
}

// updateOne updates the row that the first keys fields name, the last of which is the
// revision.
func updateOne[T any](table string, fields []tables.Field[T], keys int) string {
	sets := []string{"rev = rev + 1"}
	var where []string
	for i := range fields {
		set := fmt.Sprintf("%s = ?%d", fields[i].Name, i+1)
		if i < keys {
			where = append(where, set)
		} else {
			sets = append(sets, set)
		}
	}
	return fmt.Sprintf("UPDATE %s SET %s WHERE %s", table, strings.Join(sets, ", "), strings.Join(where, " AND "))
}
