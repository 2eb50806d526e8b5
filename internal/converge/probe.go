package converge

import (
	"context"
	"errors"
	"reflect"
	"slices"

	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/deep"
)

// repeats is how often a handler is run in a row to see whether it says the same each time: a
// map of two keys has its rarer order in one of eight cases.
const repeats = 40

// said is what one run of a Set handler said.
type said struct {
	view    reflect.Value // valid when end is empty
	kept    []string
	deleted bool
	emits   []string
	end     string // how it ended, but for success
}

// ask runs a Set handler for its event on a blank entity, or on one that fill has changed.
func (c *Checker) ask(ctx context.Context, u *unit, fill func(entity reflect.Value)) (s said) {
	e, h := c.events[u.event], u.handler
	defer func() {
		if recover() != nil {
			s = said{end: "panics"}
		}
	}()
	c.log = []int{u.event}
	seen := *e
	seen.Record = c.record(0)
	payload, err := h.Decode(&seen)
	if err != nil {
		return said{end: "can't read its payload"}
	}
	key, _, err := h.Model.ParseKey(u.key)
	if err != nil {
		return said{end: "has no key"}
	}
	entity := h.Model.New(key)
	if fill != nil {
		fill(entity)
	}
	call := &handlers.Call{
		Event: &seen, Payload: payload, Entity: entity.Interface(),
		Group: group, Handler: h.Name, Key: u.key, Attempt: 1,
	}
	if err := h.Run(ctx, call); err != nil {
		return said{end: ending(err)}
	}
	if call.Unsendable != nil {
		return said{end: "emits what can't be sent"}
	}
	slices.Sort(call.Kept)
	return said{view: entity, kept: slices.Compact(call.Kept), deleted: call.Deleted, emits: draftTexts(call)}
}

// ending is what kind of end an error means; its text may hold anything.
func ending(err error) string {
	var control *handlers.ControlError
	if errors.As(err, &control) {
		switch control.Control {
		case handlers.ControlDeadLetter:
			return "asks for a dead letter"
		case handlers.ControlRetry:
			return "asks for another try"
		case handlers.ControlDiscard:
			return "discards the event"
		case handlers.ControlDelete: // Handler.Run takes it for no error
		}
	}
	return "fails"
}

// otherwise names what one run said and another did not, or "".
func otherwise(m *handlers.Model, a, b said) (what string, column *handlers.Column) {
	switch {
	case a.end != b.end:
		return "whether it succeeds", nil
	case a.end != "":
		return "", nil
	case a.deleted != b.deleted:
		return "whether it deletes", nil
	case !slices.Equal(a.kept, b.kept):
		return "what it keeps", nil
	case !slices.Equal(a.emits, b.emits):
		return "what it emits", nil
	}
	for _, col := range m.Columns {
		if !deep.Equal(col.Value(a.view), col.Value(b.view)) {
			what = col.GoName()
			return what, col
		}
	}
	return "", nil
}

// setUnits are the units of Set handlers, in the order of their events.
func (c *Checker) setUnits() (all []*unit) {
	for i := range c.units {
		for j := range c.units[i] {
			if u := &c.units[i][j]; u.handler.Verb == handlers.VerbSet {
				all = append(all, u)
			}
		}
	}
	return all
}

// unstableSets looks for Set handlers that say now this and now that of one event: because
// of what they saw before, or by themselves (R1).
func (c *Checker) unstableSets(ctx context.Context) *Story {
	units := c.setUnits()
	before := make([]said, len(units))
	for i := range slices.Backward(units) {
		before[i] = c.ask(ctx, units[i], nil)
	}
	after := make([]said, len(units))
	for i, u := range units {
		after[i] = c.ask(ctx, u, nil)
	}
	for i, u := range units {
		for range repeats {
			if what, _ := otherwise(u.handler.Model, after[i], c.ask(ctx, u, nil)); what != "" {
				return c.unrepeatable(u, what)
			}
		}
	}
	for i, u := range units {
		if what, column := otherwise(u.handler.Model, before[i], after[i]); what != "" {
			return c.remembering(u, what, column, before[i], after[i])
		}
	}
	return nil
}

// unstableKeys looks for key functions that find now this entity and now that one.
func (c *Checker) unstableKeys(context.Context) *Story {
	for i := range slices.Backward(c.units) {
		for range repeats {
			c.log = []int{i}
			found := unitsOf(i, c.prepare.Prepare(c.record(0)))
			for j := range max(len(found), len(c.units[i])) {
				switch {
				case j >= len(c.units[i]):
					return c.wanderingKey(&found[j])
				case j >= len(found) || found[j] != c.units[i][j]:
					return c.wanderingKey(&c.units[i][j])
				}
			}
		}
	}
	return nil
}

