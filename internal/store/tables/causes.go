package tables

import (
	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// WaitedFor reports whether other events of the entity may wait for the letter's, as their
// writers had seen it (R14). Of a whole record nobody knows the entities.
func WaitedFor(l *dlq.Letter) bool { return len(l.Vector) > 0 && l.Table != "" && l.Stream == "" }

// WaitedForByAny reports the same of a whole record's letter, whose entities only they know who
// know the handlers.
func WaitedForByAny(l *dlq.Letter) bool { return len(l.Vector) > 0 && l.Handler == "" }

// CausesOf names where what waits for the letter's event is parked, if anything does.
func CausesOf(l *dlq.Letter) store.StreamKey {
	return store.StreamKey{Stream: handlers.CausalStreams + l.Table, Entity: l.Entity}
}

// SeenAfter is the body of a memo of kind KindCausal once the letter is let go: its event
// counts as seen, and all that its writer had seen, or each that waits would be the next
// letter.
func SeenAfter(l *dlq.Letter, body string) (string, error) {
	seen, err := store.ParseSeen(body)
	if err != nil {
		return "", err
	}
	seen.Vector = seen.Vector.Merge(l.Vector)
	return seen.String(), nil
}

// vectorOf reads what event.Vector.String has written.
func vectorOf(text string) (event.Vector, error) {
	if text == "" {
		return nil, nil
	}
	return event.ParseVector(text)
}
