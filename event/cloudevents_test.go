package event

import (
	"testing"
	"time"
)

var binaryHeaders = []string{
	"ce_specversion", "1.0", "ce_id", "e-1", "ce_source", "/shop", "ce_type", "order.placed",
}

func binary(more ...string) *Record {
	return record("rk", `{"n":1}`, append(append([]string{}, binaryHeaders...), more...)...)
}

func TestCloudEventsBinary(t *testing.T) {
	t.Parallel()
	r := binary("content-type", "application/json", "ce_subject", "order-1", "ce_time", "2026-05-28T22:26:43.123456789+02:00",
		"ce_sequence", "17", "ce_correlationid", "co-1", "ce_causationid", "ca-1", "ce_partitionkey", "p-1", "traceparent", "00-1")
	e := decode(t, CloudEvents(), r)
	want := Event{
		ID: "e-1", Source: "/shop", Type: "order.placed", Key: "order-1",
		OccurredAt: time.Date(2026, 5, 28, 20, 26, 43, 123456000, time.UTC),
		Version:    17, HasVersion: true, CorrelationID: "co-1", CausationID: "ca-1",
		ContentType: "application/json", Data: r.Value, Record: r,
	}
	same(t, "event", e, want)
	if !partOf(e.Data, r.Value) {
		t.Error("the payload was copied")
	}
}

func TestCloudEventsStructured(t *testing.T) {
	t.Parallel()
	r := structured(t, map[string]any{
		"subject": "order-1", "time": "2026-05-28T15:26:43.123456789-05:00", "sequence": 17, "correlationid": "co-1",
		"causationid": "ca-1", "partitionkey": "p-1", "datacontenttype": "application/json", "data": map[string]any{"n": []int{1}},
	})
	e := decode(t, CloudEvents(), r)
	want := Event{
		ID: "e-1", Source: "/shop", Type: "order.placed", Key: "order-1",
		OccurredAt: time.Date(2026, 5, 28, 20, 26, 43, 123456000, time.UTC),
		Version:    17, HasVersion: true, CorrelationID: "co-1", CausationID: "ca-1",
		ContentType: "application/json", Data: []byte(`{"n":[1]}`), Record: r,
	}
	same(t, "event", e, want)
	if !partOf(e.Data, r.Value) {
		t.Error("the payload was copied")
	}
}

func TestCloudEventsMode(t *testing.T) {
	t.Parallel()
	body := `{"specversion":"1.0","id":"s","source":"/s","type":"t","data":1}`
	for contentType, id := range map[string]string{
		"application/cloudevents+json":                "s",
		"application/cloudevents+json; charset=UTF-8": "s",
		"Application/CloudEvents+JSON":                "s",
		"application/cloudevents":                     "s",
		"application/json":                            "e-1",
		"application/cloud":                           "e-1",
		"":                                            "e-1",
	} {
		r := record("rk", body, append([]string{"content-type", contentType}, binaryHeaders...)...)
		e := decode(t, CloudEvents(), r)
		same(t, contentType+": id", e.ID, id)
	}
	t.Run("HTTP spelling of the header", func(t *testing.T) {
		t.Parallel()
		e := decode(t, CloudEvents(), record("rk", body, "Content-Type", "application/cloudevents+json"))
		same(t, "id", e.ID, "s")
	})
}

func TestCloudEventsKey(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rule    string
		codec   Codec
		headers []string
		want    string
	}{
		{"subject first", CloudEvents(), []string{"ce_partitionkey", "p", "ce_subject", "s"}, "s"},
		{"then partitionkey", CloudEvents(), []string{"ce_partitionkey", "p"}, "p"},
		{"an empty subject is none", CloudEvents(), []string{"ce_subject", "", "ce_partitionkey", "p"}, "p"},
		{"then the record's key", CloudEvents(), nil, "rk"},
		{"a null header is none", CloudEvents(), []string{"ce_subject", "s", "ce_subject", null}, "rk"},
		{"the attribute asked for", CloudEvents(KeyAttribute("tenant")), []string{"ce_subject", "s", "ce_tenant", "t"}, "t"},
		{"and no other", CloudEvents(KeyAttribute("tenant")), []string{"ce_subject", "s"}, "rk"},
		{"the record's key ignored", CloudEvents(IgnoreRecordKey()), nil, ""},
		{"but not the attribute", CloudEvents(IgnoreRecordKey()), []string{"ce_subject", "s"}, "s"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			same(t, "key", decode(t, c.codec, binary(c.headers...)).Key, c.want)
		})
	}
	t.Run("a number in structured mode", func(t *testing.T) {
		t.Parallel()
		same(t, "key", decode(t, CloudEvents(), structured(t, map[string]any{"partitionkey": 42})).Key, "42")
	})
	t.Run("a null key", func(t *testing.T) {
		t.Parallel()
		r := binary()
		r.Key = nil
		same(t, "key", decode(t, CloudEvents(), r).Key, "")
	})
}

