package handlers

import (
	"testing"

	"github.com/evenkeel-go/evenkeel/guards"
)

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

func TestExistenceAlone(t *testing.T) {
	t.Parallel()
	r := NewRegistry()
	Set(r, "a", onOrder, Writes(), Creates())
	w := wire(t, r)
	same(t, "writes", names(w.Handlers("a")[0].Writes), []string(nil))
	same(t, "existence", *w.Models[0].Existence, Owner{Verb: VerbSet})
}
