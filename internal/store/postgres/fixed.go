package postgres

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

// fixed are the statements on Evenkeel's own tables.
type fixed struct {
	begin, settings, commit    *statement
	locks, settingsAndLocks    *statement
	queues, units, unitsToo    *statement
	memory, lockMemos, streams *statement
	own                        *own
	wake, unremember, ledger   *statement
	resolve                    *statement
}

// queues are what waits under keys, and units the ids of letters and parked rows of records,
// and whether a replay has ended the letter.
//
//nolint:gochecknoglobals // constants
var (
	queues = `SELECT q.n, q.kind, q.id, q.handler, q.cause, q.place, q.due, q.stream
FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS u(tbl, entity, n) CROSS JOIN LATERAL (
    SELECT u.n, 0::int8 AS kind, p.id, p.handler, p.cause, p.place, p.due, p.stream
    FROM evenkeel_parked p WHERE p.grp = $1 AND p.tbl = u.tbl AND p.entity = u.entity
    UNION ALL SELECT u.n, 1, l.id, l.handler, '', l.place, 0, ''
    FROM evenkeel_dead_letters l WHERE l.grp = $1 AND l.tbl = u.tbl AND l.entity = u.entity AND ` + tables.Blocks("l.") + ` AND l.stream = ''
    UNION ALL SELECT u.n, 2, '', '', '', max(l.place), 0, ''
    FROM evenkeel_dead_letters l WHERE l.grp = $1 AND l.tbl = u.tbl AND l.entity = u.entity AND l.stream = '' HAVING max(l.place) IS NOT NULL
) q`

	units = `SELECT l.id, (` + tables.HadEffect("l.") + `)::int::int8 FROM unnest($2::text[], $3::text[], $4::int8[], $5::int8[]) AS c(cluster, topic_id, part, off)
JOIN evenkeel_dead_letters l ON l.topic_id = c.topic_id AND l.partition = c.part AND l.log_offset = c.off AND l.cluster = c.cluster WHERE l.grp = $1
UNION ALL SELECT p.id, 0 FROM unnest($2::text[], $3::text[], $4::int8[], $5::int8[]) AS c(cluster, topic_id, part, off)
JOIN evenkeel_parked p ON p.topic_id = c.topic_id AND p.partition = c.part AND p.log_offset = c.off AND p.cluster = c.cluster WHERE p.grp = $1`
)

// afterQueues numbers the parameters of units after those of queues.
var afterQueues = strings.NewReplacer("$2", "$4", "$3", "$5", "$4", "$6", "$5", "$7") //nolint:gochecknoglobals // a constant

func newFixed() *fixed {
	require := func(change, held, code string) string {
		return fmt.Sprintf("WITH w AS (%s RETURNING 1) SELECT evenkeel_require((SELECT count(*) FROM w) = %s, '%s')", change, held, code)
	}
	const (
		i8, i8s, txt, txts = pgtype.Int8OID, pgtype.Int8ArrayOID, pgtype.TextOID, pgtype.TextArrayOID
	)
	const settings = "set_config('lock_timeout', $1, true), set_config('idle_in_transaction_session_timeout', $2, true), " +
		"CASE WHEN current_setting('server_version_num')::int >= 170000 THEN set_config('transaction_timeout', $3, true) END"
	f := &fixed{
		own:      newOwn(),
		begin:    newStatement("BEGIN ISOLATION LEVEL READ COMMITTED", nil, nil),
		settings: newStatement("SELECT "+settings, []uint32{txt, txt, txt}, nil),
		commit:   newStatement("COMMIT", nil, nil),

		// One scan per key and kind; of the letters' places the highest is enough.
		queues: newStatement("SELECT q.* FROM ("+queues+") q ORDER BY q.n, q.place, q.id", []uint32{txt, txts, txts}, nil),
		units:  newStatement(units, []uint32{txt, txts, txts, i8s, i8s}, nil),
		unitsToo: newStatement("SELECT q.* FROM ("+queues+" UNION ALL SELECT 0, 3 + i.ended, i.id, '', '', 0, 0, '' FROM ("+afterQueues.Replace(units)+") AS i(id, ended)) q ORDER BY q.n, q.place, q.id",
			[]uint32{txt, txts, txts, txts, txts, i8s, i8s}, nil),

		// The locks come in the order of the array, so that lanes can't wait in circles.
		locks: newStatement("SELECT pg_advisory_xact_lock(u.k) FROM unnest($1::int8[]) AS u(k)", []uint32{i8s}, nil),
		// A lock is waited for under the settings: they are made before the first row of the join.
		settingsAndLocks: newStatement("WITH s AS MATERIALIZED (SELECT "+settings+") SELECT pg_advisory_xact_lock(u.k) FROM s CROSS JOIN unnest($4::int8[]) AS u(k)",
			[]uint32{txt, txt, txt, i8s}, nil),
		wake: newStatement(`UPDATE evenkeel_parked p SET due = $1, rev = p.rev + 1 WHERE p.id = ANY(ARRAY(
    SELECT w.id FROM unnest($3::text[], $4::text[]) AS u(tbl, entity)`+
			byKey("evenkeel_parked", "r.grp = $2 AND r.tbl = u.tbl AND r.entity = u.entity AND r.cause IN ('missing', 'behind', 'replay')", "w")+`
    UNION ALL SELECT w.id FROM unnest($5::text[], $6::text[], $7::int8[]) AS u(stream, entity, next)`+
			byKey("evenkeel_parked", "r.grp = $2 AND r.stream <> '' AND r.stream = u.stream AND r.entity = u.entity AND r.place < u.next AND r.cause IN ('gap', 'behind', 'replay')", "w")+`))`,
			[]uint32{i8, txt, txts, txts, txts, txts, i8s}, nil),
		ledger: newStatement(require(tables.SetLedger, "1", stateFenced),
			[]uint32{i8, i8, i8, txt, txt, i8, txt, txt, txt, i8, i8, i8, i8}, nil),
	}
	f.memories()
	f.rebuild()
	f.stream()
	f.resolve = resolveStatement()
	return f
}

