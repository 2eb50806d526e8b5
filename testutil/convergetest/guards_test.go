package convergetest_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// item adds or puts the level of one article of an order: the payload's attributes are
// articles, and how many.
func item(fn func(d *onStock, n int64) error) func(context.Context, *onStock) error {
	return stock(func(d *onStock) error {
		var n int64
		if _, err := fmt.Sscan(d.Payload.Attrs[fmt.Sprint(d.Entity.SKU)], &n); err != nil {
			return handlers.DeadLetter(err)
		}
		return fn(d, n)
	})
}

// articles come out of the map in any order, which makes no difference.
func articles(f facts) []string { return slices.Collect(maps.Keys(f.Attrs)) }

// inOrder is for a story, which lists them.
func inOrder(f facts) []string { return slices.Sorted(maps.Keys(f.Attrs)) }

// cart is a Resolve: everything that is in any of the versions.
func cart(o *Order, siblings []handlers.Sibling[facts]) error {
	for _, s := range siblings {
		if s.Payload.Bad {
			return handlers.DeadLetter(errBad)
		}
		o.Tags = append(o.Tags, s.Payload.Tags...)
	}
	slices.Sort(o.Tags)
	o.Tags = slices.Compact(o.Tags)
	return nil
}

// convergentByGuard are handlers that come out the same in any order, by what they declare.
func convergentByGuard() []check {
	counter := func(reg *handlers.Registry) {
		handlers.Modify(reg, "added", order(func(d *onOrder) error {
			switch {
			case d.Payload.Bad && d.Payload.N > 1:
				return handlers.DeadLetter(errBad)
			case d.Payload.Bad && d.Payload.N > 0:
				return handlers.Discard("bad")
			case d.Payload.Bad && d.Attempt < 3:
				return errBusy
			}
			return add(d)
		}), guards.Once(), handlers.Writes("Total"))
	}
	ledger := func(opts ...guards.SequenceOption) func(reg *handlers.Registry) {
		return func(reg *handlers.Registry) {
			handlers.Modify(reg, "moved", order(func(d *onOrder) error {
				if d.Payload.Bad {
					return errBusy
				}
				return move(d)
			}), guards.Sequence(opts...), handlers.Writes("Log"))
			handlers.Modify(reg, "counted", order(func(d *onOrder) error {
				d.Entity.Log = fmt.Sprintf("=%d;", d.Payload.N)
				return nil
			}), guards.Sequence(opts...), handlers.Writes("Log"), handlers.Baseline())
		}
	}
	moves := func(numbers ...int64) (es []*event.Event) {
		for i, n := range numbers {
			e := at(i, "moved", facts{N: n})
			e.Version, e.HasVersion = n, true
			es = append(es, e)
		}
		return es
	}
	resolver := func(reg *handlers.Registry) {
		handlers.Resolve(reg, "changed", cart, guards.Vector(), handlers.Writes("Tags"), handlers.Creates())
	}
	return []check{
		{
			name: "a counter under once", wire: counter,
			events: events(at(1, "added", facts{N: 4}), at(2, "added", facts{N: 2}), at(2, "added", facts{N: -9}), about("o2", 3, "added", facts{N: 1})),
		},
		{
			name: "a counter some of whose events fail", wire: counter,
			events: events(at(1, "added", facts{N: 4}), at(2, "added", facts{Bad: true}), at(3, "added", facts{Bad: true, N: 1}), at(4, "added", facts{Bad: true, N: 2})),
		},
		{
			name: "a counter of orders that are made, deleted and made anew",
			wire: func(reg *handlers.Registry) {
				counter(reg)
				handlers.Set(reg, "created", order(created), handlers.Creates(), handlers.Writes("Customer"))
				handlers.Set(reg, "deleted", order(deleted), handlers.Writes())
				handlers.Project(reg, func(o *Order) { o.Status = fmt.Sprintf("%s %d", o.Customer, o.Total) }, handlers.Writes("Status"))
			},
			events: events(at(1, "created", facts{Customer: "ann"}), at(2, "added", facts{N: 1}), at(3, "deleted", facts{}), at(4, "created", facts{Customer: "bob"}), at(5, "added", facts{N: 2})),
		},
		{
			name: "a counter that waits for its order",
			wire: func(reg *handlers.Registry) {
				handlers.Set(reg, "created", order(created), handlers.Creates(), handlers.Writes("Customer"))
				handlers.Modify(reg, "added", order(add), guards.Once(), handlers.Writes("Total"), handlers.OnMissing(handlers.MissingPark))
			},
			events: events(at(1, "created", facts{Customer: "ann"}), at(2, "added", facts{N: 1}), at(3, "added", facts{N: 2}), about("never made", 4, "added", facts{N: 4})),
		},
		{name: "a ledger of moves under sequence", wire: ledger(), events: moves(1, 2, 3, 4, 5)},
		{name: "moves of which one never comes", wire: ledger(), events: moves(1, 3, 4, 6)},
		{name: "moves whose source is asked for one", wire: ledger(guards.RequestReplay("replays")), events: moves(1, 3, 4, 6)},
		{name: "moves that go on without one", wire: ledger(guards.OnGap(guards.GapSkip)), events: moves(1, 3, 4, 6)},
		{name: "more moves than may wait", wire: ledger(guards.MaxGap(1)), events: moves(1, 2, 3, 4, 5)},
		{
			name: "moves that begin elsewhere, in a stream of their own", wire: ledger(guards.From(7), guards.Stream("moves")),
			events: moves(7, 8, 9, 10),
		},
		{
			name: "moves, one of which is tried again and again", wire: ledger(),
			events: numbered(at(1, "moved", facts{N: 1}), at(2, "moved", facts{N: 2, Bad: true}), at(3, "moved", facts{N: 3}), at(4, "moved", facts{N: 4})),
		},
		{
			name: "moves and a count of all", wire: ledger(),
			events: numbered(at(1, "moved", facts{N: 1}), at(2, "moved", facts{N: 2}), at(3, "counted", facts{N: 100}), at(4, "moved", facts{N: 4}), at(5, "moved", facts{N: 5})),
		},
		{
			name: "a count of all instead of what is gone", wire: ledger(),
			events: func() []*event.Event {
				es := moves(2, 5, 6)
				es[1].Type = "counted"
				return es
			}(),
		},
		{
			name: "numbers that other handlers' events use up",
			wire: func(reg *handlers.Registry) {
				ledger()(reg)
				handlers.Set(reg, "created", order(created), handlers.Creates(), handlers.Writes("Customer"))
				handlers.Set(reg, "deleted", order(deleted), handlers.Writes())
			},
			events: numbered(at(1, "created", facts{Customer: "ann"}), at(2, "moved", facts{N: 2}), at(3, "deleted", facts{}), at(4, "moved", facts{N: 4})),
		},
		{
			name: "articles of an order",
			wire: func(reg *handlers.Registry) {
				handlers.Set(reg, "ordered", item(func(d *onStock, n int64) error {
					d.Entity.Level, d.Entity.LastOrder = n, d.Event.Key
					return nil
				}), handlers.Writes("Level", "LastOrder"), handlers.Keys(articles))
			},
			events: events(
				at(1, "ordered", facts{Attrs: map[string]string{"1": "5", "2": "6", "3": "7"}}), about("o2", 2, "ordered", facts{Attrs: map[string]string{"2": "8", "3": "bad"}}),
				at(3, "ordered", facts{Attrs: map[string]string{"3": "9"}}), at(4, "ordered", facts{}),
			),
		},
		{
			name: "articles that are counted once",
			wire: func(reg *handlers.Registry) {
				handlers.Modify(reg, "ordered", item(func(d *onStock, n int64) error {
					d.Entity.Level -= n
					return nil
				}), guards.Once(), handlers.Writes("Level"), handlers.Keys(articles))
			},
			events: events(
				at(1, "ordered", facts{Attrs: map[string]string{"1": "5", "2": "6"}}), about("o2", 2, "ordered", facts{Attrs: map[string]string{"2": "8", "3": "bad"}}),
				at(3, "ordered", facts{Attrs: map[string]string{"3": "9", "1": "1"}}),
			),
		},
		{
			name: "facts and whole values under lamport", guards: []guards.Guard{guards.Lamport()},
			wire: func(reg *handlers.Registry) {
				handlers.Set(reg, "created", order(created), handlers.Creates(), handlers.Writes("Customer"))
				handlers.Modify(reg, "put", order(put), guards.Lamport(), handlers.Writes("Total"))
			},
			events: events(
				lamport(2, at(9, "created", facts{Customer: "ann"})), lamport(2, at(1, "created", facts{Customer: "bob"})),
				lamport(5, at(3, "put", facts{N: 5})), lamport(7, at(2, "put", facts{N: 7})), lamport(7, at(2, "put", facts{N: 8})),
			),
		},
		{
			name: "facts and whole values under vector", guards: []guards.Guard{guards.Vector()},
			wire: func(reg *handlers.Registry) {
				handlers.Set(reg, "created", order(created), handlers.Creates(), handlers.Writes("Customer"))
				handlers.Modify(reg, "put", order(put), guards.Vector(), handlers.Writes("Total"))
			},
			events: events(
				seen(1, 0, at(1, "created", facts{Customer: "ann"})), seen(0, 1, at(2, "created", facts{Customer: "bob"})),
				seen(1, 2, at(3, "put", facts{N: 3})), seen(2, 1, at(4, "put", facts{N: 4})), seen(2, 3, at(5, "put", facts{N: 5})),
			),
		},
		{
			name: "versions that are merged", wire: resolver,
			events: events(
				seen(1, 0, at(1, "changed", facts{Tags: []string{"apple"}})), seen(2, 0, at(2, "changed", facts{Tags: []string{"apple", "pear"}})),
				seen(1, 1, at(3, "changed", facts{Tags: []string{"apple", "fig"}})), seen(0, 2, at(4, "changed", facts{Tags: []string{"plum"}})),
				seen(2, 2, at(5, "changed", facts{Tags: []string{"pear", "fig"}})),
			),
		},
		{
			name: "versions of which none has seen another", wire: resolver,
			events: events(
				seen(2, 1, at(1, "changed", facts{Tags: []string{"a"}})), seen(1, 2, at(1, "changed", facts{Tags: []string{"b"}})),
				seen(3, 0, at(3, "changed", facts{Tags: []string{"c"}})), seen(3, 0, at(3, "changed", facts{Tags: []string{"d"}})),
			),
		},
		{
			name: "versions that delete and bring back", guards: []guards.Guard{guards.Vector()},
			wire: func(reg *handlers.Registry) {
				handlers.Resolve(reg, "changed", func(o *Order, siblings []handlers.Sibling[facts]) error {
					if err := cart(o, siblings); err != nil || slices.ContainsFunc(siblings, func(s handlers.Sibling[facts]) bool { return !s.Payload.Bad }) {
						return err
					}
					return handlers.Delete()
				}, guards.Vector(), handlers.Writes("Tags"), handlers.Creates())
				handlers.Set(reg, "noted", order(noted), handlers.Writes("Note"))
			},
			events: events(
				seen(1, 0, at(1, "changed", facts{Tags: []string{"a"}, Bad: true})), seen(1, 1, at(2, "noted", facts{Note: ptr("hi")})),
				seen(0, 1, at(3, "changed", facts{Tags: []string{"b"}})), seen(2, 1, at(4, "changed", facts{Tags: []string{"c"}, Bad: true})),
				seen(1, 2, at(5, "changed", facts{Bad: true})),
			),
		},
		{
			name: "versions beside facts", guards: []guards.Guard{guards.Vector()},
			wire: func(reg *handlers.Registry) {
				resolver(reg)
				handlers.Set(reg, "noted", order(noted), handlers.Writes("Note"))
				handlers.Project(reg, func(o *Order) { o.Status = strings.Join(o.Tags, "+") }, handlers.Writes("Status"))
			},
			events: events(
				seen(1, 0, at(1, "changed", facts{Tags: []string{"a"}})), seen(1, 1, at(2, "noted", facts{Note: ptr("hi")})),
				seen(0, 1, at(3, "changed", facts{Tags: []string{"b"}})), seen(2, 1, at(4, "changed", facts{Tags: []string{"c"}})),
			),
		},
		{
			name: "tombstones of a topic",
			wire: func(reg *handlers.Registry) {
				handlers.Set(reg, "created", order(created), handlers.Creates(), handlers.Writes("Customer"))
				handlers.Set(reg, event.TombstoneType("events"), func(_ context.Context, d *handlers.Delivery[struct{}, Order]) error {
					d.Delete()
					return nil
				}, handlers.Writes())
			},
			events: []*event.Event{
				at(1, "created", facts{Customer: "ann"}),
				{Type: event.TombstoneType("events"), Key: "o1", OccurredAt: noon.AddDate(0, 0, 1)},
				at(3, "created", facts{Customer: "bob"}),
			},
		},
	}
}

