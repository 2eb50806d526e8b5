package postgres

import (
	"cmp"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/evenkeel-go/evenkeel/internal/store"
)

func (f *fixed) rebuild() {
	const txt, txts = pgtype.TextOID, pgtype.TextArrayOID
	f.unremember = newStatement(`DELETE FROM evenkeel_ids i USING unnest($2::text[], $3::text[]) AS u(scope, entity)
WHERE i.grp = $1 AND i.scope = u.scope AND i.entity = u.entity AND NOT i.held`, []uint32{txt, txts, txts}, nil)
}

// unremember drops ids. It comes after the rows, whose locks keep out every batch that adds
// some.
func (w *writer) unremember() {
	if len(w.b.Unremember) == 0 {
		return
	}
	var sa, ea array
	sa.reset(wireText)
	ea.reset(wireText)
	for _, k := range sorted(w.b.Unremember, func(x, y store.IDScope) int {
		return cmp.Or(strings.Compare(x.Scope, y.Scope), strings.Compare(x.Entity, y.Entity))
	}) {
		sa.addString(k.Scope)
		ea.addString(k.Entity)
	}
	w.p.add(w.ctx, w.s.fixed.unremember, nil, []byte(w.b.Group), sa.bytes(), ea.bytes())
}
