package tables

import (
	"context"
	"database/sql"
	"math"
	"strconv"
	"time"

	"github.com/evenkeel-go/evenkeel/internal/store"
)

// Reached is store.Store's.
func (p *Plain) Reached(ctx context.Context, group string, since time.Time) (at int64, ok bool, err error) {
	err = p.Tx(ctx, func(q Querier) error {
		var lowest sql.NullInt64
		err := q.QueryRowContext(ctx, p.Dialect.Rebind("SELECT min(watermark) FROM evenkeel_ledger WHERE grp = $1 AND updated_at >= $2"), group, since.UnixMicro()).Scan(&lowest)
		at, ok = lowest.Int64, lowest.Valid
		return err
	})
	return at, ok, err
}

// forget is a portion. It is ordered, and skips what another transaction holds, so that it
// waits for no batch. The rows are named by where they lie: by their keys, PostgreSQL would
// read the whole table for each portion.
func (d *Dialect) forget() string {
	return "DELETE FROM evenkeel_ids WHERE " + d.RowID + " IN (SELECT " + d.RowID + " FROM evenkeel_ids " +
		"WHERE grp = $1 AND scope = $2 AND at <= $3 AND NOT held AND NOT EXISTS (" + openRebuild + ") ORDER BY at, entity, id LIMIT $4" + d.SkipLocked + ") RETURNING at"
}

// moveHorizon compares inside the statement, since two sweepers may forget at once.
const (
	moveHorizon  = "INSERT INTO evenkeel_memos (grp, kind, scope, entity, body, rev, updated_at) VALUES ($1, $2, $3, '', $4, "
	raiseHorizon = ") ON CONFLICT (grp, kind, scope, entity) DO UPDATE SET rev = evenkeel_memos.rev + 1, updated_at = excluded.updated_at, " +
		"body = CASE WHEN CAST(evenkeel_memos.body AS bigint) < CAST(excluded.body AS bigint) THEN excluded.body ELSE evenkeel_memos.body END"
)

// Forget is store.Store's. Each portion is a transaction of its own: one big delete would
// hold its locks against the lanes for as long as it runs.
func (p *Plain) Forget(ctx context.Context, group, scope string, upTo int64, portion int) (total int64, err error) {
	for {
		var n int64
		err := p.Tx(ctx, func(q Querier) error {
			newest := int64(math.MinInt64)
			err := p.query(ctx, q, p.Dialect.forget(), []any{group, scope, upTo, portion}, func(rows *sql.Rows) error {
				var at int64
				err := rows.Scan(&at)
				newest = max(newest, at)
				n++
				return err
			})
			if err != nil || n == 0 {
				return err
			}
			move := moveHorizon + p.Dialect.Now + ", " + p.Dialect.Now + raiseHorizon
			_, err = p.exec(ctx, q, move, group, string(store.KindHorizon), scope, strconv.FormatInt(newest, 10))
			return err
		})
		total += n
		if err != nil || n < int64(portion) {
			return total, err
		}
	}
}
