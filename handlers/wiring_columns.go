package handlers

import (
	"fmt"
	"slices"
	"strings"
)

// columns finds fields by name.
func (w *wirer) columns(what string, m *Model, names []string) []*Column {
	var cs []*Column
	for _, name := range names {
		c, ok := m.byField[name]
		if !ok {
			w.mistake("%s writes %s, which %s", what, name, whyNot(m, name))
			continue
		}
		if slices.Contains(cs, c) {
			w.mistake("%s names %s twice", what, name)
			continue
		}
		cs = append(cs, c)
	}
	return cs
}

// whyNot says why a name is not a managed column.
func whyNot(m *Model, name string) string {
	if paths := m.ambiguous[name]; paths != nil {
		return "is the name of several fields; say " + strings.Join(paths, " or ")
	}
	f := m.Schema.LookUpField(name)
	switch {
	case f == nil || f.DBName == "" && m.Schema.Relationships.Relations[name] == nil:
		var have []string
		for _, c := range m.Columns {
			have = append(have, c.GoName())
		}
		return fmt.Sprintf("model %s does not have; its managed fields are %s", m.Name, strings.Join(have, ", "))
	case f.DBName == "":
		return "is an association; write its foreign key field instead"
	case f.DBName == name && f.Name != name:
		return fmt.Sprintf("is a column; use the Go field's name, %s", f.Name)
	case f.PrimaryKey:
		return "is the primary key; the framework writes it"
	case ekColumns[f.DBName]:
		return "belongs to guards.Guarded; the framework writes it"
	case f.FieldType == deletedAtType:
		return "GORM's soft delete uses; call Delivery.Delete instead"
	case f.AutoCreateTime != 0 || f.AutoUpdateTime != 0:
		return "GORM fills in itself; use a field of another name, e.g. PlacedAt"
	case isUnmanaged(f):
		return `is tagged evenkeel:"unmanaged"; drop the tag if events own it`
	}
	return "is read-only to GORM; drop the tag that makes it so"
}

// manyColumns is how many columns a Set handler may write without naming them before
// the start-up log mentions it.
const manyColumns = 3

// claim gives the handler's columns to their owner (R4).
func (w *wirer) claim(what string, d *declaration, h *Handler) {
	m := h.Model
	owner := Owner{Verb: h.Verb}
	switch h.Verb {
	case VerbModify:
		owner.Kind, owner.Stream = h.Stamper.Kind(), h.Stream
	case VerbResolve:
		owner.Event = h.EventType
	case VerbSet, VerbProject:
	}
	mend := "split the column, or use one verb and guard for all its writers"
	switch {
	case len(d.writes) > 0:
		h.Writes = w.columns(what, m, d.writes)
	case d.hasWrites && h.Verb == VerbSet: // Writes(): existence alone
	case h.Verb == VerbModify:
		w.mistake("%s names no fields; a Modify must: add handlers.Writes", what)
	case h.Verb == VerbResolve:
		w.mistake("%s names no fields; a Resolve must: add handlers.Writes", what)
	default:
		mend = "name this handler's own with handlers.Writes"
		for _, c := range m.Columns {
			if c.Owner == nil || c.Owner.Verb != VerbProject {
				h.Writes = append(h.Writes, c)
			}
		}
		if len(h.Writes) > manyColumns {
			w.notes = append(w.notes, remark{w.at, fmt.Sprintf("%s names no handlers.Writes and so writes all %d managed columns, zero values included", what, len(h.Writes))})
		}
	}
	h.mayWrite = make([]bool, len(m.Columns))
	for _, c := range h.Writes {
		h.mayWrite[c.Index] = true
		switch {
		case c.Owner == nil:
			c.Owner = &owner
		case *c.Owner != owner:
			w.mistake("%s writes %s as %s, but %s owns it; one column has one owner: %s", what, c.GoName(), owner, c.Owner, mend)
		}
	}
	if !d.creates || h.staleCreates(h.Stamper.Kind()) {
		return
	}
	if m.Existence != nil && *m.Existence != owner {
		w.mistake("%s creates rows as %s, but %s does too; existence has one owner like a column", what, owner, m.Existence)
		return
	}
	m.Existence = &owner
}

// inserts finds handlers whose insert of a row the table would refuse.
func (w *wirer) inserts(d *declaration) {
	h := w.made[d]
	what := fmt.Sprintf("the handler of %q on %s", h.EventType, h.Model.Name)
	if !h.Creates && h.OnMissing != MissingPlaceholder {
		return
	}
	if f := neverInserted(h.Model); f != nil {
		w.mistake("model %s: the column of %s is NOT NULL, has no default, and is not written by the framework; give it a default, or let a handler own it", h.Model.Name, f.Name)
	}
	if h.Creates {
		return
	}
	if why := placeholderBreaks(h); why != "" {
		w.mistake("%s may make a placeholder, but %s; say handlers.OnMissing(handlers.MissingPark) to let the event wait for the row", what, why)
	} else if why := placeholderDoubt(h); why != "" && d.onMissing != MissingPlaceholder {
		w.mistake("%s may make a placeholder, but %s; say handlers.OnMissing(handlers.MissingPark) to let the event wait for the row, or handlers.OnMissing(handlers.MissingPlaceholder) if the constraint holds for blank values", what, why)
	}
}
