package event

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

// full is an event with everything in it that travels.
func full() Event {
	return Event{
		ID: "ä 1\"\\\x01", Source: "/shop", Type: "order.placed", Key: "o-1", OccurredAt: time.Date(2026, 5, 28, 20, 26, 43, 123456000, time.UTC),
		Version: -7, HasVersion: true, Lamport: 12, HasLamport: true, Vector: Vector{{Node: "a", Count: 1}, {Node: "b", Count: 2}},
		CorrelationID: "co", CausationID: "ca", Data: []byte(`{"n":12345678901234567890,"s":"\u00e4"}`),
	}
}

// TestEncodeIsReadBack: what a codec writes it reads as the same event.
func TestEncodeIsReadBack(t *testing.T) {
	t.Parallel()
	codecs := map[string]Codec{
		"cloudevents": CloudEvents(), "cloudevents with other names": CloudEvents(KeyAttribute("entity"), VersionAttribute("rev"), LamportAttribute("clock"), VectorAttribute("seen"), IgnoreRecordKey()),
		"envelope": Envelope(EnvelopeConfig{}), "headers": Headers(HeadersConfig{}),
		"envelope of the record's key": Envelope(EnvelopeConfig{Key: "-"}), "headers with other names": Headers(HeadersConfig{ID: "event-id", Key: "entity", Time: "at"}),
	}
	for _, f := range []TimeFormat{TimeUnixSeconds, TimeUnixMillis, TimeUnixMicros} {
		codecs["envelope in "+f.String()] = Envelope(EnvelopeConfig{TimeFormat: f})
		codecs["headers in "+f.String()] = Headers(HeadersConfig{TimeFormat: f})
	}
	changes := map[string]func(*Event){
		"everything":     func(*Event) {},
		"as little":      func(e *Event) { *e = Event{ID: "1", Source: "s", Type: "t", OccurredAt: e.OccurredAt} },
		"no data":        func(e *Event) { e.Data = nil },
		"before 1970":    func(e *Event) { e.OccurredAt = time.Date(1969, 12, 31, 23, 59, 59, 999999000, time.UTC) },
		"long ago":       func(e *Event) { e.OccurredAt = MinTime },
		"far off":        func(e *Event) { e.OccurredAt = MaxTime },
		"a whole second": func(e *Event) { e.OccurredAt = e.OccurredAt.Truncate(time.Second) },
		"a number":       func(e *Event) { e.Key, e.Data = "17", []byte("17") },
	}
	for name, c := range codecs {
		for what, change := range changes {
			e := full()
			change(&e)
			r := Record{Headers: []Header{{Key: "id", Value: []byte("not this")}, {Key: "x", Value: []byte("y")}}}
			if err := c.(Encoder).Encode(&e, &r); err != nil {
				t.Fatalf("%s, %s: %v", name, what, err)
			}
			back := decode(t, c, &r)
			if string(r.Key) != e.Key {
				t.Errorf("%s, %s: the record's key is %q", name, what, r.Key)
			}
			back.Record = nil
			if back.Vector.Sum() == 0 {
				back.Vector = nil
			}
			if !reflect.DeepEqual(e, back) {
				t.Errorf("%s, %s:\n got %+v\nwant %+v", name, what, back, e)
			}
		}
	}
}

func TestEncodeKeepsOtherContentTypes(t *testing.T) {
	t.Parallel()
	for _, c := range []Codec{CloudEvents(), Headers(HeadersConfig{})} {
		e := full()
		e.ContentType, e.Data = "application/protobuf", []byte{0, 0xff}
		var r Record
		if err := c.(Encoder).Encode(&e, &r); err != nil {
			t.Fatal(err)
		}
		if back := decode(t, c, &r); back.ContentType != e.ContentType || !bytes.Equal(back.Data, e.Data) {
			t.Errorf("%s: %+v", c.Name(), back)
		}
	}
}

// TestEncodeRefuses: what would come back as another event is not written.
func TestEncodeRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		codec  Codec
		change func(*Event)
		want   string
	}{
		"no place for an id":      {Envelope(EnvelopeConfig{ID: "-"}), nil, "id: it has no name for one"},
		"no place for a type":     {Headers(HeadersConfig{Type: "-"}), nil, "type: it has no name"},
		"no place for a version":  {CloudEvents(VersionAttribute("")), nil, "version: it has no name"},
		"no place for a vector":   {Envelope(EnvelopeConfig{Vector: "-"}), nil, "vector clock: it has no name"},
		"no place for a key":      {Headers(HeadersConfig{Key: "-", IgnoreRecordKey: true}), nil, "key: it has no name"},
		"no place for data":       {Envelope(EnvelopeConfig{Data: "-"}), nil, "data: it has no name"},
		"the payload is it all":   {Envelope(EnvelopeConfig{Data: "."}), nil, "the payload is the envelope itself"},
		"no JSON":                 {Envelope(EnvelopeConfig{}), func(e *Event) { e.Data = []byte("{") }, "data: it is no JSON"},
		"not said to be JSON":     {Envelope(EnvelopeConfig{}), func(e *Event) { e.ContentType = "text/plain" }, "\"text/plain\" is not JSON"},
		"a structured CloudEvent": {CloudEvents(), func(e *Event) { e.ContentType = "application/CloudEvents+json" }, "is a CloudEvent itself"},
		"no id":                   {CloudEvents(), func(e *Event) { e.ID = "" }, "id: the event has none"},
		"no source":               {CloudEvents(), func(e *Event) { e.Source = "" }, "source: the event has none"},
		"no type":                 {Envelope(EnvelopeConfig{}), func(e *Event) { e.Type = "" }, "type: the event has none"},
	} {
		e := full()
		if c.change != nil {
			c.change(&e)
		}
		err := c.codec.(Encoder).Encode(&e, &Record{})
		var refused *EncodeError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), c.want) || refused.Mend == "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
