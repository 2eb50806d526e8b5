package handlers

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

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
	VerbResolve
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
	Writes  []*Column
	Creates bool
	// Emits are the topics that the handler may send events to.
	Emits     []string
	External  bool
	OnMissing OnMissingPolicy
	// Slow says that the handler runs beside the batches.
	Slow bool
	// Stream is what the handler's events are numbered in, nil without guards.Sequence;
	// Baseline says that the event carries the whole state.
	Stream   *Stream
	Baseline bool
	// UsesTx: the handler runs SQL of its own in the batch's transaction (R19).
	UsesTx bool
	// Causal is how events wait for their causes, nil without guards.Causal.
	Causal *guards.CausalSettings

	mayWrite []bool        // by Column.Index
	memory   time.Duration // of a Set with UsesTx
	key      *keyFunc
	decode   func(data []byte, empty bool) (any, error)
	run      runFunc
}

// Decode turns the event's data into the handler's payload. The error is an
// *event.DecodeError that names the member at fault.
func (h *Handler) Decode(e *event.Event) (any, error) {
	return h.decode(e.Data, e.Record != nil && e.Record.Value == nil)
}

// Run calls the user's function. It does not catch panics. [Delete] is noted in the call and
// no error.
func (h *Handler) Run(ctx context.Context, c *Call) error {
	err := h.run(ctx, c)
	if err == nil {
		return nil
	}
	var control *ControlError
	if errors.As(err, &control) && control.Control == ControlDelete {
		c.Deleted = true
		return nil
	}
	return err
}

// MayWrite reports whether the column is among the handler's Writes.
func (h *Handler) MayWrite(c *Column) bool { return h.mayWrite[c.Index] }

// OrderKept reports whether an event under this handler waits for events of its entity that
// came earlier and are parked (R9). One with a Stream waits for its number instead.
func (h *Handler) OrderKept() bool {
	return h.Verb == VerbModify && h.Stamper.Kind() != guards.KindOnce && h.Stream == nil
}

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
	slow      bool
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

// All returns every handler, ordered by name.
func (w *Wiring) All() []*Handler {
	var all []*Handler
	for _, hs := range w.handlers {
		all = append(all, hs...)
	}
	slices.SortFunc(all, func(a, b *Handler) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.EventType, b.EventType))
	})
	return all
}

// WholeLog returns a handler that must be shown every event of its entities, also those
// that newer ones of the same key follow, and so can't read a compacted topic (R7, R8, R14); nil
// if there is none.
func (w *Wiring) WholeLog() *Handler {
	for _, h := range w.All() {
		if k := h.Stamper.Kind(); k == guards.KindOnce || k == guards.KindSequence || h.Causal != nil {
			return h
		}
	}
	return nil
}

// EventTypes returns how many event types have handlers.
func (w *Wiring) EventTypes() int { return len(w.handlers) }
