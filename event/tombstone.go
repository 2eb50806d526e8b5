package event

import "strings"

const tombstonePrefix = "evenkeel.tombstone:"

// TombstoneType is the event type of Kafka's tombstones on a topic: records with a key, a
// null value and no headers, which a compacted topic keeps to say that the key is gone.
// Register a handler of this type to hear of them, e.g. one that calls Delivery.Delete;
// without one they are discarded.
//
// The record's key is the entity's, as UTF-8. A tombstone has no payload and no version,
// its identity are its coordinates, and the time at which it occurred is the record's
// timestamp, in whole milliseconds. So an event of the same millisecond whose own time is
// finer stands after it. Kafka forgets tombstones, too (delete.retention.ms): a consumer
// that was away for longer does not hear of them.
func TombstoneType(topic string) string { return tombstonePrefix + topic }

// TombstoneTopic is the inverse of [TombstoneType]; ok is false for other types.
func TombstoneTopic(eventType string) (topic string, ok bool) {
	return strings.CutPrefix(eventType, tombstonePrefix)
}

// Tombstones decodes the records for which Record.IsCompactionMarker holds, as
// [TombstoneType] says. The runtime asks it instead of the topic's codec where a handler
// of that type is registered.
func Tombstones() Codec { return tombstones{} }

type tombstones struct{}

func (tombstones) Name() string { return "tombstone" }

func (t tombstones) Decode(r *Record, e *Event) error {
	if len(r.Key) == 0 {
		return &DecodeError{
			Codec: t.Name(), Field: "record key", Expected: "the entity's key", Found: "none",
			Mend: "let the producer send the key of the entity that is gone",
		}
	}
	e.Record, e.Type = r, TombstoneType(r.Topic)
	return Finish(t.Name(), e)
}
