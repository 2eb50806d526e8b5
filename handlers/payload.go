package handlers

import (
	"encoding/json"
	"errors"
	"reflect"
	"strconv"

	"github.com/evenkeel-go/evenkeel/event"
)

// decodePayload turns the event's data into a *P. A P of []byte gets the bytes as they
// are, anything else is JSON. No data is the zero P.
func decodePayload[P any](data []byte) (any, error) {
	p := new(P)
	if raw, ok := any(p).(*[]byte); ok {
		*raw = data
		return p, nil
	}
	if len(data) == 0 {
		return p, nil
	}
	if err := json.Unmarshal(data, p); err != nil {
		return nil, payloadError(err, reflect.TypeFor[P]())
	}
	return p, nil
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
