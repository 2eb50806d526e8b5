package convergetest_test

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/testutil"
)

// Order is the model of most cases.
type Order struct {
	ID        string `gorm:"primaryKey"`
	Status    string
	Customer  string
	Note      *string
	Total     int64
	Log       string
	Tags      []string          `gorm:"serializer:json"`
	Attrs     map[string]string `gorm:"serializer:json"`
	PaidAt    *time.Time
	ShippedAt *time.Time
	guards.Guarded
}

// Stock is a second model, with a number for its key and a soft delete.
type Stock struct {
	SKU       int64 `gorm:"primaryKey;autoIncrement:false"`
	LastOrder string
	Level     int64
	Sold      int64
	DeletedAt gorm.DeletedAt
	guards.Guarded
}

// facts is what any event may say.
type facts struct {
	Customer string            `json:"customer,omitempty"`
	Note     *string           `json:"note,omitempty"`
	N        int64             `json:"n,omitempty"`
	SKU      string            `json:"sku,omitempty"`
	Tags     []string          `json:"tags,omitempty"`
	Attrs    map[string]string `json:"attrs,omitempty"`
	Bad      bool              `json:"bad,omitempty"`
}

type (
	onOrder = handlers.Delivery[facts, Order]
	onStock = handlers.Delivery[facts, Stock]
)

// order is a handler of orders without a context.
func order(fn func(d *onOrder) error) func(context.Context, *onOrder) error {
	return func(_ context.Context, d *onOrder) error { return fn(d) }
}

func stock(fn func(d *onStock) error) func(context.Context, *onStock) error {
	return func(_ context.Context, d *onStock) error { return fn(d) }
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// at makes an event about the order o1, at so many seconds after noon.
func at(second int, eventType string, f facts) *event.Event {
	return about("o1", second, eventType, f)
}

func about(key string, second int, eventType string, f facts) *event.Event {
	return testutil.E(eventType, key, noon.Add(time.Duration(second)*time.Second), f)
}

// numbered gives the events versions from 1.
func numbered(events ...*event.Event) []*event.Event {
	for i, e := range events {
		e.Version, e.HasVersion = int64(i+1), true
	}
	return events
}

// seen gives an event a vector clock of two nodes.
func seen(left, right int64, e *event.Event) *event.Event {
	for _, c := range []event.Component{{Node: "left", Count: left}, {Node: "right", Count: right}} {
		if c.Count > 0 {
			e.Vector = append(e.Vector, c)
		}
	}
	return e
}

// lamport gives an event a Lamport time.
func lamport(n int64, e *event.Event) *event.Event {
	e.Lamport, e.HasLamport = n, true
	return e
}

func events(es ...*event.Event) []*event.Event { return es }

func ptr[T any](v T) *T { return &v }

func created(d *onOrder) error {
	d.Entity.Customer = d.Payload.Customer
	return nil
}

func paid(d *onOrder) error {
	d.Entity.PaidAt = &d.Event.OccurredAt
	return nil
}

func shipped(d *onOrder) error {
	d.Entity.ShippedAt = &d.Event.OccurredAt
	return nil
}

func noted(d *onOrder) error {
	d.Entity.Note = d.Payload.Note
	return nil
}

func add(d *onOrder) error {
	d.Entity.Total += d.Payload.N
	return nil
}

func put(d *onOrder) error {
	d.Entity.Total = d.Payload.N
	return nil
}

// move writes down what came, in the order in which it came.
func move(d *onOrder) error {
	d.Entity.Log += fmt.Sprintf("%d;", d.Payload.N)
	return nil
}

func deleted(d *onOrder) error {
	d.Delete()
	return nil
}

// check is one case: what is registered, and which events come.
type check struct {
	name   string
	wire   func(reg *handlers.Registry)
	guards []guards.Guard
	events []*event.Event
	opts   []testutil.ConvergesOption
}

func (c *check) registry() *handlers.Registry {
	reg := handlers.NewRegistry(c.guards...)
	c.wire(reg)
	return reg
}
