package handlers

import (
	"testing"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
)

func TestWire(t *testing.T) {
	t.Parallel()
	r := NewRegistry(guards.Timestamp(), guards.MaxLateness(24*time.Hour))
	Set(r, "placed", onOrder, Creates(), Writes("Customer", "PlacedAt"))
	Set(r, "placed", onPayment, Key(func(p Placed) string { return p.Customer }), External())
	Set(r, "paid", onOrder, Writes("PaidAt"), OnMissing(MissingPark))
	Modify(r, "billed", onOrder, guards.Timestamp(), Writes("Total"), Name("billing"))
	Project(r, noStatus, Writes("Status"))
	w := wire(t, r)

	same(t, "event types", w.EventTypes(), 3)
	same(t, "models", []string{w.Models[0].Name, w.Models[1].Name}, []string{"Order", "Payment"})
	m := w.Models[0]
	same(t, "kind", m.Kind, guards.KindTimestamp)
	same(t, "existence", *m.Existence, Owner{Verb: VerbSet})
	same(t, "columns", names(m.Columns), []string{"Status", "Customer", "PlacedAt", "PaidAt", "Total"})
	same(t, "set columns", names(m.SetColumns), []string{"Customer", "PlacedAt", "PaidAt"})
	same(t, "modify columns", names(m.ModifyColumns), []string{"Total"})
	same(t, "written", names(m.Written), []string{"Status", "Customer", "PlacedAt", "PaidAt", "Total", "UpdatedAt", "DeletedAt"})
	same(t, "inserted", names(m.Inserted), []string{"ID", "Status", "Customer", "PlacedAt", "PaidAt", "Total", "CreatedAt", "UpdatedAt", "DeletedAt"})

	placed := w.Handlers("placed")
	same(t, "names", []string{placed[0].Name, placed[1].Name}, []string{"placed→Order", "placed→Payment"})
	same(t, "creates", []bool{placed[0].Creates, placed[1].Creates}, []bool{true, false})
	same(t, "external", []bool{placed[0].External, placed[1].External}, []bool{false, true})
	same(t, "all columns", names(placed[1].Writes), []string{"Amount"})
	same(t, "default policy", placed[1].OnMissing, MissingPlaceholder)
	same(t, "policy", w.Handler("paid", "paid→Order").OnMissing, MissingPark)
	same(t, "own key", placed[0].KeyTexts(&event.Event{Key: "k"}, &Placed{Customer: "c"}), []string{"k"})
	same(t, "key of the payload", placed[1].KeyTexts(&event.Event{Key: "k"}, &Placed{Customer: "c"}), []string{"c"})

	billing := w.Handler("billed", "billing")
	same(t, "no such handler", w.Handler("billed", "x"), (*Handler)(nil))
	same(t, "a Set keeps no order", placed[0].OrderKept(), false)
	same(t, "a Modify does", billing.OrderKept(), true)
	for name, want := range map[string]bool{"billing": true, "placed→Order": false, "nobody": false} {
		same(t, name+" keeps order", w.KeepsOrder(name), want)
	}
	same(t, "the registry's ordering", w.Stamper.Kind(), guards.KindTimestamp)
	for name, want := range map[string]bool{"Total": true, "Status": false, "Customer": false} {
		c, ok := m.Column(name)
		same(t, name+" is there", ok, true)
		same(t, name+" may be written", billing.MayWrite(c), want)
	}
	same(t, "decode guards", w.Decode[0].Name(), "max-future")
	same(t, "admission guards", w.Admission[0].Name(), "max-lateness")
	same(t, "row guards", len(billing.Guards), 0)

	again := wire(t, r)
	same(t, "wired again", names(again.Models[0].SetColumns), names(m.SetColumns))
}

func TestHandlersKeepTheOrderOfRegistration(t *testing.T) {
	t.Parallel()
	r := NewRegistry()
	Set(r, "e", onPayment, Name("first")) // writes all columns, and so is wired last
	Set(r, "e", onOrder, Name("second"), Writes("Status"))
	Modify(r, "e", onOrder, guards.None(), Name("third"), Writes("Total"), Key(func(Placed) string { return "x" }))
	var got []string
	for _, h := range wire(t, r).Handlers("e") {
		got = append(got, h.Name)
	}
	same(t, "order", got, []string{"first", "second", "third"})
}

