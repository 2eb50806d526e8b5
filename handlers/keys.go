package handlers

import (
	"reflect"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
)

type keyFunc struct {
	option  string // what the user wrote
	payload reflect.Type
	of      func(payload any) []string
}

// Key finds the handler's entity by something in the payload instead of the event's own
// key. P must be the handler's payload type. An empty key makes the event poison.
func Key[P any](fn func(P) string) Option {
	return func(d *declaration) {
		if fn == nil {
			d.lacks("the function of handlers.Key")
			return
		}
		d.keys = append(d.keys, &keyFunc{
			option: "handlers.Key", payload: reflect.TypeFor[P](),
			of: func(p any) []string { return []string{fn(*p.(*P))} },
		})
	}
}

// Keys finds the handler's entities where one event touches several rows of the model, like
// the items of an order. The handler runs once for each key, with that entity, and finds
// its own part of the payload by the key in Delivery.Entity. Each entity has its own clocks,
// its own verdict and, if it comes to that, its own dead letter; the effects of all commit
// in one transaction. A key that is named twice counts once, also in two spellings that
// mean one primary key. With no key at all the event is discarded (guards.NoEntity); an
// empty key, or one that is none for the model, is poison without harm to the others. What
// fn returns must be a function of the payload alone. P must be the handler's payload type.
func Keys[P any](fn func(P) []string) Option {
	return func(d *declaration) {
		if fn == nil {
			d.lacks("the function of handlers.Keys")
			return
		}
		d.keys = append(d.keys, &keyFunc{
			option: "handlers.Keys", payload: reflect.TypeFor[P](),
			of: func(p any) []string { return fn(*p.(*P)) },
		})
	}
}

// KeyTexts are the keys of the handler's entities, as texts that Model.ParseKey takes. It
// is one unless the handler says [Keys].
func (h *Handler) KeyTexts(e *event.Event, payload any) []string {
	if h.key != nil {
		return h.key.of(payload)
	}
	return []string{e.Key}
}

// OwnKey reports whether the handler's entity is the event's own, so that its key is known
// whatever the payload holds.
func (h *Handler) OwnKey() bool { return h.key == nil }

// entityKey is how the declaration finds its entities; nil is by the event's own key.
func (d *declaration) entityKey() *keyFunc {
	if len(d.keys) == 0 {
		return nil
	}
	return d.keys[0]
}

// checkKeys checks how a handler finds its entities.
func (w *wirer) checkKeys(what string, d *declaration, kind guards.Kind) {
	for _, k := range d.keys {
		if k.payload != d.payload {
			w.mistake("%s: the function of %s takes a %s, the payload is a %s; let it take the payload's type", what, k.option, k.payload, d.payload)
		}
	}
	if len(d.keys) > 1 {
		w.mistake("%s finds its entity in %d ways, %s and %s; keep one", what, len(d.keys), d.keys[0].option, d.keys[1].option)
	}
	if len(d.keys) > 0 && kind == guards.KindVector {
		w.mistake("%s is ordered by vector but finds its entity with %s; a vector says what was seen of the event's own entity: order it by guards.Timestamp() or guards.Lamport()", what, d.keys[0].option)
	}
	// A version and a sequence number count what happened to the event's own entity (R7).
	if numbered := kind == guards.KindVersion || kind == guards.KindSequence; numbered && len(d.keys) > 0 {
		w.mistake("%s is ordered by %s but finds its entity with %s; a %s counts the event's own entity: order it by guards.Timestamp()", what, kind, d.keys[0].option, kind)
	}
}
