package tables

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/ledger"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// openRebuild is a query that has a row while the group $1 rebuilds something.
const openRebuild = "SELECT 1 FROM evenkeel_memos r WHERE r.grp = $1 AND r.kind = '" + string(store.KindRebuild) + "' AND r.scope = '' AND r.entity = '' AND r.body <> ''"

// Ledgers is store.Rebuilds'.
func (p *Plain) Ledgers(ctx context.Context, group string) (found []ledger.State, err error) {
	err = p.Conn(ctx, func(conn *sql.Conn) error {
		return p.Dialect.Classify(p.query(ctx, conn, "SELECT cluster, topic_id, partition, "+ledgerColumns+" FROM evenkeel_ledger WHERE grp = $1 ORDER BY topic, topic_id, partition",
			[]any{group}, func(rows *sql.Rows) error {
				key := ledger.Key{Group: group}
				s, err := scanLedger(keyed{rows, []any{&key.Cluster, &key.TopicID, &key.Partition}}, ledger.Key{})
				s.Key = key
				found = append(found, s)
				return err
			}))
	})
	return found, err
}

// keyed scans the columns of a key before those that are asked for.
type keyed struct {
	rows *sql.Rows
	key  []any
}

func (k keyed) Scan(dest ...any) error { return k.rows.Scan(append(k.key, dest...)...) }

// Keys is store.Rebuilds'.
func (p *Plain) Keys(ctx context.Context, q store.KeysQuery) (found []string, err error) {
	key, where := QuoteOne(q.Model.Key.Name), "ek_rev > 0"
	if q.Rebuilding {
		where = fmt.Sprintf("ek_state >= %d", guards.RebuildingBit)
	}
	var args []any
	if q.HasAfter {
		where += " AND " + key + " > $1"
		args = append(args, q.After)
	}
	// The text has another name than the column, by which the rows are ordered.
	text := fmt.Sprintf("SELECT CAST(%s AS text) AS ek_key FROM %s WHERE %s ORDER BY %s LIMIT %d", key, Quote(q.Model.Table), where, key, q.Limit)
	err = p.Conn(ctx, func(conn *sql.Conn) error {
		return p.Dialect.Classify(p.query(ctx, conn, text, args, func(rows *sql.Rows) error {
			var k string
			err := rows.Scan(&k)
			found = append(found, k)
			return err
		}))
	})
	return found, err
}
