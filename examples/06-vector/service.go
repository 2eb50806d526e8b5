// Command 06-vector merges what two devices did to one shopping cart without asking each
// other. Each event carries the whole cart and a vector clock: how many changes of each device
// its writer had seen. A cart that another one has seen is history; carts that have not seen
// each other are all kept, and the resolver makes the row of them.
//
//	go run ./examples/06-vector
package main

import (
	"maps"
	"slices"
	"strings"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// Cart is the table.
type Cart struct {
	ID       string `gorm:"primaryKey"`
	Items    string // comma-separated, in order
	Versions int    // how many carts the row was made of
	guards.Guarded
}

// Changed is the payload of cart.changed.
type Changed struct {
	Items []string `json:"items"`
}

func registry() *handlers.Registry {
	reg := handlers.NewRegistry()
	handlers.Resolve(reg, "cart.changed", merge, guards.Vector(), handlers.Creates(), handlers.Writes("Items", "Versions"))
	return reg
}

// merge keeps what is in any of the carts: better twice in the cart than forgotten.
func merge(c *Cart, siblings []handlers.Sibling[Changed]) error {
	items := map[string]bool{}
	for _, s := range siblings {
		for _, item := range s.Payload.Items {
			items[item] = true
		}
	}
	c.Items = strings.Join(slices.Sorted(maps.Keys(items)), ",")
	c.Versions = len(siblings)
	return nil
}

func config() framework.Config {
	return framework.Config{Handlers: registry(), Codec: event.Envelope(event.EnvelopeConfig{})}
}
