package batch

import (
	"reflect"
	"time"

	"github.com/evenkeel-go/evenkeel/handlers"
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

func strayError(h *handlers.Handler, field string) *fieldError {
	return &fieldError{handler: h.Name, field: field, key: field == h.Model.Key.GoName()}
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
		detach(col.Value(c.Elem()))
	}
	return c
}

// detach replaces what v shares with the value that it was copied from. Unexported fields
// stay as they are: nobody but their own package can change them.
func detach(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			p := reflect.New(v.Type().Elem())
			p.Elem().Set(v.Elem())
			detach(p.Elem())
			v.Set(p)
		}
	case reflect.Interface:
		if !v.IsNil() {
			inner := reflect.New(v.Elem().Type()).Elem()
			inner.Set(v.Elem())
			detach(inner)
			v.Set(inner)
		}
	case reflect.Slice:
		if !v.IsNil() {
			s := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
			reflect.Copy(s, v)
			detachAll(s)
			v.Set(s)
		}
	case reflect.Array:
		detachAll(v)
	case reflect.Map:
		if !v.IsNil() {
			n := reflect.MakeMapWithSize(v.Type(), v.Len())
			for it := v.MapRange(); it.Next(); {
				value := reflect.New(v.Type().Elem()).Elem()
				value.Set(it.Value())
				detach(value)
				n.SetMapIndex(it.Key(), value)
			}
			v.Set(n)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() {
				detach(f)
			}
		}
	default:
	}
}

func detachAll(list reflect.Value) {
	switch list.Type().Elem().Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Slice, reflect.Array, reflect.Map, reflect.Struct:
		for i := range list.Len() {
			detach(list.Index(i))
		}
	default:
	}
}
