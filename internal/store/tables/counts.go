package tables

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// Counts is store.Store's. Placeholders have no index of ours, since it would stand on
// a user's table: without one of the user's their count reads the whole table, so ask
// seldom.
func (p *Plain) Counts(ctx context.Context, group string, models []*handlers.Model) (*store.Counts, error) {
	c := &store.Counts{Parked: make(map[store.Cause]int64), Letters: make(map[guards.Reason]int64), Placeholders: make(map[string]int64)}
	err := p.Conn(ctx, func(conn *sql.Conn) error {
		err := p.query(ctx, conn, "SELECT cause, count(*) FROM evenkeel_parked WHERE grp = $1 GROUP BY cause", []any{group}, func(rows *sql.Rows) error {
			var cause store.Cause
			var n int64
			err := rows.Scan(&cause, &n)
			c.Parked[cause] = n
			return err
		})
		if err != nil {
			return p.Dialect.Classify(err)
		}
		err = p.query(ctx, conn, "SELECT reason, count(*) FROM evenkeel_dead_letters WHERE grp = $1 AND state = $2 GROUP BY reason", []any{group, string(dlq.Open)}, func(rows *sql.Rows) error {
			var reason guards.Reason
			var n int64
			err := rows.Scan(&reason, &n)
			c.Letters[reason] = n
			return err
		})
		if err != nil {
			return p.Dialect.Classify(err)
		}
		for _, m := range models {
			var n int64
			row := conn.QueryRowContext(ctx, fmt.Sprintf("SELECT count(*) FROM %s WHERE %s", Quote(m.Table), agedState(guards.Placeholder)))
			if err := row.Scan(&n); err != nil {
				return p.Dialect.Classify(err)
			}
			c.Placeholders[m.Table] = n
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}
