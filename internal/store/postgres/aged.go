package postgres

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

func (o *model) deleteStatement(table, key string) {
	keys := wires[o.keyWire()]
	o.remove = newStatement(fmt.Sprintf("WITH w AS (DELETE FROM %s AS t USING unnest(%s, %s) AS u(k, rev) WHERE t.%s = u.k::%s AND t.ek_rev = u.rev RETURNING 1) "+
		"SELECT evenkeel_require((SELECT count(*) FROM w) = $1, '%s')", table, few(2, keys.name), few(3, "int8[]"), key, o.key.cast, stateConflict),
		[]uint32{pgtype.Int8OID, keys.array, pgtype.Int8ArrayOID}, nil)
}

// aged removes rows.
func (w *writer) aged() error {
	rows := sorted(w.b.Delete, func(x, y *store.Row) int {
		return cmp.Or(strings.Compare(x.Model.Table, y.Model.Table), strings.Compare(x.Key, y.Key))
	})
	return w.byModel(rows, func(o *model, rows []*store.Row) error {
		var ka, ra array
		keys := make([]string, len(rows))
		ra.reset(wireInt)
		for i, r := range rows {
			keys[i] = r.Key
			ra.addInt(r.Rev)
		}
		if err := o.keys(&ka, keys); err != nil {
			return err
		}
		w.p.add(w.ctx, o.remove, nil, int8Param(int64(len(rows))), ka.bytes(), ra.bytes())
		return nil
	})
}

// orphansStatement removes placeholders for which nothing waits, writes the verdicts of those,
// and returns their places. Whoever parks something under the key or opens a blocking letter bumps
// the row's revision: what is not seen here has another one by the time the row is locked. What
// waits in a stream of numbers goes by the stream's memo instead; where it comes just then, it is as
// if it had come later. OFFSET 0 keeps each look to one key. IS TRUE keeps the planner, which takes
// both sides for ten rows, from comparing each with each: what is in a list it hashes.
func (o *model) orphansStatement(table, key string) {
	const i8, i8s, txt, txts = pgtype.Int8OID, pgtype.Int8ArrayOID, pgtype.TextOID, pgtype.TextArrayOID
	keys, verdicts := wires[o.keyWire()], tables.Verdicts()
	params := []uint32{txt, txt, i8, keys.array, i8s, txts, i8s, txts, txts, txts, i8s}
	own := []column{{"orphan", "int8[]"}, {"entity", "text[]"}, {"source", "text[]"}, {"event_id", "text[]"}, {"cmp_event", "int8[]"}}
	values := make([]string, len(verdicts))
	for i := range verdicts {
		f := &verdicts[i]
		if ownsVerdict(f) {
			values[i] = "v." + f.Name
			continue
		}
		params = append(params, wires[fieldWire(f.Kind)].elem)
		values[i] = fmt.Sprintf("$%d", len(params))
	}
	o.orphans = newStatement(fmt.Sprintf(`WITH gone AS (DELETE FROM %s AS t USING unnest(%s, %s, %s) WITH ORDINALITY AS u(k, rev, entity, n)
WHERE t.%s = u.k::%s AND t.ek_rev = u.rev
AND NOT EXISTS (SELECT 1 FROM evenkeel_parked p WHERE p.grp = $1 AND p.tbl = $2 AND p.entity = u.entity OFFSET 0)
AND NOT EXISTS (SELECT 1 FROM evenkeel_dead_letters l WHERE l.grp = $1 AND l.tbl = $2 AND l.entity = u.entity AND l.stream = '' AND %s OFFSET 0)
RETURNING u.n),
judged AS (INSERT INTO evenkeel_verdicts (at, grp, %s) SELECT $3, $1, %s FROM %s WHERE (v.orphan IN (SELECT n FROM gone)) IS TRUE)
SELECT n FROM gone`, table, few(4, keys.name), few(5, "int8[]"), few(6, "text[]"), key, o.key.cast, tables.Blocks("l."),
		tables.Names(verdicts), strings.Join(values, ", "), rowsOf("v", own, 7)), params, nil)
}

// ownsVerdict reports whether the verdict on each orphan has a value of its own.
func ownsVerdict(f *tables.Field[store.Verdict]) bool {
	switch f.Name {
	case "entity", "source", "event_id", "cmp_event":
		return true
	}
	return false
}

// RemoveOrphans is store.Upkeep's: one round trip.
func (s *Store) RemoveOrphans(ctx context.Context, r *store.OrphanRemoval) (gone []bool, err error) {
	o, err := s.modelOf(r.Model)
	if err != nil {
		return nil, err
	}
	// Rows are locked in key order, as by batches.
	order := make([]int, len(r.Orphans))
	for i := range order {
		order[i] = i
	}
	order = sorted(order, func(x, y int) int { return strings.Compare(r.Orphans[x].Key, r.Orphans[y].Key) })
	keys, events := make([]string, len(order)), 0
	var key, rev, entity, orphan, of, source, id, born array
	for _, a := range []*array{&entity, &of, &source, &id} {
		a.reset(wireText)
	}
	for _, a := range []*array{&rev, &orphan, &born} {
		a.reset(wireInt)
	}
	for n, i := range order {
		x := &r.Orphans[i]
		keys[n] = x.Key
		rev.addInt(x.Rev)
		entity.addString(x.Key)
		for _, e := range x.Events {
			orphan.addInt(int64(n + 1))
			of.addString(x.Key)
			source.addString(e.Source)
			id.addString(e.ID)
			born.addInt(x.Born)
			events++
		}
	}
	if err := o.keys(&key, keys); err != nil {
		return nil, err
	}
	params := [][]byte{[]byte(r.Group), []byte(r.Model.Table), int8Param(r.Now.UnixMicro()), key.bytes(), rev.bytes(), entity.bytes(), orphan.bytes(), of.column(), source.column(), id.column(), born.column()}
	fields := tables.Verdicts()
	for i := range fields {
		if !ownsVerdict(&fields[i]) {
			params = append(params, fieldParam(&fields[i], &r.Verdict))
		}
	}
	err = s.withConn(ctx, func(c *pgx.Conn) error {
		gone = make([]bool, len(order))
		p := newPipe(c)
		p.add(ctx, s.fixed.begin, nil)
		p.add(ctx, s.fixed.settings, nil, []byte(lockTimeout), []byte(idleTimeout), []byte(longest(len(order)+events)))
		p.add(ctx, o.orphans, func(cells [][]byte) error {
			gone[order[readInt(cells[0])-1]] = true
			return nil
		}, params...)
		return s.finish(ctx, p)
	})
	if err != nil {
		return nil, err
	}
	return gone, nil
}
