package service

import (
	"context"
	"time"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// MaxLateness is how much older than the newest event of its partition an event may be.
// What is older becomes a dead letter: somebody should look at it.
const MaxLateness = 24 * time.Hour

// Created is the payload of order.created.
type Created struct {
	Customer string `json:"customer"`
	Amount   int64  `json:"amount"`
}

// Changed is the payload of order.changed: the amount is another one now.
type Changed struct {
	Amount int64 `json:"amount"`
}

// Shipped is the payload of order.shipped.
type Shipped struct {
	Carrier string `json:"carrier"`
}

// Nothing is the payload of events that say all by their type and time.
type Nothing struct{}

// Handlers says what each event states about its order. None looks at the row, so the
// order in which events come does not matter.
func Handlers() *handlers.Registry {
	reg := handlers.NewRegistry(guards.Timestamp(), guards.MaxLateness(MaxLateness))
	handlers.Set(reg, "order.created", created, handlers.Creates(), handlers.Writes("Customer", "Amount", "PlacedAt"))
	handlers.Set(reg, "order.changed", changed, handlers.Writes("Amount"))
	handlers.Set(reg, "order.paid", paid, handlers.Writes("PaidAt"))
	handlers.Set(reg, "order.shipped", shipped, handlers.Writes("Carrier", "ShippedAt"))
	handlers.Set(reg, "order.cancelled", cancelled, handlers.Writes("CancelledAt"))
	handlers.Project(reg, status, handlers.Writes("Status"))
	return reg
}

func created(_ context.Context, d *handlers.Delivery[Created, Order]) error {
	d.Entity.Customer, d.Entity.Amount = d.Payload.Customer, d.Payload.Amount
	d.Entity.PlacedAt = &d.Event.OccurredAt
	return nil
}

func changed(_ context.Context, d *handlers.Delivery[Changed, Order]) error {
	d.Entity.Amount = d.Payload.Amount
	return nil
}

func paid(_ context.Context, d *handlers.Delivery[Nothing, Order]) error {
	d.Entity.PaidAt = &d.Event.OccurredAt
	return nil
}

func shipped(_ context.Context, d *handlers.Delivery[Shipped, Order]) error {
	d.Entity.Carrier, d.Entity.ShippedAt = d.Payload.Carrier, &d.Event.OccurredAt
	return nil
}

func cancelled(_ context.Context, d *handlers.Delivery[Nothing, Order]) error {
	d.Entity.CancelledAt = &d.Event.OccurredAt
	return nil
}