// seeingSets looks for Set handlers that look at the entity: what they write on one with
// other values, made up or from rows that the events have left, is not what they write on a
// blank one (R1).
func (c *Checker) seeingSets(ctx context.Context) *Story {
	for _, u := range c.setUnits() {
		m := u.handler.Model
		blank := c.ask(ctx, u, nil)
		filled := c.askFilled(ctx, u)
		for n, f := range filled {
			if what := endsOtherwise(blank, f); what != "" {
				return c.seeing(u, what, nil, blank, []onEntity{{strewn(m, n), f}})
			}
		}
		if blank.end != "" {
			continue
		}
		for _, col := range m.Columns {
			if looksAt(m, col, blank, filled) {
				return c.seeing(u, col.GoName(), col, blank, []onEntity{{strewn(m, 0), filled[0]}, {strewn(m, 1), filled[1]}})
			}
		}
		for i := range c.seen {
			if c.seen[i].Model != m || c.seen[i].Key != u.key {
				continue
			}
			had := c.seen[i].Entity
			f := c.ask(ctx, u, func(e reflect.Value) { copyColumns(m, e, had) })
			what, col := endsOtherwise(blank, f), (*handlers.Column)(nil)
			for j := 0; what == "" && j < len(m.Columns); j++ {
				expected := blank.view
				if untouched(m, m.Columns[j], filled) {
					expected = had
				}
				if !deep.Equal(m.Columns[j].Value(expected), m.Columns[j].Value(f.view)) {
					what, col = m.Columns[j].GoName(), m.Columns[j]
				}
			}
			if what != "" {
				return c.seeing(u, what, col, blank, []onEntity{{had, f}})
			}
		}
	}
	return nil
}

// askFilled runs a Set handler on entities with made-up values.
func (c *Checker) askFilled(ctx context.Context, u *unit) (filled [2]said) {
	for n := range filled {
		filled[n] = c.ask(ctx, u, func(e reflect.Value) { strew(u.handler.Model, e, n) })
	}
	return filled
}

func strewn(m *handlers.Model, n int) reflect.Value {
	e := reflect.New(m.Type)
	strew(m, e, n)
	return e
}

func copyColumns(m *handlers.Model, to, from reflect.Value) {
	for _, col := range m.Columns {
		v := col.Value(to)
		v.Set(col.Value(from))
		deep.Detach(v)
	}
}

// onEntity is what a handler said of an entity that was not blank.
type onEntity struct {
	had reflect.Value
	said
}

func endsOtherwise(a, b said) string {
	switch {
	case a.end != b.end:
		return "whether it succeeds"
	case a.deleted != b.deleted:
		return "whether it deletes"
	case !slices.Equal(a.kept, b.kept):
		return "what it keeps"
	case !slices.Equal(a.emits, b.emits):
		return "what it emits"
	}
	return ""
}

// looksAt reports whether what a handler leaves in a column depends on what was there. A
// column that it does not touch stays as it is, and one that it writes is the same always.
func looksAt(m *handlers.Model, col *handlers.Column, blank said, filled [2]said) bool {
	if untouched(m, col, filled) {
		return !col.Value(blank.view).IsZero()
	}
	first := col.Value(filled[0].view)
	return !deep.Equal(first, col.Value(filled[1].view)) || !deep.Equal(first, col.Value(blank.view))
}

// untouched reports whether a handler left both values of a column as they were. A type
// that can't be filled counts as touched.
func untouched(m *handlers.Model, col *handlers.Column, filled [2]said) bool {
	for n := range filled {
		had := reflect.New(m.Type)
		if !strewColumn(col, had, n) || !deep.Equal(col.Value(had), col.Value(filled[n].view)) {
			return false
		}
	}
	return true
}

// forgetfulSets looks for fields that a handler writes for one event and leaves alone for
// another without Keep: the field is part of what it writes, so that it becomes empty.
func (c *Checker) forgetfulSets(ctx context.Context) *Story {
	units := c.setUnits()
	blank := make([]said, len(units))
	filled := make([][2]said, len(units))
	for i, u := range units {
		blank[i] = c.ask(ctx, u, nil)
		filled[i] = c.askFilled(ctx, u)
	}
	writes := func(i int, col *handlers.Column) bool {
		return blank[i].end == "" && units[i].handler.MayWrite(col) && !slices.Contains(blank[i].kept, col.GoName())
	}
	for i, u := range units {
		if blank[i].end != "" || blank[i].deleted {
			continue
		}
		for _, col := range u.handler.Writes {
			if !writes(i, col) || !untouched(u.handler.Model, col, filled[i]) {
				continue
			}
			sometimes, loser := false, -1
			for j, v := range units {
				if v.handler.Model != u.handler.Model || !writes(j, col) || col.Value(blank[j].view).IsZero() {
					continue
				}
				sometimes = sometimes || v.handler == u.handler
				if v.key == u.key && c.older(v, u) {
					loser = j
				}
			}
			if sometimes && loser >= 0 {
				return c.forgetful(u, units[loser], col, col.Value(blank[loser].view))
			}
		}
	}
	return nil
}

// older reports whether the first unit's stamp is below the second's.
func (c *Checker) older(a, b *unit) bool {
	x, errX := a.handler.Stamper.Stamp(c.events[a.event], true)
	y, errY := b.handler.Stamper.Stamp(c.events[b.event], true)
	return errX == nil && errY == nil && y.After(x)
}
