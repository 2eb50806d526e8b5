package handlers

import (
	"errors"
	"testing"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
)

func merged(*Order, []Sibling[Placed]) error { return nil }

func TestResolveIsWired(t *testing.T) {
	t.Parallel()
	r := NewRegistry(guards.Vector())
	Resolve(r, "merged", merged, guards.Vector(guards.Departed("x")), Creates(), Writes("Customer", "Total"))
	Set(r, "set", onOrder, Writes("PlacedAt"))
	Modify(r, "modified", onOrder, guards.Vector(guards.ConflictLetters()), Writes("Status"))
	w := wire(t, r)
	m := w.Models[0]
	h := w.Handlers("merged")[0]
	same(t, "kind", m.Kind, guards.KindVector)
	same(t, "existence", *m.Existence, Owner{Verb: VerbResolve, Event: "merged"})
	same(t, "owner", h.Writes[0].Owner.String(), `Resolve of "merged"`)
	same(t, "set columns", names(m.SetColumns), []string{"PlacedAt"})
	same(t, "modify columns", names(m.ModifyColumns), []string{"Status"})
	same(t, "written", names(m.Written[:4]), []string{"Status", "Customer", "PlacedAt", "Total"})
	same(t, "keeps order", h.OrderKept(), false)
	same(t, "by whole vectors", h.Vectors().Departed(), []string{"x"})
	same(t, "a Set goes by the sum", w.Handlers("set")[0].Vectors(), (*guards.VectorGuard)(nil))
	same(t, "letters need vectors", w.Handlers("modified")[0].Vectors() != nil, true)
}

var errNoMerge = errors.New("no merge")

func TestResolveRunsOnSiblings(t *testing.T) {
	t.Parallel()
	r := NewRegistry(guards.Vector())
	at := time.Date(2026, 5, 28, 0, 0, 0, 0, time.UTC)
	Resolve(r, "merged", func(o *Order, siblings []Sibling[Placed]) error {
		for _, s := range siblings {
			o.Customer += s.Payload.Customer + s.Source + s.ID + s.Vector.String()
			same(t, "time", s.OccurredAt, at)
		}
		return errNoMerge
	}, guards.Vector(), Writes("Customer"))
	h := wire(t, r).Handlers("merged")[0]
	o := &Order{}
	sibling := func(customer, id string, v event.Vector) Sibling[any] {
		return Sibling[any]{Payload: &Placed{Customer: customer}, Source: "s", ID: id, OccurredAt: at, Vector: v}
	}
	err := h.Run(t.Context(), &Call{Entity: o, Siblings: []Sibling[any]{sibling("ann", "1", event.Vector{{Node: "a", Count: 1}}), sibling("bob", "2", nil)}})
	same(t, "error", err, errNoMerge)
	same(t, "merged", o.Customer, "anns1a=1bobs2")
}

func TestVectorMistakes(t *testing.T) {
	t.Parallel()
	const on = `the handler of "e" on Order`
	letters := guards.Vector(guards.ConflictLetters())
	departed := guards.Vector(guards.Departed("x"))
	for name, c := range map[string]struct {
		register func(*Registry)
		want     []string
	}{
		"no guard": {
			func(r *Registry) { Resolve(r, "e", merged, nil, Writes("Total")) },
			[]string{on + " is a Resolve without a guard; pass guards.Vector()"},
		},
		"no vectors": {
			func(r *Registry) { Resolve(r, "e", merged, guards.Lamport(), Writes("Total")) },
			[]string{on + " is a Resolve under lamport, which can't tell concurrent events; pass guards.Vector()"},
		},
		"no resolver": {
			func(r *Registry) { Resolve[Placed, Order](r, "e", nil, guards.Vector(), Writes("Total")) },
			[]string{on + ": the resolver function is nil"},
		},
		"no fields": {
			func(r *Registry) { Resolve(r, "e", merged, guards.Vector()) },
			[]string{on + " names no fields; a Resolve must: add handlers.Writes"},
		},
		"options of others": {
			func(r *Registry) {
				Resolve(r, "e", merged, letters, Writes("Total"), By(guards.Vector()), External(), Key(func(Placed) string { return "" }))
			},
			[]string{
				on + ": handlers.By is for Set; a Resolve takes its guard as a parameter",
				on + " is a Resolve with External; a resolver runs for each event anew and must have no effects: drop it",
				on + " is a Resolve with guards.ConflictLetters; it merges what is concurrent: drop the one, or use handlers.Modify",
				on + " is ordered by vector but finds its entity with handlers.Key; a vector says what was seen of the event's own entity: order it by guards.Timestamp() or guards.Lamport()",
			},
		},
		"two resolvers of one column": {
			func(r *Registry) {
				Resolve(r, "e", merged, guards.Vector(), Writes("Total"), Creates())
				Resolve(r, "f", merged, guards.Vector(), Writes("Total"), Creates())
			},
			[]string{
				`the handler of "f" on Order writes Total as Resolve of "f", but Resolve of "e" owns it; one column has one owner: split the column, or use one verb and guard for all its writers`,
				`the handler of "f" on Order creates rows as Resolve of "f", but Resolve of "e" does too; existence has one owner like a column`,
			},
		},
		"letters under Set": {
			func(r *Registry) { Set(r, "e", onOrder, By(letters), Writes("Total")) },
			[]string{on + " is a Set with guards.ConflictLetters; it merges field by field, so that no one event stands for the row: use handlers.Modify, or handlers.Resolve"},
		},
		"departed under a sum": {
			func(r *Registry) {
				Set(r, "e", onOrder, By(departed), Writes("Total"))
				Modify(r, "f", onOrder, departed, Writes("Status"))
			},
			[]string{
				on + " has guards.Departed, but its rows keep only the sum of a vector, out of which no entry can be taken; let the producers go on sending it, or use handlers.Resolve",
				`the handler of "f" on Order has guards.Departed, but its rows keep only the sum of a vector, out of which no entry can be taken; let the producers go on sending it, or use handlers.Resolve`,
			},
		},
		"letters for some": {
			func(r *Registry) {
				Modify(r, "e", onOrder, letters, Writes("Status"))
				Modify(r, "f", onOrder, guards.Vector(), Writes("Total"))
			},
			[]string{`the handler of "f" on Order and that of "e" differ in guards.ConflictLetters, but share one clock; let all Modify handlers of Order say it, or none`},
		},
		"two kinds": {
			func(r *Registry) {
				Set(r, "e", onOrder, By(guards.Lamport()), Writes("Total"))
				Resolve(r, "f", merged, guards.Vector(), Writes("Status"))
			},
			[]string{`the handler of "f" on Order orders by vector, other handlers of Order by lamport; one model has one kind of stamp`},
		},
		"departed and letters": {
			func(r *Registry) {
				Modify(r, "e", onOrder, guards.Vector(guards.ConflictLetters(), guards.Departed("x")), Writes("Status"))
			}, nil,
		},
		"lamport finds its entity": {
			func(r *Registry) {
				Modify(r, "e", onOrder, guards.Lamport(), Writes("Status"), Key(func(p Placed) string { return p.Customer }))
			}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := NewRegistry()
			c.register(r)
			if c.want == nil {
				wire(t, r)
				return
			}
			mistaken(t, r, c.want...)
		})
	}
}
