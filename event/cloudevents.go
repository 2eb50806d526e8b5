package event

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// CloudEvents reads CloudEvents 1.0 in both modes of its Kafka binding: binary, with the
// attributes in headers ce_…, and structured, as one JSON object, told by a content-type
// that begins with application/cloudevents. Batches are refused, and so are formats
// other than JSON. Sources:
// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
// and https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md.
//
//   - id, source, type and specversion are required.
//   - Key is the subject, else the extension partitionkey, else the record's key; see
//     [KeyAttribute].
//   - OccurredAt is time, an RFC 3339 text with any zone, else the record's timestamp.
//   - Version is the extension sequence; see [VersionAttribute].
//   - Lamport is the extension lamport, Vector the extension vector, a text as
//     [ParseVector] reads it; see [LamportAttribute] and [VectorAttribute].
//   - CorrelationID and CausationID are the extensions correlationid and causationid.
//   - Data is the record's value, or data or data_base64. Where datacontenttype is not
//     JSON and data is a JSON string, Data is that string's text.
//
// Attribute names are case-sensitive, and of several headers or members with one name
// the last counts, as in encoding/json.
func CloudEvents(opts ...CloudEventsOption) Codec {
	o := cloudEventsOptions{keys: [2]string{"subject", "partitionkey"}, version: "sequence", lamport: "lamport", vector: "vector"}
	for _, opt := range opts {
		opt(&o)
	}
	c := &cloudEvents{}
	common := layout{
		codec: cloudEventsName, needsID: true, needsSource: true, ignoreRecordKey: o.ignoreRecordKey,
		mendID:      "let the producer send an id that no other event of its source has",
		mendVersion: "let the producer send the entity's version, or name another attribute with event.VersionAttribute",
		mendLamport: "let the producer send its Lamport time, or name another attribute with event.LamportAttribute",
		mendVector:  "let the producer send its vector clock, or name another attribute with event.VectorAttribute",
	}
	c.binary, c.structured = common, common
	c.binary.prefix, c.structured.json = "header ", true
	for s, name := range [slotCount]string{
		slotID: "id", slotSource: "source", slotType: "type", slotSpec: "specversion",
		slotKey: o.keys[0], slotKey2: o.keys[1], slotTime: "time", slotVersion: o.version, slotLamport: o.lamport, slotVector: o.vector,
		slotCorrelation: "correlationid", slotCausation: "causationid",
	} {
		if name != "" {
			c.binary.names[s], c.structured.names[s] = headerPrefix+name, name
		}
	}
	c.binary.names[slotContentType] = contentTypeHeader
	c.structured.names[slotContentType] = "datacontenttype"
	c.structured.names[slotData], c.structured.names[slotBase64] = "data", "data_base64"
	return c
}

// CloudEventsOption is an option of [CloudEvents].
type CloudEventsOption func(*cloudEventsOptions)

type cloudEventsOptions struct {
	keys            [2]string
	version         string
	lamport, vector string
	ignoreRecordKey bool
}

// VersionAttribute names the attribute that Event.Version is read from: a whole number,
// as a number or as text. Defaults to sequence, a documented extension; an empty name
// means that no attribute is the entity's version, for producers whose sequence is
// something else. It panics on what can't be an attribute's name.
func VersionAttribute(name string) CloudEventsOption {
	mustBeAttributeOrNone(name)
	return func(o *cloudEventsOptions) { o.version = name }
}

// LamportAttribute names the attribute that Event.Lamport is read from: a whole number, as
// a number or as text. Defaults to lamport; an empty name means that there is none. It
// panics on what can't be an attribute's name.
func LamportAttribute(name string) CloudEventsOption {
	mustBeAttributeOrNone(name)
	return func(o *cloudEventsOptions) { o.lamport = name }
}

// VectorAttribute names the attribute that Event.Vector is read from: a text as
// [ParseVector] reads it, or, in structured mode, an object too. Defaults to vector; an
// empty name means that there is none. It panics on what can't be an attribute's name.
func VectorAttribute(name string) CloudEventsOption {
	mustBeAttributeOrNone(name)
	return func(o *cloudEventsOptions) { o.vector = name }
}

// KeyAttribute names the one attribute that Event.Key is read from, before the record's
// key; the default is subject and then partitionkey. It panics on what can't be an
// attribute's name.
func KeyAttribute(name string) CloudEventsOption {
	mustBeAttribute(name)
	return func(o *cloudEventsOptions) { o.keys = [2]string{name} }
}

// IgnoreRecordKey leaves Event.Key empty where no attribute names the key. Say so where
// Kafka keys are not text, e.g. Avro or an integer's bytes, and every handler has a
// handlers.Key; otherwise such records are poison.
func IgnoreRecordKey() CloudEventsOption {
	return func(o *cloudEventsOptions) { o.ignoreRecordKey = true }
}