func TestAllMistakesAtOnceInOrderOfRegistration(t *testing.T) {
	t.Parallel()
	r := NewRegistry(guards.Timestamp(), guards.Version(), nil, guards.MaxLateness(time.Minute))
	Set(r, "z", onOrder, Writes("Nope"))
	Modify(r, "y", onOrder, nil, Writes("Status"))
	Set[Placed, Order](r, "x", nil, Writes("Status", "Status"))
	Project(r, noStatus, Writes("ID"))
	Set(r, "", onOrder, Writes("Total"))
	mistaken(
		t, r,
		"NewRegistry got two orderings, timestamp and version; keep one and give single handlers another with handlers.By",
		"guard 3 of NewRegistry is nil; leave it out",
		"MaxLateness(1m0s) is not greater than MaxFuture(5m0s), so one event from the future could make the present late; raise the first or lower the second",
		`the handler of "z" on Order writes Nope, which model Order does not have; its managed fields are Status, Customer, PlacedAt, PaidAt, Total`,
		`the handler of "y" on Order is a Modify without a guard; pass guards.Sequence(), guards.Once(), guards.Timestamp() or another stamp, or guards.None()`,
		`the handler of "x" on Order: the handler function is nil`,
		`the handler of "x" on Order names Status twice`,
		`the projection of Order writes ID, which is the primary key; the framework writes it`,
		`a handler on Order has no event type; name the type that it handles`,
	)
}

func TestWiringError(t *testing.T) {
	t.Parallel()
	same(t, "one", (&WiringError{Mistakes: []string{"a"}}).Error(), "evenkeel: 1 mistake in the handlers' wiring:\n  - a")
	same(t, "two", (&WiringError{Mistakes: []string{"a", "b"}}).Error(), "evenkeel: 2 mistakes in the handlers' wiring:\n  - a\n  - b")
	_, err := NewRegistry().Wire(nil)
	same(t, "no namer", err.Error(), "evenkeel: Wire needs the naming strategy of the database handle (db.NamingStrategy)")
	mistaken(t, NewRegistry(), "no handler is registered; call handlers.Set or handlers.Modify")
}

