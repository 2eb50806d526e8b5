package service

import (
	"time"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// MaxLateness is how much older than the newest event of its partition an event may be.
// What is older becomes a dead letter: somebody should look at it.
const MaxLateness = 24 * time.Hour

// MissingScan is how long a shipment waits for a number before it is a dead letter, too.
const MissingScan = time.Hour

// Handlers says what each event does to which row.
func Handlers() *handlers.Registry {
	reg := handlers.NewRegistry(guards.Timestamp(), guards.MaxLateness(MaxLateness))

	// These state facts and don't look at the row, so they need no order.
	handlers.Set(reg, "order.created", created, handlers.Creates(), handlers.Writes("Customer", "Amount", "PlacedAt"))
	handlers.Set(reg, "order.changed", changed, handlers.Writes("Amount"))
	handlers.Set(reg, "order.paid", paid, handlers.Writes("PaidAt"))
	handlers.Set(reg, "order.shipped", shipped, handlers.Writes("Carrier", "ShippedAt"))
	handlers.Set(reg, "order.cancelled", cancelled, handlers.Writes("CancelledAt"))
	handlers.Project(reg, status, handlers.Writes("Status"))

	// These need the order of their numbers: what is early waits in the database.
	inOrder := guards.Sequence(guards.GapTimeout(MissingScan))
	handlers.Modify(reg, "shipment.scanned", scanned, inOrder, handlers.Writes("Route", "Scans"))
	handlers.Modify(reg, "shipment.delivered", delivered, inOrder, handlers.Writes("Route", "Delivered"))

	// This needs no order, but each event once.
	handlers.Modify(reg, "order.created", counted, guards.Once(), handlers.Key(customer), handlers.Writes("Orders", "Ordered"))
	return reg
}
