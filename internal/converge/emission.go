package converge

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// emission is an event that an event's handlers emit. Which there are, and what is in them,
// must not depend on the order; emitted again they have the same id.
type emission struct {
	event          int // that it follows from
	id             string
	topic, key     string
	typ, payload   string
	withoutPayload bool
}

// outbox lets handlers emit to any topic; nothing is sent.
func outbox() batch.Outbox {
	codec, _ := event.CloudEvents().(event.Encoder)
	return batch.Outbox{
		Encoder:  func(string) event.Encoder { return codec },
		MaxBytes: func(string) int { return 0 },
	}
}

// noteEmitted keeps what a committed batch emits.
func (r *run) noteEmitted(all []*store.Outbound) {
	for _, o := range all {
		r.emitted = append(r.emitted, emission{
			event: r.log[o.Origin.Offset], id: o.ID, topic: o.Topic, key: string(o.Key), typ: o.EventType,
			payload: string(o.Value), withoutPayload: o.Value == nil,
		})
	}
}

// emissions are those that a run has noted, each once.
func emissions(all []emission) []emission {
	slices.SortFunc(all, func(a, b emission) int {
		return cmp.Or(a.event-b.event, cmp.Compare(a.topic, b.topic), cmp.Compare(a.key, b.key), cmp.Compare(a.typ, b.typ), cmp.Compare(a.id, b.id), cmp.Compare(a.payload, b.payload))
	})
	return slices.Compact(all)
}

func compareEmissions(a, b []emission) (ds []difference) {
	if slices.Equal(a, b) {
		return nil
	}
	all := emissions(append(slices.Clone(a), b...))
	seen := map[string]bool{}
	for _, e := range all {
		if seen[e.id] {
			continue
		}
		seen[e.id] = true
		if x, y := payloadsOf(a, e.id), payloadsOf(b, e.id); x != y {
			ds = append(ds, difference{kind: inEmission, emission: e, outcomes: [2]string{x, y}})
		}
	}
	return ds
}

// payloadsOf says what is in the event of an id: one that is emitted again may say something
// else.
func payloadsOf(all []emission, id string) string {
	var texts []string
	for _, e := range all {
		switch {
		case e.id != id:
		case e.withoutPayload:
			texts = append(texts, "emitted")
		default:
			texts = append(texts, "emitted with "+short(e.payload))
		}
	}
	if len(texts) == 0 {
		return "not emitted"
	}
	return strings.Join(texts, " and ")
}

func short(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if r := []rune(text); len(r) > 60 {
		return string(r[:60]) + "…"
	}
	return text
}

// line shows it in the table of differences.
func (e *emission) line() string {
	return fmt.Sprintf("event %d emits %s to %s, key %s", e.event+1, e.typ, e.topic, e.key)
}

func emissionMend(h *handlers.Handler) string {
	s := fmt.Sprintf("%s emits, and what a handler emits is for others to rely on: it must not depend on which event came first. An emitting handler runs for every event, overtaken ones included, so let it emit always, and only what stands in the event. ", h.Name)
	if h.Verb == handlers.VerbModify {
		return s + "What follows from the row is best seen where the row is read. If order decides, declare guards.Sequence(): then each event sees the row that all before it have left."
	}
	return s + outsideMend
}

// draftTexts are what a run emits, for people and to be compared.
func draftTexts(c *handlers.Call) []string {
	var texts []string
	for i := range c.Drafts {
		d := &c.Drafts[i]
		payload, _ := d.Payload.([]byte)
		texts = append(texts, strings.TrimSpace(fmt.Sprintf("emits %s to %s, key %s %s", d.Type, d.Topic, d.Key, payload)))
	}
	return texts
}
