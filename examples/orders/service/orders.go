package service

import (
	"context"
	"time"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// Order is an ordinary GORM model; guards.Guarded adds what the row remembers of the
// events that it has absorbed. Each event states a fact, so its handlers are Sets.
type Order struct {
	ID       string `gorm:"primaryKey"`
	Status   string
	Customer string
	Amount   int64 // cents
	Carrier  string

	// One column for each fact: the status follows from them.
	PlacedAt, PaidAt, ShippedAt, CancelledAt *time.Time

	guards.Guarded
}

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

// The statuses of an order.
const (
	StatusUnknown   = "unknown" // known from a later event only
	StatusPlaced    = "placed"
	StatusPaid      = "paid"
	StatusShipped   = "shipped"
	StatusCancelled = "cancelled"
)

// status computes the status from the facts.
func status(o *Order) {
	switch {
	case o.CancelledAt != nil:
		o.Status = StatusCancelled
	case o.ShippedAt != nil:
		o.Status = StatusShipped
	case o.PaidAt != nil:
		o.Status = StatusPaid
	case o.PlacedAt != nil:
		o.Status = StatusPlaced
	default:
		o.Status = StatusUnknown
	}
}
