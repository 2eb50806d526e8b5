package postgres

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

// The pieces of the one statement in which a batch changes Evenkeel's own tables, in the
// order in which their guards are asked. No two of them touch one row, so that they may
// share a snapshot: a unit that is parked is neither released nor parked again, and a mark
// of a letter that is written here is left out.
const (
	pieceMemory = iota
	pieceWaits
	pieceLetters
	pieceVerdicts
	pieceOrigins
	pieceOutbox
	pieces
)

// piece is what a batch may change. Its parameters are numbered from $1.
type piece struct {
	// ctes are the changes, holds the condition that they must meet, empty for none.
	ctes, holds string
	// alone is the same as a statement of its own, where that is cheaper.
	alone  string
	params []uint32
}

// own makes the statements of those sets of pieces that batches have.
type own struct {
	pieces [pieces]piece
	mu     sync.Mutex
	made   map[int]*statement // by set, a bit for each piece
}

func newOwn() *own {
	return &own{made: map[int]*statement{}, pieces: [pieces]piece{
		pieceMemory: memoryPiece(), pieceWaits: waitsPiece(), pieceLetters: lettersPiece(), pieceVerdicts: verdictsPiece(), pieceOrigins: originsPiece(), pieceOutbox: outboxPiece(),
	}}
}

var parameter = regexp.MustCompile(`\$\d+`)

// statement is that of a set of pieces: one WITH for each change, and what each of them must
// have changed.
func (o *own) statement(set int) *statement {
	o.mu.Lock()
	defer o.mu.Unlock()
	if st := o.made[set]; st != nil {
		return st
	}
	var ctes, guards []string
	var params []uint32
	alone := ""
	for i := range o.pieces {
		if set&(1<<i) == 0 {
			continue
		}
		p, first := &o.pieces[i], len(params)
		shift := func(sql string) string {
			return parameter.ReplaceAllStringFunc(sql, func(n string) string {
				at, _ := strconv.Atoi(n[1:])
				return "$" + strconv.Itoa(first+at)
			})
		}
		ctes = append(ctes, shift(p.ctes))
		if p.holds != "" {
			guards = append(guards, "evenkeel_require("+shift(p.holds)+", '"+stateConflict+"')")
		}
		params = append(params, p.params...)
		alone = p.alone
	}
	sql := "WITH " + strings.Join(ctes, ",\n") + "\nSELECT " + cmp.Or(strings.Join(guards, ", "), "1")
	if len(ctes) == 1 && alone != "" {
		sql = alone
	}
	o.made[set] = newStatement(sql, params, nil)
	return o.made[set]
}

// memoryPiece writes memos and ids. Each part changes exactly the rows that are its own, so
// the sum tells. The group is a column of what is joined, here and elsewhere: as a condition of
// its own it could make the planner, which has heard of one row of the group, read all of them.
func memoryPiece() piece {
	return piece{
		ctes: fmt.Sprintf(`u AS MATERIALIZED (SELECT $2::text AS grp, * FROM %s), v AS MATERIALIZED (SELECT $2::text AS grp, * FROM %s),
memos AS (INSERT INTO evenkeel_memos (grp, kind, scope, entity, rev, body, updated_at)
    SELECT $2, u.kind, u.scope, u.entity, $3, u.body, $3 FROM u WHERE u.rev = 0 ON CONFLICT (grp, kind, scope, entity) DO NOTHING RETURNING 1),
moved AS (UPDATE evenkeel_memos t SET rev = t.rev + 1, body = u.body, updated_at = $3
    FROM u WHERE u.rev <> 0 AND t.grp = u.grp AND t.kind = u.kind AND t.scope = u.scope AND t.entity = u.entity AND t.rev = u.rev RETURNING 1),
ids AS (INSERT INTO evenkeel_ids (grp, scope, entity, id, value, at, held)
    SELECT $2, v.scope, v.entity, v.id, v.value, v.at, v.held FROM v WHERE NOT v.known ON CONFLICT (grp, scope, entity, id) DO NOTHING RETURNING 1),
held AS (UPDATE evenkeel_ids t SET held = v.held
    FROM v WHERE v.known AND t.grp = v.grp AND t.scope = v.scope AND t.entity = v.entity AND t.id = v.id RETURNING 1)`,
			rowsOf("u", columns(tables.Memos()), 4), rowsOf("v", columns(tables.IDs()), 4+len(tables.Memos()))),
		holds:  "(SELECT count(*) FROM memos) + (SELECT count(*) FROM moved) + (SELECT count(*) FROM ids) + (SELECT count(*) FROM held) = $1",
		params: slices.Concat([]uint32{pgtype.Int8OID, pgtype.TextOID, pgtype.Int8OID}, arrays(tables.Memos()), arrays(tables.IDs())),
	}
}

