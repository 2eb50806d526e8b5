package framework

import (
	"fmt"
	"strconv"
	"time"

	"github.com/evenkeel-go/evenkeel/internal/breaker"
)

// Breaker stops a handler of this member that fails on most of its events, so that they wait
// in Kafka instead of becoming retries and dead letters one after the other. When it opens,
// what the handler has failed on so far is tried again later, as always; each partition stops
// before the next event that is for it, and what is parked for it uses up no attempts. One
// event is then tried after a second, and after twice as long each time up to a minute, until
// one passes. Events run again then; if they fail, it opens again at a quarter of the numbers
// below.
//
// An event fails if the handler returns an error or panics, if its payload is none for the
// handler, or if the database refuses what the handler wrote. Records that can't be decoded
// at all belong to no handler and become dead letters as ever, and so does what a guard
// refuses. What handlers.Discard is said of has passed. Only an event's first run counts.
type Breaker struct {
	// Off switches it off.
	Off bool
	// Share is the part of a handler's recent events of which more have failed when it
	// opens; above 0 and below 1. Defaults to 0.5.
	Share float64
	// Window is how many events are recent. Defaults to 200.
	Window int
	// Keys is how many different keys those that failed must be about, so that one broken
	// entity does not stop all others; Window at most. Defaults to 20.
	Keys int
}

func (b Breaker) settings() breaker.Settings {
	if b.Off {
		return breaker.Settings{}
	}
	return breaker.Settings{Share: b.Share, Window: b.Window, Keys: b.Keys}
}

func (b Breaker) validate(bad func(field, found, expected, mend string)) {
	if !(b.Share > 0 && b.Share < 1) { // NaN too
		bad("Breaker.Share", strconv.FormatFloat(b.Share, 'g', -1, 64), "a part of all events, above 0 and below 1", "e.g. 0.5; Breaker.Off switches it off")
	}
	if b.Window < 1 {
		bad("Breaker.Window", strconv.Itoa(b.Window), "a number of events, 1 or more", "leave it out for 200")
	}
	if b.Keys < 1 || b.Keys > b.Window {
		bad("Breaker.Keys", strconv.Itoa(b.Keys), fmt.Sprintf("a number of keys from 1 to Breaker.Window (%d)", b.Window), "more keys than events can never fail; Breaker.Off switches it off")
	}
}

// BreakerState is a breaker's.
type BreakerState string

// The states. Half open, events run again after one was tried and passed, but it takes fewer
// that fail to open the breaker again.
const (
	BreakerClosed   BreakerState = "closed"
	BreakerOpen     BreakerState = "open"
	BreakerHalfOpen BreakerState = "half-open"
)

// BreakerStats is one handler's breaker.
type BreakerStats struct {
	Handler string
	State   BreakerState
	// Since is when it opened, or when it closed again; zero if it never opened.
	Since time.Time
	// Failed of the last Of events have failed; while it is open, those that opened it.
	Failed, Of int
	// Probes is how many events were tried and failed since it opened, NextProbe when the
	// next one will be.
	Probes    int
	NextProbe time.Time
	// Error is what the event failed with that opened it, or the last that was tried.
	Error string
}

func breakerOf(s breaker.Status) BreakerStats {
	return BreakerStats{
		Handler: s.Handler, State: BreakerState(s.State.String()), Since: s.Since, Failed: s.Failed, Of: s.Of,
		Probes: s.Probes, NextProbe: s.NextProbe, Error: s.Error,
	}
}
