package event

import (
	"math"
	"testing"
	"time"
)

func TestEnvelope(t *testing.T) {
	t.Parallel()
	value := `{"id":"e-1","type":"order.placed","source":"shop","key":"order-1","time":"2026-05-28T20:26:43.5Z",
		"version":4,"correlationId":"co","causationId":"ca","data":{"n":1.50}, "more":null}`
	r := record("rk", value)
	e := decode(t, Envelope(EnvelopeConfig{}), r)
	same(t, "event", e, Event{
		ID: "e-1", Source: "shop", Type: "order.placed", Key: "order-1",
		OccurredAt: time.Date(2026, 5, 28, 20, 26, 43, 500_000_000, time.UTC),
		Version:    4, HasVersion: true, CorrelationID: "co", CausationID: "ca", Data: []byte(`{"n":1.50}`), Record: r,
	})
	if !partOf(e.Data, r.Value) {
		t.Error("the payload was copied")
	}
}

func TestEnvelopeNames(t *testing.T) {
	t.Parallel()
	c := Envelope(EnvelopeConfig{
		ID: "eventId", Type: "event-type", Source: "-", Key: "orderId", Time: "at", TimeFormat: TimeUnixMillis,
		Version: "orderId", Correlation: "trace", Causation: "-", Data: ".",
	})
	r := record("rk", ` {"eventId":7,"event-type":"t","source":5,"orderId":12,"at":1716928003123,"trace":"x","causationId":[]}`)
	e := decode(t, c, r)
	same(t, "event", e, Event{
		ID: "7", Type: "t", Key: "12", OccurredAt: time.UnixMilli(1716928003123).UTC(),
		Version: 12, HasVersion: true, CorrelationID: "x", Data: r.Value, Record: r,
	})
}

func TestEnvelopeLeavesOut(t *testing.T) {
	t.Parallel()
	t.Run("what may be missing", func(t *testing.T) {
		t.Parallel()
		r := record("rk", `{"type":"t","id":null,"data":null}`)
		e := decode(t, Envelope(EnvelopeConfig{IDOptional: true}), r)
		same(t, "event", e, Event{Type: "t", Key: "rk", OccurredAt: recordStamp, Record: r})
		source, id := e.Identity()
		same(t, "source", source, "")
		same(t, "identity", id, "@c/t/3/42")
	})
	t.Run("an id that there is not", func(t *testing.T) {
		t.Parallel()
		same(t, "id", decode(t, Envelope(EnvelopeConfig{ID: "-"}), record("", `{"type":"t","id":"x"}`)).ID, "")
	})
	t.Run("the record's key", func(t *testing.T) {
		t.Parallel()
		r := record("\xff", `{"type":"t","id":"x"}`)
		same(t, "key", decode(t, Envelope(EnvelopeConfig{IgnoreRecordKey: true}), r).Key, "")
	})
}

func TestEnvelopeDuplicateMembers(t *testing.T) {
	t.Parallel()
	e := decode(t, Envelope(EnvelopeConfig{}), record("", `{"id":{},"type":"a","id":"x","type":"b","Type":"c","data":1,"data":2}`))
	same(t, "id", e.ID, "x")
	same(t, "type", e.Type, "b")
	same(t, "data", string(e.Data), "2")
}

func TestEnvelopeRefuses(t *testing.T) {
	t.Parallel()
	noStamp := record("", `{"type":"t","id":"x"}`)
	noStamp.TimestampType = TimestampNone
	for name, c := range map[string]struct {
		config EnvelopeConfig
		record *Record
		want   string
	}{
		"not an object":       {EnvelopeConfig{}, record("", `"x"`), `envelope: value: expected a JSON object, found unexpected character '"' at byte 0 of "\"x\""`},
		"no id":               {EnvelopeConfig{}, record("", `{"type":"t"}`), `envelope: id: expected a text that is not empty, found none; let the producer send an id, or set IDOptional to know events by their coordinates`},
		"empty id":            {EnvelopeConfig{ID: "eid"}, record("", `{"type":"t","eid":""}`), `envelope: eid: expected a text that is not empty, found an empty one; let the producer send an id, or set IDOptional to know events by their coordinates`},
		"bad id":              {EnvelopeConfig{IDOptional: true}, record("", `{"type":"t","id":1e3}`), `envelope: id: expected a string or a whole number, found the number 1e3`},
		"no type":             {EnvelopeConfig{}, record("", `{"id":"x"}`), `envelope: type: expected a text that is not empty, found none; let the producer send it with every event`},
		"number as type":      {EnvelopeConfig{}, record("", `{"id":"x","type":3}`), `envelope: type: expected a string, found the number 3`},
		"bad source":          {EnvelopeConfig{}, record("", `{"id":"x","type":"t","source":false}`), `envelope: source: expected a string, found false`},
		"not UTF-8":           {EnvelopeConfig{}, record("", "{\"id\":\"\xc3\",\"type\":\"t\"}"), `envelope: id: expected UTF-8 text, found "\xc3"`},
		"long key":            {EnvelopeConfig{}, record("", `{"id":"x","type":"t","key":"`+long(1025)+`"}`), `envelope: key: expected at most 1024 bytes, found ` + shown("1025")},
		"long record key":     {EnvelopeConfig{}, record(long(1025), `{"id":"x","type":"t"}`), `envelope: record key: expected at most 1024 bytes, found ` + shown("1025")},
		"bad version":         {EnvelopeConfig{}, record("", `{"id":"x","type":"t","version":"v1"}`), `envelope: version: expected a whole number of at most 64 bits, found "v1"`},
		"float version":       {EnvelopeConfig{}, record("", `{"id":"x","type":"t","version":1.0}`), `envelope: version: expected a whole number of at most 64 bits, found the number 1.0`},
		"bad time":            {EnvelopeConfig{TimeFormat: TimeUnixSeconds}, record("", `{"id":"x","type":"t","time":"2026-05-28T20:26:43Z"}`), `envelope: time: expected a number of seconds since 1970, found "2026-05-28T20:26:43Z"`},
		"time in other units": {EnvelopeConfig{TimeFormat: TimeUnixMillis}, record("", `{"id":"x","type":"t","time":1716928003123000}`), `envelope: time: expected a time of the years 1 to 9999, found the number 1716928003123000`},
		"boolean time":        {EnvelopeConfig{TimeFormat: TimeUnixMicros}, record("", `{"id":"x","type":"t","time":true}`), `envelope: time: expected a number of microseconds since 1970, found true`},
		"millis":              {EnvelopeConfig{TimeFormat: TimeUnixMillis}, record("", `{"id":"x","type":"t","time":[]}`), `envelope: time: expected a number of milliseconds since 1970, found an array of 2 bytes`},
		"no time":             {EnvelopeConfig{}, noStamp, `envelope: time: expected a time in the event or a timestamp on its record, found neither; let the producer send the time at which the event occurred`},
		"a long number":       {EnvelopeConfig{}, record("", `{"id":"x","type":"t","version":1`+zeros(60)+`}`), `envelope: version: expected a whole number of at most 64 bits, found the number 1` + zeros(47) + `… (61 bytes)`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refuses(t, Envelope(c.config), c.record, c.want)
		})
	}
}

