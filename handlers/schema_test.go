package handlers

import (
	"testing"
	"time"

	"gorm.io/gorm/schema"

	"github.com/evenkeel-go/evenkeel/guards"
)

func TestMistakesOfModels(t *testing.T) {
	t.Parallel()
	type Bare struct{ ID string }
	type Pointed struct {
		ID string
		*guards.Guarded
	}
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
	type Named struct {
		ID string
		G  guards.Guarded
	}
	type Mistyped struct {
		ID   string
		Note string `evenkeel:"unmanagd"`
		guards.Guarded
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
	type Base struct {
		ID string
		guards.Guarded
	}
	type Derived struct {
		Base
		N int
	}
	t.Run("Guarded by way of an embedded struct", func(t *testing.T) {
		t.Parallel()
		r := NewRegistry()
		Set(r, "e", does[Placed, Derived])
		same(t, "columns", names(wire(t, r).Models[0].Columns), []string{"N"})
	})
	for name, c := range map[string]struct {
		register func(*Registry)
		want     []string
	}{
		"a pointer":       {func(r *Registry) { Set(r, "e", does[Placed, *Order]) }, []string{"the entity type *handlers.Order is not a struct; name the GORM model itself, not a pointer to it"}},
		"no Guarded":      {func(r *Registry) { Set(r, "e", does[Placed, Bare]) }, []string{"model Bare does not embed guards.Guarded; add the line `guards.Guarded` to the struct"}},
		"a pointer to it": {func(r *Registry) { Set(r, "e", does[Placed, Pointed]) }, []string{"model Pointed embeds a pointer, *guards.Guarded; embed guards.Guarded itself"}},
		"no JSON":         {func(r *Registry) { Set(r, "e", does[chan int, Order]) }, []string{`the handler of "e" on Order has the payload type chan int, which no JSON can be; take a struct`}},
		"no primary key":  {func(r *Registry) { Set(r, "e", does[Placed, Keyless]) }, []string{"model Keyless has no primary key; tag one field `gorm:\"primaryKey\"`"}},
		"composite key":   {func(r *Registry) { Set(r, "e", does[Placed, Composite], Writes()) }, []string{"model Composite has a primary key of 2 fields; Evenkeel finds a row by one: add a single key and make the others a unique index"}},
		"prefixed clocks": {func(r *Registry) { Set(r, "e", does[Placed, Prefixed], Writes("N")) }, []string{"model Prefixed has guards.Guarded under other column names; embed it without a prefix"}},
		"named clocks":    {func(r *Registry) { Set(r, "e", does[Placed, Named]) }, []string{"model Named has guards.Guarded as the field G; embed it: write guards.Guarded without a name"}},
		"a tag's typo":    {func(r *Registry) { Set(r, "e", does[Placed, Mistyped]) }, []string{`model Mistyped has the tag evenkeel:"unmanagd" at Note, which says nothing; the only one is evenkeel:"unmanaged"`}},
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
