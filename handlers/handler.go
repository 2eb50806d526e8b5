package handlers

import (
	"context"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
)

// Verb is how a column comes to its value.
type Verb uint8

// The verbs.
const (
	VerbSet Verb = iota + 1
	VerbModify
	VerbProject
)

// Handler is a registered handler as the runtime and tools see it. It is made by
// [Registry.Wire] and not changed afterwards.
type Handler struct {
	Name      string
	EventType string
	Verb      Verb
	Model     *Model
	// Stamper says which stamp orders the handler's events.
	Stamper guards.Stamper
	// Guards are asked per unit before the handler runs.
	Guards []guards.Guard
	// Writes are the columns that the handler may write.
	Writes    []*Column
	Creates   bool
	External  bool
	OnMissing OnMissingPolicy
	// Stream is what the handler's events are numbered in, nil without guards.Sequence;
	// Baseline says that the event carries the whole state.
	Stream   *Stream
	Baseline bool

	mayWrite []bool // by Column.Index
	key      *keyFunc
	decode   func([]byte) (any, error)
	run      runFunc
}

// Decode turns the event's data into the handler's payload. The error is an
// *event.DecodeError that names the member at fault.
func (h *Handler) Decode(e *event.Event) (any, error) { return h.decode(e.Data) }

// KeyText is the key of the handler's entity, as text that Model.ParseKey takes.
func (h *Handler) KeyText(e *event.Event, payload any) string {
	if h.key != nil {
		return h.key.of(payload)
	}
	return e.Key
}

// OwnKey reports whether the handler's entity is the event's own, so that its key is known
// whatever the payload holds.
func (h *Handler) OwnKey() bool { return h.key == nil }

// Run calls the user's function. It does not catch panics.
func (h *Handler) Run(ctx context.Context, c *Call) error { return h.run(ctx, c) }

// MayWrite reports whether the column is among the handler's Writes.
func (h *Handler) MayWrite(c *Column) bool { return h.mayWrite[c.Index] }

// OrderKept reports whether an event under this handler waits for events of its entity that
// came earlier and are parked (R9). One with a Stream waits for its number instead.
func (h *Handler) OrderKept() bool { return h.Verb == VerbModify && h.Stream == nil }

// Wiring is a registry that was checked: what the runtime works with.
type Wiring struct {
	Models []*Model
	// Decode and Admission are the guards of these phases.
	Decode, Admission []guards.Guard
	// Stamper is the registry's own ordering.
	Stamper guards.Stamper
	// TopicStream is the stream that takes its name from the topic, nil without one.
	TopicStream *Stream
	// Notes are remarks for the start-up log.
	Notes []string

	handlers  map[string][]*Handler
	orderKept map[string]bool
	streamed  map[string]bool
}

// Handlers returns the handlers of an event type, in the order of their registration.
func (w *Wiring) Handlers(eventType string) []*Handler { return w.handlers[eventType] }

// Handler finds a handler by event type and name, or returns nil.
func (w *Wiring) Handler(eventType, name string) *Handler {
	for _, h := range w.handlers[eventType] {
		if h.Name == name {
			return h
		}
	}
	return nil
}

// KeepsOrder reports whether a handler of this name is registered whose events wait for
// earlier ones of their entity (R9).
func (w *Wiring) KeepsOrder(name string) bool { return w.orderKept[name] }

// EventTypes returns how many event types have handlers.
func (w *Wiring) EventTypes() int { return len(w.handlers) }
