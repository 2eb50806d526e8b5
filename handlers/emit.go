package handlers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/evenkeel-go/evenkeel/event"
)

// Emits says that the handler may send events of its own to the topics, with
// Delivery.Emit (R11). The topics must exist and have codecs that are an event.Encoder; the
// consumer checks both at start.
func Emits(topic string, more ...string) Option {
	return func(d *declaration) { d.emits = append(append(d.emits, topic), more...) }
}

// Emit sends an event that follows from the one that is handled, if the handler returns
// nil: it is written in the transaction of the handler's effects and published after its
// COMMIT, at least once and always under the same id. Events of one topic and key leave in
// the order in which their transactions and handlers made them.
//
// The child has its root's place in the order of events: the root is the event at the
// beginning, which is this one unless it was derived itself. So an event that happened
// after the root is newer than the child, whenever either arrives. At equal time the
// entity's own event is newer than a child of another entity's event, and a child of an
// entity's own event is newer than that event. What the child's consumers are ordered by
// must be shared by all entities, as times and Lamport times are; versions and vectors
// count per entity, and a child has them only if the handler says so.
//
// A handler that emits runs also for events that newer ones have overtaken, since whether
// the child exists must not depend on the order of arrival; what it writes is masked then.
// So what it emits should be a function of the event: under [Set] it must be (R1).
//
// The topic must be one of the handler's [Emits]. An event that can't be sent, because it
// is of another topic, too large, or no event, is the unit's failure: a dead letter
// (rejected). A payload that can't be written as JSON is likewise.
func (d *Delivery[P, E]) Emit(draft event.Draft) {
	c := d.said()
	if c.Unsendable != nil {
		return
	}
	if len(c.Drafts) == MaxEmitted {
		c.Unsendable = fmt.Errorf("it emits more than %d events", MaxEmitted)
		return
	}
	// A handler may go on to change what the payload points to.
	switch p := draft.Payload.(type) {
	case nil:
	case []byte:
		draft.Payload = bytes.Clone(p)
	default:
		b, err := json.Marshal(p)
		if err != nil {
			c.Unsendable = fmt.Errorf("the payload of %q can't be written as JSON: %w", draft.Type, err)
			return
		}
		draft.Payload = b
	}
	draft.Headers, draft.Vector = slices.Clone(draft.Headers), slices.Clone(draft.Vector)
	if draft.Version != nil {
		version := *draft.Version
		draft.Version = &version
	}
	c.Drafts = append(c.Drafts, draft)
}

// MaxEmitted is how many events one run of a handler may emit.
const MaxEmitted = 1000

// Emits returns the topics that handlers may send to, and those that replays are requested
// on, in order and each once.
func (w *Wiring) Emits() []string {
	var topics []string
	for _, h := range w.All() {
		topics = append(topics, h.Emits...)
		if h.Stream != nil && h.Stream.ReplayTopic != "" {
			topics = append(topics, h.Stream.ReplayTopic)
		}
	}
	slices.Sort(topics)
	return slices.Compact(topics)
}

// checkEmits checks the topics of a handler.
func (w *wirer) checkEmits(what string, d *declaration) {
	if len(d.emits) == 0 {
		return
	}
	if slices.Contains(d.emits, "") {
		w.mistake("%s emits to a topic without a name; name it in handlers.Emits", what)
	}
	if d.verb == VerbResolve {
		w.mistake("%s is a Resolve that emits; a resolver runs for each set of versions, so that what it emits would depend on the order of arrival: emit from a handlers.Set of the same event type", what)
	}
}
