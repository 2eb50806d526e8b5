package event

import (
	"errors"
	"testing"
	"time"
)

func TestCodecFuncCompletes(t *testing.T) {
	t.Parallel()
	c := CodecFunc("mine", func(r *Record, e *Event) error {
		e.Type, e.Data, e.Record = "t", r.Value, nil
		return nil
	})
	same(t, "name", c.Name(), "mine")
	r := record("rk", "v")
	same(t, "event", decode(t, c, r), Event{Type: "t", Key: "rk", OccurredAt: recordStamp, Data: r.Value, Record: r})

	c = CodecFunc("mine", func(_ *Record, e *Event) error {
		e.Type, e.Key = "t", "own"
		e.OccurredAt = time.Date(1960, 1, 1, 1, 0, 0, 1999, time.FixedZone("", 3600))
		return nil
	})
	same(t, "event", decode(t, c, r), Event{Type: "t", Key: "own", OccurredAt: time.Date(1960, 1, 1, 0, 0, 0, 1000, time.UTC), Record: r})
}

func TestCodecFuncRefuses(t *testing.T) {
	t.Parallel()
	noStamp := record("k", "")
	noStamp.TimestampType = TimestampNone
	for name, c := range map[string]struct {
		record *Record
		event  Event
		want   string
	}{
		"no type":         {record("k", ""), Event{}, `mine: type: expected a text that is not empty, found none`},
		"long type":       {record("k", ""), Event{Type: long(513)}, `mine: type: expected at most 512 bytes, found ` + shown("513")},
		"bad record key":  {record("\xff", ""), Event{Type: "t"}, `mine: record key: expected UTF-8 text, found "\xff"`},
		"bad key":         {record("k", ""), Event{Type: "t", Key: "\x00"}, `mine: key: expected text without NUL bytes, which no text column can hold, found "\x00"`},
		"bad id":          {record("k", ""), Event{Type: "t", ID: "\xff"}, `mine: id: expected UTF-8 text, found "\xff"`},
		"bad source":      {record("k", ""), Event{Type: "t", Source: "\xff"}, `mine: source: expected UTF-8 text, found "\xff"`},
		"bad correlation": {record("k", ""), Event{Type: "t", CorrelationID: "\xff"}, `mine: correlation id: expected UTF-8 text, found "\xff"`},
		"bad causation":   {record("k", ""), Event{Type: "t", CausationID: "\xff"}, `mine: causation id: expected UTF-8 text, found "\xff"`},
		"bad media type":  {record("k", ""), Event{Type: "t", ContentType: "\xff"}, `mine: content type: expected UTF-8 text, found "\xff"`},
		"no time":         {noStamp, Event{Type: "t"}, `mine: time: expected a time in the event or a timestamp on its record, found neither; let the producer send the time at which the event occurred`},
		"far time":        {record("k", ""), Event{Type: "t", OccurredAt: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}, `mine: time: expected a time of the years 1 to 9999, found the year 10000`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refuses(t, CodecFunc("mine", func(_ *Record, e *Event) error { *e = c.event; return nil }), c.record, c.want)
		})
	}
	t.Run("the function's own error", func(t *testing.T) {
		t.Parallel()
		own := errors.New("own")
		if err := CodecFunc("mine", func(*Record, *Event) error { return own }).Decode(record("", ""), new(Event)); !errors.Is(err, own) {
			t.Errorf("got %v", err)
		}
	})
}
