package event

import (
	"testing"
	"time"
)

func TestHeaders(t *testing.T) {
	t.Parallel()
	r := record("rk", "any\x00bytes", "id", "e-1", "type", "order.placed", "source", "shop", "key", "order-1",
		"time", "2026-05-28T20:26:43Z", "version", "-4", "correlation-id", "co", "causation-id", "ca", "content-type", "application/avro")
	e := decode(t, Headers(HeadersConfig{}), r)
	same(t, "event", e, Event{
		ID: "e-1", Source: "shop", Type: "order.placed", Key: "order-1", OccurredAt: time.Date(2026, 5, 28, 20, 26, 43, 0, time.UTC),
		Version: -4, HasVersion: true, CorrelationID: "co", CausationID: "ca", ContentType: "application/avro",
		Data: r.Value, Record: r,
	})
	if !partOf(e.Data, r.Value) {
		t.Error("the payload was copied")
	}
}

func TestHeadersNames(t *testing.T) {
	t.Parallel()
	c := Headers(HeadersConfig{
		ID: "-", Type: "t", Source: "s", Key: "k", Time: "at", TimeFormat: TimeUnixSeconds, Version: "v",
		Correlation: "co", Causation: "-", ContentType: "-",
	})
	r := record("rk", "{}", "id", "\xff", "T", "no", "t", "type", "s", "", "k", null, "at", "1.5", "v", "7", "co", "x", "causation-id", "\xff", "content-type", "\xff")
	e := decode(t, c, r)
	same(t, "event", e, Event{
		Type: "type", Key: "rk", OccurredAt: time.Unix(1, 500_000_000).UTC(), Version: 7, HasVersion: true,
		CorrelationID: "x", Data: r.Value, Record: r,
	})
}

func TestHeadersLastOneCounts(t *testing.T) {
	t.Parallel()
	e := decode(t, Headers(HeadersConfig{}), record("", "", "type", "first", "id", "\xff", "id", "e", "type", "second", "version", "x", "version", null))
	same(t, "type", e.Type, "second")
	same(t, "id", e.ID, "e")
	same(t, "has version", e.HasVersion, false)
}

func TestHeadersOfDebeziumsOutbox(t *testing.T) {
	t.Parallel()
	r := record("order-1", `{"n":1}`, "__debezium.context.connectorName", "postgresql", "id", "5b3a0c2e", "eventType", "OrderPlaced")
	e := decode(t, Headers(HeadersConfig{Type: "eventType"}), r)
	same(t, "event", e, Event{ID: "5b3a0c2e", Type: "OrderPlaced", Key: "order-1", OccurredAt: recordStamp, Data: r.Value, Record: r})
}

func TestHeadersRefuses(t *testing.T) {
	t.Parallel()
	with := func(more ...string) *Record {
		return record("k", "", append([]string{"id", "x", "type", "t"}, more...)...)
	}
	for name, c := range map[string]struct {
		record *Record
		want   string
	}{
		"no id":          {record("", "", "type", "t"), `headers: header id: expected a text that is not empty, found none; let the producer send an id, or set IDOptional to know events by their coordinates`},
		"no type":        {record("", "", "id", "x"), `headers: header type: expected a text that is not empty, found none; let the producer send it with every event`},
		"empty type":     {with("type", ""), `headers: header type: expected a text that is not empty, found an empty one; let the producer send it with every event`},
		"bad time":       {with("time", "1716928003"), `headers: header time: expected an RFC 3339 time like "2026-05-28T20:26:43.123Z", found "1716928003"`},
		"bad version":    {with("version", " 1"), `headers: header version: expected a whole number of at most 64 bits, found " 1"`},
		"key with NUL":   {with("key", "a\x00"), `headers: header key: expected text without NUL bytes, which no text column can hold, found "a\x00"`},
		"bad media type": {with("content-type", long(513)), `headers: header content-type: expected at most 512 bytes, found ` + shown("513")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refuses(t, Headers(HeadersConfig{}), c.record, c.want)
		})
	}
}
