package handlers_test

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm/schema"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// A handler that calls another system for each event. Up to Config.Parallel of them run at
// once; those of one entity run one after the other.
func ExampleSlow() {
	type Invoice struct {
		ID      string `gorm:"primaryKey"`
		Charge  string
		Charged int64
		guards.Guarded
	}
	type Due struct{ Cents int64 }
	// charge asks the bank, which does a thing once for each idempotency key.
	charge := func(_ context.Context, _ string, idempotencyKey string, _ int64) (string, error) {
		return "charge-" + idempotencyKey[:8], nil
	}
	reg := handlers.NewRegistry()
	handlers.Modify(reg, "invoice.due", func(ctx context.Context, d *handlers.Delivery[Due, Invoice]) error {
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		id, err := charge(ctx, d.Entity.ID, d.IdempotencyKey(), d.Payload.Cents)
		if err != nil {
			return err // tried again with backoff, with the same key
		}
		d.Entity.Charge = id
		d.Entity.Charged += d.Payload.Cents
		return nil
	}, guards.Once(), handlers.Writes("Charge", "Charged"), handlers.Slow(), handlers.External())

	w, err := reg.Wire(schema.NamingStrategy{})
	if err != nil {
		fmt.Println(err)
		return
	}
	h := w.Handler("invoice.due", "invoice.due→Invoice")
	fmt.Println("slow:", h.Slow, "- effects outside the database:", h.External)
	// Output:
	// slow: true - effects outside the database: true
}
