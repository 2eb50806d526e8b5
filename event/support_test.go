package event

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

var recordStamp = time.Date(2026, 5, 28, 20, 0, 0, 0, time.UTC)

// record makes one from header pairs; a value of "\x00null" is Kafka's null.
func record(key, value string, headerPairs ...string) *Record {
	r := &Record{
		Coordinates: Coordinates{Cluster: "c", Topic: "orders", TopicID: "t", Partition: 3, Offset: 42},
		Key:         []byte(key), Value: []byte(value),
		Timestamp: recordStamp, TimestampType: TimestampCreate,
	}
	for i := 0; i < len(headerPairs); i += 2 {
		h := Header{Key: headerPairs[i], Value: []byte(headerPairs[i+1])}
		if headerPairs[i+1] == null {
			h.Value = nil
		}
		r.Headers = append(r.Headers, h)
	}
	return r
}

const null = "\x00null"

func decode(t *testing.T, c Codec, r *Record) Event {
	t.Helper()
	var e Event
	if err := c.Decode(r, &e); err != nil {
		t.Fatalf("Decode: %v", err)
	}
	if e.Record != r {
		t.Fatal("the event does not point to its record")
	}
	return e
}

// refuses checks the whole message: people on call read nothing else.
func refuses(t *testing.T, c Codec, r *Record, want string) {
	t.Helper()
	err := c.Decode(r, new(Event))
	if err == nil {
		t.Fatalf("was taken, but expected: %s", want)
	}
	var d *DecodeError
	if !errors.As(err, &d) {
		t.Fatalf("%T is no *DecodeError", err)
	}
	if err.Error() != want {
		t.Fatalf("\n got %s\nwant %s", err, want)
	}
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %#v, want %#v", what, got, want)
	}
}

// partOf reports whether data lies in the memory of value.
func partOf(data, value []byte) bool {
	if len(data) == 0 {
		return true
	}
	for i := range value {
		if &value[i] == &data[0] {
			return true
		}
	}
	return false
}

// structured makes a structured CloudEvent with members changed; nil drops one.
func structured(t *testing.T, changes map[string]any) *Record {
	t.Helper()
	return record("rk", object(t, map[string]any{
		"specversion": "1.0", "id": "e-1", "source": "/shop", "type": "order.placed",
	}, changes), "content-type", "application/cloudevents+json")
}

func object(t *testing.T, members, changes map[string]any) string {
	t.Helper()
	for k, v := range changes {
		if v == nil {
			delete(members, k)
		} else {
			members[k] = v
		}
	}
	b, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func long(n int) string { return strings.Repeat("x", n) }

// shown is how an error message shows long(n).
func shown(n string) string { return `"` + long(maxShown) + `"… (` + n + ` bytes)` }
