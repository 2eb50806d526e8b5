package batch

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// Outbox is what must be known of the topics that handlers send to.
type Outbox struct {
	// Encoder returns a topic's codec, nil where it can't encode.
	Encoder func(topic string) event.Encoder
	// MaxBytes is the largest message that a topic takes, as dlq.Message.Size counts it; 0
	// is no limit.
	MaxBytes func(topic string) int
}

// emitted makes records of what a run of the unit's handler has emitted (R11). It is a
// function of the event, the wiring and what the handler said, so that a second run sends
// the same under the same ids. An error is the unit's failure.
func (j *Judge) emitted(u *Unit, c *handlers.Call) ([]*store.Outbound, error) {
	h, parent := u.Handler, u.Item.Event
	if c.Unsendable != nil {
		return nil, fmt.Errorf("handler %s: %w", h.Name, c.Unsendable)
	}
	if len(c.Drafts) == 0 {
		return nil, nil
	}
	if l := parent.Lineage; l != nil && len(l.Path) >= event.MaxDepth {
		return nil, fmt.Errorf("handler %s would derive an event from one that is derived %d deep already (event.MaxDepth), from %q of %q; most likely these events go round in a circle: let one of the handlers not emit", h.Name, len(l.Path), l.ID, l.Source)
	}
	unit := digest(j.Group, h.Name, u.Key)[:24]
	own := func() []event.Entity { return j.own(u.Item) }
	out := make([]*store.Outbound, len(c.Drafts))
	for i := range c.Drafts {
		d := &c.Drafts[i]
		if !slices.Contains(h.Emits, d.Topic) {
			return nil, fmt.Errorf("handler %s emits %q to the topic %q, which it does not declare; add handlers.Emits(%q) to its registration", h.Name, d.Type, d.Topic, d.Topic)
		}
		ordinal := fmt.Sprintf("%06d", i+1) // so that texts compare as numbers do
		source, id := parent.Identity()
		child := &event.Event{
			ID: digest(source, id, j.Group, h.Name, u.Key, d.Topic, d.Key, d.Type, ordinal)[:32], Source: j.Group,
			Type: d.Type, Key: d.Key, OccurredAt: parent.OccurredAt, Lamport: parent.Lamport, HasLamport: parent.HasLamport, Vector: d.Vector,
			CorrelationID: cmp.Or(d.CorrelationID, parent.CorrelationID), CausationID: id, ContentType: d.ContentType,
			Lineage: parent.Derive(unit+"."+ordinal, own),
		}
		if d.Version != nil {
			child.Version, child.HasVersion = *d.Version, true
		}
		child.Data, _ = d.Payload.([]byte)
		o, err := j.Outbox.record(child, d.Topic, d.Headers)
		if err != nil {
			return nil, fmt.Errorf("handler %s can't emit %q to the topic %q: %w", h.Name, d.Type, d.Topic, err)
		}
		o.Group, o.Origin = j.Group, u.Item.Record.Coordinates
		out[i] = o
	}
	return out, nil
}

// record encodes an event for its topic.
func (o *Outbox) record(child *event.Event, topic string, headers []event.Header) (*store.Outbound, error) {
	child.Record = &event.Record{}
	if err := event.Finish("draft", child); err != nil {
		return nil, err
	}
	r := &event.Record{}
	for _, h := range headers {
		if strings.HasPrefix(h.Key, dlq.HeaderPrefix) {
			return nil, fmt.Errorf("the header %q begins with %s, which is Evenkeel's own; give it another name", h.Key, dlq.HeaderPrefix)
		}
		r.Headers = append(r.Headers, h)
	}
	encoder := o.Encoder(topic)
	if encoder == nil {
		return nil, errors.New("its codec is no event.Encoder; name one that is in Config.Codecs")
	}
	if err := caught(func() error { return encoder.Encode(child, r) }); err != nil {
		return nil, err
	}
	if child.Lineage != nil {
		r.Headers = append(r.Headers, child.Lineage.Header())
	}
	if _, err := event.ParseLineage(r); err != nil { // e.g. of an event that has too many entities
		return nil, err
	}
	m := dlq.Message{Key: r.Key, Value: r.Value, Headers: r.Headers}
	if most := o.MaxBytes(topic); most > 0 && m.Size() > most {
		return nil, fmt.Errorf("it takes up to %d bytes with its headers, and the topic at most %d (max.message.bytes); send less, or raise the topic's limit and restart", m.Size(), most)
	}
	return &store.Outbound{ID: child.ID, EventType: child.Type, Topic: topic, Key: r.Key, Value: r.Value, Headers: r.Headers}, nil
}

// own are the entities that an event's handlers find for it, all of them and not only those
// of the unit at hand: whatever a descendant comes to meet, it must know its root's own.
func (j *Judge) own(it *Item) []event.Entity {
	var all []event.Entity
	seen := map[event.Entity]bool{}
	for _, h := range j.Wiring.Handlers(it.Event.Type) {
		for _, u := range appendUnits(nil, it, h) {
			if e := (event.Entity{Type: h.Model.Name, Key: u.Key}); u.Key != "" {
				all = appendNew(all, seen, e)
			}
		}
	}
	return all
}

// own reports whether the root of the unit's event is the entity's own event (R3): a primary
// event is its own root, and its handlers say whose it is.
func (u *Unit) own() bool {
	l := u.Item.Event.Lineage
	return l == nil || l.Owns(event.Entity{Type: u.Handler.Model.Name, Key: u.Key + u.brokenKey})
}

// send puts records into the batch. What is there already, because the event came twice, is
// left out. What a rebuild reads again has sent what it had to; what waited has not (R20).
func (w *work) send(u *Unit, records []*store.Outbound) {
	if w.replay && u.Parked == nil {
		return
	}
	for _, r := range records {
		if w.sent[r.ID] {
			continue
		}
		if w.sent == nil {
			w.sent = map[string]bool{}
		}
		w.sent[r.ID] = true
		o := *r // the run that made it may serve other batches, too
		o.Swept, o.CreatedAt = u.Parked != nil || !w.fromLog, w.now
		w.out.Batch.Outbox = append(w.out.Batch.Outbox, &o)
	}
}

// emitsMasked reports whether a Modify handler has to run for its emissions alone. A
// duplicate counts, too: where one clock serves several handlers, it may be another one's.
func emitsMasked(u *Unit, v guards.Verdict) bool {
	return len(u.Handler.Emits) > 0 && u.Handler.Verb == handlers.VerbModify && u.Err == nil && u.Refused == nil &&
		v.Action == guards.Discard && (v.Reason == guards.Superseded || v.Reason == guards.Duplicate)
}

// digest is 64 hexadecimal digits of texts, none of which runs into the next.
func digest(texts ...string) string {
	var b []byte
	for _, s := range texts {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
