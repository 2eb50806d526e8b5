package postgres

import (
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

// outbox makes the statement of all that is published: it marks letters, removes what was
// sent and adds what is to be sent, whose rows are numbered as the arrays have them.
func (f *fixed) outbox() {
	const i8, i8s, txts = pgtype.Int8OID, pgtype.Int8ArrayOID, pgtype.TextArrayOID
	fields := tables.Outbounds()
	f.publish = newStatement(fmt.Sprintf(`WITH
marked AS (UPDATE evenkeel_dead_letters l SET published_at = $1 FROM unnest($2::text[], $3::int8[]) AS u(id, rev) WHERE l.id = u.id AND l.rev = u.rev),
sent AS (DELETE FROM evenkeel_outbox WHERE id = ANY($4::text[]))
INSERT INTO evenkeel_outbox (%s) SELECT * FROM %s`, tables.Names(fields), from("u", fields, 5))+tables.OutboundConflict,
		slices.Concat([]uint32{i8, txts, i8s, txts}, arrays(fields)), nil)
}

// publish does what outbox says. The parts of one statement have no order, so what was sent
// and is to be sent again keeps its row.
func (w *writer) publish(b *store.Batch) {
	if len(b.Marks) == 0 && len(b.Sent) == 0 && len(b.Outbox) == 0 {
		return
	}
	again := make(map[string]bool, len(b.Outbox))
	for _, o := range b.Outbox {
		again[o.ID] = true
	}
	var sent array
	sent.reset(wireText)
	for _, id := range slices.Sorted(slices.Values(b.Sent)) {
		if !again[id] {
			sent.addString(id)
		}
	}
	_, ids, revs := w.marks(b.Marks)
	addFields(w, w.s.fixed.publish, tables.Outbounds(), b.Outbox, w.now, ids, revs, sent.bytes())
}
