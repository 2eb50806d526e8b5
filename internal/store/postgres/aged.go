package postgres

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

func (o *model) deleteStatement(table, key string) {
	keys := wires[o.keyWire()]
	o.remove = newStatement(fmt.Sprintf("WITH w AS (DELETE FROM %s AS t USING unnest($2::%s, $3::int8[]) AS u(k, rev) WHERE t.%s = u.k::%s AND t.ek_rev = u.rev RETURNING 1) "+
		"SELECT evenkeel_require((SELECT count(*) FROM w) = $1, '%s')", table, keys.name, key, o.key.cast, stateConflict),
		[]uint32{pgtype.Int8OID, keys.array, pgtype.Int8ArrayOID}, nil)
}

func (f *fixed) aged() {
	const txt, txts, i8s = pgtype.TextOID, pgtype.TextArrayOID, pgtype.Int8ArrayOID
	f.origins = newStatement(insertAll("evenkeel_origins", tables.Origins(), nil, nil), arrays(tables.Origins()), nil)
	f.forget = newStatement(`DELETE FROM evenkeel_origins o USING unnest($2::text[], $3::int8[], $4::text[]) AS u(tbl, born, entity)
WHERE o.grp = $1 AND o.tbl = u.tbl AND o.born = u.born AND o.entity = u.entity`, []uint32{txt, txts, i8s, txts}, nil)
}

// aged removes rows and keeps what made placeholders.
func (w *writer) aged() error {
	rows := sorted(w.b.Delete, func(x, y *store.Row) int {
		return cmp.Or(strings.Compare(x.Model.Table, y.Model.Table), strings.Compare(x.Key, y.Key))
	})
	err := w.byModel(rows, func(o *model, rows []*store.Row) error {
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
	if err != nil {
		return err
	}
	if len(w.b.Forget) > 0 {
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
		w.p.add(w.ctx, w.s.fixed.forget, nil, []byte(w.b.Group), ta.bytes(), ba.bytes(), ea.bytes())
	}
	if len(w.b.Origins) > 0 {
		addFields(w, w.s.fixed.origins, tables.Origins(), w.b.Origins)
	}
	return nil
}
