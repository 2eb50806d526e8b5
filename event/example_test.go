package event_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
)

func show(c event.Codec, r *event.Record) {
	var e event.Event
	if err := c.Decode(r, &e); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(e.Type, e.ID, "on", e.Key, "at", e.OccurredAt.Format(time.RFC3339Nano), "version", e.Version, string(e.Data))
}

func header(pairs ...string) (hs []event.Header) {
	for i := 0; i < len(pairs); i += 2 {
		hs = append(hs, event.Header{Key: pairs[i], Value: []byte(pairs[i+1])})
	}
	return hs
}

func ExampleCloudEvents() {
	show(event.CloudEvents(), &event.Record{
		Key:   []byte("order-1"),
		Value: []byte(`{"total":12}`),
		Headers: header("ce_specversion", "1.0", "ce_id", "e-1", "ce_source", "/shop", "ce_type", "order.placed",
			"ce_time", "2026-05-28T22:26:43.123456789+02:00", "ce_sequence", "3"),
	})
	show(event.CloudEvents(), &event.Record{
		Headers: header("content-type", "application/cloudevents+json"),
		Value: []byte(`{"specversion":"1.0","id":"e-2","source":"/shop","type":"order.paid","subject":"order-1",
			"time":"2026-05-28T20:27:00Z","data":{"by":"card"}}`),
	})
	show(event.CloudEvents(), &event.Record{Headers: header("ce_specversion", "0.3")})
	// Output:
	// order.placed e-1 on order-1 at 2026-05-28T20:26:43.123456Z version 3 {"total":12}
	// order.paid e-2 on order-1 at 2026-05-28T20:27:00Z version 0 {"by":"card"}
	// cloudevents: header ce_specversion: expected "1.0", found "0.3"; let the producer send CloudEvents 1.0
}

func ExampleEnvelope() {
	codec := event.Envelope(event.EnvelopeConfig{
		ID: "eventId", Key: "orderId", Time: "at", TimeFormat: event.TimeUnixMillis,
		Data: ".", // the metadata stands among the payload's own members
	})
	show(codec, &event.Record{Value: []byte(`{"eventId":"e-1","type":"order.placed","orderId":7,"at":1779999999123,"total":12}`)})
	// Output:
	// order.placed e-1 on 7 at 2026-05-28T20:26:39.123Z version 0 {"eventId":"e-1","type":"order.placed","orderId":7,"at":1779999999123,"total":12}
}

func ExampleHeaders() {
	codec := event.Headers(event.HeadersConfig{Type: "eventType", IDOptional: true})
	show(codec, &event.Record{
		Key: []byte("order-1"), Value: []byte("…any bytes…"), Headers: header("eventType", "OrderPlaced"),
		Timestamp: time.UnixMilli(1779999999123), TimestampType: event.TimestampCreate,
	})
	// Output:
	// OrderPlaced  on order-1 at 2026-05-28T20:26:39.123Z version 0 …any bytes…
}

func ExampleCodecFunc() {
	// Two bytes of version, the type, a colon, the payload.
	codec := event.CodecFunc("house", func(r *event.Record, e *event.Event) error {
		if len(r.Value) < 2 {
			return &event.DecodeError{Codec: "house", Field: "value", Expected: "two bytes of version", Found: fmt.Sprintf("%q", r.Value)}
		}
		e.Version, e.HasVersion = int64(binary.BigEndian.Uint16(r.Value)), true
		rest := string(r.Value[2:])
		e.Type, _, _ = strings.Cut(rest, ":")
		e.Data = r.Value[2+min(len(e.Type)+1, len(rest)):]
		return nil
	})
	r := &event.Record{Key: []byte("order-1"), Timestamp: time.UnixMilli(1779999999123), TimestampType: event.TimestampLogAppend}
	r.Value = []byte("\x00\x05placed:12 EUR")
	show(codec, r)
	r.Value = []byte("\x00")
	show(codec, r)
	r.Value = []byte("\x00\x05:12 EUR")
	show(codec, r)
	// Output:
	// placed  on order-1 at 2026-05-28T20:26:39.123Z version 5 12 EUR
	// house: value: expected two bytes of version, found "\x00"
	// house: type: expected a text that is not empty, found none
}

func ExampleStamp_Compare() {
	paid := event.Stamp{Time: 1000, Tie: event.Tie(true, "/billing", "b-1")}
	shipped := event.Stamp{Time: 1000, Tie: event.Tie(true, "/depot", "d-1")}
	fmt.Println("equal times go by source and id:", shipped.After(paid))
	fmt.Println("never is before all:", event.Stamp{}.Compare(event.Stamp{Time: -5, Tie: event.Tie(true, "", "x")}))
	// Output:
	// equal times go by source and id: true
	// never is before all: -1
}

func ExampleVector_Compare() {
	cart, _ := event.ParseVector("phone=1")
	onPhone, onLaptop := cart.Next("phone"), cart.Next("laptop") // neither has seen the other
	merged := onPhone.Merge(onLaptop).Next("phone")
	fmt.Println(cart, "is", cart.Compare(onPhone), onPhone)
	fmt.Println(onPhone, "is", onPhone.Compare(onLaptop), "with", onLaptop)
	fmt.Println(merged, "is", merged.Compare(onLaptop), onLaptop)
	// Output:
	// phone=1 is before phone=2
	// phone=2 is concurrent with laptop=1,phone=1
	// laptop=1,phone=3 is after laptop=1,phone=1
}
