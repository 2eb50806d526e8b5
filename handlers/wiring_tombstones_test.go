package handlers

import (
	"testing"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
)

func TestTombstoneHandlers(t *testing.T) {
	t.Parallel()
	r := NewRegistry()
	Set(r, "placed", onOrder, Creates(), Writes("Customer"))
	Set(r, event.TombstoneType("orders"), onOrder, Writes())
	Set(r, event.TombstoneType("audit"), onPayment, Writes())
	Modify(r, event.TombstoneType("totals"), onOrder, guards.None(), Writes("Total"))
	same(t, "topics", wire(t, r).TombstoneTopics(), []string{"audit", "orders", "totals"})

	r = NewRegistry()
	Set(r, event.TombstoneType("orders"), onOrder, By(guards.Version()), Writes())
	mistaken(t, r, `the handler of "evenkeel.tombstone:orders" on Order is ordered by version, but a tombstone has only the record's timestamp; order the model by guards.Timestamp(), or let the producer send an event that says that the entity is gone`)
	r = NewRegistry()
	Set(r, event.TombstoneType("orders"), onOrder, Key(func(Placed) string { return "x" }), Writes())
	mistaken(t, r, `the handler of "evenkeel.tombstone:orders" on Order finds its entity with handlers.Key, but a tombstone has no payload; drop it: the record's key is the entity's`)
	r = NewRegistry()
	Set(r, event.TombstoneType(""), onOrder, Writes())
	mistaken(t, r, `the handler of "evenkeel.tombstone:" on Order names no topic; say event.TombstoneType("the topic")`)
}
