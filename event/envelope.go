package event

// EnvelopeConfig says under which names a JSON object holds an event. Names are those of
// the object's own members, not paths; "-" means that the envelope has no such member.
type EnvelopeConfig struct {
	// ID holds the event's id: a string or a whole number. Defaults to "id".
	ID string
	// IDOptional lets events without an id pass; they are known by their coordinates,
	// so that a producer's duplicates are not found. Defaults to false.
	IDOptional bool
	// Type holds the event's type, a string; it is required. Defaults to "type".
	Type string
	// Source holds who sent the event, a string that may be missing. Defaults to
	// "source".
	Source string
	// Key holds the entity's key: a string or a whole number. Where it is missing the
	// record's key is taken. Defaults to "key".
	Key string
	// IgnoreRecordKey leaves Event.Key empty where the envelope has no key, for records
	// whose Kafka key is not text. Defaults to false.
	IgnoreRecordKey bool
	// Time holds when it occurred, in TimeFormat. Where it is missing the record's
	// timestamp is taken. Defaults to "time".
	Time string
	// TimeFormat is how the time is written. Defaults to [TimeRFC3339].
	TimeFormat TimeFormat
	// Version holds the entity's version: a whole number or its text. Defaults to
	// "version".
	Version string
	// Lamport holds the event's Lamport time: a whole number or its text. Defaults to
	// "lamport".
	Lamport string
	// Vector holds the event's vector clock: an object of numbers, or a text as
	// [ParseVector] reads it. Defaults to "vector".
	Vector string
	// Correlation holds the correlation id. Defaults to "correlationId".
	Correlation string
	// Causation holds the causation id. Defaults to "causationId".
	Causation string
	// Data holds the payload, any JSON value; "." means that the envelope itself is the
	// payload. Defaults to "data".
	Data string
}

// WithDefaults returns the configuration with every field set.
func (c EnvelopeConfig) WithDefaults() EnvelopeConfig {
	c.ID = orDefault(c.ID, "id")
	c.Type = orDefault(c.Type, "type")
	c.Source = orDefault(c.Source, "source")
	c.Key = orDefault(c.Key, "key")
	c.Time = orDefault(c.Time, "time")
	c.Version = orDefault(c.Version, "version")
	c.Lamport = orDefault(c.Lamport, "lamport")
	c.Vector = orDefault(c.Vector, "vector")
	c.Correlation = orDefault(c.Correlation, "correlationId")
	c.Causation = orDefault(c.Causation, "causationId")
	c.Data = orDefault(c.Data, "data")
	return c
}

func orDefault(name, fallback string) string {
	if name == "" {
		return fallback
	}
	return name
}

// Envelope reads events that are one JSON object each, with metadata beside the payload.
// Names are case-sensitive, a null counts as missing, and of several members with one
// name the last counts, as in encoding/json. It panics on a TimeFormat that there is not.
func Envelope(config EnvelopeConfig) Codec {
	c := config.WithDefaults()
	c.TimeFormat.mustBeKnown("EnvelopeConfig")
	e := &envelope{whole: c.Data == wholeValue}
	e.layout = layout{
		codec: "envelope", json: true, numericID: true,
		needsID: !c.IDOptional && c.ID != absent, ignoreRecordKey: c.IgnoreRecordKey, time: c.TimeFormat,
		mendID:      "let the producer send an id, or set IDOptional to know events by their coordinates",
		mendLamport: "let the producer send its Lamport time, or name another member with EnvelopeConfig.Lamport",
		mendVector:  "let the producer send its vector clock, or name another member with EnvelopeConfig.Vector",
	}
	e.names = named(&[slotCount]string{
		slotID: c.ID, slotType: c.Type, slotSource: c.Source, slotKey: c.Key, slotTime: c.Time,
		slotVersion: c.Version, slotLamport: c.Lamport, slotVector: c.Vector, slotCorrelation: c.Correlation, slotCausation: c.Causation, slotData: c.Data,
	})
	if e.whole {
		e.names[slotData] = ""
	}
	return e
}

const (
	absent     = "-" // a name that says "there is none"
	wholeValue = "." // the name of the envelope itself
)

// named drops the names that say "there is none".
func named(names *[slotCount]string) [slotCount]string {
	for s, name := range names {
		if name == absent {
			names[s] = ""
		}
	}
	return *names
}

type envelope struct {
	layout
	whole bool
}

func (*envelope) Name() string { return "envelope" }

func (c *envelope) Decode(r *Record, e *Event) error {
	e.Record = r
	m := metadata{layout: &c.layout}
	if err := m.putMembers(r.Value); err != nil {
		return err
	}
	if err := m.fill(e); err != nil {
		return err
	}
	e.Data = m.raw[slotData]
	if c.whole {
		e.Data = r.Value
	}
	return nil
}
