package postgres

import (
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

// outbox makes the statement of all that is published: it marks letters, removes what was
// sent and adds what is to be sent, whose rows are numbered as the arrays have them. It
// takes the verdicts along, so that a batch that has all this costs no statement more.
func (f *fixed) outbox() {
	const i8, txt, i8s, txts = pgtype.Int8OID, pgtype.TextOID, pgtype.Int8ArrayOID, pgtype.TextArrayOID
	fields, verdicts := tables.Outbounds(), tables.Verdicts()
	f.publish = newStatement(fmt.Sprintf(`WITH
marked AS (UPDATE evenkeel_dead_letters l SET published_at = $1 FROM unnest($3::text[], $4::int8[]) AS u(id, rev) WHERE l.id = u.id AND l.rev = u.rev),
sent AS (DELETE FROM evenkeel_outbox WHERE id = ANY($5::text[])),
sending AS (INSERT INTO evenkeel_outbox (%s) SELECT * FROM %s%s)
INSERT INTO evenkeel_verdicts (at, grp, %s) SELECT $1, $2, * FROM %s`,
		tables.Names(fields), from("u", fields, 6), tables.OutboundConflict, tables.Names(verdicts), from("v", verdicts, 6+len(fields))),
		slices.Concat([]uint32{i8, txt, txts, i8s, txts}, arrays(fields), arrays(verdicts)), nil)
}

// publish does what outbox says, verdicts included. The parts of one statement have no
// order, so what was sent and is to be sent again keeps its row.
func (w *writer) publish(b *store.Batch) {
	verdicts := make([]*store.Verdict, len(b.Verdicts))
	for i := range b.Verdicts {
		verdicts[i] = &b.Verdicts[i]
	}
	if len(b.Marks) == 0 && len(b.Sent) == 0 && len(b.Outbox) == 0 {
		if len(verdicts) > 0 {
			addFields(w, w.s.fixed.verdicts, tables.Verdicts(), verdicts, w.now, []byte(b.Group))
		}
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
	params := fieldArrays([][]byte{w.now, []byte(b.Group), ids, revs, sent.bytes()}, tables.Outbounds(), b.Outbox)
	w.p.add(w.ctx, w.s.fixed.publish, nil, fieldArrays(params, tables.Verdicts(), verdicts)...)
}
