// Package deep copies values of users' types, so that whoever gets the copy can change it
// without touching the original.
package deep

import "reflect"

// Detach replaces what v shares with the value that it was copied from: what pointers,
// slices, maps and interfaces in it lead to. Unexported fields stay as they are: nobody but
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
