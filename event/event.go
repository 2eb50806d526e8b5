package event

import (
	"fmt"
	"time"
)

// Event is one decoded record. Decoders fill it in; nothing changes it afterwards.
type Event struct {
	// ID identifies the event at its Source. Empty means that the producer gives
	// none: the event is then identified by its coordinates.
	ID string
	// Source is who says it happened, e.g. a CloudEvents source.
	Source string
	// Type decides which handlers see the event.
	Type string
	// Key names the entity that the event is about, unless a handler says otherwise
	// with handlers.Key: the codec's own key field (CloudEvents subject, else
	// partitionkey), else the record's key as UTF-8 text. It may be empty.
	Key string
	// OccurredAt is when it happened, UTC, cut to microseconds; the record's
	// timestamp when the event does not say.
	OccurredAt time.Time
	// Version is the entity's version that the event makes; it counts only when
	// HasVersion is set.
	Version    int64
	HasVersion bool
	// Lamport is the Lamport time at which its producer sent the event; it counts only
	// when HasLamport is set.
	Lamport    int64
	HasLamport bool
	// Vector is what its producer had seen of the entity; nil when the event has none.
	Vector Vector

	CorrelationID string
	CausationID   string
	// ContentType is the media type of Data; empty means JSON.
	ContentType string
	// Data is the payload: a part of Record.Value and no copy, except where the record
	// holds it in base64 or as an escaped text. Nil when the event has none.
	Data []byte

	// Lineage says which event this one was derived from; nil for a primary event.
	Lineage *Lineage

	// Record is what the event was decoded from.
	Record *Record
}

// Identity is the pair that tells one event from another: source and id, or the
// record's coordinates when the producer gives no id.
func (e *Event) Identity() (source, id string) {
	if e.ID != "" {
		return e.Source, e.ID
	}
	c := e.Record.Coordinates
	return e.Source, fmt.Sprintf("@%s/%s/%d/%d", c.Cluster, c.TopicID, c.Partition, c.Offset)
}

// Limits of what is taken for an event, in bytes. What is longer is refused by the
// codecs, so that no producer's mistake ends in an index that can't hold it.
const (
	MaxKeyBytes    = 1024
	MaxIDBytes     = 4096
	MaxSourceBytes = 4096
	MaxTypeBytes   = 512
)

// MinTime and MaxTime bound OccurredAt: years 1 and 9999, what RFC 3339 and Postgres
// both can say.
var (
	MinTime = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)                 //nolint:gochecknoglobals // a constant
	MaxTime = time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC) //nolint:gochecknoglobals // a constant
)
