// Command 04-stock has an event that touches several entities: an order takes pieces out of
// the stock of each of its items. Taking pieces commutes, so nothing has to wait for anything;
// each event counts once per item, however often it is delivered, and all rows of an event
// commit together.
//
//	go run ./examples/04-stock
package main

import (
	"context"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// Order is one entity of an order.placed event.
type Order struct {
	ID       string `gorm:"primaryKey"`
	Customer string
	Pieces   int
	guards.Guarded
}

// Stock is the other: one row for each item.
type Stock struct {
	SKU     string `gorm:"primaryKey"`
	OnHand  int    // what came in
	Ordered int    // what was taken out
	Left    int    // what follows from the two
	guards.Guarded
}

// Placed is the payload of order.placed.
type Placed struct {
	Customer string `json:"customer"`
	Items    []Item `json:"items"`
}

// Item is one line of an order, or of a delivery to the warehouse.
type Item struct {
	SKU    string `json:"sku"`
	Pieces int    `json:"pieces"`
}

// Arrived is the payload of stock.arrived.
type Arrived struct {
	Pieces int `json:"pieces"`
}

func registry() *handlers.Registry {
	reg := handlers.NewRegistry()
	handlers.Set(reg, "order.placed", placed, handlers.Creates(), handlers.Writes("Customer", "Pieces"))
	handlers.Modify(reg, "order.placed", taken, guards.Once(), handlers.Keys(skus), handlers.Writes("Ordered"))
	handlers.Modify(reg, "stock.arrived", arrived, guards.Once(), handlers.Writes("OnHand"))
	handlers.Project(reg, func(s *Stock) { s.Left = s.OnHand - s.Ordered }, handlers.Writes("Left"))
	return reg
}

func placed(_ context.Context, d *handlers.Delivery[Placed, Order]) error {
	d.Entity.Customer = d.Payload.Customer
	for _, item := range d.Payload.Items {
		d.Entity.Pieces += item.Pieces
	}
	return nil
}

// skus names the rows that an order touches.
func skus(p Placed) []string {
	var keys []string
	for _, item := range p.Items {
		keys = append(keys, item.SKU)
	}
	return keys
}

// taken runs once for each of them.
func taken(_ context.Context, d *handlers.Delivery[Placed, Stock]) error {
	for _, item := range d.Payload.Items {
		if item.SKU == d.Entity.SKU {
			d.Entity.Ordered += item.Pieces
		}
	}
	return nil
}

func arrived(_ context.Context, d *handlers.Delivery[Arrived, Stock]) error {
	d.Entity.OnHand += d.Payload.Pieces
	return nil
}

func config() framework.Config {
	return framework.Config{Handlers: registry(), Codec: event.Envelope(event.EnvelopeConfig{})}
}
