package postgres

import (
	"context"

	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

// tableSQL reads a table's columns. A domain is taken for the type under it, and
// modifiers are left out: an explicit cast to varchar(20) would cut the text off without
// a word, while the assignment that follows raises 22001. format_type with -1 names the
// types that mean one character, or one bit, without a modifier, as ones that don't.
const tableSQL = `SELECT a.attname, a.attnotnull, b.oid, format_type(b.oid, -1),
    EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique AND i.indisvalid AND i.indimmediate
        AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum)
FROM pg_attribute a, LATERAL (
    WITH RECURSIVE t(oid, base, kind) AS (
        SELECT oid, typbasetype, typtype FROM pg_type WHERE oid = a.atttypid
        UNION ALL SELECT p.oid, p.typbasetype, p.typtype FROM t JOIN pg_type p ON p.oid = t.base WHERE t.kind = 'd')
    SELECT oid FROM t WHERE kind <> 'd') b
WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped`

func tableInfo(ctx context.Context, q tables.Querier, table string) (columns map[string]tables.Info, ok bool, err error) {
	rows, err := q.QueryContext(ctx, tableSQL, tables.Quote(table))
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	columns = map[string]tables.Info{}
	for rows.Next() {
		var name string
		var c tables.Info
		if err := rows.Scan(&name, &c.NotNull, &c.OID, &c.Type, &c.Unique); err != nil {
			return nil, false, err
		}
		columns[name] = c
	}
	return columns, len(columns) > 0, rows.Err()
}

// references returns the table's identity in the catalog and those of the tables that
// its foreign keys point to.
func references(ctx context.Context, q tables.Querier, table string) (self string, to []string, err error) {
	rows, err := q.QueryContext(ctx, `SELECT to_regclass($1)::oid::text, coalesce(c.confrelid::oid::text, '')
		FROM (SELECT 1) AS one LEFT JOIN pg_constraint c ON c.contype = 'f' AND c.conrelid = to_regclass($1)`, tables.Quote(table))
	if err != nil {
		return "", nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var n string
		if err := rows.Scan(&self, &n); err != nil {
			return "", nil, err
		}
		if n != "" && n != self {
			to = append(to, n)
		}
	}
	return self, to, rows.Err()
}

// ekTypes are what gorm.io/driver/postgres makes of guards.Guarded.
var ekTypes = map[string]string{ //nolint:gochecknoglobals // a constant
	"ek_rev":    "bigint NOT NULL DEFAULT 0",
	"ek_time":   "bigint NOT NULL DEFAULT 0",
	"ek_tie":    "bytea NOT NULL DEFAULT ''",
	"ek_fields": "text NOT NULL DEFAULT ''",
	"ek_state":  "smallint NOT NULL DEFAULT 0",
	"ek_born":   "bigint NOT NULL DEFAULT 0",
	"ek_gen":    "integer NOT NULL DEFAULT 0",
}
