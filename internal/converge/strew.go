package converge

import (
	"reflect"
	"time"

	"github.com/evenkeel-go/evenkeel/handlers"
)

// strew fills the entity's columns with values that no blank one has; n is 0 or 1, and
// gives other values each.
func strew(m *handlers.Model, entity reflect.Value, n int) {
	for _, col := range m.Columns {
		strewColumn(col, entity, n)
	}
}

func strewColumn(col *handlers.Column, entity reflect.Value, n int) bool {
	return fill(col.Value(entity), n)
}

// fill sets v to the n-th value of its type and reports whether it knew one.
func fill(v reflect.Value, n int) bool {
	number := 41 + 30*n
	switch v.Kind() {
	case reflect.String:
		v.SetString([...]string{"this was here", "that was here"}[n])
	case reflect.Bool:
		v.SetBool(n == 0)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(number))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(number)) //nolint:gosec // 41 or 71
	case reflect.Float32, reflect.Float64:
		v.SetFloat(float64(number))
	case reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		if !fill(p.Elem(), n) {
			return false
		}
		v.Set(p)
	case reflect.Slice:
		s := reflect.MakeSlice(v.Type(), 1, 1)
		if !fill(s.Index(0), n) {
			return false
		}
		v.Set(s)
	case reflect.Array:
		return v.Len() > 0 && fill(v.Index(0), n)
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		if !fill(key, n) {
			return false
		}
		fill(value, n)
		m := reflect.MakeMap(v.Type())
		m.SetMapIndex(key, value)
		v.Set(m)
	case reflect.Struct:
		if at, ok := v.Addr().Interface().(*time.Time); ok {
			*at = time.Date(1941+30*n, 1, 1, 0, 0, 0, 0, time.UTC)
			return true
		}
		known := false
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() {
				known = fill(f, n) || known
			}
		}
		return known
	default:
		return false
	}
	return true
}
