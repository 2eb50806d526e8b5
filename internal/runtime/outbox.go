package runtime

import (
	"context"
	"fmt"
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/internal/broker"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

const partLetters = "the dead-letter topic"

func newRelay(m *Member, part string) *relay {
	return &relay{m: m, part: part, signal: make(chan struct{}, 1), lines: map[line]*waitingLine{}}
}

// letterRelay publishes letters, all in one line: the publisher knows which of them must
// wait for which.
func letterRelay(m *Member) *relay {
	r := newRelay(m, "letters")
	r.lineOf = func(*parcel) line { return line{} }
	r.send = func(ctx context.Context, portion []*parcel) []error {
		letters := make([]*dlq.Letter, len(portion))
		for i, p := range portion {
			letters[i] = p.letter
		}
		errs := make([]error, len(portion))
		arrived := 0
		for i, res := range m.Publisher.Publish(ctx, letters) {
			if errs[i] = res.Err; res.Err == nil {
				arrived++
			} else if ctx.Err() == nil {
				m.health.down(partLetters, res.Err)
			}
		}
		if arrived > 0 {
			m.health.up(partLetters)
			m.Observe.Published(arrived)
		}
		return errs
	}
	r.claim = func(ctx context.Context, now, before time.Time) ([]*parcel, error) {
		letters, err := m.Store.Leftovers(ctx, m.Group, now, before, leftoverAge, publishAtOnce)
		var found []*parcel
		for _, l := range letters {
			if !m.publishes(l) {
				found = append(found, &parcel{letter: l})
			}
		}
		return found, err
	}
	return r
}

// eventRelay sends emitted events, in a line for each topic and key.
func eventRelay(m *Member) *relay {
	r := newRelay(m, "emitted events")
	r.lineOf = func(p *parcel) line {
		if p.event.Key == nil {
			return line{topic: p.event.Topic, key: "no key, " + p.event.ID} // no order either
		}
		return line{topic: p.event.Topic, key: "key " + string(p.event.Key)}
	}
	r.send = func(ctx context.Context, portion []*parcel) []error {
		messages := make([]broker.Message, len(portion))
		for i, p := range portion {
			messages[i] = broker.Message{Topic: p.event.Topic, Key: p.event.Key, Value: p.event.Value, Headers: p.event.Headers, Timestamp: p.event.Timestamp}
		}
		errs := m.Sender.Send(ctx, messages)
		arrived := map[string]int{}
		broken := map[line]error{}
		for i, p := range portion {
			at := r.lineOf(p)
			switch err := broken[at]; {
			case errs[i] == nil && err != nil:
				// It went ahead of one that failed, and must come after it once more.
				errs[i] = fmt.Errorf("an earlier event of its key was not sent: %w", err)
			case errs[i] == nil:
				arrived[p.event.Topic]++
			default:
				broken[at] = errs[i]
				if ctx.Err() == nil {
					m.health.down(partEvents(p.event.Topic), errs[i])
				}
			}
		}
		for topic, n := range arrived {
			m.Observe.Sent(topic, n)
			if !failsOn(portion, errs, topic) {
				m.health.up(partEvents(topic))
			}
		}
		return errs
	}
	r.claim = func(ctx context.Context, now, before time.Time) ([]*parcel, error) {
		events, err := m.Store.UnsentLeftovers(ctx, m.Group, now, before, leftoverAge, publishAtOnce)
		return eventParcels(nil, events), err
	}
	return r
}

func partEvents(topic string) string { return "the topic " + topic + " for emitted events" }

func failsOn(portion []*parcel, errs []error, topic string) bool {
	for i, p := range portion {
		if errs[i] != nil && p.event.Topic == topic {
			return true
		}
	}
	return false
}

func letterParcels(l *lane, letters []*dlq.Letter) []*parcel {
	ps := make([]*parcel, len(letters))
	for i, letter := range letters {
		ps[i] = &parcel{lane: l, letter: letter}
	}
	return ps
}

// eventParcels are those of a lane, or of nobody's where an event is swept.
func eventParcels(l *lane, events []*store.Outbound) []*parcel {
	ps := make([]*parcel, len(events))
	for i, e := range events {
		ps[i] = &parcel{event: e}
		if !e.Swept {
			ps[i].lane = l
		}
	}
	return ps
}

// emitted hands a committed batch's events over, of a lane or of none.
func (m *Member) emitted(l *lane, events []*store.Outbound) {
	if len(events) == 0 {
		return
	}
	m.Observe.Emitted(events)
	if l != nil {
		events = l.out.emit(events)
	}
	m.events.enqueue(eventParcels(l, events))
}

// publishes reports whether a lane of this member has the letter in hand.
func (m *Member) publishes(letter *dlq.Letter) bool {
	for _, l := range m.snapshot() {
		if l.out.has(letter.ID) {
			return true
		}
	}
	return false
}
