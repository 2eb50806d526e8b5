package handlers

import (
	"context"
	"errors"
	"testing"

	"github.com/evenkeel-go/evenkeel/event"
)

func unit(change func(*Call)) string {
	c := &Call{
		Event: &event.Event{Record: &event.Record{Coordinates: event.Coordinates{
			Cluster: "c", Topic: "orders", TopicID: "t", Partition: 3, Offset: 42, LeaderEpoch: 1,
		}}},
		Group: "g", Handler: "h", Key: "k", Attempt: 1,
	}
	if change != nil {
		change(c)
	}
	d := Delivery[Placed, Order]{Event: c.Event, call: c}
	return d.IdempotencyKey()
}

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	base := unit(nil)
	same(t, "pinned: another key would repeat effects after an upgrade", base, "082dc9393037f5ce6758d80fa689d91b")
	for what, change := range map[string]func(*Call){
		"another run":            func(c *Call) { c.Attempt, c.DryRun = 5, true },
		"another leader":         func(c *Call) { c.Event.Record.LeaderEpoch = 2 },
		"what the handler said":  func(c *Call) { c.Kept, c.Deleted = []string{"X"}, true },
		"the topic's other name": func(c *Call) { c.Event.Record.Topic = "renamed" },
	} {
		same(t, what, unit(change), base)
	}
	seen := map[string]string{base: "the unit"}
	for what, change := range map[string]func(*Call){
		"another group":     func(c *Call) { c.Group = "g2" },
		"another cluster":   func(c *Call) { c.Event.Record.Cluster = "c2" },
		"another topic":     func(c *Call) { c.Event.Record.TopicID = "t2" },
		"another partition": func(c *Call) { c.Event.Record.Partition = 4 },
		"another offset":    func(c *Call) { c.Event.Record.Offset = 43 },
		"another handler":   func(c *Call) { c.Handler = "h2" },
		"another entity":    func(c *Call) { c.Key = "k2" },
		"a moved boundary":  func(c *Call) { c.Handler, c.Key = "hk", "" },
		"a NUL":             func(c *Call) { c.Handler, c.Key = "h\x00", "k" },
	} {
		key := unit(change)
		if other, ok := seen[key]; ok {
			t.Errorf("%s has the key of %s", what, other)
		}
		seen[key] = what
	}
}

func TestHandlerRun(t *testing.T) {
	t.Parallel()
	r := NewRegistry()
	failed := errors.New("failed")
	Set(r, "e", func(_ context.Context, d *Delivery[Placed, Order]) error {
		d.Entity.Customer = d.Payload.Customer
		d.Keep("Total")
		d.Keep("Status", "PaidAt")
		d.Delete()
		if d.Attempt != 2 || !d.DryRun || d.Event.ID != "e-1" {
			t.Errorf("the delivery does not say what the call does: %+v", d)
		}
		return failed
	})
	h := wire(t, r).Handlers("e")[0]
	o := &Order{}
	c := &Call{Event: &event.Event{ID: "e-1"}, Payload: &Placed{Customer: "Ann"}, Entity: o, Attempt: 2, DryRun: true}
	same(t, "error", h.Run(t.Context(), c), failed)
	same(t, "entity", o.Customer, "Ann")
	same(t, "kept", c.Kept, []string{"Total", "Status", "PaidAt"})
	same(t, "deleted", c.Deleted, true)
}

// A user's unit test calls the handler with a delivery made by hand.
func TestDeliveryMadeByHand(t *testing.T) {
	t.Parallel()
	d := &Delivery[Placed, Order]{Event: &event.Event{Record: &event.Record{}}, Entity: &Order{}}
	d.Keep("Total")
	d.Delete()
	same(t, "length of the key", len(d.IdempotencyKey()), 32)
}

func TestProjectComputesFromTheRow(t *testing.T) {
	t.Parallel()
	r := NewRegistry()
	Set(r, "e", onOrder, Writes("Total"))
	Project(r, func(o *Order) { o.Status = "due" }, Writes("Status"))
	Project(r, func(o *Order) { o.Customer = o.Status + "!" }, Writes("Customer"))
	o := &Order{}
	wire(t, r).Models[0].Project(o)
	same(t, "in the order of registration", o.Customer, "due!")
}