func TestCloudEventsVersion(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rule    string
		codec   Codec
		headers []string
		want    int64
		has     bool
	}{
		{"sequence by default", CloudEvents(), []string{"ce_sequence", "17", "ce_version", "3"}, 17, true},
		{"another attribute", CloudEvents(VersionAttribute("version")), []string{"ce_sequence", "x", "ce_version", "3"}, 3, true},
		{"none", CloudEvents(VersionAttribute("")), []string{"ce_sequence", "x"}, 0, false},
		{"zero is a version", CloudEvents(), []string{"ce_sequence", "0"}, 0, true},
		{"missing", CloudEvents(), nil, 0, false},
		{"empty", CloudEvents(), []string{"ce_sequence", ""}, 0, false},
		{"padded for sorting", CloudEvents(), []string{"ce_sequence", "000123"}, 123, true},
		{"largest", CloudEvents(), []string{"ce_sequence", "9223372036854775807"}, 1<<63 - 1, true},
		{"smallest", CloudEvents(), []string{"ce_sequence", "-9223372036854775808"}, -1 << 63, true},
	} {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			e := decode(t, c.codec, binary(c.headers...))
			same(t, "version", e.Version, c.want)
			same(t, "has version", e.HasVersion, c.has)
		})
	}
	t.Run("text in structured mode", func(t *testing.T) {
		t.Parallel()
		same(t, "version", decode(t, CloudEvents(), structured(t, map[string]any{"sequence": "0017"})).Version, int64(17))
	})
}

func TestCloudEventsTime(t *testing.T) {
	t.Parallel()
	day := func(y int, m time.Month, d, h, mi, s, ns int) time.Time {
		return time.Date(y, m, d, h, mi, s, ns, time.UTC)
	}
	for text, want := range map[string]time.Time{
		"":                                    recordStamp,
		"2026-05-28T20:26:43Z":                day(2026, 5, 28, 20, 26, 43, 0),
		"2026-05-28T20:26:43.1Z":              day(2026, 5, 28, 20, 26, 43, 100_000_000),
		"2026-05-28T20:26:43.999999999Z":      day(2026, 5, 28, 20, 26, 43, 999_999_000),
		"2026-05-28T23:56:43+03:30":           day(2026, 5, 28, 20, 26, 43, 0),
		"1969-12-31T23:59:59.9999999Z":        day(1969, 12, 31, 23, 59, 59, 999_999_000),
		"0001-01-01T00:00:00Z":                MinTime,
		"9999-12-31T23:59:59.999999999Z":      MaxTime,
		"9999-12-31T23:59:59.999999999+00:01": day(9999, 12, 31, 23, 58, 59, 999_999_000),
	} {
		e := decode(t, CloudEvents(), binary("ce_time", text))
		if !e.OccurredAt.Equal(want) || e.OccurredAt.Location() != time.UTC {
			t.Errorf("%q: got %s, want %s", text, e.OccurredAt, want)
		}
	}
}

