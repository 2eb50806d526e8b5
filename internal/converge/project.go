package converge

import (
	"context"
	"reflect"

	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/deep"
)

// impureProjection looks at the row of a unit that was just written: a projection must be a
// function of the fields that are not its own. How often it runs, and
// what it finds in its own fields, depends on how events are cut into batches.
func (c *Checker) impureProjection(v *batch.Judged) *Story {
	h := c.handlerOf(v)
	if h == nil || !projects(h.Model) {
		return nil
	}
	row, ok := c.store.Row(h.Model, v.Entity)
	if !ok {
		return nil
	}
	m := h.Model
	projected := func(n int) reflect.Value {
		e := reflect.New(m.Type)
		e.Elem().Set(row.Entity.Elem())
		copyColumns(m, e, row.Entity)
		for _, col := range m.Columns {
			if isProjected(col) {
				strewColumn(col, e, n)
			}
		}
		m.Project(e.Interface())
		return e
	}
	first, again, other := projected(0), projected(0), projected(1)
	for _, col := range m.Columns {
		a, b, x := col.Value(first), col.Value(again), col.Value(other)
		switch {
		case !isProjected(col):
		case !deep.Equal(a, b):
			return c.unrepeatableProjection(&row, col)
		case !deep.Equal(a, x):
			return c.ownProjection(&row, col)
		}
	}
	return nil
}

// trespassingProjection runs the projection on what Set handlers filled in, before it has had
// its way with it.
func (c *Checker) trespassingProjection(ctx context.Context) *Story {
	for _, u := range c.setUnits() {
		m := u.handler.Model
		s := c.ask(ctx, u, nil)
		if s.end != "" || !projects(m) {
			continue
		}
		e := reflect.New(m.Type)
		e.Elem().Set(s.view.Elem())
		copyColumns(m, e, s.view)
		m.Project(e.Interface())
		for _, col := range m.Columns {
			if had, left := col.Value(s.view), col.Value(e); !isProjected(col) && !deep.Equal(had, left) {
				return c.trespassing(m, u, col, had, left)
			}
		}
	}
	return nil
}

func isProjected(col *handlers.Column) bool {
	return col.Owner != nil && col.Owner.Verb == handlers.VerbProject
}

func projects(m *handlers.Model) bool {
	for _, col := range m.Columns {
		if isProjected(col) {
			return true
		}
	}
	return false
}

// handlerOf is the handler of a verdict, nil for a verdict on a whole record.
func (c *Checker) handlerOf(v *batch.Judged) *handlers.Handler {
	if v.Item.Event == nil {
		return nil
	}
	return c.wiring.Handler(v.Item.Event.Type, v.Handler)
}
