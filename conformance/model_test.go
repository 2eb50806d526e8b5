package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/testutil/oracle"
)

// Order has one field per fact; Status is computed.
type Order struct {
	ID          string `gorm:"primaryKey"`
	Status      string
	Customer    string
	Note        *string
	Amount      int64 `gorm:"check:amount < 1000000"`
	PaidAt      *time.Time
	ShippedAt   *time.Time
	CancelledAt *time.Time
	guards.Guarded
}

// Stock is touched by order.placed too, under its own key.
type Stock struct {
	SKU      string `gorm:"primaryKey"`
	LastSeen string
	guards.Guarded
}

// body is the payload of all order events.
type body struct {
	Customer string  `json:"customer"`
	Note     *string `json:"note"`
	Amount   int64   `json:"amount"`
	SKU      string  `json:"sku"`
}

const (
	maxLateness = 24 * time.Hour
	maxFuture   = 5 * time.Minute
)

func codec() event.Codec { return event.Envelope(event.EnvelopeConfig{}) }

// registry is the wiring that most behaviours use.
func registry() *handlers.Registry {
	reg := handlers.NewRegistry(guards.Timestamp(), guards.MaxLateness(maxLateness), guards.MaxFuture(maxFuture))
	handlers.Set(reg, "order.placed", placed, handlers.Creates(), handlers.Writes("Customer", "Note", "Amount"))
	handlers.Set(reg, "order.noted", noted, handlers.Writes("Note"), blankIsFine)
	handlers.Set(reg, "order.paid", paid, handlers.Writes("PaidAt"), blankIsFine)
	handlers.Set(reg, "order.shipped", shipped, handlers.Writes("ShippedAt"), blankIsFine)
	handlers.Set(reg, "order.cancelled", cancelled, handlers.Writes("CancelledAt"), blankIsFine)
	handlers.Project(reg, func(o *Order) { o.Status = status(o) }, handlers.Writes("Status"))
	return reg
}

// blankIsFine: the CHECK constraint of Order holds for a placeholder.
var blankIsFine = handlers.OnMissing(handlers.MissingPlaceholder)

type delivery = handlers.Delivery[body, Order]

func placed(_ context.Context, d *delivery) error {
	d.Entity.Customer, d.Entity.Note, d.Entity.Amount = d.Payload.Customer, d.Payload.Note, d.Payload.Amount
	return nil
}

func noted(_ context.Context, d *delivery) error {
	d.Entity.Note = d.Payload.Note
	return nil
}

func paid(_ context.Context, d *delivery) error {
	d.Entity.PaidAt = &d.Event.OccurredAt
	return nil
}

func shipped(_ context.Context, d *delivery) error {
	d.Entity.ShippedAt = &d.Event.OccurredAt
	return nil
}

func cancelled(_ context.Context, d *delivery) error {
	d.Entity.CancelledAt = &d.Event.OccurredAt
	return nil
}

func status(o *Order) string {
	switch {
	case o.CancelledAt != nil:
		return "cancelled"
	case o.ShippedAt != nil:
		return "shipped"
	case o.PaidAt != nil:
		return "paid"
	}
	return "placed"
}

// fact is one event of a test.
type fact struct {
	id, typ, key, source string
	at                   time.Time
	body                 body
}

// value is the fact as the producer writes it.
func (f fact) value() string {
	source := f.source
	if source == "" {
		source = "shop"
	}
	data, err := json.Marshal(f.body)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf(`{"id":%q,"type":%q,"source":%q,"key":%q,"time":%q,"data":%s}`,
		f.id, f.typ, source, f.key, f.at.UTC().Format(time.RFC3339Nano), data)
}

var errNoEvent = errors.New("not an event")

// parse is the oracle's own view of a record, apart from codec and handlers.
func parse(r *event.Record) (oracle.Event, error) {
	var env struct {
		ID, Type, Source, Key string
		Time                  time.Time
		Data                  body
	}
	if err := json.Unmarshal(r.Value, &env); err != nil || env.ID == "" || env.Type == "" {
		return oracle.Event{}, errNoEvent
	}
	e := oracle.Event{Type: env.Type, Source: env.Source, ID: env.ID, At: env.Time}
	u := oracle.Unit{Table: "orders", Key: env.Key, Handler: env.Type + "→Order"}
	at := env.Time.UTC().Truncate(time.Microsecond)
	switch env.Type {
	case "order.placed":
		u.Creates = true
		u.Facts = map[string]any{"customer": env.Data.Customer, "note": env.Data.Note, "amount": env.Data.Amount}
	case "order.noted":
		u.Facts = map[string]any{"note": env.Data.Note}
	case "order.paid":
		u.Facts = map[string]any{"paid_at": at}
	case "order.shipped":
		u.Facts = map[string]any{"shipped_at": at}
	case "order.cancelled":
		u.Facts = map[string]any{"cancelled_at": at}
	default:
		return e, nil
	}
	e.Units = []oracle.Unit{u}
	return e, nil
}

var clocked = []string{"customer", "note", "amount", "paid_at", "shipped_at", "cancelled_at"}

// predict asks the oracle what the world's topic must have come to.
func (w *world) predict() *oracle.Prediction {
	w.t.Helper()
	o := &oracle.Oracle{
		Parse: parse, Tables: []oracle.Table{{Name: "orders", Set: clocked}},
		MaxLateness: maxLateness, MaxFuture: maxFuture, From: w.began, To: time.Now(),
	}
	p, err := o.Predict(w.broker.Consume(w.t, w.topic))
	if err != nil {
		w.t.Fatalf("the oracle: %v", err)
	}
	return p
}

// check compares everything with the oracle.
func (w *world) check() *oracle.Report {
	w.t.Helper()
	rows, err := oracle.ReadRows[Order](context.Background(), w.db, clocked...)
	if err != nil {
		w.t.Fatal(err)
	}
	letters, parked, positions, err := oracle.ReadGroup(context.Background(), w.db, w.group)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := range positions {
		p := &positions[i]
		p.Committed, _ = w.broker.Committed(w.t, w.group, p.Topic, p.Partition.Partition)
		_, p.End = w.broker.Span(w.t, p.Topic, p.Partition.Partition)
	}
	r := w.predict().Compare(oracle.Actual{
		Rows: map[string]map[string]oracle.Row{"orders": rows}, Letters: letters, Parked: parked, Positions: positions,
	})
	if !r.Clean() {
		w.t.Fatalf("%s\n%s", r, w.log.tail(40))
	}
	return r
}
