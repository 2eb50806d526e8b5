package event

import "testing"

// TestLogicalStamps: where the codecs find a Lamport time and a vector clock.
func TestLogicalStamps(t *testing.T) {
	t.Parallel()
	binary := func(pairs ...string) *Record {
		return record("k", "", append([]string{"ce_specversion", "1.0", "ce_id", "1", "ce_source", "s", "ce_type", "t"}, pairs...)...)
	}
	envelope := func(more string) *Record { return record("k", `{"id":"1","type":"t"`+more+`}`) }
	headers := func(pairs ...string) *Record {
		return record("k", "", append([]string{"id", "1", "type", "t"}, pairs...)...)
	}
	for name, c := range map[string]struct {
		codec   Codec
		record  *Record
		lamport int64 // -1: none
		vector  string
	}{
		"binary":              {CloudEvents(), binary("ce_lamport", "7", "ce_vector", "b=2,a=1"), 7, "a=1,b=2"},
		"binary, none":        {CloudEvents(), binary(), -1, ""},
		"binary, others":      {CloudEvents(LamportAttribute("clock"), VectorAttribute("vc")), binary("ce_clock", "0", "ce_vc", "a=1", "ce_lamport", "x", "ce_vector", "x"), 0, "a=1"},
		"binary, no such":     {CloudEvents(LamportAttribute(""), VectorAttribute("")), binary("ce_lamport", "x", "ce_vector", "x"), -1, ""},
		"structured":          {CloudEvents(), structured(t, map[string]any{"lamport": 7, "vector": "a=1"}), 7, "a=1"},
		"structured, object":  {CloudEvents(), structured(t, map[string]any{"lamport": "7", "vector": map[string]int{"a": 1}}), 7, "a=1"},
		"envelope":            {Envelope(EnvelopeConfig{}), envelope(`,"lamport":9,"vector":{"b":1,"a":"3"}`), 9, "a=3,b=1"},
		"envelope, text":      {Envelope(EnvelopeConfig{}), envelope(`,"lamport":"9","vector":"a=1"`), 9, "a=1"},
		"envelope, null":      {Envelope(EnvelopeConfig{}), envelope(`,"lamport":null,"vector":null`), -1, ""},
		"envelope, others":    {Envelope(EnvelopeConfig{Lamport: "l", Vector: "-"}), envelope(`,"l":1,"vector":[0.5]`), 1, ""},
		"headers":             {Headers(HeadersConfig{}), headers("lamport", "4611686018427387904", "vector", `{"a":1}`), MaxLamport, "a=1"},
		"headers, others":     {Headers(HeadersConfig{Lamport: "-", Vector: "v"}), headers("lamport", "x", "v", "a=1"), -1, "a=1"},
		"headers, Kafka null": {Headers(HeadersConfig{}), headers("lamport", null, "vector", null), -1, ""},
		"codec of one's own": {CodecFunc("own", func(_ *Record, e *Event) error {
			e.Type, e.Lamport, e.HasLamport = "t", 3, true
			e.Vector = Vector{{"b", 1}, {"a", 2}, {"c", 0}}
			return nil
		}), record("k", ""), 3, "a=2,b=1"},
	} {
		e := decode(t, c.codec, c.record)
		same(t, name+": has", e.HasLamport, c.lamport >= 0)
		if e.HasLamport {
			same(t, name, e.Lamport, c.lamport)
		}
		same(t, name, e.Vector.String(), c.vector)
	}

	refuses(t, CloudEvents(), binary("ce_lamport", "-1"), `cloudevents: header ce_lamport: expected a whole number from 0 to 4611686018427387904, found "-1"; let the producer send its Lamport time, or name another attribute with event.LamportAttribute`)
	refuses(t, CloudEvents(), binary("ce_vector", "a"), `cloudevents: header ce_vector: expected a vector clock, as {"node":1,"other":2} or node=1,other=2, found "a"; let the producer send its vector clock, or name another attribute with event.VectorAttribute`)
	refuses(t, Envelope(EnvelopeConfig{}), envelope(`,"lamport":4611686018427387905`), `envelope: lamport: expected a whole number from 0 to 4611686018427387904, found the number 4611686018427387905; let the producer send its Lamport time, or name another member with EnvelopeConfig.Lamport`)
	refuses(t, Envelope(EnvelopeConfig{}), envelope(`,"vector":[1]`), `envelope: vector: expected a vector clock, as {"node":1,"other":2} or node=1,other=2, found an array of 3 bytes; let the producer send its vector clock, or name another member with EnvelopeConfig.Vector`)
	refuses(t, Headers(HeadersConfig{}), headers("vector", "a=x"), `headers: header vector: expected counts from 0 to 144115188075855871, found "a=x"; let the producer send its vector clock, or name another header with HeadersConfig.Vector`)
	own := func(lamport int64, v Vector) Codec {
		return CodecFunc("own", func(_ *Record, e *Event) error {
			e.Type, e.Lamport, e.HasLamport, e.Vector = "t", lamport, true, v
			return nil
		})
	}
	refuses(t, own(-1, nil), record("k", ""), "own: lamport: expected a whole number from 0 to 4611686018427387904, found -1")
	refuses(t, own(1, Vector{}), record("k", ""), `own: vector: expected a vector clock with at least one count above 0, found ""`)
	refuses(t, own(1, Vector{{"a", 1}, {"a", 2}}), record("k", ""), `own: vector: expected each node once, found "a=1,a=2"`)
}
