package event

import (
	"bufio"
	"encoding/json"
	"os"
	"testing"
	"time"
)

// TestCloudEventsOfTheGoSDK reads records that the official Go SDK has written
// (github.com/cloudevents/sdk-go/protocol/kafka_sarama/v2 v2.16.2), in both modes.
func TestCloudEventsOfTheGoSDK(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 5, 28, 20, 26, 43, 123456000, time.UTC)
	stamp := func(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
	const payload = `{"name":"Jürgen \u003cb\u003e日本\u003c/b\u003e","orderId":`
	const json0 = "application/json"
	type want struct {
		refused string
		event   Event
	}
	order6 := `expected "1.0", found "0.3"; let the producer send CloudEvents 1.0`
	event := func(id, typ, key, contentType, data string, at time.Time) want {
		return want{event: Event{ID: id, Source: "/shop/orders", Type: "com.example.order." + typ, Key: key, ContentType: contentType, Data: []byte(data), OccurredAt: at}}
	}
	noKeyText := want{refused: `cloudevents: record key: expected UTF-8 text, found "\x00\x01\xfe\x80"`}
	wants := map[int]want{
		0: event("e-1", "placed", "order-1", json0, payload+`"e-1"}`, at),
		1: event("e-2-ünï", "grüße", "", json0, payload+`"e-2-ünï"}`, at),
		2: noKeyText,
		3: event("e-4", "text", "order-4", "text/plain; charset=utf-8", "plain grüße", at),
		4: {event: Event{ID: "e-5", Source: "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66", Type: "com.example.order.nodata", Key: "order-5"}},
		5: {refused: "cloudevents: header ce_specversion: " + order6},
	}
	for i := range 6 {
		wants[i+6] = wants[i]
	}
	wants[11] = want{refused: "cloudevents: specversion: " + order6}

	f, err := os.Open("testdata/cloudevents-sdk-go.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	lines := bufio.NewScanner(f)
	n := 0
	for ; lines.Scan(); n++ {
		var in struct {
			Key     []byte `json:"key_b64"`
			Value   []byte `json:"value_b64"`
			Ms      int64  `json:"timestamp_ms"`
			What    string
			Headers []struct {
				Key   string
				Value []byte `json:"value_b64"`
			}
		}
		if err := json.Unmarshal(lines.Bytes(), &in); err != nil {
			t.Fatal(err)
		}
		r := &Record{Key: in.Key, Value: in.Value, Timestamp: stamp(in.Ms), TimestampType: TimestampCreate}
		for _, h := range in.Headers {
			r.Headers = append(r.Headers, Header{Key: h.Key, Value: h.Value})
		}
		w := wants[n]
		if w.refused != "" {
			refuses(t, CloudEvents(), r, w.refused)
			continue
		}
		got := decode(t, CloudEvents(), r)
		if w.event.OccurredAt.IsZero() {
			w.event.OccurredAt = r.Timestamp
		}
		if n%6 == 0 {
			w.event.Version, w.event.HasVersion = 17, true
		}
		w.event.Record = r
		same(t, in.What, got, w.event)
	}
	if err := lines.Err(); err != nil || n != len(wants) {
		t.Fatalf("read %d records of %d: %v", n, len(wants), err)
	}
	t.Run("binary keys can be ignored", func(t *testing.T) {
		t.Parallel()
		r := binary()
		r.Key = []byte("\x00\x01\xfe\x80")
		same(t, "key", decode(t, CloudEvents(IgnoreRecordKey()), r).Key, "")
	})
}
