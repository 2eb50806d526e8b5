package handlers

import (
	"encoding/json"
	"errors"
	"reflect"
	"strconv"

	"github.com/evenkeel-go/evenkeel/event"
)

// decodePayload turns the event's data into a *P. A P of []byte gets the bytes as they
// are, anything else is JSON. No data is the zero P where the record has no value at all (empty),
// and where P holds nothing or can say so itself (struct{}, a pointer, a map, a slice).
// Elsewhere it is an error: a handler would take the zero values for what the event says,
// and write them.
func decodePayload[P any](data []byte, empty bool) (any, error) {
	p := new(P)
	if raw, ok := any(p).(*[]byte); ok {
		*raw = data
		return p, nil
	}
	if len(data) == 0 {
		if t := reflect.TypeFor[P](); !empty && !mayBeMissing(t) {
			return nil, &event.DecodeError{
				Codec: "payload", Field: "data", Expected: "JSON for " + t.String(), Found: "none",
				Mend: "let the producer send it, tell the codec which member holds it, or take a pointer or struct{} as the payload where there may be none",
			}
		}
		return p, nil
	}
	if err := json.Unmarshal(data, p); err != nil {
		return nil, payloadError(err, reflect.TypeFor[P]())
	}
	return p, nil
}

func mayBeMissing(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Interface:
		return true
	case reflect.Struct:
		return t.NumField() == 0
	default:
		return false
	}
}

// decodable reports whether JSON can be a value of this type.
func decodable(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Chan, reflect.Func, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer:
		return reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]())
	default:
		return true
	}
}

// payloadError says to people on call which member of the payload is at fault, as far
// as encoding/json tells.
func payloadError(err error, payload reflect.Type) error {
	d := &event.DecodeError{Codec: "payload", Field: "data", Expected: "JSON for " + payload.String(), Found: err.Error()}
	var (
		wrongType *json.UnmarshalTypeError
		syntax    *json.SyntaxError
	)
	switch {
	case errors.As(err, &wrongType):
		if wrongType.Field != "" {
			d.Field += "." + wrongType.Field
		}
		d.Expected, d.Found = wrongType.Type.String(), wrongType.Value
	case errors.As(err, &syntax):
		d.Found += " at byte " + strconv.FormatInt(syntax.Offset, 10)
	}
	return d
}