// odd is a guard of the user's.
// Address is embedded twice, so that its fields' names are not enough.
func TestOptionMistakes(t *testing.T) {
	t.Parallel()
	const on = `the handler of "e" on Order`
	byCustomer := Key(func(p Placed) string { return p.Customer })
	byCustomers := Keys(func(p Placed) []string { return []string{p.Customer} })
	for name, c := range map[string]struct {
		register func(*Registry)
		want     []string
	}{
		"key of another payload": {
			func(r *Registry) { Set(r, "e", onOrder, Writes("Status"), Key(func(string) string { return "" })) },
			[]string{on + ": the function of handlers.Key takes a string, the payload is a handlers.Placed; let it take the payload's type"},
		},
		"nil key": {
			func(r *Registry) { Set(r, "e", onOrder, Writes("Status"), Key[Placed](nil)) },
			[]string{on + ": the function of handlers.Key is nil"},
		},
		"keys of another payload": {
			func(r *Registry) {
				Set(r, "e", onOrder, Writes("Status"), Keys(func(string) []string { return nil }))
			},
			[]string{on + ": the function of handlers.Keys takes a string, the payload is a handlers.Placed; let it take the payload's type"},
		},
		"nil keys": {
			func(r *Registry) { Set(r, "e", onOrder, Writes("Status"), Keys[Placed](nil)) },
			[]string{on + ": the function of handlers.Keys is nil"},
		},
		"key and keys": {
			func(r *Registry) { Set(r, "e", onOrder, Writes("Status"), byCustomer, byCustomers) },
			[]string{on + " finds its entity in 2 ways, handlers.Key and handlers.Keys; keep one"},
		},
		"version and keys": {
			func(r *Registry) { Modify(r, "e", onOrder, guards.Version(), Writes("Status"), byCustomers) },
			[]string{on + " is ordered by version but finds its entity with handlers.Keys; a version counts the event's own entity: order it by guards.Timestamp()"},
		},
		"nil option": {
			func(r *Registry) { Set(r, "e", onOrder, Writes("Status"), nil) },
			[]string{on + ": option 2 is nil"},
		},
		"several nils": {
			func(r *Registry) { Set[Placed, Order](r, "e", nil, Writes("Status"), Key[Placed](nil), By(nil), nil) },
			[]string{on + ": the handler function is nil", on + ": the function of handlers.Key is nil", on + ": the guard of handlers.By is nil", on + ": option 4 is nil"},
		},
		"version and key": {
			func(r *Registry) { Set(r, "e", onOrder, Writes("Status"), By(guards.Version()), byCustomer) },
			[]string{on + " is ordered by version but finds its entity with handlers.Key; a version counts the event's own entity: order it by guards.Timestamp()"},
		},
		"a Modify under a stamp that creates": {
			func(r *Registry) {
				Set(r, "c", onOrder, Writes("Status"), Creates())
				Modify(r, "e", onOrder, guards.Timestamp(), Writes("Total"), Creates())
			},
			[]string{on + " is a Modify under timestamp that Creates; a creating event that comes late would be discarded and lost: use handlers.Set"},
		},
		"Creates and OnMissing": {
			func(r *Registry) { Set(r, "e", onOrder, Writes("Status"), Creates(), OnMissing(MissingPark)) },
			[]string{on + " has both Creates and OnMissing; a creating event never misses its row: drop OnMissing"},
		},
		"unknown policy": {
			func(r *Registry) { Set(r, "e", onOrder, Writes("Status"), OnMissing(77)) },
			[]string{on + ": OnMissingPolicy(77) is not a policy; use one of the Missing… constants"},
		},
		"Set under None": {
			func(r *Registry) { Set(r, "e", onOrder, Writes("Status"), By(guards.None())) },
			[]string{on + " is a Set under guards.None; a Set needs a stamp to merge by"},
		},
		"Set under Once": {
			func(r *Registry) { Set(r, "e", onOrder, Writes("Status"), By(guards.Once())) },
			[]string{on + " is a Set under guards.Once; a Set needs a stamp to merge by"},
		},
		"a Modify under Once that creates": {
			func(r *Registry) { Modify(r, "e", onOrder, guards.Once(), Writes("Status"), Creates()) },
			[]string{on + " is a Modify under once that Creates; which of creating and deleting comes last needs an order: let a handlers.Set handler create the rows, or drop Creates, as rows that nobody creates are live from their first event"},
		},
		"Once without memory": {
			func(r *Registry) { Modify(r, "e", onOrder, guards.Once(guards.Memory(0)), Writes("Status")) },
			[]string{on + ": guards.Memory(0s) remembers nothing; expected a duration above zero: leave it out for 168h0m0s"},
		},
		"a Once of somebody else's": {
			func(r *Registry) { Modify(r, "e", onOrder, oddStamper{odd{kind: guards.KindOnce}}, Writes("Status")) },
			[]string{on + ": the guard odd is of the kind once but has no memory; use guards.Once"},
		},
		"two owners, one Once": {
			func(r *Registry) {
				Modify(r, "e", onOrder, guards.Once(), Writes("Total"))
				Modify(r, "f", onOrder, guards.None(), Writes("Total"))
			},
			[]string{`the handler of "f" on Order writes Total as Modify under none, but Modify under once owns it; one column has one owner: split the column, or use one verb and guard for all its writers`},
		},
		"Modify with By": {
			func(r *Registry) { Modify(r, "e", onOrder, guards.None(), Writes("Status"), By(guards.Timestamp())) },
			[]string{on + ": handlers.By is for Set; a Modify takes its guard as a parameter"},
		},
		"Modify without guard": {
			func(r *Registry) { Modify(r, "e", onOrder, nil, Writes("Nope")) },
			[]string{
				on + " is a Modify without a guard; pass guards.Sequence(), guards.Once(), guards.Timestamp() or another stamp, or guards.None()",
				on + " writes Nope, which model Order does not have; its managed fields are Status, Customer, PlacedAt, PaidAt, Total",
			},
		},
		"Modify without fields": {
			func(r *Registry) { Modify(r, "e", onOrder, guards.None()) },
			[]string{on + " names no fields; a Modify must: add handlers.Writes"},
		},
		"a kind that there is not": {
			func(r *Registry) { Modify(r, "e", onOrder, oddStamper{odd{kind: 9}}, Writes("Status")) },
			[]string{on + ": the guard odd has a kind of stamp that there is not; return one of the guards.Kind… constants"},
		},
		"guards of a handler": {
			func(r *Registry) {
				Set(r, "e", onOrder, Writes("Status"), Guard(nil), Guard(guards.Version()), Guard(guards.MaxLateness(time.Hour)), Guard(guards.MaxFuture(0)))
			},
			[]string{
				on + ": guard 1 of handlers.Guard is nil",
				on + ": version orders events and can't be added with handlers.Guard; use Modify or handlers.By",
				on + ": max-lateness is asked once per record, in the admission phase; give it to handlers.NewRegistry",
				on + ": max-future is asked once per record, in the decode phase; give it to handlers.NewRegistry",
			},
		},
		"registered twice": {
			func(r *Registry) { Set(r, "e", onOrder, Writes("Status")); Set(r, "e", onOrder, Writes("Total")) },
			[]string{on + " is registered twice; join the two functions, or give one its own entity with handlers.Key"},
		},
		"the same name": {
			func(r *Registry) {
				Set(r, "e", onOrder, Writes("Status"))
				Set(r, "e", onOrder, Writes("Status"), byCustomer)
			},
			[]string{on + ` has the same name as another, "e→Order"; tell them apart with handlers.Name`},
		},
		"a projection without fields": {
			func(r *Registry) { Set(r, "e", onOrder, Writes("Status")); Project(r, noStatus) },
			[]string{"the projection of Order names no fields; add handlers.Writes with the fields that it computes"},
		},
		"a projection with a handler's options": {
			func(r *Registry) {
				Set(r, "e", onOrder, Writes("Total"))
				Project(r, noStatus, Writes("Status"), Creates())
			},
			[]string{"the projection of Order has an option that only handlers take; a projection takes Writes alone"},
		},
		"a projection without handlers": {
			func(r *Registry) { Set(r, "e", onPayment); Project(r, noStatus, Writes("Status")) },
			[]string{"the projection of Order has no handler beside it, so it would never run; register one with handlers.Set or handlers.Modify"},
		},
		"a projection of a pointer": {
			func(r *Registry) {
				Set(r, "e", onOrder, Writes("Total"))
				Project(r, func(**Order) {}, Writes("Status"))
			},
			[]string{"the entity type *handlers.Order is not a struct; name the GORM model itself, not a pointer to it"},
		},
		"no projection": {
			func(r *Registry) {
				Set(r, "e", onOrder, Writes("Total"))
				Project[Order](r, nil, Writes("Status"), nil)
			},
			[]string{"the projection of Order: the projection function is nil", "the projection of Order: option 2 is nil"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := NewRegistry()
			c.register(r)
			mistaken(t, r, c.want...)
		})
	}
	for name, option := range map[string]Option{
		"External": External(), "Key": byCustomer, "Keys": byCustomers, "OnMissing": OnMissing(MissingPark), "By": By(guards.Version()),
		"Guard": Guard(odd{}), "Name": Name("n"), "Slow": Slow(),
	} {
		r := NewRegistry()
		Set(r, "e", onOrder, Writes("Total"))
		Project(r, noStatus, Writes("Status"), option)
		t.Run("a projection with "+name, func(t *testing.T) {
			t.Parallel()
			mistaken(t, r, "the projection of Order has an option that only handlers take; a projection takes Writes alone")
		})
	}
}

