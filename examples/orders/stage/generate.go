package stage

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/evenkeel-go/evenkeel/examples/orders/service"
	"github.com/evenkeel-go/evenkeel/testutil"
)

// The mishaps, as shares of the records. What is left out of rates, such as a delay of
// more than a day, is made by moving records.
const (
	swapRate       = 0.04
	delayRate      = 0.01
	duplicateRate  = 0.03
	lateRate       = 0.004
	futureRate     = 0.002
	poisonRate     = 0.001
	unhandledRate  = 0.01
	lateCreateRate = 0.06           // of the orders: created is held back, so that others come before it
	longCopyRate   = 0.001          // copies that come a day later: not late, but duplicates
	minEvents      = 1000           // below that a rate makes nothing of a mishap
	minPerOrder    = 5              // of all events; four fifths are the orders'
	timeline       = 62 * time.Hour // what the stream spans, all of it in the past
	timelineEnd    = 6 * time.Hour  // no order is placed in the last hours
	lateBeyond     = 2 * time.Hour  // late events are later than allowed by more than this
	futureFrom     = 2 * time.Hour
	futureTo       = 12 * time.Hour
	heldFrom       = 30 * time.Minute // what is held back, and not late
	heldTo         = 12 * time.Hour
	longestPause   = 28 * time.Minute
	duplicateReach = 200
	delayReach     = 300
)

// message is a record before it is produced.
type message struct {
	topic string
	key   string
	value []byte
	at    time.Time // zero for what is no event
	part  int32
	// alone: it is no step of its order's life, so that no other event trades places
	// with it.
	alone bool
	// creates: it begins its order's life.
	creates bool
}

// generator makes the stream: what truly happened, and then what becomes of it on the way.
type generator struct {
	*options
	rng *rand.Rand
	now time.Time
	ids int
}

// generate returns exactly events messages in the order in which they are produced: those of
// the orders and, evenly between them, those of the shipments.
func generate(o *options, at time.Time) []message {
	orders := *o
	orders.events = orderEvents(o.events)
	g := &generator{options: &orders, now: at.Truncate(time.Millisecond), rng: rand.New(rand.NewPCG(o.seed, 1))} //nolint:gosec // repeatable on purpose
	stream := interleave(g.orderStream(), g.shipmentStream(o.events-orders.events))
	for i := range stream {
		stream[i].part = testutil.PartitionOf(stream[i].key, int32(o.partitions)) //nolint:gosec // at most 1000
	}
	return stream
}

// orderEvents is how many of all events are about orders.
func orderEvents(events int) int { return events - events/5 }

// interleave puts two streams of the same time into one.
func interleave(a, b []message) []message {
	out := make([]message, 0, len(a)+len(b))
	for i, j := 0, 0; i < len(a) || j < len(b); {
		if j == len(b) || i < len(a) && i*len(b) <= j*len(a) {
			out = append(out, a[i])
			i++
		} else {
			out = append(out, b[j])
			j++
		}
	}
	return out
}

// orderStream returns exactly events messages about orders.
func (g *generator) orderStream() []message {
	o := g.options
	extra := g.extras()
	copies := share(o.events, longCopyRate)
	base := o.events - len(extra) - copies
	truth := g.truth(int(float64(base) / (1 + duplicateRate)))

	keys := make([]string, len(truth))
	for i := range truth {
		keys[i] = truth[i].key
		if truth[i].alone {
			keys[i] = fmt.Sprintf("%s alone %d", keys[i], i)
		}
	}
	shuffle := testutil.Shuffle{
		Seed: o.seed, Swaps: swapRate, Duplicates: duplicateRate, DuplicateDistance: duplicateReach,
		Delays: delayRate, DelayDistance: delayReach,
	}
	stream := make([]message, 0, o.events)
	for _, p := range shuffle.Order(keys) {
		stream = append(stream, truth[p.Index])
	}
	// Rounding leaves a few places; more copies fill them.
	copies += base - len(stream)
	stream = g.delayCreations(stream, share(o.orders, lateCreateRate))
	stream = g.makeLate(stream, share(o.events, lateRate), copies)
	return g.insert(stream, extra)
}

func share(n int, rate float64) int { return int(rate*float64(n) + 0.5) }