// waitsPiece removes, changes and adds what is parked.
func waitsPiece() piece {
	const i8, i8s, txts = pgtype.Int8OID, pgtype.Int8ArrayOID, pgtype.TextArrayOID
	return piece{
		ctes: fmt.Sprintf(`released AS (DELETE FROM evenkeel_parked p USING unnest(%s, %s) AS u(id, rev) WHERE p.id = u.id AND p.rev = u.rev RETURNING 1),
reparked AS (%s RETURNING 1),
parked AS (%s)`, few(2, "text[]"), few(3, "int8[]"), updateAll("evenkeel_parked", tables.Reparks(), tables.ReparkKeys, 5), insertAll("evenkeel_parked", tables.Parkeds(), 5+len(tables.Reparks()), nil, nil)+tables.ParkedConflict()),
		holds:  "(SELECT count(*) FROM released) = $1 AND (SELECT count(*) FROM reparked) = $4",
		params: slices.Concat([]uint32{i8, txts, i8s, i8}, arrays(tables.Reparks()), arrays(tables.Parkeds())),
	}
}

// lettersPiece writes letters, and marks others as published.
func lettersPiece() piece {
	const i8, i8s, txts = pgtype.Int8OID, pgtype.Int8ArrayOID, pgtype.TextArrayOID
	fields := tables.Letters()
	source := rowsOf("u", append([]column{{"swept", "bool[]"}}, columns(fields)...), 1)
	names := tables.Names(fields)
	after := 2 + len(fields)
	return piece{
		ctes: fmt.Sprintf(`lettered AS (INSERT INTO evenkeel_dead_letters (swept, %s) SELECT u.swept, %s FROM %s%s),
marked AS (UPDATE evenkeel_dead_letters l SET published_at = $%d FROM unnest(%s, %s) AS u(id, rev) WHERE l.id = u.id AND l.rev = u.rev)`,
			names, "u."+strings.ReplaceAll(names, ", ", ", u."), source, tables.LetterConflict(), after, few(after+1, "text[]"), few(after+2, "int8[]")),
		params: slices.Concat([]uint32{pgtype.BoolArrayOID}, arrays(fields), []uint32{i8, txts, i8s}),
	}
}

func verdictsPiece() piece {
	insert := insertAll("evenkeel_verdicts", tables.Verdicts(), 3, []string{"at", "grp"}, []string{"$1", "$2"})
	return piece{
		ctes: "judged AS (" + insert + ")", alone: insert,
		params: append([]uint32{pgtype.Int8OID, pgtype.TextOID}, arrays(tables.Verdicts())...),
	}
}

// originsPiece forgets what made some placeholders, and keeps what made others.
func originsPiece() piece {
	const txt, txts, i8s = pgtype.TextOID, pgtype.TextArrayOID, pgtype.Int8ArrayOID
	return piece{
		ctes: fmt.Sprintf(`lives AS MATERIALIZED (SELECT $1::text AS grp, * FROM unnest(%s, %s, %s) AS u(tbl, born, entity)),
forgotten AS (DELETE FROM evenkeel_origins o USING lives AS u WHERE o.grp = u.grp AND o.tbl = u.tbl AND o.born = u.born AND o.entity = u.entity),
kept AS (%s)`, few(2, "text[]"), few(3, "int8[]"), few(4, "text[]"), insertAll("evenkeel_origins", tables.Origins(), 5, nil, nil)),
		params: append([]uint32{txt, txts, i8s, txts}, arrays(tables.Origins())...),
	}
}

