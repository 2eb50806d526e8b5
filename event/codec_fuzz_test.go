package event

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// total checks what every codec owes whatever bytes come: no panic, the record
// untouched, and either a *DecodeError or an event that the database can hold.
func total(t *testing.T, c Codec, r *Record) {
	t.Helper()
	before := *r
	before.Value, before.Key = append([]byte(nil), r.Value...), append([]byte(nil), r.Key...)
	var e Event
	if err := c.Decode(r, &e); err != nil {
		var d *DecodeError
		if !errors.As(err, &d) || d.Codec != c.Name() || d.Field == "" || d.Expected == "" || d.Found == "" {
			t.Fatalf("%s: %#v does not say what is wrong", c.Name(), err)
		}
		if !utf8.ValidString(err.Error()) || strings.ContainsAny(err.Error(), "\x00\n") {
			t.Fatalf("%s: %q is no line of text", c.Name(), err.Error())
		}
		return
	}
	if !bytes.Equal(before.Value, r.Value) || !bytes.Equal(before.Key, r.Key) {
		t.Fatalf("%s changed the record", c.Name())
	}
	for what, text := range map[string]struct {
		s     string
		limit int
	}{
		"id": {e.ID, MaxIDBytes}, "source": {e.Source, MaxSourceBytes}, "type": {e.Type, MaxTypeBytes}, "key": {e.Key, MaxKeyBytes},
		"correlation": {e.CorrelationID, MaxIDBytes}, "causation": {e.CausationID, MaxIDBytes}, "content type": {e.ContentType, MaxTypeBytes},
	} {
		if len(text.s) > text.limit || !utf8.ValidString(text.s) || strings.Contains(text.s, "\x00") {
			t.Fatalf("%s let the %s %q pass", c.Name(), what, text.s)
		}
	}
	if e.HasLamport && lamportFault(e.Lamport) || e.Vector != nil && (e.Vector.Sum() <= 0 || len(e.Vector) > MaxVectorNodes) {
		t.Fatalf("%s let %+v pass", c.Name(), e)
	}
	at := e.OccurredAt
	if e.Type == "" || e.Record != r || at.Before(MinTime) || at.After(MaxTime) || at.Location() != time.UTC || at.Nanosecond()%1000 != 0 {
		t.Fatalf("%s let %+v pass", c.Name(), e)
	}
	again := e
	if err := Finish(c.Name(), &again); err != nil {
		t.Fatalf("Finish refuses what %s has passed: %v", c.Name(), err)
	}
}

func FuzzCloudEventsStructured(f *testing.F) {
	for _, in := range jsonSeeds {
		f.Add("application/cloudevents+json", []byte(in))
	}
	f.Add("application/cloudevents+json", []byte(`{"specversion":"1.0","id":"1","source":"s","type":"t","time":"2026-05-28T20:26:43.123456789Z","subject":"k","sequence":"1","data_base64":"AA==","datacontenttype":"text/plain"}`))
	f.Add("application/cloudevents", []byte(`{"specversion":"1.0","id":"1","source":"s","type":"t","sequence":-1,"data":{"a":[1,"\ud800"]}}`))
	f.Add("application/cloudevents-batch+json", []byte(`[]`))
	c := CloudEvents()
	f.Fuzz(func(t *testing.T, contentType string, value []byte) {
		total(t, c, record("", string(value), "content-type", contentType))
	})
}

func FuzzCloudEventsBinary(f *testing.F) {
	f.Add([]byte("k"), "1.0", "id", "source", "type", "subject", "2026-05-28T20:26:43Z", "17", "co", "application/json")
	f.Add([]byte("\x00\xff"), "0.3", "", "", "", "", "", "", "", "")
	f.Add([]byte(nil), "1.0", "i\x00", "s\xff", "t", "", "9999-12-31T23:59:59.9-23:59", "-9223372036854775809", "", "application/cloudevents; x")
	c := CloudEvents()
	f.Fuzz(func(t *testing.T, key []byte, spec, id, source, typ, subject, at, sequence, correlation, contentType string) {
		total(t, c, record(string(key), "v", "ce_specversion", spec, "ce_id", id, "ce_source", source, "ce_type", typ,
			"ce_subject", subject, "ce_time", at, "ce_sequence", sequence, "ce_correlationid", correlation, "content-type", contentType))
	})
}

func FuzzEnvelope(f *testing.F) {
	for _, in := range jsonSeeds {
		f.Add(uint8(0), []byte("k"), []byte(in))
	}
	f.Add(uint8(0), []byte("k"), []byte(`{"id":"1","type":"t","source":"s","key":5,"time":"2026-05-28T20:26:43.1+01:00","version":3,"data":[]}`))
	f.Add(uint8(1), []byte("k"), []byte(`{"id":"1","type":"t","time":1716928003.123456789}`))
	f.Add(uint8(2), []byte("\xff"), []byte(`{"id":1,"type":"t","time":"1.716928003123E12"}`))
	f.Add(uint8(3), []byte(""), []byte(`{"id":1,"type":"t","time":-1e99999999}`))
	f.Add(uint8(0), []byte(""), []byte(`{"id":1,"type":"t","lamport":"4611686018427387904","vector":{"a":1,"b":"2"}}`))
	f.Add(uint8(0), []byte(""), []byte(`{"id":1,"type":"t","lamport":-1,"vector":"a=1,a=1"}`))
	f.Fuzz(func(t *testing.T, format uint8, key, value []byte) {
		total(t, Envelope(EnvelopeConfig{TimeFormat: TimeFormat(format % 4), IDOptional: format&4 != 0}), record(string(key), string(value)))
	})
}

func FuzzHeaders(f *testing.F) {
	f.Add(uint8(0), []byte("k"), "id", "type", "source", "key", "2026-05-28T20:26:43Z", "1", "application/json")
	f.Add(uint8(1), []byte("\xff"), "", "t", "", "", "-1.5e3", "x", "\x00")
	f.Fuzz(func(t *testing.T, format uint8, key []byte, id, typ, source, own, at, version, contentType string) {
		total(t, Headers(HeadersConfig{TimeFormat: TimeFormat(format % 4)}), record(string(key), "v", "id", id, "type", typ,
			"source", source, "key", own, "time", at, "version", version, "content-type", contentType))
	})
}
