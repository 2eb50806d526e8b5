package event

// HeadersConfig says in which Kafka headers an event's metadata travels. "-" means that
// there is no such header.
//
// Debezium's outbox router is HeadersConfig{Type: "eventType"} with
// table.fields.additional.placement=type:header:eventType and Kafka's StringConverter
// for the key: its JsonConverter wraps the key in JSON.
type HeadersConfig struct {
	// ID is the header with the event's id. Defaults to "id".
	ID string
	// IDOptional lets events without an id pass; they are known by their coordinates,
	// so that a producer's duplicates are not found. Defaults to false.
	IDOptional bool
	// Type is the header with the event's type, which is required. Defaults to "type".
	Type string
	// Source is the header with who sent the event; it may be missing. Defaults to
	// "source".
	Source string
	// Key is the header with the entity's key. Where it is missing the record's key is
	// taken. Defaults to "key".
	Key string
	// IgnoreRecordKey leaves Event.Key empty where there is no key header, for records
	// whose Kafka key is not text. Defaults to false.
	IgnoreRecordKey bool
	// Time is the header with when it occurred, in TimeFormat. Where it is missing the
	// record's timestamp is taken. Defaults to "time".
	Time string
	// TimeFormat is how the time is written. Defaults to [TimeRFC3339].
	TimeFormat TimeFormat
	// Version is the header with the entity's version, a whole number in decimal text.
	// Defaults to "version".
	Version string
	// Lamport is the header with the event's Lamport time, a whole number in decimal
	// text. Defaults to "lamport".
	Lamport string
	// Vector is the header with the event's vector clock, as [ParseVector] reads it.
	// Defaults to "vector".
	Vector string
	// Correlation is the header with the correlation id. Defaults to "correlation-id".
	Correlation string
	// Causation is the header with the causation id. Defaults to "causation-id".
	Causation string
	// ContentType is the header with the media type of the value. Defaults to
	// "content-type".
	ContentType string
}

// WithDefaults returns the configuration with every field set.
func (c HeadersConfig) WithDefaults() HeadersConfig {
	c.ID = orDefault(c.ID, "id")
	c.Type = orDefault(c.Type, "type")
	c.Source = orDefault(c.Source, "source")
	c.Key = orDefault(c.Key, "key")
	c.Time = orDefault(c.Time, "time")
	c.Version = orDefault(c.Version, "version")
	c.Lamport = orDefault(c.Lamport, "lamport")
	c.Vector = orDefault(c.Vector, "vector")
	c.Correlation = orDefault(c.Correlation, "correlation-id")
	c.Causation = orDefault(c.Causation, "causation-id")
	c.ContentType = orDefault(c.ContentType, contentTypeHeader)
	return c
}

// Headers reads events whose metadata travels in Kafka headers, as UTF-8 text, and whose
// payload is the record's value. Names are case-sensitive, Kafka's null counts as
// missing, and of several headers with one name the last counts. It panics on a
// TimeFormat that there is not.
func Headers(config HeadersConfig) Codec {
	c := config.WithDefaults()
	c.TimeFormat.mustBeKnown("HeadersConfig")
	h := &headers{layout{
		codec: "headers", prefix: "header ",
		needsID: !c.IDOptional && c.ID != absent, ignoreRecordKey: c.IgnoreRecordKey, time: c.TimeFormat,
		mendID:      "let the producer send an id, or set IDOptional to know events by their coordinates",
		mendLamport: "let the producer send its Lamport time, or name another header with HeadersConfig.Lamport",
		mendVector:  "let the producer send its vector clock, or name another header with HeadersConfig.Vector",
	}}
	h.names = named(&[slotCount]string{
		slotID: c.ID, slotType: c.Type, slotSource: c.Source, slotKey: c.Key, slotTime: c.Time,
		slotVersion: c.Version, slotLamport: c.Lamport, slotVector: c.Vector, slotCorrelation: c.Correlation, slotCausation: c.Causation,
		slotContentType: c.ContentType,
	})
	return h
}

type headers struct{ layout }

func (*headers) Name() string { return "headers" }

func (c *headers) Decode(r *Record, e *Event) error {
	e.Record = r
	m := metadata{layout: &c.layout}
	for i := range r.Headers {
		m.put(r.Headers[i].Key, r.Headers[i].Value)
	}
	if err := m.fill(e); err != nil {
		return err
	}
	var err error
	e.ContentType, err = m.text(slotContentType, MaxTypeBytes, false, false)
	e.Data = r.Value
	return err
}