// memories makes the statements on ids and memos.
func (f *fixed) memories() {
	const txt, txts, i8 = pgtype.TextOID, pgtype.TextArrayOID, pgtype.Int8OID
	ids := `SELECT 0::int8, u.n, i.value, i.at, i.held FROM unnest($5::text[], $6::text[], $7::text[]) WITH ORDINALITY AS u(scope, entity, id, n)` +
		byKey("evenkeel_ids", "r.grp = $1 AND r.scope = u.scope AND r.entity = u.entity AND r.id = u.id", "i")
	memos := `SELECT 1::int8, u.n, m.body, m.rev, false FROM unnest($2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS u(kind, scope, entity, n)`
	const isMemo = "%[1]s.grp = $1 AND %[1]s.kind = u.kind AND %[1]s.scope = u.scope AND %[1]s.entity = u.entity"
	// One statement, and so one look at both.
	f.memory = newStatement(memos+byKey("evenkeel_memos", fmt.Sprintf(isMemo, "r"), "m")+" UNION ALL "+ids, []uint32{txt, txts, txts, txts, txts, txts, txts}, nil)
	f.lockMemos = newStatement(memos+" JOIN evenkeel_memos m ON "+fmt.Sprintf(isMemo, "m")+" ORDER BY u.n FOR UPDATE OF m", []uint32{txt, txts, txts, txts}, nil)
}

func fieldWire(k tables.Kind) wire {
	switch k {
	case tables.Int:
		return wireInt
	case tables.Bytes:
		return wireBytes
	case tables.Bool:
		return wireBool
	case tables.Text:
	}
	return wireText
}

func arrays[T any](fields []tables.Field[T]) []uint32 {
	oids := make([]uint32, len(fields))
	for i := range fields {
		oids[i] = wires[fieldWire(fields[i].Kind)].array
	}
	return oids
}

// column is one of rowsOf's: what an array parameter is called, and its type.
type column struct{ name, array string }

// columns are those of fields.
func columns[T any](fields []tables.Field[T]) []column {
	cs := make([]column, len(fields))
	for i := range fields {
		cs[i] = column{fields[i].Name, wires[fieldWire(fields[i].Kind)].name}
	}
	return cs
}

// rowsOf is a table of rows, under the name as, from the arrays $first and on of their columns.
// The first array has an element for each row. Another one may have a single element that stands
// for all (array.column): the server keeps a copy of each array, row by row, while it takes the
// rows apart, and most columns of a batch are the same in all of its rows.
func rowsOf(as string, cs []column, first int) string {
	var values, arrays, names []string
	for i, c := range cs {
		value := "e." + c.name
		if i > 0 {
			value = fmt.Sprintf("coalesce(e.%[1]s, CASE WHEN cardinality($%[2]d::%[3]s) = 1 THEN ($%[2]d::%[3]s)[1] END) AS %[1]s", c.name, first+i, c.array)
		}
		values, arrays, names = append(values, value), append(arrays, few(first+i, c.array)), append(names, c.name)
	}
	return fmt.Sprintf("(SELECT %s FROM unnest(%s) AS e(%s)) AS %s", strings.Join(values, ", "), strings.Join(arrays, ", "), strings.Join(names, ", "), as)
}

// insertAll inserts one row for each place of the arrays, of which the first is $first; more
// columns have one value.
func insertAll[T any](table string, fields []tables.Field[T], first int, more, values []string) string {
	names := append(append([]string{}, more...), tables.Names(fields))
	selects := append([]string{}, values...)
	for i := range fields {
		selects = append(selects, "u."+fields[i].Name)
	}
	return fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s", table, strings.Join(names, ", "), strings.Join(selects, ", "), rowsOf("u", columns(fields), first))
}

// updateAll updates the rows that are found by the first keys fields, the last of which
// is the revision; $first is the first array.
func updateAll[T any](table string, fields []tables.Field[T], keys, first int) string {
	sets := []string{"rev = t.rev + 1"}
	for i := keys; i < len(fields); i++ {
		sets = append(sets, fields[i].Name+" = u."+fields[i].Name)
	}
	var where []string
	for i := range keys {
		where = append(where, "t."+fields[i].Name+" = u."+fields[i].Name)
	}
	return fmt.Sprintf("UPDATE %s AS t SET %s FROM %s WHERE %s", table, strings.Join(sets, ", "), rowsOf("u", columns(fields), first), strings.Join(where, " AND "))
}
