package stage

import (
	"cmp"
	"slices"
	"time"

	"github.com/evenkeel-go/evenkeel/examples/orders/service"
)

// delay is a record, or a copy of it, that comes so much later than it should.
type delay struct {
	index int
	by    time.Duration
	copy  bool
}

// delayed moves records, and copies of others, down the stream: to where its time is ahead
// of theirs by the delay.
func (g *generator) delayed(stream []message, delays []delay) []message {
	type at struct {
		message
		position float64
	}
	times := streamTimes(stream)
	ats := make([]at, len(stream), len(stream)+len(delays))
	for i, m := range stream {
		ats[i] = at{m, float64(i)}
	}
	for _, d := range delays {
		to, _ := slices.BinarySearchFunc(times, stream[d.index].at.Add(d.by), time.Time.Compare)
		// One that was swapped may be there already.
		position := max(float64(to), float64(d.index)) + g.rng.Float64()
		if d.copy {
			ats = append(ats, at{stream[d.index], position})
		} else {
			ats[d.index].position = position
		}
	}
	slices.SortStableFunc(ats, func(a, b at) int { return cmp.Compare(a.position, b.position) })
	out := make([]message, len(ats))
	for i := range ats {
		out[i] = ats[i].message
	}
	return out
}

// streamTimes is how far the stream's time has come at each place.
func streamTimes(stream []message) []time.Time {
	times := make([]time.Time, len(stream))
	for i, m := range stream {
		times[i] = m.at
		if i > 0 && times[i].Before(times[i-1]) {
			times[i] = times[i-1]
		}
	}
	return times
}

// between draws a time from a span.
func (g *generator) between(from, to time.Duration) time.Duration {
	return from + time.Duration(g.rng.Int64N(int64(to-from)))
}

// makeLate delays records, and copies of others, by more than is allowed. The moved ones
// are late; the copies are not, they are duplicates.
func (g *generator) makeLate(stream []message, late, copies int) []message {
	// Only what happened early enough has a stream before it that is a day ahead.
	times := streamTimes(stream)
	limit := times[len(times)-1].Add(-service.MaxLateness - 2*lateBeyond)
	early, _ := slices.BinarySearchFunc(times, limit, time.Time.Compare)
	chosen := g.rng.Perm(early)[:min(early, late+copies)]
	delays := make([]delay, len(chosen))
	for i, from := range chosen {
		delays[i] = delay{from, g.between(service.MaxLateness+lateBeyond, service.MaxLateness+2*lateBeyond), i >= late}
	}
	return g.delayed(stream, delays)
}

// delayCreations delays the first events of n orders, but not so that they are late: what
// comes before them makes placeholders.
func (g *generator) delayCreations(stream []message, n int) []message {
	return g.delaySome(stream, n, func(m message) bool { return m.creates })
}

// delaySome delays n of those records which may be, within what is allowed.
func (g *generator) delaySome(stream []message, n int, may func(message) bool) []message {
	var delays []delay
	for _, i := range g.rng.Perm(len(stream)) {
		if len(delays) < n && may(stream[i]) {
			delays = append(delays, delay{index: i, by: g.between(heldFrom, heldTo)})
		}
	}
	return g.delayed(stream, delays)
}
