package handlers_test

import (
	"context"
	"fmt"

	"gorm.io/gorm/schema"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// A compacted topic says that an entity is gone by a tombstone: its key and a null value.
// A handler of the topic's tombstone type hears of it; an event that says so needs none.
func Example_deletes() {
	type Customer struct {
		ID   string `gorm:"primaryKey"`
		Name string
		guards.Guarded
	}
	type Changed struct{ Name string }
	reg := handlers.NewRegistry(guards.Timestamp())
	handlers.Set(reg, "customer.changed", func(_ context.Context, d *handlers.Delivery[Changed, Customer]) error {
		d.Entity.Name = d.Payload.Name
		return nil
	}, handlers.Creates(), handlers.Writes("Name"))
	handlers.Set(reg, event.TombstoneType("customers"), func(_ context.Context, d *handlers.Delivery[struct{}, Customer]) error {
		d.Delete()
		return nil
	}, handlers.Writes())

	w, err := reg.Wire(schema.NamingStrategy{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("tombstones are heard of on", w.TombstoneTopics())
	// Output:
	// tombstones are heard of on [customers]
}
