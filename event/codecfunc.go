package event

import "strconv"

// CodecFunc makes a codec of a function that fills in what the record says: at least
// Type, and Record if it likes. What it leaves empty is completed and everything is
// checked by [Finish]. The name is a short word for logs and letters. Return a
// [*DecodeError] to name the field at fault.
func CodecFunc(name string, decode func(r *Record, e *Event) error) Codec {
	return codecFunc{name, decode}
}

type codecFunc struct {
	name   string
	decode func(r *Record, e *Event) error
}

func (c codecFunc) Name() string { return c.name }

func (c codecFunc) Decode(r *Record, e *Event) error {
	e.Record = r
	if err := c.decode(r, e); err != nil {
		return err
	}
	e.Record = r
	return Finish(c.name, e)
}

// Finish completes and checks an event that a codec of your own has decoded, so that
// nothing reaches the database which it can't hold. An empty Key becomes the record's
// key, a zero OccurredAt the record's timestamp; OccurredAt is brought to UTC and cut
// to microseconds. The error is a [*DecodeError] under the codec's name: for a missing
// Type, for text that is too long, not UTF-8 or has a NUL, for a time out of range, for
// a Lamport time or vector clock that is none.
// Finishing twice is the same as once.
func Finish(codec string, e *Event) (err error) {
	if e.Type == "" {
		return &DecodeError{Codec: codec, Field: "type", Expected: "a text that is not empty", Found: "none"}
	}
	if e.Key == "" {
		if e.Key, err = recordKey(codec, e.Record); err != nil {
			return err
		}
	}
	for _, f := range [...]struct {
		name, text string
		limit      int
	}{
		{"id", e.ID, MaxIDBytes},
		{"source", e.Source, MaxSourceBytes},
		{"type", e.Type, MaxTypeBytes},
		{"key", e.Key, MaxKeyBytes},
		{"correlation id", e.CorrelationID, MaxIDBytes},
		{"causation id", e.CausationID, MaxIDBytes},
		{"content type", e.ContentType, MaxTypeBytes},
	} {
		if expected := textFault(f.text, f.limit); expected != "" {
			return &DecodeError{Codec: codec, Field: f.name, Expected: expected, Found: quoteShort([]byte(f.text))}
		}
	}
	if err := finishLogical(codec, e); err != nil {
		return err
	}
	if e.OccurredAt.IsZero() {
		e.OccurredAt, err = recordTime(codec, e.Record)
		return err
	}
	t, ok := cutTime(e.OccurredAt)
	if !ok {
		return &DecodeError{Codec: codec, Field: "time", Expected: expectedRange, Found: "the year " + strconv.Itoa(e.OccurredAt.Year())}
	}
	e.OccurredAt = t
	return nil
}
