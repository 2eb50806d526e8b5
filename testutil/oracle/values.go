package oracle

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"time"
)

// normal writes a value as text that is equal for values which mean the same, whatever
// their Go types: *time.Time and time.Time in any zone, int and int64, named strings.
// blank is set for zero values that are not behind a pointer: where an event states NULL
// or none has stated anything, a column that can't hold NULL holds these.
func normal(v any) (text string, blank bool) {
	const null = "NULL"
	if v == nil {
		return null, false
	}
	if t, ok := v.(time.Time); ok {
		if t.IsZero() {
			return "zero time", true
		}
		return clockTime(t.UnixMicro()), false
	}
	rv := reflect.ValueOf(v)
	if rv.Kind() == reflect.Pointer {
		if rv.IsNil() {
			return null, false
		}
		text, _ = normal(rv.Elem().Interface())
		return text, false
	}
	if valuer, ok := v.(driver.Valuer); ok {
		value, err := valuer.Value()
		if err != nil {
			return "error: " + err.Error(), false
		}
		text, _ = normal(value)
		return text, rv.IsZero() && text != null
	}
	blank = rv.IsZero()
	switch rv.Kind() {
	case reflect.String:
		return strconv.Quote(rv.String()), blank
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.FormatInt(rv.Int(), 10), blank
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return strconv.FormatUint(rv.Uint(), 10), blank
	case reflect.Float32, reflect.Float64:
		return strconv.FormatFloat(rv.Float(), 'g', -1, 64), blank
	case reflect.Bool:
		return strconv.FormatBool(rv.Bool()), blank
	case reflect.Slice:
		if rv.IsNil() {
			return null, false
		}
		if rv.Type().Elem().Kind() == reflect.Uint8 {
			return strconv.Quote(string(rv.Bytes())), false
		}
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%#v", v), blank
	}
	return string(b), blank
}

// equal reports whether a row holds what it must.
func equal(want, found any) bool {
	w, _ := normal(want)
	f, blank := normal(found)
	return w == f || w == "NULL" && blank
}

func show(v any) string {
	text, _ := normal(v)
	return text
}
