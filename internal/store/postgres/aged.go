package postgres

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/evenkeel-go/evenkeel/internal/store"
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
