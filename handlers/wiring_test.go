package handlers

import (
	"testing"
	"time"

	"gorm.io/gorm/schema"

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
	same(t, "own key", placed[0].KeyText(&event.Event{Key: "k"}, &Placed{Customer: "c"}), "k")
	same(t, "key of the payload", placed[1].KeyText(&event.Event{Key: "k"}, &Placed{Customer: "c"}), "c")

	billing := w.Handler("billed", "billing")
	same(t, "no such handler", w.Handler("billed", "x"), (*Handler)(nil))
	same(t, "a Set keeps no order", placed[0].OrderKept(), false)
	same(t, "a Modify does", billing.OrderKept(), true)
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

func TestNotes(t *testing.T) {
	t.Parallel()
	r := NewRegistry()
	Set(r, "b", onOrder)
	Set(r, "a", onOrder)
	Set(r, "c", onPayment)
	same(t, "notes", wire(t, r).Notes, []string{
		`the handler of "b" on Order names no handlers.Writes and so writes all 5 managed columns, zero values included`,
		`the handler of "a" on Order names no handlers.Writes and so writes all 5 managed columns, zero values included`,
	})
}

func TestDisjointColumnsMayHaveDifferentOwners(t *testing.T) {
	t.Parallel()
	r := NewRegistry()
	Set(r, "a", onOrder, Writes("Customer"), Creates())
	Modify(r, "b", onOrder, guards.Timestamp(), Writes("Total"))
	Modify(r, "c", onOrder, guards.None(), Writes("PaidAt"))
	Project(r, noStatus, Writes("Status"))
	m := wire(t, r).Models[0]
	var owners []string
	for _, c := range m.Columns {
		if c.Owner == nil {
			owners = append(owners, c.GoName()+": nobody")
			continue
		}
		owners = append(owners, c.GoName()+": "+c.Owner.String())
	}
	same(t, "owners", owners, []string{
		"Status: a projection", "Customer: Set", "PlacedAt: nobody", "PaidAt: Modify under none", "Total: Modify under timestamp",
	})
	same(t, "unclocked columns share no clock", names(m.ModifyColumns), []string{"Total"})
	same(t, "no owner", Owner{}.String(), "nobody")
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
		`the handler of "y" on Order is a Modify without a guard; pass guards.Timestamp(), guards.Version() or guards.None()`,
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

func TestMistakesOfRegistryGuards(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		guards []guards.Guard
		want   string
	}{
		"None":                   {[]guards.Guard{guards.None()}, "NewRegistry got guards.None; Set handlers need a stamp: give None to the Modify handlers that mean it"},
		"None in a chain":        {[]guards.Guard{guards.Chain(guards.Chain(guards.None()))}, "NewRegistry got guards.None; Set handlers need a stamp: give None to the Modify handlers that mean it"},
		"nil in a chain":         {[]guards.Guard{guards.Chain(guards.Timestamp(), nil)}, "guard 2 of NewRegistry is nil; leave it out"},
		"two of a kind":          {[]guards.Guard{guards.Version(), guards.Version()}, "NewRegistry got two orderings, version and version; keep one and give single handlers another with handlers.By"},
		"negative future":        {[]guards.Guard{guards.MaxFuture(-1)}, "guard max-future has the bound -1ns; expected a duration that is not negative"},
		"negative lateness":      {[]guards.Guard{guards.MaxLateness(-time.Hour)}, "guard max-lateness has the bound -1h0m0s; expected a duration that is not negative"},
		"two futures":            {[]guards.Guard{guards.MaxFuture(1), guards.MaxFuture(2)}, "NewRegistry got max-future twice; keep one"},
		"two latenesses":         {[]guards.Guard{guards.MaxLateness(time.Hour), guards.Chain(guards.MaxLateness(time.Hour))}, "NewRegistry got max-lateness twice; keep one"},
		"lateness of zero":       {[]guards.Guard{guards.MaxLateness(0), guards.MaxFuture(0)}, "MaxLateness(0s) is not greater than MaxFuture(0s), so one event from the future could make the present late; raise the first or lower the second"},
		"lateness under default": {[]guards.Guard{guards.MaxLateness(5 * time.Minute)}, "MaxLateness(5m0s) is not greater than MaxFuture(5m0s), so one event from the future could make the present late; raise the first or lower the second"},
		"unknown phase":          {[]guards.Guard{odd{phase: 9}}, "guard odd has a phase that there is not; return one of the guards.Phase… constants"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := NewRegistry(c.guards...)
			Set(r, "e", onPayment)
			mistaken(t, r, c.want)
		})
	}
}