func zeros(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = '0'
	}
	return string(b)
}

func TestUnixTimes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		format TimeFormat
		text   string
		want   int64 // microseconds
	}{
		{TimeUnixSeconds, "0", 0},
		{TimeUnixSeconds, "-0", 0},
		{TimeUnixSeconds, "1716928003", 1716928003_000_000},
		{TimeUnixSeconds, `1716928003.123456789`, 1716928003_123_456}, // Jackson's Instant
		{TimeUnixSeconds, "1.716928003123E9", 1716928003_123_000},     // Java's double
		{TimeUnixSeconds, "-0.0000001", -1},                           // rounded down, not to zero
		{TimeUnixSeconds, "-1.5", -1_500_000},
		{TimeUnixSeconds, "0.000001", 1},
		{TimeUnixMillis, "1716928003123", 1716928003_123_000},
		{TimeUnixMillis, "1716928003123.4567", 1716928003_123_456},
		{TimeUnixMillis, "-1", -1000},
		{TimeUnixMillis, "15e-4", 1},
		{TimeUnixMicros, "1716928003123456", 1716928003_123_456},
		{TimeUnixMicros, "0.0001e10", 1_000_000},
		{TimeUnixMicros, "9e-9", 0},
		{TimeUnixMicros, "-9e-99999999999", -1},
		{TimeUnixMicros, "0e99999999999", 0},
		{TimeUnixMicros, "9223372036854775807", math.MaxInt64},
		{TimeUnixMicros, "9223372036854775808", math.MaxInt64},
		{TimeUnixMicros, "-9223372036854775808", math.MinInt64},
		{TimeUnixSeconds, "1e99999999999", math.MaxInt64},
		{TimeUnixSeconds, "-1e400", math.MinInt64},
	} {
		got, ok := c.format.parse([]byte(c.text))
		if !ok || got.UnixMicro() != c.want {
			t.Errorf("%s %s: got %d (%t), want %d", c.format, c.text, got.UnixMicro(), ok, c.want)
		}
	}
	for _, text := range []string{"", "+1", ".5", "1.", "1e", "0x10", "01", "1 ", " 1", "NaN", "1_000", "-"} {
		if got, ok := TimeUnixSeconds.parse([]byte(text)); ok {
			t.Errorf("%q was taken for %s", text, got)
		}
	}
	t.Run("in quotes", func(t *testing.T) {
		t.Parallel()
		e := decode(t, Envelope(EnvelopeConfig{TimeFormat: TimeUnixMillis}), record("", `{"id":"x","type":"t","time":"1500"}`))
		same(t, "time", e.OccurredAt, time.UnixMilli(1500).UTC())
	})
}

func TestTimeFormatString(t *testing.T) {
	t.Parallel()
	for f, want := range map[TimeFormat]string{
		TimeRFC3339: "RFC 3339", TimeUnixSeconds: "unix seconds", TimeUnixMillis: "unix milliseconds",
		TimeUnixMicros: "unix microseconds", 9: "TimeFormat(9)",
	} {
		same(t, "word", f.String(), want)
	}
	same(t, "Envelope", panicOf(func() { Envelope(EnvelopeConfig{TimeFormat: 9}) }), "event: EnvelopeConfig has TimeFormat(9); use one of the Time… constants")
	same(t, "Headers", panicOf(func() { Headers(HeadersConfig{TimeFormat: 9}) }), "event: HeadersConfig has TimeFormat(9); use one of the Time… constants")
}
