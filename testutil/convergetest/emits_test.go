package convergetest_test

import (
	"time"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

const sums = "sums"

// emit sends what an order's event says.
func emit(d *onOrder, eventType string, payload any) {
	d.Emit(event.Draft{Topic: sums, Type: eventType, Key: d.Event.Key, Payload: payload})
}

// dependentEmitters emit what depends on the order.
func dependentEmitters() []check {
	added := events(at(1, "added", facts{N: 3}), at(2, "added", facts{N: 4}), at(3, "added", facts{N: 5}))
	return []check{
		{
			name: "emits only sometimes", events: added,
			wire: func(reg *handlers.Registry) {
				handlers.Modify(reg, "added", order(func(d *onOrder) error {
					before := d.Entity.Total
					d.Entity.Total += d.Payload.N
					if before < 5 && d.Entity.Total >= 5 {
						emit(d, "filled", nil)
					}
					return nil
				}), guards.Once(), handlers.Writes("Total"), handlers.Emits(sums))
			},
		},
		{
			name: "emits what the row holds under timestamp", events: events(at(1, "put", facts{N: 1}), at(2, "put", facts{N: 2})),
			wire: func(reg *handlers.Registry) {
				handlers.Modify(reg, "put", order(func(d *onOrder) error {
					emit(d, "was", d.Entity.Total)
					d.Entity.Total = d.Payload.N
					return nil
				}), guards.Timestamp(), handlers.Writes("Total"), handlers.Emits(sums))
			},
		},
		{
			name: "set emits for the first of its kind", events: events(at(1, "paid", facts{}), about("o2", 2, "paid", facts{})),
			wire: func(reg *handlers.Registry) {
				seen := false
				handlers.Set(reg, "paid", order(func(d *onOrder) error {
					if !seen {
						emit(d, "first", nil)
					}
					seen = true
					return paid(d)
				}), handlers.Writes("PaidAt"), handlers.Emits(sums))
			},
		},
		{
			name: "set emits by what the entity holds", events: events(at(1, "created", facts{Customer: "ann"}), at(2, "paid", facts{})),
			wire: func(reg *handlers.Registry) {
				handlers.Set(reg, "created", order(created), handlers.Creates(), handlers.Writes("Customer"))
				handlers.Set(reg, "paid", order(func(d *onOrder) error {
					if d.Entity.Customer != "" {
						emit(d, "welcomed", nil)
					}
					return paid(d)
				}), handlers.Writes("PaidAt"), handlers.Emits(sums))
			},
		},
		{
			name: "set emits the time of day", events: events(at(1, "paid", facts{})),
			wire: func(reg *handlers.Registry) {
				handlers.Set(reg, "paid", order(func(d *onOrder) error {
					emit(d, "paid at", time.Now())
					return paid(d)
				}), handlers.Writes("PaidAt"), handlers.Emits(sums))
			},
		},
	}
}

// convergentEmitters emit the same in any order.
func convergentEmitters() []check {
	add := func(d *onOrder) error {
		d.Entity.Total += d.Payload.N
		emit(d, "added", d.Payload.N)
		return nil
	}
	return []check{
		{
			name: "a set that emits", events: events(at(1, "paid", facts{N: 1}), at(2, "paid", facts{N: 2}), about("o2", 2, "paid", facts{N: 3}), at(2, "paid", facts{N: 4})),
			wire: func(reg *handlers.Registry) {
				handlers.Set(reg, "paid", order(func(d *onOrder) error {
					emit(d, "credited", d.Payload.N)
					emit(d, "thanked", nil)
					return paid(d)
				}), handlers.Writes("PaidAt"), handlers.Emits(sums))
			},
		},
		{
			name: "a delete that emits", events: events(at(1, "created", facts{Customer: "ann"}), at(2, "gone", facts{}), at(3, "created", facts{Customer: "bob"})),
			wire: func(reg *handlers.Registry) {
				handlers.Set(reg, "created", order(created), handlers.Creates(), handlers.Writes("Customer"))
				handlers.Set(reg, "gone", order(func(d *onOrder) error {
					d.Delete()
					emit(d, "left", nil)
					return nil
				}), handlers.Writes(), handlers.Emits(sums))
			},
		},
		{
			name: "sums that are told one by one under once", events: events(at(1, "added", facts{N: 1}), at(2, "added", facts{N: 2}), at(2, "added", facts{N: 3})),
			wire: func(reg *handlers.Registry) {
				handlers.Modify(reg, "added", order(add), guards.Once(), handlers.Writes("Total"), handlers.Emits(sums))
			},
		},
		{
			name: "running sums under sequence", events: numbered(at(1, "added", facts{N: 1}), at(2, "added", facts{N: 2}), at(3, "added", facts{N: 3})),
			wire: func(reg *handlers.Registry) {
				handlers.Modify(reg, "added", order(func(d *onOrder) error {
					d.Entity.Total += d.Payload.N
					emit(d, "sum", d.Entity.Total)
					return nil
				}), guards.Sequence(), handlers.Writes("Total"), handlers.Emits(sums))
			},
		},
		{
			name: "fails and emits later", events: events(at(1, "added", facts{N: 1}), at(2, "added", facts{N: 2})),
			wire: func(reg *handlers.Registry) {
				handlers.Modify(reg, "added", order(func(d *onOrder) error {
					if d.Payload.N == 1 && d.Attempt < 3 {
						emit(d, "never sent", d.Attempt)
						return errBusy
					}
					return add(d)
				}), guards.Once(), handlers.Writes("Total"), handlers.Emits(sums))
			},
		},
	}
}