// odd is a guard of the user's.
type odd struct {
	phase guards.Phase
	kind  guards.Kind
}

func (odd) Name() string                                     { return "odd" }
func (o odd) Phase() guards.Phase                            { return o.phase }
func (odd) Judge(*event.Event, *guards.State) guards.Verdict { return guards.Pass() }

type oddStamper struct{ odd }

func (o oddStamper) Kind() guards.Kind { return o.kind }
func (oddStamper) Stamp(*event.Event, bool) (event.Stamp, error) {
	return event.Stamp{}, nil
}

func TestRegistryGuardsStandInTheirPhases(t *testing.T) {
	t.Parallel()
	phases := func(w *Wiring) [3][]string {
		var out [3][]string
		for i, gs := range [][]guards.Guard{w.Decode, w.Admission, w.Handlers("e")[0].Guards} {
			for _, g := range gs {
				out[i] = append(out[i], g.Name())
			}
		}
		return out
	}
	t.Run("MaxFuture is always on", func(t *testing.T) {
		t.Parallel()
		r := NewRegistry(odd{phase: guards.PhaseDecode})
		Set(r, "e", onPayment)
		w := wire(t, r)
		same(t, "phases", phases(w), [3][]string{{"odd", "max-future"}, nil, nil})
		same(t, "bound", w.Decode[1].(interface{ Bound() time.Duration }).Bound(), guards.DefaultMaxFuture)
		same(t, "default order", w.Handlers("e")[0].Stamper.Kind(), guards.KindTimestamp)
	})
	t.Run("a chain is taken apart", func(t *testing.T) {
		t.Parallel()
		r := NewRegistry(guards.Chain(guards.Version(), guards.MaxLateness(time.Hour), guards.Chain(guards.MaxFuture(time.Minute), odd{phase: guards.PhaseRow})))
		Set(r, "e", onPayment, Guard(guards.Chain(odd{phase: guards.PhaseRow})))
		w := wire(t, r)
		same(t, "phases", phases(w), [3][]string{{"max-future"}, {"max-lateness"}, {"odd", "odd"}})
		same(t, "order", w.Handlers("e")[0].Stamper.Kind(), guards.KindVersion)
	})
}

func TestMistakesOfModels(t *testing.T) {
	t.Parallel()
	type Bare struct{ ID string }
	type Keyless struct {
		Name string
		guards.Guarded
	}
	type Composite struct {
		A string `gorm:"primaryKey"`
		B string `gorm:"primaryKey"`
		guards.Guarded
	}
	type Broken struct {
		ID string
		C  []string `gorm:"serializer:nope"`
		guards.Guarded
	}
	type Prefixed struct {
		ID string
		G  guards.Guarded `gorm:"embedded;embeddedPrefix:x_"`
		N  string
	}
	type Timed struct {
		ID time.Time
		guards.Guarded
	}
	type Strict struct {
		ID   string
		Note string `gorm:"not null" evenkeel:"unmanaged"`
		N    int
		guards.Guarded
	}
	for name, c := range map[string]struct {
		register func(*Registry)
		want     []string
	}{
		"a pointer":       {func(r *Registry) { Set(r, "e", does[Placed, *Order]) }, []string{"the entity type *handlers.Order is not a struct; name the GORM model itself, not a pointer to it"}},
		"no Guarded":      {func(r *Registry) { Set(r, "e", does[Placed, Bare]) }, []string{"model Bare does not embed guards.Guarded; add the line `guards.Guarded` to the struct"}},
		"no primary key":  {func(r *Registry) { Set(r, "e", does[Placed, Keyless]) }, []string{"model Keyless has no primary key; tag one field `gorm:\"primaryKey\"`"}},
		"composite key":   {func(r *Registry) { Set(r, "e", does[Placed, Composite], Writes()) }, []string{"model Composite has a primary key of 2 fields; Evenkeel finds a row by one: add a single key and make the others a unique index"}},
		"prefixed clocks": {func(r *Registry) { Set(r, "e", does[Placed, Prefixed], Writes("N")) }, []string{"model Prefixed has guards.Guarded under other column names; embed it without a prefix"}},
		"a time as key":   {func(r *Registry) { Set(r, "e", does[Placed, Timed]) }, []string{"model Timed has a primary key of type time.Time; Evenkeel finds a row by a text, a whole number, or a type with Value and Scan"}},
		"unreadable":      {func(r *Registry) { Set(r, "e", does[Placed, Broken]) }, []string{"model handlers.Broken: GORM can't read it: failed to parse field: C, error: unsupported data type: &[]"}},
		"more mistakes on a broken model": {func(r *Registry) { Set(r, "e", does[Placed, Bare], Writes("X"), OnMissing(99)) }, []string{
			"model Bare does not embed guards.Guarded; add the line `guards.Guarded` to the struct",
			`the handler of "e" on Bare: OnMissingPolicy(99) is not a policy; use one of the Missing… constants`,
			`the handler of "e" on Bare writes X, which model Bare does not have; its managed fields are `,
		}},
		"a column that nobody could fill": {func(r *Registry) { Set(r, "e", does[Placed, Strict], Creates(), Writes("N")) }, []string{
			"model Strict: the column of Note is NOT NULL, has no default, and is not written by the framework; give it a default, or let a handler own it",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := NewRegistry()
			c.register(r)
			mistaken(t, r, c.want...)
		})
	}
	t.Run("two models of one table", func(t *testing.T) {
		t.Parallel()
		r := NewRegistry()
		Set(r, "e", onPayment)
		type Payment struct {
			ID string
			guards.Guarded
		}
		Set(r, "f", does[Placed, Payment])
		mistaken(t, r, "models Payment and Payment share the table payments; register one model per table")
	})
	t.Run("a column that nobody fills is no matter where nothing is inserted", func(t *testing.T) {
		t.Parallel()
		r := NewRegistry()
		Set(r, "e", does[Placed, Strict], Writes("N"), OnMissing(MissingDiscard))
		wire(t, r)
	})
}

