package handlers

import (
	"database/sql"
	"testing"

	"github.com/evenkeel-go/evenkeel/guards"
)

// early registers a handler that may make a placeholder, and writes N alone.
func early[E any](opts ...Option) func(*Registry) {
	return func(r *Registry) { Set(r, "e", does[Placed, E], append(opts, Writes("N"))...) }
}

func TestPlaceholdersThatWouldBreak(t *testing.T) {
	t.Parallel()
	type NullPointer struct {
		ID string
		X  *string `gorm:"not null"`
		N  int
		guards.Guarded
	}
	type NullBytes struct {
		ID string
		X  []byte `gorm:"not null"`
		N  int
		guards.Guarded
	}
	type NullValuer struct {
		ID string
		X  sql.NullString `gorm:"not null"`
		N  int
		guards.Guarded
	}
	type Unique struct {
		ID    string
		Email string `gorm:"unique"`
		N     int
		guards.Guarded
	}
	type UniqueDefault struct {
		ID    string
		Email *string `gorm:"unique;default:none"`
		N     int
		guards.Guarded
	}
	type UniqueIndex struct {
		ID   string
		A    string `gorm:"uniqueIndex:ab"`
		B    int    `gorm:"uniqueIndex:ab"`
		N    int
		Free string `gorm:"index"`
		guards.Guarded
	}
	type Parent struct{ ID string }
	type Child struct {
		ID       string
		ParentID string
		Parent   Parent
		N        int
		guards.Guarded
	}
	const mend = "; say handlers.OnMissing(handlers.MissingPark) to let the event wait for the row"
	for model, c := range map[string]struct {
		register func(*Registry)
		why      string
	}{
		"NullPointer":   {early[NullPointer](), "X would be NULL in a NOT NULL column"},
		"NullBytes":     {early[NullBytes](), "X would be NULL in a NOT NULL column"},
		"NullValuer":    {early[NullValuer](), "X would be NULL in a NOT NULL column"},
		"Unique":        {early[Unique](), "Email is unique and would be the same in every placeholder"},
		"UniqueDefault": {early[UniqueDefault](), "Email is unique and would be the same in every placeholder"},
		"UniqueIndex":   {early[UniqueIndex](), "the unique index ab (A, B) would hold the same values for every placeholder"},
		"Child":         {early[Child](), "the foreign key ParentID would point to nothing"},
	} {
		t.Run(model, func(t *testing.T) {
			t.Parallel()
			r := NewRegistry()
			c.register(r)
			mistaken(t, r, `the handler of "e" on `+model+" may make a placeholder, but "+c.why+mend)
		})
	}
	t.Run("the user's word does not help against a unique column", func(t *testing.T) {
		t.Parallel()
		r := NewRegistry()
		early[Unique](OnMissing(MissingPlaceholder))(r)
		mistaken(t, r, `the handler of "e" on Unique may make a placeholder, but Email is unique and would be the same in every placeholder`+mend)
	})
	for _, p := range []OnMissingPolicy{MissingPark, MissingDeadLetter, MissingDiscard} {
		r := NewRegistry()
		early[Unique](OnMissing(p))(r)
		wire(t, r)
	}
	t.Run("nor does a creating event make one", func(t *testing.T) {
		t.Parallel()
		r := NewRegistry()
		early[Unique](Creates())(r)
		wire(t, r)
	})
}

func TestPlaceholdersThatHold(t *testing.T) {
	t.Parallel()
	type Parent struct{ ID string }
	type Fine struct {
		ID       string
		Zero     string  `gorm:"not null"` // a zero value is not NULL
		Token    string  `gorm:"unique;default:gen_random_uuid()"`
		Email    *string `gorm:"unique"`         // NULLs differ
		A        string  `gorm:"uniqueIndex:an"` // with N, which the event says
		N        int     `gorm:"unique;uniqueIndex:an;check:n >= 0"`
		Made     []byte  `gorm:"not null;default:'x'"`
		Size     string  `gorm:"->;type:int GENERATED ALWAYS AS (1) STORED;not null"`
		Derived  string  `gorm:"check:derived <> ''"` // a projection computes it
		ParentID *string
		Parent   *Parent
		guards.Guarded
	}
	r := NewRegistry()
	early[Fine]()(r)
	Project(r, func(*Fine) {}, Writes("Derived"))
	wire(t, r)
}

func TestPlaceholdersInDoubt(t *testing.T) {
	t.Parallel()
	type Checked struct {
		ID    string
		Total int `gorm:"check:total_positive,total > 0"`
		N     int `gorm:"check:n > 0"`
		guards.Guarded
	}
	type Partial struct {
		ID string
		A  string `gorm:"uniqueIndex:live,where:a <> ''"`
		N  int
		guards.Guarded
	}
	const mend = "; say handlers.OnMissing(handlers.MissingPark) to let the event wait for the row, or handlers.OnMissing(handlers.MissingPlaceholder) if the constraint holds for blank values"
	r := NewRegistry()
	early[Checked]()(r)
	early[Partial]()(r)
	mistaken(
		t, r,
		`the handler of "e" on Checked may make a placeholder, but the CHECK constraint total_positive would see a blank value`+mend,
		`the handler of "e" on Partial may make a placeholder, but the partial unique index live (A) might hold the same values for every placeholder`+mend,
	)
	r = NewRegistry()
	early[Checked](OnMissing(MissingPlaceholder))(r)
	early[Partial](OnMissing(MissingPlaceholder))(r)
	same(t, "the user's word counts", wire(t, r).Handlers("e")[0].OnMissing, MissingPlaceholder)
}
