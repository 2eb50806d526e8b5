package handlers

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
)

type shipped struct {
	At    time.Time
	Lines []struct{ Qty int8 }
}

func decoder[P any](t *testing.T) *Handler {
	t.Helper()
	r := NewRegistry()
	Set(r, "e", does[P, Payment])
	return wire(t, r).Handlers("e")[0]
}

func TestDecode(t *testing.T) {
	t.Parallel()
	h := decoder[Placed](t)
	for data, want := range map[string]Placed{
		`{"Customer":"Ann","Total":3,"more":[]}`: {Customer: "Ann", Total: 3},
		`null`:                                   {},
	} {
		p, err := h.Decode(&event.Event{Data: []byte(data)})
		same(t, "error", err, nil)
		same(t, data, *p.(*Placed), want)
	}
	// Nobody must take for the event's word what it does not say.
	_, err := h.Decode(&event.Event{Record: &event.Record{Value: []byte("{}")}})
	same(t, "no data", err.Error(), "payload: data: expected JSON for handlers.Placed, found none; let the producer send it, tell the codec which member holds it, or take a pointer or struct{} as the payload where there may be none")
	p, err := h.Decode(&event.Event{Record: &event.Record{Headers: []event.Header{{Key: "type"}}}})
	same(t, "a record with no value at all has its headers to say", err, nil)
	same(t, "payload", *p.(*Placed), Placed{})
	for _, empty := range []*Handler{decoder[struct{}](t), decoder[*Placed](t), decoder[map[string]any](t), decoder[[]byte](t), decoder[json.RawMessage](t)} {
		_, err := empty.Decode(&event.Event{})
		same(t, "no data where there may be none", err, nil)
	}
	raw := []byte("\x00\xff")
	p, err = decoder[[]byte](t).Decode(&event.Event{Data: raw})
	same(t, "error", err, nil)
	same(t, "bytes as they are", *p.(*[]byte), raw)
}

func TestDecodeErrorsNameTheField(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]string{
		`{"Lines":[{"Qty":"3"}]}`: `payload: data.Lines.Qty: expected int8, found string`,
		`{"Lines":[{"Qty":300}]}`: `payload: data.Lines.Qty: expected int8, found number 300`,
		`[]`:                      `payload: data: expected handlers.shipped, found array`,
		`{"Lines":`:               `payload: data: expected JSON for handlers.shipped, found unexpected end of JSON input at byte 9`,
		`{"Lines":x}`:             `payload: data: expected JSON for handlers.shipped, found invalid character 'x' looking for beginning of value at byte 10`,
		`{"At":"soon"}`:           `payload: data: expected JSON for handlers.shipped, found parsing time "soon" as "2006-01-02T15:04:05Z07:00": cannot parse "soon" as "2006"`,
	} {
		_, err := decoder[shipped](t).Decode(&event.Event{Data: []byte(data)})
		var d *event.DecodeError
		if !errors.As(err, &d) {
			t.Fatalf("%s: %v is no *event.DecodeError", data, err)
		}
		same(t, data, err.Error(), want)
	}
}
