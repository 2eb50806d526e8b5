package convergetest_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/testutil"
)

// dependent are handlers that depend on order. Each makes a mistake that people make.
func dependent() []check {
	return []check{
		{
			name: "set asks the clock", events: events(at(1, "created", facts{Customer: "ann"}), at(2, "paid", facts{})),
			wire: func(reg *handlers.Registry) {
				handlers.Set(reg, "created", order(created), handlers.Creates(), handlers.Writes("Customer"))
				handlers.Set(reg, "paid", order(func(d *onOrder) error {
					d.Entity.PaidAt = ptr(time.Now())
					return nil
				}), handlers.Writes("PaidAt"))
			},
		},
		{
			name: "set writes a random number", events: events(at(1, "created", facts{Customer: "ann"})),
			wire: func(reg *handlers.Registry) {
				handlers.Set(reg, "created", order(func(d *onOrder) error {
					d.Entity.Customer, d.Entity.Total = d.Payload.Customer, rand.Int64()
					return nil
				}), handlers.Creates(), handlers.Writes("Customer", "Total"))
			},
		},
		{
			name:   "set joins what comes out of a map",
			events: events(at(1, "tagged", facts{Attrs: map[string]string{"color": "red", "size": "xl", "fit": "slim"}})),
			wire: func(reg *handlers.Registry) {
				handlers.Set(reg, "tagged", order(func(d *onOrder) error {
					var all []string
					for k, v := range d.Payload.Attrs {
						all = append(all, k+"="+v)
					}
					d.Entity.Log = strings.Join(all, ",")
					return nil
				}), handlers.Writes("Log"))
			},
		},
		{
			name: "set counts its calls", events: events(at(1, "paid", facts{})),
			wire: func(reg *handlers.Registry) {
				calls := int64(0)
				handlers.Set(reg, "paid", order(func(d *onOrder) error {
					calls++
					d.Entity.Total = calls
					return nil
				}), handlers.Writes("Total"))
			},
		},
		{
			name: "set remembers another event in a closure", events: events(at(1, "created", facts{Customer: "ann"}), at(2, "paid", facts{})),
			wire: func(reg *handlers.Registry) {
				customers := map[string]string{}
				handlers.Set(reg, "created", order(func(d *onOrder) error {
					customers[d.Event.Key] = d.Payload.Customer
					return created(d)
				}), handlers.Creates(), handlers.Writes("Customer"))
				handlers.Set(reg, "paid", order(func(d *onOrder) error {
					d.Entity.Log = "paid by " + customers[d.Event.Key]
					return nil
				}), handlers.Writes("Log"))
			},
		},
		{
			name: "set queries what another event has written", events: events(at(1, "priced", facts{N: 30}), at(2, "created", facts{Customer: "ann"})),
			wire: func(reg *handlers.Registry) {
				prices := &priceList{}
				handlers.Set(reg, "priced", order(func(d *onOrder) error {
					prices.save(d.Event.Key, d.Payload.N)
					d.Entity.Log = "priced"
					return nil
				}), handlers.Writes("Log"))
				handlers.Set(reg, "created", order(func(d *onOrder) error {
					price, err := prices.find(d.Event.Key)
					if err != nil {
						return err
					}
					d.Entity.Customer, d.Entity.Total = d.Payload.Customer, price
					return nil
				}), handlers.Creates(), handlers.Writes("Customer", "Total"))
			},
		},
		{
			name: "set adds to the entity", events: events(at(1, "added", facts{N: 1}), at(2, "added", facts{N: 2})),
			wire: func(reg *handlers.Registry) {
				handlers.Set(reg, "added", order(add), handlers.Writes("Total"))
			},
		},
		{
			name: "set asks the entity for its status", events: events(at(1, "shipped", facts{}), at(2, "paid", facts{})),
			wire: func(reg *handlers.Registry) {
				handlers.Set(reg, "paid", order(func(d *onOrder) error {
					if d.Entity.Status != "shipped" {
						d.Entity.Status = "paid"
					}
					return nil
				}), handlers.Writes("Status"))
				handlers.Set(reg, "shipped", order(func(d *onOrder) error {
					d.Entity.Status = "shipped"
					return nil
				}), handlers.Writes("Status"))
			},
		},
		{
			name: "set keeps a pointer to an earlier entity", events: events(at(1, "created", facts{Customer: "ann"}), at(2, "paid", facts{})),
			wire: func(reg *handlers.Registry) {
				var last *Order
				handlers.Set(reg, "created", order(func(d *onOrder) error {
					last = d.Entity
					return created(d)
				}), handlers.Creates(), handlers.Writes("Customer"))
				handlers.Set(reg, "paid", order(func(d *onOrder) error {
					if last != nil && last.ID == d.Entity.ID {
						d.Entity.Log = last.Customer
					}
					return nil
				}), handlers.Writes("Log"))
			},
		},
		{
			name: "set writes where its record stands", events: events(at(1, "created", facts{Customer: "ann"}), at(2, "created", facts{Customer: "bob"})),
			wire: func(reg *handlers.Registry) {
				handlers.Set(reg, "created", order(func(d *onOrder) error {
					d.Entity.Customer, d.Entity.Total = d.Payload.Customer, d.Event.Record.Offset
					return nil
				}), handlers.Creates(), handlers.Writes("Customer", "Total"))
			},
		},
		{
			name: "set writes under a condition without Keep", events: events(at(1, "changed", facts{Customer: "ann", N: 5}), at(2, "changed", facts{N: 7})),
			wire: func(reg *handlers.Registry) {
				handlers.Set(reg, "changed", order(func(d *onOrder) error {
					if d.Payload.Customer != "" {
						d.Entity.Customer = d.Payload.Customer
					}
					d.Entity.Total = d.Payload.N
					return nil
				}), handlers.Creates(), handlers.Writes("Customer", "Total"))
			},
		},
		{
			name: "set discards what misses its row", events: events(at(1, "created", facts{Customer: "ann"}), at(2, "paid", facts{})),
			wire: func(reg *handlers.Registry) {
				handlers.Set(reg, "created", order(created), handlers.Creates(), handlers.Writes("Customer"))
				handlers.Set(reg, "paid", order(paid), handlers.Writes("PaidAt"), handlers.OnMissing(handlers.MissingDiscard))
			},
		},
		{
			name: "set dead-letters what misses its row", events: events(at(1, "created", facts{Customer: "ann"}), at(2, "noted", facts{Note: ptr("hi")}), at(3, "paid", facts{})),
			wire: func(reg *handlers.Registry) {
				handlers.Set(reg, "created", order(created), handlers.Creates(), handlers.Writes("Customer"))
				handlers.Set(reg, "noted", order(noted), handlers.Writes("Note"))
				handlers.Set(reg, "paid", order(paid), handlers.Writes("PaidAt"), handlers.OnMissing(handlers.MissingDeadLetter))
			},
		},
		{
			name: "a guard looks at the row", events: events(at(1, "created", facts{Customer: "ann"}), at(2, "paid", facts{})),
			wire: func(reg *handlers.Registry) {
				handlers.Set(reg, "created", order(created), handlers.Creates(), handlers.Writes("Customer"))
				handlers.Set(reg, "paid", order(paid), handlers.Writes("PaidAt"), handlers.Guard(onlyLive{}))
			},
		},
		{
			name: "modify adds under timestamp", events: events(at(1, "added", facts{N: 1}), at(2, "added", facts{N: 2}), at(3, "added", facts{N: 4})),
			wire: func(reg *handlers.Registry) {
				handlers.Modify(reg, "added", order(add), guards.Timestamp(), handlers.Writes("Total"))
			},
		},
		{
			name: "modify appends under timestamp", events: events(at(1, "added", facts{Customer: "a"}), at(1, "added", facts{Customer: "b"})),
			wire: func(reg *handlers.Registry) {
				handlers.Modify(reg, "added", order(func(d *onOrder) error {
					d.Entity.Tags = append(d.Entity.Tags, d.Payload.Customer)
					return nil
				}), guards.Timestamp(), handlers.Writes("Tags"))
			},
		},
		{
			name: "modify adds under version", events: numbered(at(1, "added", facts{N: 1}), at(2, "added", facts{N: 2})),
			wire: func(reg *handlers.Registry) {
				handlers.Modify(reg, "added", order(add), guards.Version(), handlers.Writes("Total"))
			},
		},
		{
			name: "modify writes under none", events: events(at(1, "put", facts{N: 1}), at(2, "put", facts{N: 2})),
			wire: func(reg *handlers.Registry) {
				handlers.Modify(reg, "put", order(put), guards.None(), handlers.Writes("Total"))
			},
		},
		{
			name: "modify adds under none", events: events(at(1, "added", facts{N: 1}), at(2, "added", facts{N: 2})),
			wire: func(reg *handlers.Registry) {
				handlers.Modify(reg, "added", order(add), guards.None(), handlers.Writes("Total"))
			},
		},
		{
			name: "modify refuses by the row", events: events(at(1, "added", facts{N: 5}), at(2, "closed", facts{})),
			wire: func(reg *handlers.Registry) {
				handlers.Modify(reg, "added", order(func(d *onOrder) error {
					if d.Entity.Status == "closed" {
						return handlers.DeadLetter(errClosed)
					}
					return add(d)
				}), guards.None(), handlers.Writes("Total"))
				handlers.Modify(reg, "closed", order(func(d *onOrder) error {
					d.Entity.Status = "closed"
					return nil
				}), guards.None(), handlers.Writes("Status"))
			},
			opts: []testutil.ConvergesOption{testutil.WithoutDuplicates()},
		},
		{
			name: "modify writes a random number", events: events(at(1, "created", facts{Customer: "ann"}), at(2, "put", facts{N: 1})),
			wire: func(reg *handlers.Registry) {
				handlers.Set(reg, "created", order(created), handlers.Creates(), handlers.Writes("Customer"))
				handlers.Modify(reg, "put", order(func(d *onOrder) error {
					d.Entity.Total = rand.Int64()
					return nil
				}), guards.Timestamp(), handlers.Writes("Total"))
			},
		},
		{
			name: "modify remembers another event in a closure", events: events(at(1, "rated", facts{N: 3}), at(2, "put", facts{N: 5})),
			wire: func(reg *handlers.Registry) {
				rate := int64(1)
				handlers.Set(reg, "rated", order(func(d *onOrder) error {
					d.Entity.Log = "rated"
					return nil
				}), handlers.Writes("Log"))
				handlers.Modify(reg, "rated", stock(func(d *onStock) error {
					rate = d.Payload.N
					return nil
				}), guards.None(), handlers.Writes("Level"), handlers.Key(func(facts) string { return "1" }))
				handlers.Modify(reg, "put", order(func(d *onOrder) error {
					d.Entity.Total = d.Payload.N * rate
					return nil
				}), guards.Timestamp(), handlers.Writes("Total"))
			},
		},
		{
			name: "projection counts its calls", events: events(at(1, "created", facts{Customer: "ann"}), at(2, "paid", facts{})),
			wire: func(reg *handlers.Registry) {
				handlers.Set(reg, "created", order(created), handlers.Creates(), handlers.Writes("Customer"))
				handlers.Set(reg, "paid", order(paid), handlers.Writes("PaidAt"))
				handlers.Project(reg, func(o *Order) { o.Total++ }, handlers.Writes("Total"))
			},
		},
		{
			name: "projection leaves what was there", events: events(at(1, "noted", facts{Note: ptr("hi")}), at(2, "noted", facts{})),
			wire: func(reg *handlers.Registry) {
				handlers.Set(reg, "noted", order(noted), handlers.Writes("Note"))
				handlers.Project(reg, func(o *Order) {
					if o.Note != nil {
						o.Status = "noted"
					}
				}, handlers.Writes("Status"))
			},
		},
		{
			name: "projection changes a field of a handler", events: events(at(1, "created", facts{Customer: "ann"})),
			wire: func(reg *handlers.Registry) {
				handlers.Set(reg, "created", order(created), handlers.Creates(), handlers.Writes("Customer"))
				handlers.Project(reg, func(o *Order) {
					o.Status = "new"
					o.Customer = strings.ToUpper(o.Customer)
				}, handlers.Writes("Status"))
			},
		},
		{
			name: "projection asks the clock", events: events(at(1, "paid", facts{})),
			wire: func(reg *handlers.Registry) {
				handlers.Set(reg, "paid", order(paid), handlers.Writes("PaidAt"))
				handlers.Project(reg, func(o *Order) { o.Log = time.Since(*o.PaidAt).String() }, handlers.Writes("Log"))
			},
		},
		{
			name: "key function counts", events: events(at(1, "created", facts{SKU: "7"})),
			wire: func(reg *handlers.Registry) {
				calls := 0
				handlers.Set(reg, "created", stock(func(d *onStock) error {
					d.Entity.LastOrder = d.Event.Key
					return nil
				}), handlers.Writes("LastOrder"), handlers.Key(func(facts) string {
					calls++
					return fmt.Sprint(calls)
				}))
			},
		},
	}
}

var errClosed = errors.New("the order is closed")

// priceList stands for a table beside the framework's.
type priceList struct{ prices map[string]int64 }

func (p *priceList) save(key string, price int64) { p.prices = map[string]int64{key: price} }

func (p *priceList) find(key string) (int64, error) {
	price, ok := p.prices[key]
	if !ok {
		return 0, fmt.Errorf("no price for %s", key)
	}
	return price, nil
}

// onlyLive lets no event pass before its order was created.
type onlyLive struct{}

func (onlyLive) Name() string { return "only-live" }

func (onlyLive) Judge(_ *event.Event, s *guards.State) guards.Verdict {
	if s.Existence == guards.Alive {
		return guards.Pass()
	}
	return guards.Verdict{Action: guards.Discard, Reason: guards.Superseded}
}