func TestOnceBesideOtherKinds(t *testing.T) {
	t.Parallel()
	r := NewRegistry(guards.Version())
	Set(r, "a", onOrder, Writes("Status"), Creates())
	Modify(r, "b", onOrder, guards.Once(), Writes("Total"), Name("totals"))
	Modify(r, "c", onPayment, guards.Once(guards.Memory(time.Hour)), Writes("Amount"), Key(func(p Placed) string { return p.Customer }))
	w := wire(t, r)
	same(t, "the kind of stamp is the Set's", w.Models[0].Kind, guards.KindVersion)
	same(t, "no stamp", w.Models[1].Kind, guards.KindNone)
	same(t, "columns with the clock of Modify", len(w.Models[0].ModifyColumns), 0)
	same(t, "it is written", names(w.Models[0].Written)[:2], []string{"Status", "Total"})
	same(t, "keeps order", w.KeepsOrder("totals"), false)
	same(t, "whole log", w.WholeLog().Name, "c→Payment")
	var memories []time.Duration
	for _, h := range w.All() {
		d, ok := h.Memory()
		same(t, h.Name, ok, h.EventType != "a")
		memories = append(memories, d)
	}
	same(t, "memories", memories, []time.Duration{0, time.Hour, guards.DefaultMemory})

	r = NewRegistry()
	Set(r, "a", onOrder, Writes("Status"))
	same(t, "nobody needs the whole log", wire(t, r).WholeLog(), (*Handler)(nil))
}

func TestOnceMustRememberWhatMaxLatenessLetsIn(t *testing.T) {
	t.Parallel()
	r := NewRegistry(guards.MaxLateness(2 * time.Hour))
	Modify(r, "e", onOrder, guards.Once(guards.Memory(time.Hour)), Writes("Total"))
	Modify(r, "f", onOrder, guards.Once(guards.Memory(2*time.Hour)), Writes("Total"))
	mistaken(t, r, `the handler of "e" on Order remembers ids for 1h0m0s, but MaxLateness(2h0m0s) lets in what is older and would be refused then; give guards.Once a longer guards.Memory`)
}

func TestModelsMayDifferInKind(t *testing.T) {
	t.Parallel()
	r := NewRegistry(guards.Version())
	Set(r, "a", onOrder, Writes("Status"), By(guards.Timestamp()))
	Set(r, "a", onPayment)
	w := wire(t, r)
	same(t, "kinds", []guards.Kind{w.Models[0].Kind, w.Models[1].Kind}, []guards.Kind{guards.KindTimestamp, guards.KindVersion})
}
