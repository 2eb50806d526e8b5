// Package breaker tells a handler that is broken from events that are: when more than a share
// of a handler's recent events have failed, over many keys, none of its events run any more,
// but for a probe now and then (R22). It decides, and waits for nothing.
package breaker

import (
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// Breakers are those of one member's handlers. A nil one lets everything through.
type Breakers struct {
	settings Settings
	jitter   func(time.Duration) time.Duration
	tell     func(Status)

	mu      sync.Mutex
	by      map[string]*circuit
	changed chan struct{} // closed at the next change
}

// New makes breakers that are closed. tell hears of each one that opens, or closes again.
func New(s Settings, tell func(Status)) *Breakers {
	half := func(d time.Duration) time.Duration { return d/2 + rand.N(d) } //nolint:gosec // jitter
	return &Breakers{settings: s, jitter: half, tell: tell, by: map[string]*circuit{}, changed: make(chan struct{})}
}

// Status is what is to be told of one handler's breaker.
type Status struct {
	Handler string
	State   State
	// Since is when it opened, or when it closed again.
	Since time.Time
	// Failed of the last Of events had failed; while it is open, when it opened.
	Failed, Of int
	// Probes have failed since it opened; NextProbe is the time of the next one.
	Probes    int
	NextProbe time.Time
	// Error is that of the event that opened it, or of the last probe.
	Error string
}

func (c *circuit) status(handler string) Status {
	s := Status{Handler: handler, State: c.state, Since: c.since, Failed: c.failed, Of: c.size(), Probes: c.probes, Error: c.why}
	if c.state == Open {
		s.Failed, s.Of, s.NextProbe = c.shownFailed, c.shownOf, c.probe
	}
	return s
}

// Note takes the outcome of a handler's event about a key, or changes what was noted under
// the mark. It returns the mark to change it by.
func (b *Breakers) Note(m Mark, handler, key string, failed bool, why string, now time.Time) Mark {
	if b == nil {
		return m
	}
	b.change(func() (s Status, tell bool) {
		c := b.by[handler]
		if c == nil {
			c = newCircuit(b.settings)
			b.by[handler] = c
		}
		was := c.state
		var changed bool
		m, changed = c.note(m, key, failed, why, now, b.jitter)
		// What opens again after a trial was never said to have closed.
		return c.status(handler), changed && (was != HalfOpen || c.state != Open)
	})
	return m
}

// change makes a change, wakes who waits for one, and tells of it without the lock.
func (b *Breakers) change(f func() (s Status, tell bool)) {
	b.mu.Lock()
	s, tell := f()
	b.mu.Unlock()
	if tell {
		b.wake()
		b.tell(s)
	}
}

func (b *Breakers) wake() {
	b.mu.Lock()
	close(b.changed)
	b.changed = make(chan struct{})
	b.mu.Unlock()
}

// Leave is the answer to who wants to run handlers.
type Leave struct {
	// Go: nothing stands against it.
	Go bool
	// Probe are the handlers that it would be a probe of, which is then taken: whoever
	// has it runs one event and says with Probed what came of it.
	Probe []string
	// Otherwise it is not to run: ask again when Changed is closed, or after Again.
	Again   time.Duration
	Changed <-chan struct{}
}

// Ask asks whether an event may run that all these handlers are for.
func (b *Breakers) Ask(handlers []string, now time.Time) Leave {
	if b == nil {
		return Leave{Go: true}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	l := Leave{Changed: b.changed}
	for _, h := range handlers {
		c := b.by[h]
		if c == nil || c.state != Open {
			continue
		}
		l.Probe = append(l.Probe, h)
		wait := c.probe.Sub(now)
		if c.probing {
			wait = max(wait, c.interval) // or a change
		}
		l.Again = max(l.Again, wait)
	}
	switch {
	case len(l.Probe) == 0:
		return Leave{Go: true}
	case l.Again > 0:
		l.Probe = nil
		return l
	}
	for _, h := range l.Probe {
		b.by[h].probing = true
	}
	return l
}

// Open reports whether the breaker of one of the handlers is open.
func (b *Breakers) Open(handlers ...string) bool {
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(handlers, func(h string) bool { return b.by[h] != nil && b.by[h].state == Open })
}

// Result is what came of a probe.
type Result uint8

// The results. Unknown: the handler was not asked, so that another event may be tried at once.
const (
	Unknown Result = iota
	Failed
	Passed
)

// Probed ends a probe.
func (b *Breakers) Probed(handler string, r Result, why string, now time.Time) {
	b.mu.Lock()
	b.by[handler].probed(r, why, now, b.jitter)
	b.mu.Unlock()
	b.wake()
}

// Resume closes all breakers at once.
func (b *Breakers) Resume(now time.Time) {
	if b == nil {
		return
	}
	for _, s := range b.List() {
		b.change(func() (Status, bool) {
			changed := b.by[s.Handler].close(now)
			return b.by[s.Handler].status(s.Handler), changed
		})
	}
}

// List returns the breakers of all handlers that have run, by name.
func (b *Breakers) List() []Status {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []Status
	for h, c := range b.by {
		all = append(all, c.status(h))
	}
	slices.SortFunc(all, func(a, b Status) int { return strings.Compare(a.Handler, b.Handler) })
	return all
}