func TestWriteMistakes(t *testing.T) {
	t.Parallel()
	for field, why := range map[string]string{
		"Nope":      "model Order does not have; its managed fields are Status, Customer, PlacedAt, PaidAt, Total",
		"status":    "is a column; use the Go field's name, Status",
		"placed_at": "is a column; use the Go field's name, PlacedAt",
		"Lines":     "is an association; write its foreign key field instead",
		"ID":        "is the primary key; the framework writes it",
		"EkRev":     "belongs to guards.Guarded; the framework writes it",
		"DeletedAt": "GORM's soft delete uses; call Delivery.Delete instead",
		"CreatedAt": "GORM fills in itself; use a field of another name, e.g. PlacedAt",
		"UpdatedAt": "GORM fills in itself; use a field of another name, e.g. PlacedAt",
		"Note":      `is tagged evenkeel:"unmanaged"; drop the tag if events own it`,
		"Seen":      "is read-only to GORM; drop the tag that makes it so",
	} {
		r := NewRegistry()
		Set(r, "e", onOrder, Writes(field))
		mistaken(t, r, `the handler of "e" on Order writes `+field+", which "+why)
	}
}

// Address is embedded twice, so that its fields' names are not enough.
type Address struct{ Street, City string }

type Customer struct {
	ID       string
	Billing  Address `gorm:"embedded;embeddedPrefix:billing_"`
	Shipping Address `gorm:"embedded;embeddedPrefix:shipping_"`
	City     string
	guards.Guarded
}

func TestEmbeddedFields(t *testing.T) {
	t.Parallel()
	r := NewRegistry()
	Set(r, "e", does[Placed, Customer], Writes("Billing.Street", "City"))
	Set(r, "f", does[Placed, Customer], Writes("Shipping.Street"))
	m := wire(t, r).Models[0]
	same(t, "columns", names(m.SetColumns), []string{"Billing.Street", "Shipping.Street", "City"})
	c, _ := m.Column("City")
	same(t, "a field of the struct itself", c.Name, "city")
	c, _ = m.Column("Billing.City")
	same(t, "and its namesake", c.Name, "billing_city")

	r = NewRegistry()
	Set(r, "e", does[Placed, Customer], Writes("Street"))
	mistaken(t, r, `the handler of "e" on Customer writes Street, which is the name of several fields; say Billing.Street or Shipping.Street`)
}

