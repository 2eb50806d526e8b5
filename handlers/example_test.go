package handlers_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm/schema"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

type Order struct {
	ID       string `gorm:"primaryKey"`
	Status   string
	Customer string
	PlacedAt *time.Time // not CreatedAt: GORM fills that one itself
	PaidAt   *time.Time
	Total    int64
	guards.Guarded
}

type Placed struct{ Customer string }

func placed(_ context.Context, d *handlers.Delivery[Placed, Order]) error {
	d.Entity.Customer, d.Entity.PlacedAt = d.Payload.Customer, &d.Event.OccurredAt
	return nil
}

type Item struct{ Price int64 }

func itemAdded(_ context.Context, d *handlers.Delivery[Item, Order]) error {
	d.Entity.Total += d.Payload.Price // the row's total, not a blank one
	return nil
}

// wire stands for framework.New, which wires the registry of its configuration.
func wire(reg *handlers.Registry) *handlers.Wiring {
	w, err := reg.Wire(schema.NamingStrategy{})
	if err != nil {
		fmt.Println(err)
		return nil
	}
	return w
}

// run does for one event what the framework does for many.
func run(w *handlers.Wiring, eventType, data string, o *Order) (*handlers.Call, error) {
	h := w.Handlers(eventType)[0]
	e := &event.Event{
		ID: "e-1", Type: eventType, Key: o.ID, Data: []byte(data),
		OccurredAt: time.Date(2026, 5, 28, 12, 0, 0, 0, time.UTC), Record: &event.Record{},
	}
	payload, err := h.Decode(e)
	if err != nil {
		return nil, err
	}
	c := &handlers.Call{Event: e, Payload: payload, Entity: o, Group: "orders", Handler: h.Name, Key: o.ID, Attempt: 1}
	err = h.Run(context.Background(), c)
	w.Models[0].Project(o)
	return c, err
}

// The handler does not look at the row: the event states facts, in any order.
func ExampleSet() {
	reg := handlers.NewRegistry(guards.Timestamp(), guards.MaxLateness(24*time.Hour))
	handlers.Set(reg, "order.placed", placed, handlers.Creates(), handlers.Writes("Customer", "PlacedAt"))

	o := &Order{ID: "order-1"}
	_, err := run(wire(reg), "order.placed", `{"Customer":"Ann"}`, o)
	fmt.Println(o.Customer, o.PlacedAt.Format(time.TimeOnly), err)
	// Output:
	// Ann 12:00:00 <nil>
}

// The handler looks at the row, so it needs a guard that keeps old events from it.
func ExampleModify() {
	reg := handlers.NewRegistry()
	handlers.Modify(reg, "item.added", itemAdded, guards.Version(), handlers.Writes("Total"))

	o := &Order{ID: "order-1", Total: 10}
	_, err := run(wire(reg), "item.added", `{"Price":5}`, o)
	fmt.Println(o.Total, err)
	// Output:
	// 15 <nil>
}

// The changes commute, so order does not matter: each event counts once.
func ExampleModify_once() {
	reg := handlers.NewRegistry()
	handlers.Modify(reg, "item.added", itemAdded, guards.Once(), handlers.Writes("Total"))

	o := &Order{ID: "order-1", Total: 10}
	_, err := run(wire(reg), "item.added", `{"Price":5}`, o)
	fmt.Println(o.Total, err)
	// Output:
	// 15 <nil>
}

// What follows from several events' facts is computed from the merged row.
func ExampleProject() {
	reg := handlers.NewRegistry()
	handlers.Set(reg, "order.placed", placed, handlers.Creates(), handlers.Writes("Customer", "PlacedAt"))
	handlers.Project(reg, func(o *Order) {
		switch {
		case o.PaidAt != nil:
			o.Status = "paid"
		case o.PlacedAt != nil:
			o.Status = "open"
		}
	}, handlers.Writes("Status"))

	w := wire(reg)
	o := &Order{ID: "order-1"}
	_, _ = run(w, "order.placed", `{"Customer":"Ann"}`, o)
	fmt.Println(o.Status)
	// Output:
	// open
}

