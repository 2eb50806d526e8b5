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