func TestOptionMistakes(t *testing.T) {
	t.Parallel()
	const on = `the handler of "e" on Order`
	byCustomer := Key(func(p Placed) string { return p.Customer })
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
		"Modify with By": {
			func(r *Registry) { Modify(r, "e", onOrder, guards.None(), Writes("Status"), By(guards.Timestamp())) },
			[]string{on + ": handlers.By is for Set; a Modify takes its guard as a parameter"},
		},
		"Modify without guard": {
			func(r *Registry) { Modify(r, "e", onOrder, nil, Writes("Nope")) },
			[]string{
				on + " is a Modify without a guard; pass guards.Timestamp(), guards.Version() or guards.None()",
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
		"External": External(), "Key": byCustomer, "OnMissing": OnMissing(MissingPark), "By": By(guards.Version()),
		"Guard": Guard(odd{}), "Name": Name("n"),
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

func TestOwnershipMistakes(t *testing.T) {
	t.Parallel()
	const one = "; one column has one owner: split the column, or use one verb and guard for all its writers"
	for name, c := range map[string]struct {
		register func(*Registry)
		want     []string
	}{
		"Set and Modify": {
			func(r *Registry) {
				Set(r, "a", onOrder, Writes("Total"))
				Modify(r, "b", onOrder, guards.Timestamp(), Writes("Total"))
			},
			[]string{`the handler of "b" on Order writes Total as Modify under timestamp, but Set owns it` + one},
		},
		"Modify under two guards": {
			func(r *Registry) {
				Modify(r, "a", onOrder, guards.None(), Writes("Total"))
				Modify(r, "b", onOrder, guards.Timestamp(), Writes("Total"))
			},
			[]string{`the handler of "b" on Order writes Total as Modify under timestamp, but Modify under none owns it` + one},
		},
		"a projected column": {
			func(r *Registry) {
				Set(r, "a", onOrder, Writes("Status"))
				Project(r, noStatus, Writes("Status"))
			},
			[]string{`the handler of "a" on Order writes Status as Set, but a projection owns it` + one},
		},
		"two projections": {
			func(r *Registry) {
				Set(r, "a", onOrder, Writes("Total"))
				Project(r, noStatus, Writes("Status"))
				Project(r, noStatus, Writes("Status"))
			},
			[]string{"the projection of Order computes Status, which another projection computes too; let one compute it"},
		},
		"all columns, though some have an owner": {
			func(r *Registry) {
				Set(r, "a", onOrder)
				Modify(r, "b", onOrder, guards.None(), Writes("Total"))
			},
			[]string{`the handler of "a" on Order writes Total as Set, but Modify under none owns it; one column has one owner: name this handler's own with handlers.Writes`},
		},
		"two owners of existence": {
			func(r *Registry) {
				Set(r, "a", onOrder, Writes("Status"), Creates())
				Modify(r, "b", onOrder, guards.None(), Writes("Total"), Creates())
			},
			[]string{`the handler of "b" on Order creates rows as Modify under none, but Set does too; existence has one owner like a column`},
		},
		"two kinds of stamp": {
			func(r *Registry) {
				Set(r, "a", onOrder, Writes("Status"))
				Set(r, "b", onOrder, Writes("Customer"), By(guards.Version()))
				Modify(r, "c", onOrder, guards.Timestamp(), Writes("Total"))
			},
			[]string{`the handler of "b" on Order orders by version, other handlers of Order by timestamp; one model has one kind of stamp`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := NewRegistry()
			c.register(r)
			mistaken(t, r, c.want...)
		})
	}
}

func TestModelsMayDifferInKind(t *testing.T) {
	t.Parallel()
	r := NewRegistry(guards.Version())
	Set(r, "a", onOrder, Writes("Status"), By(guards.Timestamp()))
	Set(r, "a", onPayment)
	w := wire(t, r)
	same(t, "kinds", []guards.Kind{w.Models[0].Kind, w.Models[1].Kind}, []guards.Kind{guards.KindTimestamp, guards.KindVersion})
}

func TestExistenceAlone(t *testing.T) {
	t.Parallel()
	r := NewRegistry()
	Set(r, "a", onOrder, Writes(), Creates())
	w := wire(t, r)
	same(t, "writes", names(w.Handlers("a")[0].Writes), []string(nil))
	same(t, "existence", *w.Models[0].Existence, Owner{Verb: VerbSet})
}

func TestNamingStrategyCounts(t *testing.T) {
	t.Parallel()
	r := NewRegistry()
	Set(r, "a", onPayment)
	w, err := r.Wire(schema.NamingStrategy{TablePrefix: "shop_", SingularTable: true})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "table", w.Models[0].Table, "shop_payment")
}
