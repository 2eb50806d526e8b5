package handlers

import (
	"slices"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
)

// tombstone finds what a Kafka tombstone can't give its handler: it has nothing but a key
// and the record's timestamp (R13).
func (w *wirer) tombstone(what string, d *declaration, kind guards.Kind) {
	topic, ok := event.TombstoneTopic(d.eventType)
	if !ok {
		return
	}
	if topic == "" {
		w.mistake("%s names no topic; say event.TombstoneType(\"the topic\")", what)
	}
	if len(d.keys) > 0 {
		w.mistake("%s finds its entity with handlers.Key, but a tombstone has no payload; drop it: the record's key is the entity's", what)
	}
	if !slices.Contains([]guards.Kind{guards.KindTimestamp, guards.KindNone, guards.KindOnce}, kind) {
		w.mistake("%s is ordered by %s, but a tombstone has only the record's timestamp; order the model by guards.Timestamp(), or let the producer send an event that says that the entity is gone", what, kind)
	}
}

// TombstoneTopics are the topics whose tombstones have handlers, in order.
func (w *Wiring) TombstoneTopics() []string {
	var topics []string
	for t := range w.handlers {
		if topic, ok := event.TombstoneTopic(t); ok {
			topics = append(topics, topic)
		}
	}
	slices.Sort(topics)
	return topics
}