// All mistakes are reported together, each with its mend.
func ExampleRegistry_Wire() {
	reg := handlers.NewRegistry(guards.MaxLateness(time.Minute))
	handlers.Set(reg, "order.placed", placed, handlers.Creates(), handlers.Writes("Customer", "placed_at"))
	handlers.Modify(reg, "order.renamed", placed, guards.Timestamp(), handlers.Writes("Customer"))

	_, err := reg.Wire(schema.NamingStrategy{})
	fmt.Println(err)
	var w *handlers.WiringError
	fmt.Println(errors.As(err, &w), len(w.Mistakes))
	// Output:
	// evenkeel: 3 mistakes in the handlers' wiring:
	//   - MaxLateness(1m0s) is not greater than MaxFuture(5m0s), so one event from the future could make the present late; raise the first or lower the second
	//   - the handler of "order.placed" on Order writes placed_at, which is a column; use the Go field's name, PlacedAt
	//   - the handler of "order.renamed" on Order writes Customer as Modify under timestamp, but Set owns it; one column has one owner: split the column, or use one verb and guard for all its writers
	// true 3
}

func ExampleWrites() {
	reg := handlers.NewRegistry()
	handlers.Set(reg, "order.placed", placed, handlers.Writes("Customer", "PlacedAt"))
	for _, c := range wire(reg).Handlers("order.placed")[0].Writes {
		fmt.Println(c.GoName(), "is column", c.Name)
	}
	// Output:
	// Customer is column customer
	// PlacedAt is column placed_at
}

func ExampleKey() {
	type PaymentReceived struct{ OrderID string }
	reg := handlers.NewRegistry()
	handlers.Set(reg, "payment.received", func(_ context.Context, d *handlers.Delivery[PaymentReceived, Order]) error {
		d.Entity.PaidAt = &d.Event.OccurredAt
		return nil
	}, handlers.Writes("PaidAt"), handlers.Key(func(p PaymentReceived) string { return p.OrderID }))

	h := wire(reg).Handlers("payment.received")[0]
	e := &event.Event{Key: "payment-7", Data: []byte(`{"OrderID":"order-1"}`)}
	payload, _ := h.Decode(e)
	fmt.Println(h.KeyTexts(e, payload))
	// Output:
	// [order-1]
}

// One order touches the stock of each of its items. The handler runs once for each.
func ExampleKeys() {
	type Line struct {
		SKU string
		N   int64
	}
	type Ordered struct{ Lines []Line }
	type Stock struct {
		SKU      string `gorm:"primaryKey"`
		Reserved int64
		guards.Guarded
	}
	reg := handlers.NewRegistry()
	handlers.Modify(reg, "order.placed", func(_ context.Context, d *handlers.Delivery[Ordered, Stock]) error {
		for _, l := range d.Payload.Lines {
			if l.SKU == d.Entity.SKU {
				d.Entity.Reserved += l.N
			}
		}
		return nil
	}, guards.Once(), handlers.Writes("Reserved"), handlers.Keys(func(o Ordered) []string {
		var skus []string
		for _, l := range o.Lines {
			skus = append(skus, l.SKU)
		}
		return skus
	}))

	h := wire(reg).Handlers("order.placed")[0]
	e := &event.Event{Key: "order-1", Data: []byte(`{"Lines":[{"SKU":"pen","N":2},{"SKU":"ink","N":1},{"SKU":"pen","N":3}]}`), Record: &event.Record{}}
	payload, _ := h.Decode(e)
	for _, sku := range []string{"pen", "ink"} { // the framework takes each key of the list once
		s := &Stock{SKU: sku}
		_ = h.Run(context.Background(), &handlers.Call{Event: e, Payload: payload, Entity: s, Key: sku})
		fmt.Println(h.KeyTexts(e, payload), s.SKU, s.Reserved)
	}
	// Output:
	// [pen ink pen] pen 5
	// [pen ink pen] ink 1
}

// The restatement carries the whole order, so the numbers go on after its own.
func ExampleBaseline() {
	reg := handlers.NewRegistry()
	restated := func(_ context.Context, d *handlers.Delivery[Item, Order]) error {
		d.Entity.Total = d.Payload.Price
		return nil
	}
	handlers.Modify(reg, "item.added", itemAdded, guards.Sequence(), handlers.Writes("Total"))
	handlers.Modify(reg, "order.restated", restated, guards.Sequence(), handlers.Writes("Total"), handlers.Baseline())
	for _, typ := range []string{"item.added", "order.restated"} {
		h := wire(reg).Handlers(typ)[0]
		fmt.Println(h.Name, h.Stream.NameOn("orders"), h.Baseline)
	}
	// Output:
	// item.added→Order orders false
	// order.restated→Order orders true
}