func TestCloudEventsData(t *testing.T) {
	t.Parallel()
	type m = map[string]any
	for _, c := range []struct {
		rule    string
		changes m
		want    []byte
	}{
		{"none", nil, nil},
		{"an empty text of JSON", m{"data": ""}, []byte(`""`)},
		{"JSON text stays JSON", m{"data": "a"}, []byte(`"a"`)},
		{"JSON by suffix", m{"data": "a", "datacontenttype": "application/x+json; v=1"}, []byte(`"a"`)},
		{"plain text", m{"data": "grüße", "datacontenttype": "text/plain"}, []byte("grüße")},
		{"escaped plain text", m{"data": "a\n\"b\"", "datacontenttype": "text/plain"}, []byte("a\n\"b\"")},
		{"an object of another type", m{"data": m{"a": 1}, "datacontenttype": "application/xml"}, []byte(`{"a":1}`)},
		{"base64", m{"data_base64": "AP8BAg=="}, []byte{0, 255, 1, 2}},
		{"empty base64", m{"data_base64": ""}, []byte{}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			same(t, "data", decode(t, CloudEvents(), structured(t, c.changes)).Data, c.want)
		})
	}
	t.Run("null is none", func(t *testing.T) {
		t.Parallel()
		r := record("", `{"specversion":"1.0","id":"1","source":"s","type":"t","data":null}`, "content-type", "application/cloudevents+json")
		same(t, "data", decode(t, CloudEvents(), r).Data, []byte(nil))
	})
	t.Run("escaped slashes in base64", func(t *testing.T) {
		t.Parallel()
		r := record("", `{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"\/\/8="}`, "content-type", "application/cloudevents+json")
		same(t, "data", decode(t, CloudEvents(), r).Data, []byte{255, 255})
	})
	t.Run("a null value is an event without data, no tombstone", func(t *testing.T) {
		t.Parallel()
		r := binary()
		r.Value = nil
		if r.IsCompactionMarker() {
			t.Error("taken for a compaction marker")
		}
		same(t, "data", decode(t, CloudEvents(), r).Data, []byte(nil))
	})
}

func TestCloudEventsLastOneCounts(t *testing.T) {
	t.Parallel()
	e := decode(t, CloudEvents(), binary("ce_id", "second", "ce_sequence", "bad", "ce_sequence", "5"))
	same(t, "id", e.ID, "second")
	same(t, "version", e.Version, int64(5))

	r := record("", `{"specversion":"1.0","id":5,"ID":"no","source":"s","type":"t","i\u0064":"yes","sequence":4,"sequence":null}`, "content-type", "application/cloudevents+json")
	e = decode(t, CloudEvents(), r)
	same(t, "id", e.ID, "yes")
	same(t, "has version", e.HasVersion, false)
}

