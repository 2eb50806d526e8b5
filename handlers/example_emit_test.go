package handlers_test

import (
	"context"
	"fmt"

	"gorm.io/gorm/schema"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// An order that is paid lets its customer collect points, in another service or in this one.
// The event about the customer leaves after the order's transaction has committed, and has
// the payment's place in the order of events.
func ExampleDelivery_Emit() {
	type Order struct {
		ID     string `gorm:"primaryKey"`
		Amount int64
		guards.Guarded
	}
	type Paid struct {
		Customer string
		Amount   int64
	}
	type Collected struct {
		Points int64 `json:"points"`
	}
	reg := handlers.NewRegistry(guards.Timestamp())
	handlers.Set(reg, "order.paid", func(_ context.Context, d *handlers.Delivery[Paid, Order]) error {
		d.Entity.Amount = d.Payload.Amount
		d.Emit(event.Draft{
			Topic: "points", Type: "points.collected", Key: d.Payload.Customer,
			Payload: Collected{Points: d.Payload.Amount / 10},
		})
		return nil
	}, handlers.Writes("Amount"), handlers.Emits("points"))

	w, err := reg.Wire(schema.NamingStrategy{})
	if err != nil {
		fmt.Println(err)
		return
	}
	h := w.Handlers("order.paid")[0]
	call := &handlers.Call{Event: &event.Event{ID: "e-1"}, Payload: &Paid{Customer: "ann", Amount: 120}, Entity: &Order{ID: "o-1"}}
	if err := h.Run(context.Background(), call); err != nil {
		fmt.Println(err)
		return
	}
	for _, d := range call.Drafts {
		fmt.Printf("%s to %s, key %s: %s\n", d.Type, d.Topic, d.Key, d.Payload)
	}
	// Output:
	// points.collected to points, key ann: {"points":12}
}
