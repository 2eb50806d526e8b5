package postgres

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

// resolveStatement ends replays, each with its line in the audit.
func resolveStatement() *statement {
	fields := tables.Resolutions()
	set := tables.ResolveSet("$2", "l.", func(column string) string { return "u." + column })
	return newStatement(fmt.Sprintf(`WITH r AS (UPDATE evenkeel_dead_letters l SET %s FROM %s WHERE l.id = u.id AND l.state = 'replaying'
RETURNING l.id, l.grp, l.rev, l.outcome, u.why), a AS (%s RETURNING 1)
SELECT evenkeel_require((SELECT count(*) FROM a) = $1, '%s')`,
		set, rowsOf("u", columns(fields), 3), tables.ResolveEntry("$2", "why", "r"), stateConflict),
		slices.Concat([]uint32{pgtype.Int8OID, pgtype.Int8OID}, arrays(fields)), nil)
}

// resolve comes after the letters that the batch writes, and after what is parked.
func (w *writer) resolve() {
	if len(w.b.Resolve) == 0 {
		return
	}
	all := sorted(w.b.Resolve, func(x, y *store.Resolution) int { return strings.Compare(x.ID, y.ID) })
	w.p.add(w.ctx, w.s.fixed.resolve, nil, fieldArrays([][]byte{int8Param(int64(len(all))), w.now}, tables.Resolutions(), all)...)
}