func TestCloudEventsRefusesBinary(t *testing.T) {
	t.Parallel()
	noStamp := binary()
	noStamp.TimestampType = TimestampNone
	farStamp := binary()
	farStamp.Timestamp = time.UnixMilli(1 << 60)
	badKey := binary()
	badKey.Key = []byte("\x00\x01\xfe")
	for name, c := range map[string]struct {
		record *Record
		want   string
	}{
		"no attributes":     {record("k", "{}"), `cloudevents: header ce_specversion: expected "1.0", found none; let the producer send the attributes as ce_ headers, or structured events with content-type application/cloudevents+json`},
		"old version":       {binary("ce_specversion", "0.3"), `cloudevents: header ce_specversion: expected "1.0", found "0.3"; let the producer send CloudEvents 1.0`},
		"no id":             {record("k", "", "ce_specversion", "1.0"), `cloudevents: header ce_id: expected a text that is not empty, found none; let the producer send an id that no other event of its source has`},
		"empty id":          {binary("ce_id", ""), `cloudevents: header ce_id: expected a text that is not empty, found an empty one; let the producer send an id that no other event of its source has`},
		"long id":           {binary("ce_id", long(MaxIDBytes+1)), `cloudevents: header ce_id: expected at most 4096 bytes, found ` + shown("4097")},
		"id not UTF-8":      {binary("ce_id", "a\xff"), `cloudevents: header ce_id: expected UTF-8 text, found "a\xff"`},
		"id with NUL":       {binary("ce_id", "a\x00b"), `cloudevents: header ce_id: expected text without NUL bytes, which no text column can hold, found "a\x00b"`},
		"no source":         {binary("ce_source", null), `cloudevents: header ce_source: expected a text that is not empty, found none; let the producer send it with every event`},
		"empty source":      {binary("ce_source", ""), `cloudevents: header ce_source: expected a text that is not empty, found an empty one; let the producer send it with every event`},
		"long source":       {binary("ce_source", long(MaxSourceBytes+1)), `cloudevents: header ce_source: expected at most 4096 bytes, found ` + shown("4097")},
		"no type":           {binary("ce_type", null), `cloudevents: header ce_type: expected a text that is not empty, found none; let the producer send it with every event`},
		"long type":         {binary("ce_type", long(MaxTypeBytes+1)), `cloudevents: header ce_type: expected at most 512 bytes, found ` + shown("513")},
		"type with NUL":     {binary("ce_type", "\x00"), `cloudevents: header ce_type: expected text without NUL bytes, which no text column can hold, found "\x00"`},
		"long subject":      {binary("ce_subject", long(MaxKeyBytes+1)), `cloudevents: header ce_subject: expected at most 1024 bytes, found ` + shown("1025")},
		"bad record key":    {badKey, `cloudevents: record key: expected UTF-8 text, found "\x00\x01\xfe"`},
		"bad time":          {binary("ce_time", "yesterday"), `cloudevents: header ce_time: expected an RFC 3339 time like "2026-05-28T20:26:43.123Z", found "yesterday"`},
		"time with a comma": {binary("ce_time", "2026-05-28T20:26:43,5Z"), `cloudevents: header ce_time: expected an RFC 3339 time like "2026-05-28T20:26:43.123Z", found "2026-05-28T20:26:43,5Z"`},
		"hour of one digit": {binary("ce_time", "2026-05-28T2:26:43Z"), `cloudevents: header ce_time: expected an RFC 3339 time like "2026-05-28T20:26:43.123Z", found "2026-05-28T2:26:43Z"`},
		"zone of a day":     {binary("ce_time", "2026-05-28T20:26:43+24:00"), `cloudevents: header ce_time: expected an RFC 3339 time like "2026-05-28T20:26:43.123Z", found "2026-05-28T20:26:43+24:00"`},
		"year 0":            {binary("ce_time", "0000-12-31T23:59:59Z"), `cloudevents: header ce_time: expected a time of the years 1 to 9999, found "0000-12-31T23:59:59Z"`},
		"year 10000 in UTC": {binary("ce_time", "9999-12-31T23:59:59-01:00"), `cloudevents: header ce_time: expected a time of the years 1 to 9999, found "9999-12-31T23:59:59-01:00"`},
		"no time at all":    {noStamp, `cloudevents: time: expected a time in the event or a timestamp on its record, found neither; let the producer send the time at which the event occurred`},
		"far timestamp":     {farStamp, `cloudevents: record timestamp: expected a time of the years 1 to 9999, found 1152921504606846976 ms since 1970; let the producer send the time at which the event occurred`},
		"bad version":       {binary("ce_sequence", "1.5"), `cloudevents: header ce_sequence: expected a whole number of at most 64 bits, found "1.5"; let the producer send the entity's version, or name another attribute with event.VersionAttribute`},
		"large version":     {binary("ce_sequence", "9223372036854775808"), `cloudevents: header ce_sequence: expected a whole number of at most 64 bits, found "9223372036854775808"; let the producer send the entity's version, or name another attribute with event.VersionAttribute`},
		"bad correlation":   {binary("ce_correlationid", "\xff"), `cloudevents: header ce_correlationid: expected UTF-8 text, found "\xff"`},
		"long causation":    {binary("ce_causationid", long(MaxIDBytes+1)), `cloudevents: header ce_causationid: expected at most 4096 bytes, found ` + shown("4097")},
		"bad content type":  {binary("content-type", "\xff"), `cloudevents: header content-type: expected UTF-8 text, found "\xff"`},
		"batch":             {binary("content-type", "application/cloudevents-batch+json"), `cloudevents: header content-type: expected one CloudEvent, found a batch ("application/cloudevents-batch+json"); let the producer send each event as a record of its own`},
		"Avro":              {binary("content-type", "application/cloudevents+avro"), `cloudevents: header content-type: expected "application/cloudevents+json", found "application/cloudevents+avro"; let the producer use the JSON format, or binary mode`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refuses(t, CloudEvents(), c.record, c.want)
		})
	}
}

