package postgres

import (
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

// outboxPiece removes what was sent and adds what is to be sent, whose rows are numbered as
// the arrays have them.
func outboxPiece() piece {
	return piece{
		ctes: fmt.Sprintf(`sent AS (DELETE FROM evenkeel_outbox WHERE id = ANY($1::text[])),
sending AS (%s)`, insertAll("evenkeel_outbox", tables.Outbounds(), 2, nil, nil)+tables.OutboundConflict),
		params: append([]uint32{pgtype.TextArrayOID}, arrays(tables.Outbounds())...),
	}
}

// outbox are the parameters of outboxPiece. The parts of one statement have no order, so what
// was sent and is to be sent again keeps its row.
func (w *writer) outbox() [][]byte {
	again := make(map[string]bool, len(w.b.Outbox))
	for _, o := range w.b.Outbox {
		again[o.ID] = true
	}
	var sent array
	sent.reset(wireText)
	for _, id := range slices.Sorted(slices.Values(w.b.Sent)) {
		if !again[id] {
			sent.addString(id)
		}
	}
	return fieldArrays([][]byte{sent.bytes()}, tables.Outbounds(), w.b.Outbox)
}
