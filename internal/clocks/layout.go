// Package clocks keeps what a row remembers of the events that it has absorbed: one
// stamp per column, and one for the row's existence (R2, R5).
package clocks

import "github.com/evenkeel-go/evenkeel/handlers"

// Existence is the name under which the clock of a row's existence is stored. No column
// can have it.
const Existence = "@exists"

// Layout says which stamps a model's rows have. The first len(Model.Columns) places
// belong to the model's columns by Column.Index, the next one to existence, and those
// after it to columns that the table's history knows but this process's model does not:
// a newer version of the service may be running beside it.
type Layout struct {
	Names   []string
	Clocked []bool
	// Gens is the generation in which a place came to the model. A row of an older
	// generation has never been written there.
	Gens    []int32
	Current int32
	// Exists is the place of existence.
	Exists int
	// Purged: tombstones of the table have been purged, or are about to be, so that a
	// missing row may be one that was deleted (R13).
	Purged bool
	// Other is the kind of the stamps that rows have, where it is not the model's. Only what
	// rebuilds the table gets such a layout, and it compares nothing until no row has a stamp
	// any more (R20).
	Other string
}

// NewLayout lays out a model: gens holds the generation of each name that is known for
// the model's table, current the newest generation. Every clocked name of the model must
// be in gens.
func NewLayout(m *handlers.Model, gens map[string]int32, current int32) *Layout {
	l := &Layout{Current: current, Exists: len(m.Columns)}
	add := func(name string, clocked bool) {
		l.Names = append(l.Names, name)
		l.Clocked = append(l.Clocked, clocked)
		l.Gens = append(l.Gens, gens[name])
	}
	own := map[string]bool{Existence: true}
	for _, c := range m.Columns {
		add(c.Name, IsClocked(c))
		own[c.Name] = IsClocked(c)
	}
	add(Existence, true)
	for _, name := range sortedNames(gens) {
		if !own[name] {
			add(name, true)
		}
	}
	return l
}

// LayoutOf lays out a table whose model is not at hand, for tools that only read: all that
// its history knows, in the order of names.
func LayoutOf(gens map[string]int32, current int32) *Layout {
	l := &Layout{Current: current}
	for i, name := range sortedNames(gens) {
		if name == Existence {
			l.Exists = i
		}
		l.Names, l.Clocked, l.Gens = append(l.Names, name), append(l.Clocked, true), append(l.Gens, gens[name])
	}
	return l
}

// IsClocked reports whether a column carries a stamp.
func IsClocked(c *handlers.Column) bool {
	return c.Owner != nil && c.Owner.Verb != handlers.VerbProject && !isUnordered(c.Owner)
}

// Names returns the names of a model that need a generation: its clocked columns and
// existence.
func Names(m *handlers.Model) []string {
	names := []string{Existence}
	for _, c := range m.Columns {
		if IsClocked(c) {
			names = append(names, c.Name)
		}
	}
	return names
}
