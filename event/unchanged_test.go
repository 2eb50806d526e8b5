package event_test

import (
	"errors"
	"testing"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
)

// Whatever makes another event of it is found, and the payload is not.
func TestUnchanged(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 10, 14, 17, 46, 40, 1000, time.UTC)
	made := func(change func(*event.Event)) *event.Event {
		e := &event.Event{
			ID: "e-1", Source: "/shop", Type: "order.paid", Key: "a", OccurredAt: at, Version: 3, HasVersion: true, Lamport: 4, HasLamport: true,
			Vector: event.Vector{{Node: "n", Count: 1}}, Lineage: &event.Lineage{Source: "s", ID: "r", OccurredAt: at, Path: []string{"p"}}, Data: []byte("1"),
		}
		change(e)
		return e
	}
	same := made(func(*event.Event) {})
	for field, change := range map[string]func(*event.Event){
		"":             func(e *event.Event) { e.Data, e.ContentType, e.CorrelationID = []byte("2"), "text/plain", "c" },
		"type":         func(e *event.Event) { e.Type = "x" },
		"source":       func(e *event.Event) { e.Source = "x" },
		"id":           func(e *event.Event) { e.ID = "x" },
		"key":          func(e *event.Event) { e.Key = "x" },
		"time":         func(e *event.Event) { e.OccurredAt = at.Add(time.Microsecond) },
		"number":       func(e *event.Event) { e.Version, e.HasVersion = 0, false },
		"Lamport time": func(e *event.Event) { e.Lamport = 5 },
		"vector clock": func(e *event.Event) { e.Vector = nil },
		"lineage":      func(e *event.Event) { e.Lineage = nil },
	} {
		err := event.Unchanged(same, made(change))
		var changed *event.ChangedError
		if field == "" && err != nil || field != "" && (!errors.As(err, &changed) || changed.Field != field) {
			t.Errorf("%q: %v", field, err)
		}
	}
	err := event.Unchanged(same, made(func(e *event.Event) { e.Key = "b" }))
	if got := err.Error(); got != `its key was "a" and is now "b"` {
		t.Error(got)
	}
}
