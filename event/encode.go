package event

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Encoder is a codec that also writes what it reads. [CloudEvents] writes binary mode;
// [Envelope] and [Headers] write under the names that they read.
type Encoder interface {
	Codec
	// Encode fills in the record's Key and Value and adds its Headers, so that Decode makes
	// the same event of it. Times are kept to the microsecond; what the codec has no name
	// for is left out, but for what would make another event of it: an id, a key, a
	// version, a vector clock, a payload that does not fit. That is an [*EncodeError].
	Encode(e *Event, r *Record) error
}

// EncodeError says which part of an event a codec can't write.
type EncodeError struct {
	Codec string
	Field string // e.g. "version"
	Cause string
	Mend  string
}

// Error tells field, cause and mend in one line.
func (e *EncodeError) Error() string {
	s := fmt.Sprintf("%s can't write the %s: %s", e.Codec, e.Field, e.Cause)
	if e.Mend != "" {
		s += "; " + e.Mend
	}
	return s
}

// members walks what there is to write, in the order of slots. Texts are as Decode reads
// them; number says that the text may stand without quotes.
func (l *layout) members(e *Event, write func(s slot, text string, number bool)) error {
	lacks := func(s slot, what, has string) error {
		if has == "" || l.names[s] != "" {
			return nil
		}
		return &EncodeError{Codec: l.codec, Field: what, Cause: "it has no name for one", Mend: "give the codec a name for it, or choose another codec for the topic with Config.Codecs"}
	}
	version, vector := "", e.Vector.String()
	if e.HasVersion {
		version = strconv.FormatInt(e.Version, 10)
	}
	lamport := ""
	if e.HasLamport {
		lamport = strconv.FormatInt(e.Lamport, 10)
	}
	needs := func(what, has string, needed bool) error {
		if !needed || has != "" {
			return nil
		}
		return &EncodeError{Codec: l.codec, Field: what, Cause: "the event has none, and Decode would refuse it", Mend: "set it"}
	}
	for _, missing := range []error{
		needs("id", e.ID, l.needsID), needs("source", e.Source, l.needsSource), needs("type", e.Type, true),
		lacks(slotID, "id", e.ID), lacks(slotType, "type", e.Type),
		lacks(slotVersion, "version", version), lacks(slotVector, "vector clock", vector),
	} {
		if missing != nil {
			return missing
		}
	}
	if l.ignoreRecordKey {
		if err := lacks(slotKey, "key", e.Key); err != nil {
			return err
		}
	}
	for _, m := range []struct {
		slot   slot
		text   string
		number bool
	}{
		{slotID, e.ID, false},
		{slotSource, e.Source, false},
		{slotType, e.Type, false},
		{slotKey, e.Key, false},
		{slotTime, l.time.format(e.OccurredAt), l.time != TimeRFC3339},
		{slotVersion, version, true},
		{slotLamport, lamport, true},
		{slotVector, vector, false},
		{slotCorrelation, e.CorrelationID, false},
		{slotCausation, e.CausationID, false},
	} {
		if m.text != "" && l.names[m.slot] != "" {
			write(m.slot, m.text, m.number)
		}
	}
	return nil
}

// format writes a time so that parse reads it, with its microseconds.
func (f TimeFormat) format(t time.Time) string {
	n, digits := Micros(t), 0
	switch f {
	case TimeRFC3339:
		return t.UTC().Format("2006-01-02T15:04:05.999999Z07:00")
	case TimeUnixSeconds:
		digits = 6
	case TimeUnixMillis:
		digits = 3
	case TimeUnixMicros:
	}
	sign := ""
	if n < 0 {
		sign, n = "-", -n
	}
	text := fmt.Sprintf("%0*d", digits+1, n)
	text, fraction := text[:len(text)-digits], strings.TrimRight(text[len(text)-digits:], "0")
	if fraction != "" {
		text += "." + fraction
	}
	return sign + text
}

// Encode writes binary mode.
func (c *cloudEvents) Encode(e *Event, r *Record) error {
	if _, structured := cutPrefixFold(mediaType(e.ContentType), mediaTypePrefix); structured {
		return &EncodeError{Codec: cloudEventsName, Field: "content type", Cause: quoteShort([]byte(e.ContentType)) + " means that the value is a CloudEvent itself", Mend: "send the payload alone"}
	}
	r.Headers = append(r.Headers, Header{Key: headerPrefix + "specversion", Value: []byte("1.0")})
	return c.binary.encodeHeaders(e, r)
}

// Encode writes the metadata into headers.
func (c *headers) Encode(e *Event, r *Record) error { return c.encodeHeaders(e, r) }

func (l *layout) encodeHeaders(e *Event, r *Record) error {
	add := func(name, text string) { r.Headers = append(r.Headers, Header{Key: name, Value: []byte(text)}) }
	err := l.members(e, func(s slot, text string, _ bool) { add(l.names[s], text) })
	if err != nil {
		return err
	}
	if e.ContentType != "" && l.names[slotContentType] != "" {
		add(l.names[slotContentType], e.ContentType)
	}
	r.Key, r.Value = keyOf(e), e.Data
	return nil
}

func keyOf(e *Event) []byte {
	if e.Key == "" {
		return nil
	}
	return []byte(e.Key)
}

// Encode writes the envelope. The payload must be JSON.
func (c *envelope) Encode(e *Event, r *Record) error {
	fault := func(field, cause, mend string) error {
		return &EncodeError{Codec: c.codec, Field: field, Cause: cause, Mend: mend}
	}
	switch {
	case c.whole:
		return fault("data", "the payload is the envelope itself (EnvelopeConfig.Data is \".\")", "choose another codec for the topic with Config.Codecs")
	case e.Data != nil && c.names[slotData] == "":
		return fault("data", "it has no name for one", "set EnvelopeConfig.Data, or send no payload")
	case !isJSON(e.ContentType):
		return fault("content type", quoteShort([]byte(e.ContentType))+" is not JSON", "send JSON, or choose another codec for the topic with Config.Codecs")
	case e.Data != nil && !json.Valid(e.Data):
		return fault("data", "it is no JSON", "send JSON, or choose another codec for the topic with Config.Codecs")
	}
	b := []byte{'{'}
	member := func(name string, value []byte) {
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(b, quoteJSON(name)...)
		b = append(b, ':')
		b = append(b, value...)
	}
	err := c.members(e, func(s slot, text string, number bool) {
		if number {
			member(c.names[s], []byte(text))
			return
		}
		member(c.names[s], quoteJSON(text))
	})
	if err != nil {
		return err
	}
	if e.Data != nil {
		member(c.names[slotData], bytes.TrimSpace(e.Data))
	}
	b = append(b, '}')
	r.Key, r.Value = keyOf(e), b
	return nil
}

func quoteJSON(text string) []byte {
	b, err := json.Marshal(text)
	if err != nil {
		panic("evenkeel: " + err.Error()) // texts always marshal
	}
	return b
}
