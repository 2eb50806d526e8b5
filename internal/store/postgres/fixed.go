package postgres

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

// fixed are the statements on Evenkeel's own tables.
type fixed struct {
	begin, settings, commit  *statement
	queues, units            *statement
	locks, waiting           *statement
	letters, park, verdicts  *statement
	repark, release, publish *statement
	wake                     *statement
	memory, lockMemos        *statement
	remember                 *statement
	streams, wakeStreams     *statement
	origins, forget          *statement
	ledger                   *statement
}

func newFixed() *fixed {
	require := func(change, held, code string) string {
		return fmt.Sprintf("WITH w AS (%s RETURNING 1) SELECT evenkeel_require((SELECT count(*) FROM w) = %s, '%s')", change, held, code)
	}
	const (
		i8, i8s, txt, txts = pgtype.Int8OID, pgtype.Int8ArrayOID, pgtype.TextOID, pgtype.TextArrayOID
	)
	f := &fixed{
		begin: newStatement("BEGIN ISOLATION LEVEL READ COMMITTED", nil, nil),
		settings: newStatement("SELECT set_config('lock_timeout', $1, true), set_config('idle_in_transaction_session_timeout', $2, true), "+
			"CASE WHEN current_setting('server_version_num')::int >= 170000 THEN set_config('transaction_timeout', $3, true) END", []uint32{txt, txt, txt}, nil),
		commit: newStatement("COMMIT", nil, nil),

		// One scan per key and kind; the last kind is the highest place of all letters.
		queues: newStatement(`SELECT q.n, q.kind, q.id, q.handler, q.cause, q.place, q.due, q.stream
FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS u(tbl, entity, n) CROSS JOIN LATERAL (
    SELECT u.n, 0::int8 AS kind, p.id, p.handler, p.cause, p.place, p.due, p.stream
    FROM evenkeel_parked p WHERE p.grp = $1 AND p.tbl = u.tbl AND p.entity = u.entity
    UNION ALL SELECT u.n, 1, l.id, l.handler, '', l.place, 0, ''
    FROM evenkeel_dead_letters l WHERE l.grp = $1 AND l.tbl = u.tbl AND l.entity = u.entity AND `+tables.Blocks("l.")+` AND l.stream = ''
    UNION ALL SELECT u.n, 2, '', '', '', max(l.place), 0, ''
    FROM evenkeel_dead_letters l WHERE l.grp = $1 AND l.tbl = u.tbl AND l.entity = u.entity AND l.stream = '' HAVING max(l.place) IS NOT NULL
) q ORDER BY q.n, q.place, q.id`, []uint32{txt, txts, txts}, nil),
		units: newStatement(`SELECT l.id FROM unnest($2::text[], $3::text[], $4::int8[], $5::int8[]) AS c(cluster, topic_id, part, off)
JOIN evenkeel_dead_letters l ON l.topic_id = c.topic_id AND l.partition = c.part AND l.log_offset = c.off AND l.cluster = c.cluster WHERE l.grp = $1
UNION ALL SELECT p.id FROM unnest($2::text[], $3::text[], $4::int8[], $5::int8[]) AS c(cluster, topic_id, part, off)
JOIN evenkeel_parked p ON p.topic_id = c.topic_id AND p.partition = c.part AND p.log_offset = c.off AND p.cluster = c.cluster WHERE p.grp = $1`,
			[]uint32{txt, txts, txts, i8s, i8s}, nil),

		// The locks come in the order of the array, so that lanes can't wait in circles.
		locks: newStatement("SELECT pg_advisory_xact_lock(u.k) FROM unnest($1::int8[]) AS u(k)", []uint32{i8s}, nil),
		waiting: newStatement(`SELECT evenkeel_require(NOT EXISTS (SELECT 1 FROM unnest($2::text[], $3::text[], $4::int8[], $5::int8[]) AS u(tbl, entity, n, letters)
WHERE u.n <> (SELECT count(*) FROM evenkeel_parked p WHERE p.grp = $1 AND p.tbl = u.tbl AND p.entity = u.entity)
OR u.letters <> (SELECT count(*) FROM evenkeel_dead_letters l WHERE l.grp = $1 AND l.tbl = u.tbl AND l.entity = u.entity AND l.stream = '' AND `+tables.Blocks("l.")+`)), '`+stateConflict+`')`,
			[]uint32{txt, txts, txts, i8s, i8s}, nil),

		release: newStatement(require("DELETE FROM evenkeel_parked p USING unnest($2::text[], $3::int8[]) AS u(id, rev) WHERE p.id = u.id AND p.rev = u.rev", "$1", stateConflict), []uint32{i8, txts, i8s}, nil),
		wake: newStatement(`UPDATE evenkeel_parked p SET due = $1, rev = p.rev + 1 FROM unnest($3::text[], $4::text[]) AS u(tbl, entity)
WHERE p.grp = $2 AND p.tbl = u.tbl AND p.entity = u.entity AND p.cause = 'missing'`, []uint32{i8, txt, txts, txts}, nil),
		publish: newStatement("UPDATE evenkeel_dead_letters l SET published_at = $1 FROM unnest($2::text[], $3::int8[]) AS u(id, rev) WHERE l.id = u.id AND l.rev = u.rev", []uint32{i8, txts, i8s}, nil),
		ledger: newStatement(require(tables.SetLedger, "1", stateFenced),
			[]uint32{i8, i8, i8, txt, txt, i8, txt, txt, txt, i8, i8, i8, i8}, nil),
	}
	f.memories()
	f.stream()
	f.aged()
	f.letters = newStatement(insertAll("evenkeel_dead_letters", tables.Letters(), []string{"swept"}, []string{"$1"})+tables.LetterConflict(),
		append([]uint32{pgtype.BoolOID}, arrays(tables.Letters())...), nil)
	f.park = newStatement(insertAll("evenkeel_parked", tables.Parkeds(), nil, nil)+tables.ParkedConflict(), arrays(tables.Parkeds()), nil)
	f.verdicts = newStatement(insertAll("evenkeel_verdicts", tables.Verdicts(), []string{"at", "grp"}, []string{"$1", "$2"}),
		append([]uint32{i8, txt}, arrays(tables.Verdicts())...), nil)
	f.repark = newStatement(require(updateAll("evenkeel_parked", tables.Reparks(), tables.ReparkKeys), "$1", stateConflict), append([]uint32{i8}, arrays(tables.Reparks())...), nil)
	return f
}

