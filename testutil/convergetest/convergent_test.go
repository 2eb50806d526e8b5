package convergetest_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/testutil"
)

var (
	errBad  = errors.New("the payload says so")
	errBusy = errors.New("busy")
)

// convergent are handlers that come out the same in any order.
func convergent() []check {
	whole := func(reg *handlers.Registry) {
		handlers.Set(reg, "changed", order(func(d *onOrder) error {
			d.Entity.Customer, d.Entity.Note, d.Entity.Total = d.Payload.Customer, d.Payload.Note, d.Payload.N
			d.Entity.Tags, d.Entity.Attrs = d.Payload.Tags, d.Payload.Attrs
			return nil
		}), handlers.Creates())
	}
	facts1 := func(reg *handlers.Registry) {
		handlers.Set(reg, "created", order(created), handlers.Creates(), handlers.Writes("Customer"))
		handlers.Set(reg, "noted", order(noted), handlers.Writes("Note"))
		handlers.Set(reg, "paid", order(paid), handlers.Writes("PaidAt"))
		handlers.Set(reg, "shipped", order(shipped), handlers.Writes("ShippedAt"))
		handlers.Set(reg, "deleted", order(deleted), handlers.Writes())
	}
	life := events(
		at(1, "created", facts{Customer: "ann"}), at(2, "paid", facts{}), at(3, "noted", facts{Note: ptr("hi")}), at(4, "shipped", facts{}),
	)
	return []check{
		{name: "a field for each fact", wire: facts1, events: life},
		{
			name: "whole rows", wire: whole,
			events: events(at(1, "changed", facts{Customer: "ann", N: 1}), at(2, "changed", facts{N: 2}), at(3, "changed", facts{Customer: "bob", Note: ptr("")})),
		},
		{
			name: "NULL wins like any value", wire: facts1,
			events: events(at(1, "noted", facts{Note: ptr("hi")}), at(2, "noted", facts{}), at(3, "noted", facts{Note: ptr("")}), at(4, "noted", facts{})),
		},
		{
			name: "zero wins like any value",
			wire: func(reg *handlers.Registry) {
				handlers.Set(reg, "put", order(put), handlers.Writes("Total"))
			},
			events: events(at(1, "put", facts{N: 5}), at(2, "put", facts{}), at(3, "put", facts{N: -1})),
		},
		{name: "a delete", wire: facts1, events: append(events(at(5, "deleted", facts{})), life...)},
		{
			name: "a delete and a creation anew", wire: facts1,
			events: events(at(1, "created", facts{Customer: "ann"}), at(2, "noted", facts{Note: ptr("hi")}), at(3, "deleted", facts{}), at(4, "paid", facts{}), at(5, "created", facts{Customer: "bob"})),
		},
		{
			name: "a soft delete and a creation anew",
			wire: func(reg *handlers.Registry) {
				handlers.Set(reg, "created", stock(func(d *onStock) error {
					d.Entity.LastOrder = d.Payload.Customer
					return nil
				}), handlers.Creates(), handlers.Writes("LastOrder"))
				handlers.Set(reg, "deleted", stock(func(d *onStock) error {
					d.Delete()
					return nil
				}), handlers.Writes())
			},
			events: events(about("7", 1, "created", facts{Customer: "ann"}), about("007", 2, "deleted", facts{}), about("7", 3, "created", facts{Customer: "bob"}), about("7", 4, "deleted", facts{})),
		},
		{
			name: "many at the same time", wire: whole,
			events: events(at(1, "changed", facts{Customer: "a"}), at(1, "changed", facts{Customer: "b"}), at(1, "changed", facts{Customer: "c"}), at(1, "changed", facts{Customer: "d"})),
		},
		{
			name: "a projection of several facts",
			wire: func(reg *handlers.Registry) {
				facts1(reg)
				handlers.Project(reg, func(o *Order) {
					o.Status = "new"
					switch {
					case o.ShippedAt != nil:
						o.Status = "shipped"
					case o.PaidAt != nil:
						o.Status = "paid"
					}
				}, handlers.Writes("Status"))
			},
			events: append(events(at(6, "noted", facts{})), life...),
		},
		{
			name: "Keep by the payload",
			wire: func(reg *handlers.Registry) {
				handlers.Set(reg, "changed", order(func(d *onOrder) error {
					if d.Entity.Customer = d.Payload.Customer; d.Payload.Customer == "" {
						d.Keep("Customer")
					}
					d.Entity.Total = d.Payload.N
					return nil
				}), handlers.Creates(), handlers.Writes("Customer", "Total"))
			},
			events: events(at(1, "changed", facts{Customer: "ann", N: 1}), at(2, "changed", facts{N: 2}), at(3, "changed", facts{Customer: "bob"})),
		},
		{
			name: "a field written under a condition that never empties it",
			wire: func(reg *handlers.Registry) {
				handlers.Set(reg, "created", order(func(d *onOrder) error {
					if d.Payload.Customer != "" {
						d.Entity.Customer = d.Payload.Customer
					}
					return nil
				}), handlers.Creates(), handlers.Writes("Customer"))
			},
			events: events(at(1, "created", facts{}), at(2, "created", facts{Customer: "ann"})),
		},
		{
			name: "set under version", wire: whole, guards: []guards.Guard{guards.Version()},
			events: numbered(at(3, "changed", facts{Customer: "ann", N: 1}), at(2, "changed", facts{N: 2}), at(1, "changed", facts{Customer: "bob"})),
		},
		{
			name: "one model by version, another by timestamp",
			wire: func(reg *handlers.Registry) {
				handlers.Set(reg, "put", order(put), handlers.Writes("Total"), handlers.By(guards.Version()))
				handlers.Set(reg, "put", stock(func(d *onStock) error {
					d.Entity.Level = d.Payload.N
					return nil
				}), handlers.Writes("Level"), handlers.Key(func(f facts) string { return f.SKU }))
			},
			events: numbered(at(3, "put", facts{N: 1, SKU: "1"}), at(1, "put", facts{N: 2, SKU: "1"}), at(2, "put", facts{N: 3, SKU: "2"})),
		},
		{
			name: "several entities by key",
			wire: func(reg *handlers.Registry) {
				facts1(reg)
				handlers.Set(reg, "created", stock(func(d *onStock) error {
					d.Entity.LastOrder = d.Event.Key
					return nil
				}), handlers.Creates(), handlers.Writes("LastOrder"), handlers.Key(func(f facts) string { return f.SKU }))
			},
			events: events(about("o1", 1, "created", facts{Customer: "ann", SKU: "1"}), about("o2", 2, "created", facts{Customer: "bob", SKU: "01"}), about("o1", 3, "paid", facts{}), about("o3", 3, "created", facts{SKU: "2"})),
		},
		{
			name: "what misses its row waits",
			wire: func(reg *handlers.Registry) {
				handlers.Set(reg, "created", order(created), handlers.Creates(), handlers.Writes("Customer"))
				handlers.Set(reg, "paid", order(paid), handlers.Writes("PaidAt"), handlers.OnMissing(handlers.MissingPark))
				handlers.Set(reg, "noted", order(noted), handlers.Writes("Note"), handlers.OnMissing(handlers.MissingPark))
			},
			events: append(events(about("never made", 3, "paid", facts{})), life[:3]...),
		},
		{
			name: "events that are refused by their payload",
			wire: func(reg *handlers.Registry) {
				handlers.Set(reg, "put", order(func(d *onOrder) error {
					switch {
					case d.Payload.Bad && d.Payload.N > 0:
						return handlers.DeadLetter(errBad)
					case d.Payload.Bad:
						return handlers.Discard("bad")
					}
					return put(d)
				}), handlers.Writes("Total"))
			},
			events: events(at(1, "put", facts{N: 1}), at(2, "put", facts{Bad: true}), at(3, "put", facts{Bad: true, N: 1}), at(4, "put", facts{N: 4})),
		},
		{
			name: "a handler that fails at first",
			wire: func(reg *handlers.Registry) {
				handlers.Set(reg, "put", order(func(d *onOrder) error {
					if d.Payload.Bad && d.Attempt < 3 {
						return errBusy
					}
					return put(d)
				}), handlers.Writes("Total"))
			},
			events: events(at(1, "put", facts{N: 1}), at(2, "put", facts{Bad: true, N: 2}), at(3, "put", facts{N: 3})),
		},
		{
			name: "a handler that always fails",
			wire: func(reg *handlers.Registry) {
				handlers.Set(reg, "put", order(func(d *onOrder) error {
					if d.Payload.Bad {
						return errBusy
					}
					return put(d)
				}), handlers.Writes("Total"))
			},
			events: events(at(1, "put", facts{N: 1}), at(2, "put", facts{Bad: true, N: 2}), at(3, "put", facts{N: 3})),
		},
		{
			name: "modify of whole values under timestamp",
			wire: func(reg *handlers.Registry) {
				handlers.Modify(reg, "put", order(put), guards.Timestamp(), handlers.Writes("Total"))
			},
			events: events(at(1, "put", facts{N: 1}), at(2, "put", facts{N: 2}), at(2, "put", facts{N: 3}), at(4, "put", facts{N: 4})),
		},
		{
			name: "modify of whole values under version beside set",
			wire: func(reg *handlers.Registry) {
				handlers.Set(reg, "created", order(created), handlers.Creates(), handlers.Writes("Customer"), handlers.By(guards.Version()))
				handlers.Modify(reg, "put", order(put), guards.Version(), handlers.Writes("Total"))
				handlers.Project(reg, func(o *Order) { o.Log = fmt.Sprintf("%s/%d", o.Customer, o.Total) }, handlers.Writes("Log"))
			},
			events: numbered(at(1, "created", facts{Customer: "ann"}), at(2, "put", facts{N: 2}), at(3, "put", facts{N: 3})),
		},
		{
			name: "modify under none that keeps the highest",
			wire: func(reg *handlers.Registry) {
				handlers.Modify(reg, "put", order(func(d *onOrder) error {
					d.Entity.Total = max(d.Entity.Total, d.Payload.N)
					return nil
				}), guards.None(), handlers.Writes("Total"))
			},
			events: events(at(1, "put", facts{N: 4}), at(2, "put", facts{N: 2}), at(3, "put", facts{N: 9})),
		},
		{
			name: "modify under none of a sum that nobody sends twice",
			wire: func(reg *handlers.Registry) {
				handlers.Modify(reg, "added", order(add), guards.None(), handlers.Writes("Total"))
			},
			events: events(at(1, "added", facts{N: 4}), at(2, "added", facts{N: 2}), at(3, "added", facts{N: 9})),
			opts:   []testutil.ConvergesOption{testutil.WithoutDuplicates()},
		},
		{
			name: "lists and maps in a sorted form",
			wire: func(reg *handlers.Registry) {
				handlers.Set(reg, "tagged", order(func(d *onOrder) error {
					var all []string
					for k, v := range d.Payload.Attrs {
						all = append(all, k+"="+v)
					}
					slices.Sort(all)
					d.Entity.Log, d.Entity.Tags, d.Entity.Attrs = strings.Join(all, ","), all, d.Payload.Attrs
					return nil
				}), handlers.Writes("Log", "Tags", "Attrs"))
			},
			events: events(at(1, "tagged", facts{Attrs: map[string]string{"a": "1", "b": "2", "c": "3"}}), at(2, "tagged", facts{Attrs: map[string]string{"d": "1"}}), at(3, "tagged", facts{})),
		},
		{
			name: "lateness is not asked", wire: facts1, guards: []guards.Guard{guards.Timestamp(), guards.MaxLateness(time.Hour)},
			events: events(at(1, "created", facts{Customer: "ann"}), at(9*3600, "paid", facts{}), at(99*3600, "noted", facts{Note: ptr("hi")})),
		},
		{
			name: "more events than all orders of which can be played", wire: facts1,
			events: func() (es []*event.Event) {
				for i := range 25 {
					kind := []string{"created", "noted", "paid", "deleted", "shipped"}[i%5]
					es = append(es, about(fmt.Sprintf("o%d", i%2), i/3, kind, facts{Customer: fmt.Sprint(i), Note: ptr(fmt.Sprint(i))}))
				}
				return es
			}(),
		},
	}
}