func mustBeAttributeOrNone(name string) {
	if name != "" {
		mustBeAttribute(name)
	}
}

// mustBeAttribute panics on a name that no event can have, which would silently never
// be found.
func mustBeAttribute(name string) {
	ok := name != ""
	for _, c := range []byte(name) {
		ok = ok && (('a' <= c && c <= 'z') || ('0' <= c && c <= '9'))
	}
	if !ok {
		panic(fmt.Sprintf("event: %q is not the name of a CloudEvents attribute: lower-case letters and digits", name))
	}
}

const (
	cloudEventsName   = "cloudevents"
	headerPrefix      = "ce_"
	contentTypeHeader = "content-type"
	mediaTypePrefix   = "application/cloudevents"
)

type cloudEvents struct{ binary, structured layout }

func (*cloudEvents) Name() string { return cloudEventsName }

func (c *cloudEvents) Decode(r *Record, e *Event) error {
	e.Record = r
	m := metadata{layout: &c.binary}
	for i := range r.Headers {
		h := &r.Headers[i]
		m.put(h.Key, h.Value)
		// Bridges from HTTP keep HTTP's spelling.
		if len(h.Key) == len(contentTypeHeader) && strings.EqualFold(h.Key, contentTypeHeader) {
			m.raw[slotContentType] = h.Value
		}
	}
	contentType, err := m.text(slotContentType, MaxTypeBytes, false, false)
	if err != nil {
		return err
	}
	mode, ok := cutPrefixFold(mediaType(contentType), mediaTypePrefix)
	if !ok {
		return c.decodeBinary(&m, contentType, e)
	}
	switch format := strings.ToLower(mode); {
	case format == "" || format == "+json":
		return c.decodeStructured(e)
	case strings.HasPrefix(format, "-batch"):
		return m.fault("header content-type", "one CloudEvent", "a batch ("+quoteShort([]byte(contentType))+")", "let the producer send each event as a record of its own")
	}
	return m.fault("header content-type", `"application/cloudevents+json"`, quoteShort([]byte(contentType)), "let the producer use the JSON format, or binary mode")
}

func (c *cloudEvents) decodeBinary(m *metadata, contentType string, e *Event) error {
	if err := m.checkSpec("let the producer send the attributes as ce_ headers, or structured events with content-type application/cloudevents+json"); err != nil {
		return err
	}
	if err := m.fill(e); err != nil {
		return err
	}
	e.ContentType, e.Data = contentType, e.Record.Value
	return nil
}

func (c *cloudEvents) decodeStructured(e *Event) error {
	m := metadata{layout: &c.structured}
	if err := m.putMembers(e.Record.Value); err != nil {
		return err
	}
	if err := m.checkSpec("let the producer send CloudEvents 1.0"); err != nil {
		return err
	}
	if err := m.fill(e); err != nil {
		return err
	}
	var err error
	if e.ContentType, err = m.text(slotContentType, MaxTypeBytes, false, false); err != nil {
		return err
	}
	return m.fillData(e)
}

func (m *metadata) checkSpec(mend string) error {
	raw, found := m.raw[slotSpec], "none"
	switch {
	case m.json && string(raw) == `"1.0"`, !m.json && string(raw) == "1.0":
		return nil
	case len(raw) > 0:
		found, mend = m.describe(slotSpec), "let the producer send CloudEvents 1.0"
	}
	return m.fault(m.label(slotSpec), `"1.0"`, found, mend)
}

// fillData finds the payload of a structured event (JSON format 1.0.2, section 3.1).
func (m *metadata) fillData(e *Event) error {
	data, coded := m.raw[slotData], m.raw[slotBase64]
	switch {
	case coded != nil && data != nil:
		return m.fault("data_base64", "either data or data_base64", "both", "")
	case coded != nil:
		if coded[0] != '"' {
			return m.fault("data_base64", "a string", describeJSON(coded), "")
		}
		text, _ := unescape(coded[1 : len(coded)-1])
		raw := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
		n, err := base64.StdEncoding.Decode(raw, text)
		if err != nil {
			return m.fault("data_base64", "base64", err.Error(), "")
		}
		e.Data = raw[:n]
	case len(data) > 0 && data[0] == '"' && !isJSON(e.ContentType):
		e.Data, _ = unescape(data[1 : len(data)-1])
	default:
		e.Data = data
	}
	return nil
}

// mediaType is a content type without its parameters.
func mediaType(contentType string) string {
	t, _, _ := strings.Cut(contentType, ";")
	return strings.TrimSpace(t)
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return "", false
	}
	return s[len(prefix):], true
}

// isJSON reports whether a content type means JSON, as none at all does.
func isJSON(contentType string) bool {
	t := mediaType(contentType)
	if t == "" {
		return true
	}
	_, sub, _ := strings.Cut(t, "/")
	return strings.EqualFold(sub, "json") || len(sub) > 5 && strings.EqualFold(sub[len(sub)-5:], "+json")
}
