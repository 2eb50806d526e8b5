package service

import (
	"context"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// Customer counts what somebody has ordered. Its handler looks at the row, but in whatever
// order it adds up, the sum is the same; what matters is that each order counts once.
type Customer struct {
	ID      string `gorm:"primaryKey"`
	Orders  int
	Ordered int64 // cents
	guards.Guarded
}

// customer finds the row: the event's own key is the order's.
func customer(c Created) string { return c.Customer }

func counted(_ context.Context, d *handlers.Delivery[Created, Customer]) error {
	d.Entity.Orders++
	d.Entity.Ordered += d.Payload.Amount
	return nil
}