func TestCloudEventsRefusesStructured(t *testing.T) {
	t.Parallel()
	type m = map[string]any
	raw := func(value string) *Record {
		return record("k", value, "content-type", "application/cloudevents+json")
	}
	nullValue := raw("")
	nullValue.Value = nil
	for name, c := range map[string]struct {
		record *Record
		want   string
	}{
		"null value":            {nullValue, `cloudevents: value: expected a JSON object, found null`},
		"empty value":           {raw(""), `cloudevents: value: expected a JSON object, found the text ends too early at byte 0 of ""`},
		"an array":              {raw("[]"), `cloudevents: value: expected a JSON object, found unexpected character '[' at byte 0 of "[]"`},
		"cut":                   {raw(`{"id":"a`), `cloudevents: value: expected a JSON object, found the text ends too early at byte 8 of "{\"id\":\"a"`},
		"more behind":           {raw(`{} x`), `cloudevents: value: expected a JSON object, found unexpected character 'x' at byte 3 of "{} x"`},
		"broken payload":        {raw(`{"data":{"a":tru}}`), `cloudevents: value: expected a JSON object, found unexpected character '}' at byte 16 of "{\"data\":{\"a\":tru}}"`},
		"no specversion":        {structured(t, m{"specversion": nil}), `cloudevents: specversion: expected "1.0", found none; let the producer send CloudEvents 1.0`},
		"number as specversion": {structured(t, m{"specversion": 1}), `cloudevents: specversion: expected "1.0", found the number 1; let the producer send CloudEvents 1.0`},
		"old version":           {structured(t, m{"specversion": "0.3"}), `cloudevents: specversion: expected "1.0", found "0.3"; let the producer send CloudEvents 1.0`},
		"no id":                 {structured(t, m{"id": nil}), `cloudevents: id: expected a text that is not empty, found none; let the producer send an id that no other event of its source has`},
		"number as id":          {structured(t, m{"id": 7}), `cloudevents: id: expected a string, found the number 7`},
		"half a character":      {raw(`{"specversion":"1.0","id":"\ud800"}`), "cloudevents: id: expected text of whole characters, found \"\uFFFD\"; it holds half of a surrogate pair"},
		"escaped NUL":           {structured(t, m{"id": "a\x00"}), `cloudevents: id: expected text without NUL bytes, which no text column can hold, found "a\x00"`},
		"object as source":      {structured(t, m{"source": m{}}), `cloudevents: source: expected a string, found an object of 2 bytes`},
		"array as type":         {structured(t, m{"type": []int{}}), `cloudevents: type: expected a string, found an array of 2 bytes`},
		"boolean as subject":    {structured(t, m{"subject": true}), `cloudevents: subject: expected a string or a whole number, found true`},
		"fraction as subject":   {structured(t, m{"subject": 1.5}), `cloudevents: subject: expected a string or a whole number, found the number 1.5`},
		"number as time":        {structured(t, m{"time": 1716928003}), `cloudevents: time: expected an RFC 3339 time like "2026-05-28T20:26:43.123Z", found the number 1716928003`},
		"bad version":           {structured(t, m{"sequence": m{}}), `cloudevents: sequence: expected a whole number of at most 64 bits, found an object of 2 bytes; let the producer send the entity's version, or name another attribute with event.VersionAttribute`},
		"number as media type":  {structured(t, m{"datacontenttype": 1}), `cloudevents: datacontenttype: expected a string, found the number 1`},
		"both kinds of data":    {structured(t, m{"data": 1, "data_base64": ""}), `cloudevents: data_base64: expected either data or data_base64, found both`},
		"bad base64":            {structured(t, m{"data_base64": "AP8"}), `cloudevents: data_base64: expected base64, found illegal base64 data at input byte 0`},
		"number as base64":      {structured(t, m{"data_base64": 1}), `cloudevents: data_base64: expected a string, found the number 1`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refuses(t, CloudEvents(), c.record, c.want)
		})
	}
}

func TestCloudEventsOptionsRefuseImpossibleNames(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]func(){
		`event: "ce_version" is not the name of a CloudEvents attribute: lower-case letters and digits`: func() { VersionAttribute("ce_version") },
		`event: "Subject" is not the name of a CloudEvents attribute: lower-case letters and digits`:    func() { KeyAttribute("Subject") },
		`event: "" is not the name of a CloudEvents attribute: lower-case letters and digits`:           func() { KeyAttribute("") },
	} {
		same(t, "panic", panicOf(f), name)
	}
}

func panicOf(f func()) (text any) {
	defer func() { text = recover() }()
	f()
	return nil
}
