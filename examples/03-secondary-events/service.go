// Command 03-secondary-events keeps a list of bad files, known by their hashes. A file lies in
// archives, which may lie in others; what is said of it holds for them, too, unless something
// newer is said of them. So an event about a hash makes an event about its parent, which makes
// one about the next, and before each stands a scan that takes a second or two. Three members
// work on them at once. A secondary event has the place in history of the primary one that it
// comes from: the last primary event wins, although secondary ones of older events arrive
// seconds after it.
//
//	go run ./examples/03-secondary-events
package main

import (
	"context"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// Hash is the table.
type Hash struct {
	ID      string `gorm:"primaryKey"`
	Present bool   // it is on the list
	Kind    string // what the scan has found
	Because string // the primary event that said so last
	guards.Guarded
}

// Change is the payload of hash.added and hash.removed.
type Change struct {
	Parents []string `json:"parents,omitempty"` // nearest first, up to the outermost
}

// Scan asks a slow service what is in a file. It is asked at least once for each event, and
// knows by the order's number what it has done before. One hash has one content for ever, so
// the answer depends on nothing but the hash.
type Scan func(ctx context.Context, order, hash string) (kind string, err error)

func registry(topic string, scan Scan) *handlers.Registry {
	reg := handlers.NewRegistry(guards.Timestamp())
	for typ, present := range map[string]bool{"hash.added": true, "hash.removed": false} {
		handlers.Set(reg, typ, change(topic, scan, present), handlers.Creates(), handlers.Writes("Present", "Kind", "Because"),
			handlers.Slow(), handlers.External(), handlers.Emits(topic))
	}
	return reg
}

func change(topic string, scan Scan, present bool) func(context.Context, *handlers.Delivery[Change, Hash]) error {
	return func(ctx context.Context, d *handlers.Delivery[Change, Hash]) error {
		kind, err := scan(ctx, d.IdempotencyKey(), d.Entity.ID)
		if err != nil {
			return err
		}
		d.Entity.Present, d.Entity.Kind, d.Entity.Because = present, kind, primary(d.Event)
		if parents := d.Payload.Parents; len(parents) > 0 {
			d.Emit(event.Draft{Topic: topic, Type: d.Event.Type, Key: parents[0], Payload: Change{Parents: parents[1:]}})
		}
		return nil
	}
}

// primary is the id of the event at the beginning.
func primary(e *event.Event) string {
	if e.Lineage != nil {
		return e.Lineage.ID
	}
	return e.ID
}

// config reads the topic that the handlers emit to: there the secondary events come back.
func config(topic string, scan Scan) framework.Config {
	return framework.Config{Topics: []string{topic}, Handlers: registry(topic, scan), Codec: event.Envelope(event.EnvelopeConfig{})}
}
