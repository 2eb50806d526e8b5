// Package service keeps a table of orders right from the events of a shop.
package service

import (
	"time"

	"github.com/evenkeel-go/evenkeel/guards"
)

// Order is an ordinary GORM model; guards.Guarded adds what the row remembers of the
// events that it has absorbed.
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
