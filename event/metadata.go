package event

import (
	"bytes"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// slot is a place for one piece of an event's metadata.
type slot uint8

const (
	slotID slot = iota
	slotSource
	slotType
	slotKey
	slotKey2 // asked when slotKey holds nothing
	slotTime
	slotVersion
	slotLamport
	slotVector
	slotCorrelation
	slotCausation
	slotContentType
	slotSpec   // CloudEvents' specversion
	slotData   // a JSON payload
	slotBase64 // a payload in base64
	slotCount
)

// layout says where a codec looks for metadata and what it asks of it. It is made once
// per codec.
type layout struct {
	codec  string
	prefix string // of names in error messages: "header " or nothing
	names  [slotCount]string
	// json: values are raw JSON. Otherwise they are text.
	json bool
	// numericID: an id that is a JSON number is as good as a string.
	numericID            bool
	needsID, needsSource bool
	// ignoreRecordKey: an event that names no key has none.
	ignoreRecordKey     bool
	time                TimeFormat
	mendID, mendVersion string // what the producer should do
	mendLamport         string
	mendVector          string
}

// metadata is what was found: nil where there is nothing.
type metadata struct {
	*layout
	raw [slotCount][]byte
}

// put keeps a value in every slot of that name; a later one takes an earlier one's place.
func (m *metadata) put(name string, value []byte) {
	for s := range m.names {
		if m.names[s] == name && name != "" {
			m.raw[s] = value
		}
	}
}

// putMembers fills the slots from a JSON object. A null counts as absent, which is what
// CloudEvents says and what producers mean.
func (m *metadata) putMembers(object []byte) error {
	if object == nil {
		return m.fault("value", "a JSON object", "null", "")
	}
	o := jsonObject{in: object}
	for {
		name, value, ok := o.next()
		if !ok {
			break
		}
		if value[0] == 'n' {
			value = nil
		}
		if bytes.IndexByte(name, '\\') >= 0 {
			name, _ = unescape(name)
		}
		m.put(string(name), value)
	}
	if o.fault != "" {
		return m.fault("value", "a JSON object", o.describeFault(), "")
	}
	return nil
}

func (m *metadata) fault(field, expected, found, mend string) error {
	return &DecodeError{Codec: m.codec, Field: field, Expected: expected, Found: found, Mend: mend}
}

func (m *metadata) label(s slot) string { return m.prefix + m.names[s] }

// fill turns what was found into an event. Data and ContentType are left to the codec.
func (m *metadata) fill(e *Event) (err error) {
	if e.ID, err = m.text(slotID, MaxIDBytes, m.numericID, m.needsID); err != nil {
		return err
	}
	if e.Source, err = m.text(slotSource, MaxSourceBytes, false, m.needsSource); err != nil {
		return err
	}
	if e.Type, err = m.text(slotType, MaxTypeBytes, false, true); err != nil {
		return err
	}
	if err := m.fillKey(e); err != nil {
		return err
	}
	if e.OccurredAt, err = m.occurredAt(e.Record); err != nil {
		return err
	}
	if e.Version, e.HasVersion, err = m.version(); err != nil {
		return err
	}
	if e.Lamport, e.HasLamport, err = m.lamport(); err != nil {
		return err
	}
	if e.Vector, err = m.vector(); err != nil {
		return err
	}
	if e.CorrelationID, err = m.text(slotCorrelation, MaxIDBytes, true, false); err != nil {
		return err
	}
	e.CausationID, err = m.text(slotCausation, MaxIDBytes, true, false)
	return err
}

func (m *metadata) fillKey(e *Event) (err error) {
	for _, s := range [...]slot{slotKey, slotKey2} {
		if e.Key, err = m.text(s, MaxKeyBytes, true, false); err != nil || e.Key != "" {
			return err
		}
	}
	if m.ignoreRecordKey {
		return nil
	}
	e.Key, err = recordKey(m.codec, e.Record)
	return err
}

// text returns a slot's text, empty when there is none and none is needed.
func (m *metadata) text(s slot, limit int, numeric, needed bool) (string, error) {
	raw := m.raw[s]
	if m.json && raw != nil {
		switch {
		case raw[0] == '"':
			text, whole := unescape(raw[1 : len(raw)-1])
			if !whole {
				return "", m.fault(m.label(s), "text of whole characters", describeJSON(raw), "it holds half of a surrogate pair")
			}
			raw = text
		case numeric && isWhole(raw):
		case numeric:
			return "", m.fault(m.label(s), "a string or a whole number", describeJSON(raw), "")
		default:
			return "", m.fault(m.label(s), "a string", describeJSON(raw), "")
		}
	}
	if len(raw) == 0 {
		if !needed {
			return "", nil
		}
		found := "none"
		if raw != nil {
			found = "an empty one"
		}
		mend := "let the producer send it with every event"
		if s == slotID && m.mendID != "" {
			mend = m.mendID
		}
		return "", m.fault(m.label(s), "a text that is not empty", found, mend)
	}
	text := string(raw)
	if expected := textFault(text, limit); expected != "" {
		return "", m.fault(m.label(s), expected, quoteShort(raw), "")
	}
	return text, nil
}

// isWhole reports whether a JSON value is a number without fraction and exponent, of
// which there is one spelling.
func isWhole(raw []byte) bool {
	if raw[0] != '-' && (raw[0] < '0' || raw[0] > '9') {
		return false
	}
	return !bytes.ContainsAny(raw, ".eE")
}

// plain returns a slot's value as text for numbers and times, which both may stand in
// quotes.
func (m *metadata) plain(s slot) []byte {
	raw := m.raw[s]
	if m.json && len(raw) > 0 && raw[0] == '"' {
		raw, _ = unescape(raw[1 : len(raw)-1])
	}
	return raw
}

func (m *metadata) describe(s slot) string {
	if m.json {
		return describeJSON(m.raw[s])
	}
	return quoteShort(m.raw[s])
}

func (m *metadata) version() (int64, bool, error) {
	raw := m.plain(slotVersion)
	if len(raw) == 0 {
		return 0, false, nil
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil {
		return 0, false, m.fault(m.label(slotVersion), "a whole number of at most 64 bits", m.describe(slotVersion), m.mendVersion)
	}
	return n, true, nil
}

func (m *metadata) occurredAt(r *Record) (time.Time, error) {
	raw := m.plain(slotTime)
	if len(raw) == 0 {
		return recordTime(m.codec, r)
	}
	// A quoted number is welcome where a number is expected, but a bare number is no
	// RFC 3339 time, whatever its digits.
	t, ok := m.time.parse(raw)
	if !ok {
		return time.Time{}, m.fault(m.label(slotTime), m.time.expected(), m.describe(slotTime), "")
	}
	if t, ok = cutTime(t); !ok {
		return time.Time{}, m.fault(m.label(slotTime), expectedRange, m.describe(slotTime), "")
	}
	return t, nil
}

const expectedRange = "a time of the years 1 to 9999"

// cutTime is t in UTC without what is below a microsecond, which Postgres could not
// keep; false when t is outside of MinTime and MaxTime.
func cutTime(t time.Time) (time.Time, bool) {
	t = t.UTC().Truncate(time.Microsecond)
	return t, !t.Before(MinTime) && !t.After(MaxTime)
}

// recordTime is when an event occurred that does not say so.
func recordTime(codec string, r *Record) (time.Time, error) {
	if r.TimestampType == TimestampNone || r.Timestamp.IsZero() {
		return time.Time{}, &DecodeError{
			Codec: codec, Field: "time", Expected: "a time in the event or a timestamp on its record", Found: "neither",
			Mend: "let the producer send the time at which the event occurred",
		}
	}
	t, ok := cutTime(r.Timestamp)
	if !ok {
		return time.Time{}, &DecodeError{
			Codec: codec, Field: "record timestamp", Expected: expectedRange,
			Found: strconv.FormatInt(r.Timestamp.UnixMilli(), 10) + " ms since 1970",
			Mend:  "let the producer send the time at which the event occurred",
		}
	}
	return t, nil
}

// recordKey is the entity key of an event that names none.
func recordKey(codec string, r *Record) (string, error) {
	key := string(r.Key)
	if expected := textFault(key, MaxKeyBytes); expected != "" {
		return "", &DecodeError{Codec: codec, Field: "record key", Expected: expected, Found: quoteShort(r.Key)}
	}
	return key, nil
}

// textFault says what was expected of a text that no text column or index could hold:
// longer than limit bytes, not UTF-8, or with a NUL in it. It is empty for good text.
func textFault(text string, limit int) (expected string) {
	switch {
	case len(text) > limit:
		return "at most " + strconv.Itoa(limit) + " bytes"
	case !utf8.ValidString(text):
		return "UTF-8 text"
	case strings.IndexByte(text, 0) >= 0:
		return "text without NUL bytes, which no text column can hold"
	}
	return ""
}