func ExampleOnMissing() {
	reg := handlers.NewRegistry()
	handlers.Modify(reg, "item.added", itemAdded, guards.Timestamp(), handlers.Writes("Total"),
		handlers.OnMissing(handlers.MissingPark)) // no total for an order that nobody has placed
	fmt.Println(wire(reg).Handlers("item.added")[0].OnMissing)
	// Output:
	// MissingPark
}

func ExampleBy() {
	reg := handlers.NewRegistry(guards.Timestamp())
	handlers.Set(reg, "order.placed", placed, handlers.Writes("Customer", "PlacedAt"), handlers.By(guards.Version()))
	fmt.Println(wire(reg).Models[0].Kind)
	// Output:
	// version
}

// fromShop is a guard of the user's own.
type fromShop struct{}

func (fromShop) Name() string { return "from-shop" }

func (fromShop) Judge(e *event.Event, _ *guards.State) guards.Verdict {
	if strings.HasPrefix(e.Source, "/shop") {
		return guards.Pass()
	}
	return guards.Verdict{Action: guards.DeadLetter, Reason: guards.Rejected, Detail: "orders come from the shop"}
}

func ExampleGuard() {
	reg := handlers.NewRegistry()
	handlers.Set(reg, "order.placed", placed, handlers.Writes("Customer", "PlacedAt"), handlers.Guard(fromShop{}))
	for _, g := range wire(reg).Handlers("order.placed")[0].Guards {
		fmt.Println(g.Judge(&event.Event{Source: "/depot"}, &guards.State{}))
	}
	// Output:
	// dead-letter (rejected): orders come from the shop
}

func ExampleName() {
	reg := handlers.NewRegistry()
	handlers.Set(reg, "order.placed", placed, handlers.Writes("Customer", "PlacedAt"))
	handlers.Set(reg, "order.placed.v2", placed, handlers.Writes("Customer", "PlacedAt"), handlers.Name("placed"))
	w := wire(reg)
	fmt.Println(w.Handlers("order.placed")[0].Name)
	fmt.Println(w.Handlers("order.placed.v2")[0].Name)
	// Output:
	// order.placed→Order
	// placed
}

func ExampleDelivery_Keep() {
	type Changed struct{ Customer, Status *string } // nil: the event does not say
	reg := handlers.NewRegistry()
	handlers.Set(reg, "order.changed", func(_ context.Context, d *handlers.Delivery[Changed, Order]) error {
		if d.Payload.Customer == nil {
			d.Keep("Customer")
		} else {
			d.Entity.Customer = *d.Payload.Customer
		}
		if d.Payload.Status == nil {
			d.Keep("Status")
		} else {
			d.Entity.Status = *d.Payload.Status
		}
		return nil
	}, handlers.Writes("Customer", "Status"))

	call, _ := run(wire(reg), "order.changed", `{"Customer":"Bob"}`, &Order{ID: "order-1"})
	fmt.Println("kept:", call.Kept)
	// Output:
	// kept: [Status]
}

func ExampleDelivery_Delete() {
	reg := handlers.NewRegistry()
	handlers.Set(reg, "order.erased", func(_ context.Context, d *handlers.Delivery[struct{}, Order]) error {
		d.Delete()
		return nil
	}, handlers.Writes())
	call, _ := run(wire(reg), "order.erased", "", &Order{ID: "order-1"})
	fmt.Println("deleted:", call.Deleted)
	// Output:
	// deleted: true
}

func ExampleDelivery_IdempotencyKey() {
	reg := handlers.NewRegistry()
	handlers.Set(reg, "order.placed", func(_ context.Context, d *handlers.Delivery[Placed, Order]) error {
		fmt.Println("POST /mails, Idempotency-Key:", d.IdempotencyKey())
		return nil
	}, handlers.Writes("Customer"), handlers.External())
	w := wire(reg)
	_, _ = run(w, "order.placed", `{}`, &Order{ID: "order-1"})
	_, _ = run(w, "order.placed", `{}`, &Order{ID: "order-1"}) // the second run of one unit
	_, _ = run(w, "order.placed", `{}`, &Order{ID: "order-2"})
	// Output:
	// POST /mails, Idempotency-Key: 9faf0889a1d541c1375dcb3de7833863
	// POST /mails, Idempotency-Key: 9faf0889a1d541c1375dcb3de7833863
	// POST /mails, Idempotency-Key: ca148a3bede0ef42117c5a566b088190
}

