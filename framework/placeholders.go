package framework

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/open"
)

// Placeholder is a row that early events have made, and whose creating event has not come.
type Placeholder struct {
	Group, Table, Model, Key string
	// Born is when the row was made.
	Born time.Time
	// Kind is the word of the kind of stamp that orders the model's events, e.g.
	// "timestamp". Newest is the number of the newest one that the row has seen, in
	// microseconds since 1970 for timestamps; Source and ID are its event's, those over
	// 128 bytes as hashes.
	Kind       string
	Newest     int64
	Source, ID string
}

// PlaceholderFilter chooses placeholders. Zero fields choose all; the others must all hold.
type PlaceholderFilter struct {
	Group, Table string
	// Before bounds when the row was made.
	Before time.Time
}

const placeholderPage = 500

// NoTableError says that a table was never claimed by a consumer.
type NoTableError struct {
	Table, Group string
	// Known are the tables that consumers keep, where they were looked up.
	Known []string
}

// Error names the table.
func (e *NoTableError) Error() string {
	of := ""
	if e.Group != "" {
		of = fmt.Sprintf(" of the group %q", e.Group)
	}
	s := fmt.Sprintf("no consumer%s keeps a table %q; check the name, with its schema if it has one", of, e.Table)
	if len(e.Known) > 0 {
		s += "; there are: " + strings.Join(e.Known, ", ")
	}
	return s
}

// Placeholders goes through the placeholders that f chooses, table by table in the order of
// names, each from the oldest on. It works on any database that a consumer has used,
// without its models, and holds no more than a page of 500 in memory. An error ends it; it
// is a [*NoTableError] when f names a table that is none, or the driver's.
func Placeholders(ctx context.Context, db *gorm.DB, f PlaceholderFilter) iter.Seq2[Placeholder, error] {
	return func(yield func(Placeholder, error) bool) {
		if err := placeholders(ctx, db, f, yield); err != nil && !errors.Is(err, errEnough) {
			yield(Placeholder{}, err)
		}
	}
}

var errEnough = errors.New("the caller has seen enough")

func placeholders(ctx context.Context, db *gorm.DB, f PlaceholderFilter, yield func(Placeholder, error) bool) error {
	st, err := open.Open(db)
	if err != nil {
		return err
	}
	tables, err := st.Tables(ctx, f.Group)
	if err != nil {
		return err
	}
	found := f.Table == ""
	for _, t := range tables {
		if f.Table != "" && t.Name != f.Table {
			continue
		}
		found = true
		if t.Key == "" {
			continue // its service has not run under a release that says its key
		}
		if err := ofTable(ctx, st, t, f.Before, yield); err != nil {
			return err
		}
	}
	if !found {
		return &NoTableError{Table: f.Table, Group: f.Group}
	}
	return nil
}

func ofTable(ctx context.Context, st store.Store, t store.Table, before time.Time, yield func(Placeholder, error) bool) error {
	if before.IsZero() {
		before = time.UnixMicro(1 << 62)
	}
	q := store.AgedQuery{Table: t, State: guards.Placeholder, Before: before, Limit: placeholderPage}
	for {
		page, err := st.Aged(ctx, q)
		if err != nil {
			return fmt.Errorf("read the placeholders of table %s: %w", t.Name, err)
		}
		for i := range page {
			a := &page[i]
			p := Placeholder{Group: t.Group, Table: t.Name, Model: t.Model, Key: a.Key, Born: a.Born, Kind: t.Kind, Newest: a.Newest.Time}
			p.Source, p.ID = a.Newest.Identity()
			if !yield(p, nil) {
				return errEnough
			}
		}
		if len(page) < placeholderPage {
			return nil
		}
		q.After = &page[len(page)-1]
	}
}
