package tables

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// Describe is what evenkeel_models keeps of a model beside its columns.
func Describe(m *handlers.Model) store.Table {
	return store.Table{Model: m.Name, Key: m.Key.Name, Kind: m.Kind.String()}
}

// purged reports whether the table has a horizon of tombstones (R13).
func (p *Plain) purged(ctx context.Context, q Querier, group, table string) (found bool, err error) {
	k := store.TombstoneHorizon(table)
	err = q.QueryRowContext(ctx, p.Dialect.Rebind("SELECT count(*) > 0 FROM evenkeel_memos WHERE grp = $1 AND kind = $2 AND scope = $3 AND entity = $4"),
		group, string(k.Kind), k.Scope, k.Entity).Scan(&found)
	return found, err
}

// Tables is store.Upkeep's.
func (p *Plain) Tables(ctx context.Context, group string) (found []store.Table, err error) {
	const horizon = "SELECT 1 FROM evenkeel_memos h WHERE h.grp = m.grp AND h.kind = $2 AND h.scope = $3 || m.tbl AND h.entity = ''"
	k := store.TombstoneHorizon("")
	err = p.Conn(ctx, func(conn *sql.Conn) error {
		return p.Dialect.Classify(p.query(ctx, conn, "SELECT m.tbl, m.grp, m.model, m.key_column, m.kind, EXISTS ("+horizon+") FROM evenkeel_models m WHERE m.grp = $1 OR $1 = '' ORDER BY m.tbl",
			[]any{group, string(k.Kind), k.Scope}, func(rows *sql.Rows) error {
				var t store.Table
				err := rows.Scan(&t.Name, &t.Group, &t.Model, &t.Key, &t.Kind, &t.Purged)
				found = append(found, t)
				return err
			}))
	})
	return found, err
}

// agedState is the condition on ek_state as a text: a planner does not know of a parameter
// whether a partial index holds it.
func agedState(s guards.Existence) string { return fmt.Sprintf("ek_state = %d", s) }

// agedOrder is the column by which aged rows are ordered.
func agedOrder(s guards.Existence) string {
	if s == guards.Deleted {
		return "ek_time"
	}
	return "ek_born"
}

// agedWhere is the condition of q from its parameter $1 on.
func agedWhere(q *store.AgedQuery) (where string, args []any) {
	order := agedOrder(q.State)
	where = agedState(q.State) + " AND " + order + " < $1"
	if q.State == guards.Deleted {
		where += " AND ek_born < $1"
	}
	args = []any{q.Before.UnixMicro()}
	if a := q.After; a != nil {
		at := a.Born.UnixMicro()
		if q.State == guards.Deleted {
			at = a.Newest.Time
		}
		where += fmt.Sprintf(" AND (%s, %s) > ($2, $3)", order, QuoteOne(q.Table.Key))
		args = append(args, at, a.Key)
	}
	return where, args
}

// Aged is store.Upkeep's.
func (p *Plain) Aged(ctx context.Context, q store.AgedQuery) (found []store.Aged, err error) {
	where, args := agedWhere(&q)
	key := QuoteOne(q.Table.Key)
	// The text has another name than the column, by which the rows are ordered.
	text := fmt.Sprintf("SELECT CAST(%s AS text) AS ek_key, ek_born, ek_time, ek_tie, ek_rev, ek_fields, ek_gen FROM %s WHERE %s ORDER BY %s, %s LIMIT %d",
		key, Quote(q.Table.Name), where, agedOrder(q.State), key, q.Limit)
	err = p.inOrder(ctx, func(from Querier) error {
		return p.query(ctx, from, text, args, func(rows *sql.Rows) error {
			var a store.Aged
			var born int64
			var tie []byte
			err := rows.Scan(&a.Key, &born, &a.Newest.Time, &tie, &a.Rev, &a.Fields, &a.Gen)
			a.Born, a.Newest.Tie = Time(born), string(tie)
			found = append(found, a)
			return err
		})
	})
	return found, err
}

// CountAged is store.Upkeep's.
func (p *Plain) CountAged(ctx context.Context, q store.AgedQuery) (n int64, first *store.Aged, err error) {
	one := q
	one.Limit = 1
	found, err := p.Aged(ctx, one)
	if err != nil || len(found) == 0 {
		return 0, nil, err
	}
	where, args := agedWhere(&q)
	err = p.inOrder(ctx, func(from Querier) error {
		return from.QueryRowContext(ctx, p.Dialect.Rebind(fmt.Sprintf("SELECT count(*) FROM (SELECT 1 FROM %s WHERE %s LIMIT %d) AS aged",
			Quote(q.Table.Name), where, q.Limit)), args...).Scan(&n)
	})
	return n, &found[0], err
}

// MissingIndex is store.Upkeep's. What an index is good for is told from its definition:
// one that names both columns serves, whether it is partial or leads with the state.
func (p *Plain) MissingIndex(ctx context.Context, t store.Table, state guards.Existence) (create string, err error) {
	order, table := agedOrder(state), Quote(t.Name)
	found := false
	err = p.Conn(ctx, func(conn *sql.Conn) error {
		return p.Dialect.Classify(p.query(ctx, conn, p.Dialect.Indexes, []any{table}, func(rows *sql.Rows) error {
			var definition string
			err := rows.Scan(&definition)
			definition = strings.ToLower(definition)
			found = found || strings.Contains(definition, order) && strings.Contains(definition, "ek_state")
			return err
		}))
	})
	if err != nil || found {
		return "", err
	}
	name := "evenkeel_" + strings.ReplaceAll(t.Name, ".", "_") + "_" + state.String()
	return fmt.Sprintf("%s %s ON %s (%s, %s) WHERE %s;", p.Dialect.CreateIndex, QuoteOne(name), table, order, QuoteOne(t.Key), agedState(state)), nil
}

// Origins are the columns of evenkeel_origins.
func Origins() []Field[store.Origin] {
	type o = store.Origin
	return append([]Field[o]{
		text("grp", func(t *o) *string { return &t.Group }),
		text("tbl", func(t *o) *string { return &t.Table }),
		number("born", func(t *o) *int64 { return &t.Born }),
		text("entity", func(t *o) *string { return &t.Entity }),
		number("rev", func(t *o) *int64 { return &t.Rev }),
		text("id", func(t *o) *string { return &t.ID }),
		text("handler", func(t *o) *string { return &t.Handler }),
	}, recordFields(func(t *o) **event.Record { return &t.Record })...)
}

// Origins is store.Upkeep's.
func (p *Plain) Origins(ctx context.Context, group, table string, before time.Time, after store.OriginKey, limit int) (found []*store.Origin, err error) {
	fields := Origins()
	err = p.inOrder(ctx, func(from Querier) error {
		return p.query(ctx, from, "SELECT "+Names(fields)+" FROM evenkeel_origins WHERE grp = $1 AND tbl = $2 AND born < $3 AND (born, entity) > ($4, $5) ORDER BY born, entity, rev, id LIMIT $6",
			[]any{group, table, before.UnixMicro(), after.Born, after.Entity, limit}, func(rows *sql.Rows) error {
				o, err := Scan(rows, fields)
				found = append(found, o)
				return err
			})
	})
	return found, err
}
