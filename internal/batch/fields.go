package batch

import (
	"reflect"
	"time"

	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/deep"
)

// stray returns the name of a field that differs between the two entities and that the
// handler does not declare, or "".
func stray(h *handlers.Handler, before, after reflect.Value) string {
	m := h.Model
	for _, c := range m.Columns {
		if !h.MayWrite(c) && !same(c.Value(before), c.Value(after)) {
			return c.GoName()
		}
	}
	if !same(m.Key.Value(before), m.Key.Value(after)) {
		return m.Key.GoName()
	}
	return ""
}

func same(a, b reflect.Value) bool {
	switch a.Kind() {
	case reflect.String:
		return a.String() == b.String()
	case reflect.Bool:
		return a.Bool() == b.Bool()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return a.Int() == b.Int()
	case reflect.Pointer, reflect.Slice, reflect.Map:
		if a.IsNil() && b.IsNil() {
			return true
		}
	default:
	}
	if at, ok := a.Interface().(time.Time); ok {
		return at.Equal(b.Interface().(time.Time))
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
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