// memories makes the statements on ids and memos.
func (f *fixed) memories() {
	const txt, txts, i8 = pgtype.TextOID, pgtype.TextArrayOID, pgtype.Int8OID
	ids := `SELECT 0::int8, u.n, i.value, i.at, i.held FROM unnest($5::text[], $6::text[], $7::text[]) WITH ORDINALITY AS u(scope, entity, id, n)
JOIN evenkeel_ids i ON i.grp = $1 AND i.scope = u.scope AND i.entity = u.entity AND i.id = u.id`
	memos := `SELECT 1::int8, u.n, m.body, m.rev, false FROM unnest($2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS u(kind, scope, entity, n)
JOIN evenkeel_memos m ON m.grp = $1 AND m.kind = u.kind AND m.scope = u.scope AND m.entity = u.entity`
	// One statement, and so one look at both.
	f.memory = newStatement(memos+" UNION ALL "+ids, []uint32{txt, txts, txts, txts, txts, txts, txts}, nil)
	f.lockMemos = newStatement(memos+" ORDER BY u.n FOR UPDATE OF m", []uint32{txt, txts, txts, txts}, nil)
	// Each part changes exactly the rows that are its own, so the sum tells.
	f.remember = newStatement(fmt.Sprintf(`WITH u AS MATERIALIZED (SELECT * FROM %s), v AS MATERIALIZED (SELECT * FROM %s),
memos AS (INSERT INTO evenkeel_memos (grp, kind, scope, entity, rev, body, updated_at)
    SELECT $2, u.kind, u.scope, u.entity, $3, u.body, $3 FROM u WHERE u.rev = 0 ON CONFLICT (grp, kind, scope, entity) DO NOTHING RETURNING 1),
moved AS (UPDATE evenkeel_memos t SET rev = t.rev + 1, body = u.body, updated_at = $3
    FROM u WHERE u.rev <> 0 AND t.grp = $2 AND t.kind = u.kind AND t.scope = u.scope AND t.entity = u.entity AND t.rev = u.rev RETURNING 1),
ids AS (INSERT INTO evenkeel_ids (grp, scope, entity, id, value, at, held)
    SELECT $2, v.scope, v.entity, v.id, v.value, v.at, v.held FROM v WHERE NOT v.known ON CONFLICT (grp, scope, entity, id) DO NOTHING RETURNING 1),
held AS (UPDATE evenkeel_ids t SET held = v.held
    FROM v WHERE v.known AND t.grp = $2 AND t.scope = v.scope AND t.entity = v.entity AND t.id = v.id RETURNING 1)
SELECT evenkeel_require((SELECT count(*) FROM memos) + (SELECT count(*) FROM moved) + (SELECT count(*) FROM ids) + (SELECT count(*) FROM held) = $1, '`+stateConflict+`')`,
		from("u", tables.Memos(), 4), from("v", tables.IDs(), 4+len(tables.Memos()))),
		slices.Concat([]uint32{i8, txt, i8}, arrays(tables.Memos()), arrays(tables.IDs())), nil)
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

// from is "unnest($n::…, …) AS u(…)" for fields whose first parameter is $first, under the
// name as.
func from[T any](as string, fields []tables.Field[T], first int) string {
	args := make([]string, len(fields))
	for i := range fields {
		args[i] = fmt.Sprintf("$%d::%s", first+i, wires[fieldWire(fields[i].Kind)].name)
	}
	return fmt.Sprintf("unnest(%s) AS %s(%s)", strings.Join(args, ", "), as, tables.Names(fields))
}

// insertAll inserts one row for each place of the arrays; more columns have one value.
func insertAll[T any](table string, fields []tables.Field[T], more, values []string) string {
	names := append(append([]string{}, more...), tables.Names(fields))
	selects := append([]string{}, values...)
	for i := range fields {
		selects = append(selects, "u."+fields[i].Name)
	}
	return fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s", table, strings.Join(names, ", "), strings.Join(selects, ", "), from("u", fields, len(more)+1))
}

// updateAll updates the rows that are found by the first keys fields, the last of which
// is the revision.
func updateAll[T any](table string, fields []tables.Field[T], keys int) string {
	sets := []string{"rev = t.rev + 1"}
	for i := keys; i < len(fields); i++ {
		sets = append(sets, fields[i].Name+" = u."+fields[i].Name)
	}
	var where []string
	for i := range keys {
		where = append(where, "t."+fields[i].Name+" = u."+fields[i].Name)
	}
	return fmt.Sprintf("UPDATE %s AS t SET %s FROM %s WHERE %s", table, strings.Join(sets, ", "), from("u", fields, 2), strings.Join(where, " AND "))
}
