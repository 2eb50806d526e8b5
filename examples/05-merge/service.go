// Command 05-merge puts one row together from three systems that know nothing of each other:
// a shop, a payment provider that knows the order only by the correlation id that it was
// given, and a warehouse with an event format of its own. Two of them write one field; the
// later statement wins, whichever comes first.
//
//	go run ./examples/05-merge
package main

import (
	"context"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// Delivery is the row, one for each order.
type Delivery struct {
	Order             string `gorm:"primaryKey"`
	Customer, Address string
	Amount            int64 // cents
	PaidAt, ShippedAt *time.Time
	Payment           string // the provider's own id
	guards.Guarded
}

// The topics of the three systems.
const (
	shop      = "shop.orders"
	payments  = "payments"
	warehouse = "warehouse"
)

// config reads each topic in its own way.
func config() framework.Config {
	return framework.Config{
		Handlers: registry(),
		Topics:   []string{shop, payments, warehouse},
		Codec:    event.Envelope(event.EnvelopeConfig{}),
		Codecs: map[string]event.Codec{
			// The provider's own key is the payment; the order is what it was asked for.
			payments: event.Envelope(event.EnvelopeConfig{Key: "correlationId"}),
			// {"no": 17, "event": "parcel.sent", "order": "o-1", "ms": 1767225600000, …}
			warehouse: event.Envelope(event.EnvelopeConfig{ID: "no", Type: "event", Key: "order", Time: "ms", TimeFormat: event.TimeUnixMillis, Data: "."}),
		},
	}
}

// Placed is the payload of the shop's order.placed.
type Placed struct {
	Customer string `json:"customer"`
	Address  string `json:"address"`
	Amount   int64  `json:"amount"`
}

// Paid is the payload of the provider's payment.succeeded.
type Paid struct {
	Payment string `json:"payment"`
}

// Parcel is the payload of the warehouse's parcel.sent and address.corrected.
type Parcel struct {
	Address string `json:"address"`
}

func registry() *handlers.Registry {
	reg := handlers.NewRegistry(guards.Timestamp())
	handlers.Set(reg, "order.placed", func(_ context.Context, d *handlers.Delivery[Placed, Delivery]) error {
		d.Entity.Customer, d.Entity.Address, d.Entity.Amount = d.Payload.Customer, d.Payload.Address, d.Payload.Amount
		return nil
	}, handlers.Creates(), handlers.Writes("Customer", "Address", "Amount"))
	handlers.Set(reg, "payment.succeeded", func(_ context.Context, d *handlers.Delivery[Paid, Delivery]) error {
		d.Entity.Payment, d.Entity.PaidAt = d.Payload.Payment, &d.Event.OccurredAt
		return nil
	}, handlers.Writes("Payment", "PaidAt"))
	handlers.Set(reg, "parcel.sent", func(_ context.Context, d *handlers.Delivery[Parcel, Delivery]) error {
		d.Entity.ShippedAt = &d.Event.OccurredAt
		return nil
	}, handlers.Writes("ShippedAt"))
	// The customer told the driver another address: also the warehouse writes the field.
	handlers.Set(reg, "address.corrected", func(_ context.Context, d *handlers.Delivery[Parcel, Delivery]) error {
		d.Entity.Address = d.Payload.Address
		return nil
	}, handlers.Writes("Address"))
	return reg
}
