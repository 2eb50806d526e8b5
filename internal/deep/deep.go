// Package deep copies and compares values of users' types.
package deep

import (
	"reflect"
	"time"
)

// Equal compares two values of one type: times by the instant that they mean, everything
// else as reflect.DeepEqual does.
func Equal(a, b reflect.Value) bool {
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

// Detach replaces what v shares with the value that it was copied from, so that it can be
// changed without touching the other: what pointers, slices, maps and interfaces lead to. Unexported fields stay as they are: nobody but
// their own package can change them. v must be settable.
func Detach(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			p := reflect.New(v.Type().Elem())
			p.Elem().Set(v.Elem())
			Detach(p.Elem())
			v.Set(p)
		}
	case reflect.Interface:
		if !v.IsNil() {
			inner := reflect.New(v.Elem().Type()).Elem()
			inner.Set(v.Elem())
			Detach(inner)
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
				Detach(value)
				n.SetMapIndex(it.Key(), value)
			}
			v.Set(n)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() {
				Detach(f)
			}
		}
	default:
	}
}

func detachAll(list reflect.Value) {
	switch list.Type().Elem().Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Slice, reflect.Array, reflect.Map, reflect.Struct:
		for i := range list.Len() {
			Detach(list.Index(i))
		}
	default:
	}
}