// control shows what the runtime makes of a handler's error.
func control(err error) {
	var c *handlers.ControlError
	if !errors.As(err, &c) {
		fmt.Println("classified and tried again:", err)
		return
	}
	fmt.Println(c)
}

func ExampleDeadLetter() {
	control(handlers.DeadLetter(errors.New("total is negative")))
	control(errors.New("total is negative"))
	// Output:
	// dead letter: total is negative
	// classified and tried again: total is negative
}

func ExampleRetryAfter() {
	busy := errors.New("the mail service is busy")
	err := fmt.Errorf("order-1: %w", handlers.RetryAfter(30*time.Second, busy))
	control(err)
	fmt.Println(errors.Is(err, busy))
	// Output:
	// retry after 30s: the mail service is busy
	// true
}

func ExampleDiscard() {
	control(handlers.Discard("order of the load test"))
	// Output:
	// discard: order of the load test
}

func ExampleHandler_Decode() {
	reg := handlers.NewRegistry()
	handlers.Modify(reg, "item.added", itemAdded, guards.Timestamp(), handlers.Writes("Total"))
	_, err := run(wire(reg), "item.added", `{"Price":"5 EUR"}`, &Order{})
	fmt.Println(err)
	// Output:
	// payload: data.Price: expected int64, found string
}

func ExampleModel_ParseKey() {
	type Invoice struct {
		Number int32 `gorm:"primaryKey"`
		Paid   bool
		guards.Guarded
	}
	reg := handlers.NewRegistry()
	handlers.Set(reg, "invoice.paid", func(context.Context, *handlers.Delivery[struct{}, Invoice]) error { return nil })
	m := wire(reg).Models[0]
	for _, text := range []string{"42", "0042", "forty-two"} {
		key, canonical, err := m.ParseKey(text)
		fmt.Println(key, canonical, err)
	}
	// Output:
	// 42 42 <nil>
	// 42 42 <nil>
	// <nil>  the entity key "forty-two" is not a int32, the type of Invoice.Number
}

// Cart is written by several devices, which are not always online.
type Cart struct {
	ID    string `gorm:"primaryKey"`
	Items string
	guards.Guarded
}

type CartSaved struct{ Items []string }

// union merges the carts that know nothing of each other.
func union(c *Cart, siblings []handlers.Sibling[CartSaved]) error {
	var items []string
	for _, s := range siblings {
		for _, item := range s.Payload.Items {
			if !slices.Contains(items, item) {
				items = append(items, item)
			}
		}
	}
	c.Items = strings.Join(items, ", ")
	return nil
}

func ExampleResolve() {
	reg := handlers.NewRegistry()
	handlers.Resolve(reg, "cart.saved", union, guards.Vector(), handlers.Creates(), handlers.Writes("Items"))
	h := wire(reg).Handlers("cart.saved")[0]

	// What the framework does once both events have come, in whichever order.
	var cart Cart
	err := h.Run(context.Background(), &handlers.Call{Entity: &cart, Siblings: []handlers.Sibling[any]{
		{Source: "phone", Payload: &CartSaved{Items: []string{"milk", "bread"}}, Vector: event.Vector{{Node: "phone", Count: 2}}},
		{Source: "laptop", Payload: &CartSaved{Items: []string{"milk", "tea"}}, Vector: event.Vector{{Node: "laptop", Count: 1}, {Node: "phone", Count: 1}}},
	}})
	fmt.Println(cart.Items, err)
	// Output:
	// milk, bread, tea <nil>
}

// A cart is gone when every version that nobody has seen empties it.
func ExampleDelete() {
	reg := handlers.NewRegistry()
	handlers.Resolve(reg, "cart.saved", func(c *Cart, siblings []handlers.Sibling[CartSaved]) error {
		if err := union(c, siblings); err != nil || c.Items != "" {
			return err
		}
		return handlers.Delete()
	}, guards.Vector(), handlers.Creates(), handlers.Writes("Items"))
	h := wire(reg).Handlers("cart.saved")[0]

	call := &handlers.Call{Entity: &Cart{}, Siblings: []handlers.Sibling[any]{{Source: "phone", Payload: &CartSaved{}, Vector: event.Vector{{Node: "phone", Count: 3}}}}}
	err := h.Run(context.Background(), call)
	fmt.Println(call.Deleted, err)
	// Output:
	// true <nil>
}