// dependentByGuard are handlers that declare what they do not keep.
func dependentByGuard() []check {
	return []check{
		{
			name: "once with changes that do not commute", events: events(at(1, "added", facts{N: 4}), at(2, "added", facts{N: 2}), at(3, "added", facts{N: 1})),
			wire: func(reg *handlers.Registry) {
				handlers.Modify(reg, "added", order(move), guards.Once(), handlers.Writes("Log"))
			},
		},
		{
			name: "once that stops at a bound", events: events(at(1, "added", facts{N: 4}), at(2, "added", facts{N: 2}), at(3, "added", facts{N: 5})),
			wire: func(reg *handlers.Registry) {
				handlers.Modify(reg, "added", order(func(d *onOrder) error {
					if d.Entity.Total+d.Payload.N > 9 {
						return handlers.Discard("no more than nine")
					}
					return add(d)
				}), guards.Once(), handlers.Writes("Total"))
			},
		},
		{
			name: "modify adds under lamport", events: events(lamport(1, at(1, "added", facts{N: 4})), lamport(2, at(2, "added", facts{N: 2}))),
			wire: func(reg *handlers.Registry) {
				handlers.Modify(reg, "added", order(add), guards.Lamport(), handlers.Writes("Total"))
			},
		},
		{
			name: "keys that are added under timestamp",
			events: events(
				at(1, "ordered", facts{Attrs: map[string]string{"1": "5", "2": "6"}}), about("o2", 2, "ordered", facts{Attrs: map[string]string{"2": "8"}}),
			),
			wire: func(reg *handlers.Registry) {
				handlers.Modify(reg, "ordered", item(func(d *onStock, n int64) error {
					d.Entity.Level -= n
					return nil
				}), guards.Timestamp(), handlers.Writes("Level"), handlers.Keys(inOrder))
			},
		},
		{
			name: "sequence begins with whatever comes first", events: numbered(at(1, "moved", facts{N: 1}), at(2, "moved", facts{N: 2}), at(3, "moved", facts{N: 3})),
			wire: func(reg *handlers.Registry) {
				handlers.Modify(reg, "moved", order(move), guards.Sequence(guards.FirstSeen()), handlers.Writes("Log"))
			},
		},
		{
			name: "sequence with one number twice",
			events: func() []*event.Event {
				es := numbered(at(1, "moved", facts{N: 1}), at(2, "moved", facts{N: 2}), at(3, "moved", facts{N: 3}))
				es[2].Version = 2
				return es
			}(),
			wire: func(reg *handlers.Registry) {
				handlers.Modify(reg, "moved", order(move), guards.Sequence(), handlers.Writes("Log"))
			},
		},
		{
			name:   "sequence of one entity looks at another",
			events: append(numbered(at(1, "moved", facts{N: 1}), at(2, "moved", facts{N: 2})), about("o2", 3, "rated", facts{N: 5}), about("o2", 4, "rated", facts{N: 7})),
			wire: func(reg *handlers.Registry) {
				rate := int64(1)
				handlers.Modify(reg, "rated", order(func(d *onOrder) error {
					rate = d.Payload.N
					return nil
				}), guards.Once(), handlers.Writes("Customer"))
				handlers.Modify(reg, "moved", order(func(d *onOrder) error {
					d.Entity.Total += d.Payload.N * rate
					return nil
				}), guards.Sequence(), handlers.Writes("Total"))
			},
		},
		{
			name:   "letters for concurrent changes",
			events: events(seen(1, 0, at(1, "put", facts{N: 1})), seen(2, 0, at(2, "put", facts{N: 2})), seen(1, 1, at(3, "put", facts{N: 3}))),
			wire: func(reg *handlers.Registry) {
				handlers.Modify(reg, "put", order(put), guards.Vector(guards.ConflictLetters()), handlers.Writes("Total"))
			},
		},
		{
			name: "resolve depends on who asks first", events: events(seen(1, 0, at(1, "changed", facts{N: 1})), seen(0, 1, at(2, "changed", facts{N: 2}))),
			wire: func(reg *handlers.Registry) {
				first := map[string]int64{}
				handlers.Resolve(reg, "changed", func(o *Order, siblings []handlers.Sibling[facts]) error {
					if _, ok := first[o.ID]; !ok || len(siblings) == 1 {
						first[o.ID] = siblings[0].Payload.N
					}
					o.Total = first[o.ID]
					return nil
				}, guards.Vector(), handlers.Writes("Total"))
			},
		},
		{
			name: "resolve counts its calls", events: events(seen(1, 0, at(1, "changed", facts{N: 1})), seen(0, 1, at(2, "changed", facts{N: 2}))),
			wire: func(reg *handlers.Registry) {
				calls := int64(0)
				handlers.Resolve(reg, "changed", func(o *Order, siblings []handlers.Sibling[facts]) error {
					calls += int64(len(siblings))
					o.Total = calls
					return nil
				}, guards.Vector(), handlers.Writes("Total"))
			},
		},
	}
}