// own queues the statement on Evenkeel's own tables, if the batch changes any.
func (w *writer) own() {
	b, set := w.b, 0
	var params [][]byte
	add := func(piece int, more ...[]byte) {
		set |= 1 << piece
		params = append(params, more...)
	}
	if len(b.Memos) > 0 || len(b.IDs) > 0 {
		add(pieceMemory, w.memory()...)
	}
	if len(b.Release) > 0 || len(b.Repark) > 0 || len(b.Park) > 0 {
		n, ids, revs := w.marks(b.Release)
		all := sorted(b.Repark, func(x, y *store.Parked) int { return strings.Compare(x.ID, y.ID) })
		more := fieldArrays([][]byte{n, ids, revs, int8Param(int64(len(all)))}, tables.Reparks(), all)
		add(pieceWaits, fieldArrays(more, tables.Parkeds(), b.Park)...)
	}
	if len(b.Letters) > 0 || len(b.SweptLetters) > 0 || len(b.Marks) > 0 {
		add(pieceLetters, w.letters()...)
	}
	if len(b.Verdicts) > 0 {
		all := make([]*store.Verdict, len(b.Verdicts))
		for i := range b.Verdicts {
			all[i] = &b.Verdicts[i]
		}
		add(pieceVerdicts, fieldArrays([][]byte{w.now, []byte(b.Group)}, tables.Verdicts(), all)...)
	}
	if len(b.Origins) > 0 || len(b.Forget) > 0 {
		add(pieceOrigins, w.origins()...)
	}
	if len(b.Outbox) > 0 || len(b.Sent) > 0 {
		add(pieceOutbox, w.outbox()...)
	}
	if set != 0 {
		w.p.add(w.ctx, w.s.fixed.own.statement(set), nil, params...)
	}
}

// letters are the parameters of lettersPiece. A letter that is opened again has another
// revision than its mark says.
func (w *writer) letters() [][]byte {
	b := w.b
	swept := make(map[*dlq.Letter]bool, len(b.SweptLetters))
	for _, l := range b.SweptLetters {
		swept[l] = true
	}
	all := sorted(slices.Concat(b.Letters, b.SweptLetters), func(x, y *dlq.Letter) int { return strings.Compare(x.ID, y.ID) })
	written := make(map[string]bool, len(all))
	var sa array
	sa.reset(wireBool)
	for _, l := range all {
		sa.addBool(b.Ledger == nil || swept[l])
		written[l.ID] = true
	}
	_, ids, revs := w.marks(slices.DeleteFunc(slices.Clone(b.Marks), func(m store.Mark) bool { return written[m.ID] }))
	return append(fieldArrays([][]byte{sa.bytes()}, tables.Letters(), all), w.now, ids, revs)
}

// origins are the parameters of originsPiece.
func (w *writer) origins() [][]byte {
	var ta, ba, ea array
	ta.reset(wireText)
	ba.reset(wireInt)
	ea.reset(wireText)
	for _, k := range sorted(w.b.Forget, func(x, y store.OriginKey) int {
		return cmp.Or(strings.Compare(x.Table, y.Table), cmp.Compare(x.Born, y.Born), strings.Compare(x.Entity, y.Entity))
	}) {
		ta.addString(k.Table)
		ba.addInt(k.Born)
		ea.addString(k.Entity)
	}
	return fieldArrays([][]byte{[]byte(w.b.Group), ta.bytes(), ba.bytes(), ea.bytes()}, tables.Origins(), w.b.Origins)
}

// wakes makes due what waits for a row that was made, and what waits in streams. It is a
// statement of its own, which sees what the batch has parked.
func (w *writer) wakes() {
	if len(w.b.Wake) == 0 && len(w.b.WakeStreams) == 0 {
		return
	}
	var ta, ea, sa, se, na array
	for _, a := range []*array{&ta, &ea, &sa, &se} {
		a.reset(wireText)
	}
	na.reset(wireInt)
	for _, k := range sorted(w.b.Wake, func(x, y store.QueueKey) int {
		return cmp.Or(strings.Compare(x.Table, y.Table), strings.Compare(x.Entity, y.Entity))
	}) {
		ta.addString(k.Table)
		ea.addString(k.Entity)
	}
	for _, k := range sorted(w.b.WakeStreams, func(x, y store.WakeStream) int {
		return cmp.Or(strings.Compare(x.Stream, y.Stream), strings.Compare(x.Entity, y.Entity))
	}) {
		sa.addString(k.Stream)
		se.addString(k.Entity)
		na.addInt(k.Next)
	}
	w.p.add(w.ctx, w.s.fixed.wake, nil, w.now, []byte(w.b.Group), ta.bytes(), ea.bytes(), sa.bytes(), se.bytes(), na.bytes())
}
