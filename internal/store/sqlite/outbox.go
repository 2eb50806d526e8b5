package sqlite

import (
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

// outbox removes what was sent and adds what is to be sent.
func (w *writer) outbox(b *store.Batch) error {
	for _, id := range b.Sent {
		if err := w.exec("DELETE FROM evenkeel_outbox WHERE id = ?1", id); err != nil {
			return err
		}
	}
	fields := tables.Outbounds()
	for _, o := range b.Outbox {
		if err := w.exec(insertOne("evenkeel_outbox", fields)+tables.OutboundConflict, values(fields, o)...); err != nil {
			return err
		}
	}
	return nil
}
