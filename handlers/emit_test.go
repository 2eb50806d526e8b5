package handlers

import (
	"context"
	"errors"
	"strings"
	"testing"

	"gorm.io/gorm/schema"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
)

// TestEmitTakesASnapshot: what the handler does with its values afterwards is its own affair.
func TestEmitTakesASnapshot(t *testing.T) {
	t.Parallel()
	d := &Delivery[Placed, Order]{}
	raw, version := []byte("raw"), int64(7)
	vector, headers := event.Vector{{Node: "a", Count: 1}}, []event.Header{{Key: "k"}}
	placed := &Placed{Customer: "ann"}
	d.Emit(event.Draft{Type: "a", Payload: raw, Version: &version, Vector: vector, Headers: headers})
	d.Emit(event.Draft{Type: "b", Payload: placed})
	d.Emit(event.Draft{Type: "c"})
	raw[0], version, vector[0].Count, headers[0].Key, placed.Customer = 'x', 8, 2, "x", "bob"
	got := d.call.Drafts
	same(t, "drafts", len(got), 3)
	same(t, "bytes", string(got[0].Payload.([]byte)), "raw")
	same(t, "version", *got[0].Version, int64(7))
	same(t, "vector", got[0].Vector[0].Count, int64(1))
	same(t, "headers", got[0].Headers[0].Key, "k")
	same(t, "JSON", strings.Contains(string(got[1].Payload.([]byte)), "ann"), true)
	same(t, "nothing", got[2].Payload, any(nil))
	same(t, "sendable", d.call.Unsendable, error(nil))
}

func TestEmitKeepsTheFirstFault(t *testing.T) {
	t.Parallel()
	d := &Delivery[Placed, Order]{}
	d.Emit(event.Draft{Type: "a", Payload: func() {}})
	first := d.call.Unsendable
	d.Emit(event.Draft{Type: "b"})
	same(t, "a fault", first != nil, true)
	same(t, "the first", errors.Is(d.call.Unsendable, first), true)
	same(t, "drafts", len(d.call.Drafts), 0)
	many := &Delivery[Placed, Order]{}
	for range MaxEmitted {
		many.Emit(event.Draft{})
	}
	same(t, "as many as may be", many.call.Unsendable, error(nil))
	many.Emit(event.Draft{})
	same(t, "too many", many.call.Unsendable != nil, true)
}

func TestEmitsIsWired(t *testing.T) {
	t.Parallel()
	r := NewRegistry()
	Set(r, "placed", onOrder, Writes("Customer"), Emits("b", "a"), Emits("c"))
	Set(r, "paid", onOrder, Writes("Total"), Emits("a"))
	Set(r, "noted", onOrder, Writes("PaidAt"))
	w := wire(t, r)
	same(t, "topics", w.Emits(), []string{"a", "b", "c"})
	same(t, "of a handler", w.Handlers("placed")[0].Emits, []string{"b", "a", "c"})
	same(t, "of none", len(w.Handlers("noted")[0].Emits), 0)
}

func TestEmitsMistakes(t *testing.T) {
	t.Parallel()
	none := func(context.Context, *Delivery[Placed, Order]) error { return nil }
	for name, c := range map[string]struct {
		register func(*Registry)
		want     string
	}{
		"no name":      {func(r *Registry) { Set(r, "e", none, Writes("Customer"), Emits("a", "")) }, "emits to a topic without a name"},
		"a resolver":   {func(r *Registry) { Resolve(r, "e", merged, guards.Vector(), Writes("Customer"), Emits("a")) }, "is a Resolve that emits"},
		"a projection": {func(r *Registry) { Project(r, noStatus, Writes("Status"), Emits("a")) }, "a projection takes Writes alone"},
	} {
		r := NewRegistry()
		c.register(r)
		_, err := r.Wire(schema.NamingStrategy{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
