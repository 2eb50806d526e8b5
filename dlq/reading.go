package dlq

import (
	"encoding/json"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
)

// Reading is what a dead letter says of itself, whichever library wrote it. What it
// doesn't say is nil (in JSON null): unknown, and not guessed. Texts are UTF-8 and cut to
// a limit; the record has them whole.
type Reading struct {
	// Dialect is the name of the [Dialect] that was read.
	Dialect string `json:"dialect"`
	// Also names other dialects whose headers the record carries: it has been a letter of
	// theirs, mostly before.
	Also []string `json:"also,omitempty"`

	// Source is the record that failed, Origin the first of several that the headers tell
	// of, when a letter was put back and failed again.
	Source Place  `json:"source"`
	Origin *Place `json:"origin"`
	// Hops is how many failures the headers tell of.
	Hops *int `json:"hops"`

	Group   *string `json:"group"`
	Handler *string `json:"handler"`

	// Exception is the error's type, Cause that of what caused it: where both are told, it
	// is the cause that says what happened.
	Exception *string `json:"exception"`
	Cause     *string `json:"cause"`
	// Message is the error's text, "" when the error is said to have none.
	Message *string `json:"message"`
	Stack   *string `json:"stack"`

	// Attempts is how often the record was tried, Retries how often after the first time.
	Attempts    *int       `json:"attempts"`
	Retries     *int       `json:"retries"`
	FirstFailed *time.Time `json:"first_failed"`
	LastFailed  *time.Time `json:"last_failed"`
	// Written is when the letter was written to its topic.
	Written *time.Time `json:"written"`

	// Key and Value say what the record's key and value are to the original's.
	Key   Fidelity `json:"key"`
	Value Fidelity `json:"value"`

	// Facts are what else the dialect tells.
	Facts []Fact `json:"facts,omitempty"`
	// Malformed are the dialect's headers that don't hold what they must. What they should
	// have told is unknown.
	Malformed []HeaderError `json:"malformed,omitempty"`

	// Letter is set for Evenkeel's own letters, and Fit says what its copy lacks.
	Letter *Letter `json:"-"`
	Fit    Fit     `json:"-"`
}

// Place is where a record stood in its log, as far as it is told.
type Place struct {
	Topic     *string    `json:"topic"`
	Partition *int32     `json:"partition"`
	Offset    *int64     `json:"offset"`
	Timestamp *time.Time `json:"timestamp"`
	// TimestampType is [event.TimestampNone] where it is not told.
	TimestampType event.TimestampType `json:"timestamp_type"`
}

// MarshalJSON writes the timestamp's type as a word.
func (p Place) MarshalJSON() ([]byte, error) {
	type plain Place
	var word *string
	if p.TimestampType != event.TimestampNone {
		words := timestampTypes()
		word = &words[min(p.TimestampType, event.TimestampLogAppend)]
	}
	return json.Marshal(struct {
		plain
		TimestampType *string `json:"timestamp_type"`
	}{plain(p), word})
}

// Fact is one thing that a dialect tells and for which a [Reading] has no field.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Fidelity says whether bytes are the original's.
type Fidelity string

// The fidelities.
const (
	// Original: byte for byte.
	Original Fidelity = "original"
	// Uncertain: the library may have written them anew, or turned empty into null.
	Uncertain Fidelity = "uncertain"
	// Absent: they are not in the letter. A null in their place is no tombstone.
	Absent Fidelity = "absent"
)

// complete reports whether the place is told: topic, partition and offset.
func (p *Place) complete() bool { return p.Topic != nil && p.Partition != nil && p.Offset != nil }
