package handlers

import (
	"context"
	"reflect"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
)

// Sibling is one of the versions of an entity of which none has seen another.
type Sibling[P any] struct {
	Payload P
	// Source and ID identify its event; ID is the event's coordinates where the producer
	// gives none.
	Source, ID string
	OccurredAt time.Time
	Vector     event.Vector
}

// Resolve registers a resolver for entities that several writers change without asking
// each other (R14), like a shopping cart on two devices. Each event of the type is a whole
// version of what the handler writes, under guards.Vector(). The framework keeps the
// maximal ones, those that no other event has seen, and fn makes the row of them: it gets
// a blank entity with its key, and the siblings in the order of R3, at least one.
//
// What fn writes must be a function of the siblings alone. Then the row depends on the set
// of events and not on their order. An event that another one has seen is discarded as
// superseded. The set is bounded by [MaxSiblings] and [MaxSiblingBytes]; this looks at
// arrival, and an event beyond it becomes a dead letter (conflict).
//
// It must name its Writes, which belong to it alone, and may say Creates. Then fn decides
// about existence, too, each time that it runs: the entity is deleted while fn returns
// [Delete], and lives again when a later version makes fn return nil. The fields of other
// handlers stay as they are meanwhile: whether there was a moment at which the entity was
// deleted depends on the order of events. Any other error is
// treated as that of any handler, with the arriving event as the culprit.
func Resolve[P, E any](r *Registry, eventType string, fn func(entity *E, siblings []Sibling[P]) error, guard guards.Stamper, opts ...Option) {
	d := &declaration{
		verb: VerbResolve, eventType: eventType, guard: guard,
		entity: reflect.TypeFor[E](), payload: reflect.TypeFor[P](),
		decode: decodePayload[P],
	}
	if fn == nil {
		d.lacks("the resolver function")
	}
	d.run = func(_ context.Context, c *Call) error {
		siblings := make([]Sibling[P], len(c.Siblings))
		for i, s := range c.Siblings {
			siblings[i] = Sibling[P]{*s.Payload.(*P), s.Source, s.ID, s.OccurredAt, s.Vector}
		}
		return fn(c.Entity.(*E), siblings)
	}
	d.apply(opts)
	r.declarations = append(r.declarations, d)
}

// Bounds of what Resolve keeps of one entity: siblings, and the bytes of their payloads
// where there are several.
const (
	MaxSiblings     = 32
	MaxSiblingBytes = 1 << 20
)

// Vectors returns the handler's guard if it decides by whole vectors, which are kept
// beside the row: under Resolve, and under guards.ConflictLetters. It is nil otherwise.
func (h *Handler) Vectors() *guards.VectorGuard {
	g, ok := h.Stamper.(*guards.VectorGuard)
	if ok && (h.Verb == VerbResolve || h.Verb == VerbModify && g.ConflictLetters()) {
		return g
	}
	return nil
}

// resolverGuard is the guard of a Resolve.
func (w *wirer) resolverGuard(what string, d *declaration) guards.Stamper {
	if d.by != nil {
		w.mistake("%s: handlers.By is for Set; a Resolve takes its guard as a parameter", what)
	}
	if d.external {
		w.mistake("%s is a Resolve with External; a resolver runs for each event anew and must have no effects: drop it", what)
	}
	if d.guard == nil {
		w.mistake("%s is a Resolve without a guard; pass guards.Vector()", what)
		return nil
	}
	g, ok := d.guard.(*guards.VectorGuard)
	switch {
	case !ok:
		w.mistake("%s is a Resolve under %s, which can't tell concurrent events; pass guards.Vector()", what, d.guard.Name())
		return nil
	case g.ConflictLetters():
		w.mistake("%s is a Resolve with guards.ConflictLetters; it merges what is concurrent: drop the one, or use handlers.Modify", what)
	}
	return d.guard
}

// vectors checks the options of guards.Vector of the other verbs.
func (w *wirer) vectors(what string, h *Handler) {
	g, ok := h.Stamper.(*guards.VectorGuard)
	if !ok || h.Verb == VerbResolve {
		return
	}
	if h.Verb == VerbSet && g.ConflictLetters() {
		w.mistake("%s is a Set with guards.ConflictLetters; it merges field by field, so that no one event stands for the row: use handlers.Modify, or handlers.Resolve", what)
		return
	}
	if len(g.Departed()) > 0 && h.Vectors() == nil && g.Causal() == nil {
		w.mistake("%s has guards.Departed, but its rows keep only the sum of a vector, out of which no entry can be taken; let the producers go on sending it, or use handlers.Resolve", what)
	}
	if h.Verb != VerbModify {
		return
	}
	differs := ""
	for eventType, hs := range w.handlers {
		for _, other := range hs {
			same := other.Model != h.Model || other.Verb != VerbModify || other.Stamper.Kind() != guards.KindVector || (other.Vectors() == nil) == (h.Vectors() == nil)
			if !same && (differs == "" || eventType < differs) {
				differs = eventType
			}
		}
	}
	if differs != "" {
		w.mistake("%s and that of %q differ in guards.ConflictLetters, but share one clock; let all Modify handlers of %s say it, or none", what, differs, h.Model.Name)
	}
}
