package batch

import (
	"reflect"

	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/deep"
)

// stray returns the name of a field that differs between the two entities and that the
// handler does not declare, or "".
func stray(h *handlers.Handler, before, after reflect.Value) string {
	m := h.Model
	for _, c := range m.Columns {
		if !h.MayWrite(c) && !deep.Equal(c.Value(before), c.Value(after)) {
			return c.GoName()
		}
	}
	if !deep.Equal(m.Key.Value(before), m.Key.Value(after)) {
		return m.Key.GoName()
	}
	return ""
}

// untouched is an entity as Model.New makes it, to compare with what a handler made of one. It
// is only looked at, so that one for each model will do.
func (w *work) untouched(m *handlers.Model, key any) reflect.Value {
	e, ok := w.blanks[m]
	if ok && m.Key.Field.Set(w.ctx, e.Elem(), key) == nil {
		return e
	}
	if w.blanks == nil {
		w.blanks = map[*handlers.Model]reflect.Value{}
	}
	w.blanks[m] = m.New(key)
	return w.blanks[m]
}

func strayError(h *handlers.Handler, field string) *fieldError {
	return &fieldError{handler: h.Name, field: field, key: field == h.Model.Key.GoName()}
}

// copyEntity returns a pointer to a copy that a handler may change without touching the
// original, whatever its managed fields point to.
func copyEntity(m *handlers.Model, entity reflect.Value) reflect.Value {
	c := reflect.New(m.Type)
	c.Elem().Set(entity.Elem())
	for _, col := range m.Columns {
		deep.Detach(col.Value(c.Elem()))
	}
	return c
}