// truth is what happened, in the order of time: n events of the orders.
func (g *generator) truth(n int) []message {
	all := make([]message, 0, n)
	// Nobody handles these, but they are events: their times move the watermark too.
	for range share(n, unhandledRate) {
		back := timelineEnd + time.Duration(g.rng.Int64N(int64(timeline-timelineEnd)))
		viewed := g.event("order.viewed", g.anyOrder(), g.now.Add(-back))
		viewed.alone = true
		all = append(all, viewed)
	}
	n -= len(all)
	for i := range g.orders {
		events := n / g.orders
		if i < n%g.orders {
			events++
		}
		all = append(all, g.order(fmt.Sprintf("o-%d", i+1), events)...)
	}
	slices.SortStableFunc(all, func(a, b message) int { return a.at.Compare(b.at) })
	return all
}

func (g *generator) anyOrder() string { return fmt.Sprintf("o-%d", g.rng.IntN(g.orders)+1) }

// order is one order's life: it is created, changed a few times, and ends paid and
// shipped, or cancelled.
func (g *generator) order(key string, events int) []message {
	span := timeline - timelineEnd
	at := g.now.Add(-timeline).Add(time.Duration(g.rng.Int64N(int64(span))))
	end := []string{"order.paid", "order.shipped"}
	switch g.rng.IntN(10) {
	case 0:
		end = []string{"order.paid", "order.cancelled"}
	case 1:
		end = []string{"order.changed", "order.cancelled"}
	}
	types := []string{"order.created"}
	for len(types)+len(end) < events {
		types = append(types, "order.changed")
	}
	types = append(types, end...)[:events]
	out := make([]message, 0, events)
	for _, kind := range types {
		out = append(out, g.event(kind, key, at))
		at = at.Add(time.Duration(1 + g.rng.Int64N(int64(min(longestPause, timelineEnd/time.Duration(events+1))))))
	}
	return out
}

// event is one CloudEvent in structured mode.
func (g *generator) event(kind, key string, at time.Time) message {
	g.ids++
	var data any
	switch kind {
	case "order.created":
		data = service.Created{Customer: fmt.Sprintf("c-%d", g.rng.IntN(900)+100), Amount: g.rng.Int64N(90_000) + 1000}
	case "order.changed":
		data = service.Changed{Amount: g.rng.Int64N(90_000) + 1000}
	case "order.shipped":
		data = service.Shipped{Carrier: []string{"DHL", "UPS", "FedEx", "Hermes"}[g.rng.IntN(4)]}
	default:
		data = struct{}{}
	}
	m := g.message(kind, key, at, data, nil)
	m.topic, m.creates = g.topic, kind == "order.created"
	return m
}

// message writes an event; more are attributes beside the usual ones.
func (g *generator) message(kind, key string, at time.Time, data any, more map[string]any) message {
	at = at.Truncate(time.Microsecond)
	attributes := map[string]any{
		"specversion": "1.0", "id": fmt.Sprintf("e-%d", g.ids), "source": "/shop", "type": kind,
		"subject": key, "time": at.UTC().Format(time.RFC3339Nano), "data": data,
	}
	maps.Copy(attributes, more)
	value, err := json.Marshal(attributes)
	if err != nil {
		panic(err) // strings and numbers
	}
	return message{key: key, value: value, at: at}
}

// extras are what does not belong to any order's life.
func (g *generator) extras() []message {
	var out []message
	for range share(g.events, futureRate) {
		ahead := futureFrom + time.Duration(g.rng.Int64N(int64(futureTo-futureFrom)))
		out = append(out, g.event("order.changed", g.anyOrder(), g.now.Add(ahead)))
	}
	for i := range share(g.events, poisonRate) {
		k := g.anyOrder()
		good := g.event("order.paid", k, g.now).value
		out = append(out, message{topic: g.topic, key: k, value: [][]byte{
			{0xff, 0x00, 0xfe, 'x'},
			good[:len(good)/2],
			[]byte(`{"specversion":"1.0","type":"order.paid","subject":"` + k + `"}`), // no id
		}[i%3]})
	}
	return out
}

// insert spreads the extras over the stream.
func (g *generator) insert(stream, extra []message) []message {
	out := make([]message, 0, len(stream)+len(extra))
	g.rng.Shuffle(len(extra), func(i, j int) { extra[i], extra[j] = extra[j], extra[i] })
	left := len(extra)
	for i, m := range stream {
		for left > 0 && g.rng.IntN(len(stream)-i+left) < left {
			left--
			out = append(out, extra[left])
		}
		out = append(out, m)
	}
	return append(out, extra[:left]...)
}
