package breaker

import "time"

// Settings say when a breaker opens. Of a handler's last Window events more than Share must
// have failed, and those that did must be about Keys different keys at least.
type Settings struct {
	Share  float64
	Window int
	Keys   int
}

const (
	// firstProbe and lastProbe are the shortest and the longest time between two probes,
	// before jitter: each is twice the one before.
	firstProbe = time.Second
	lastProbe  = time.Minute
	// trial is the part of the window and of the keys that counts while half open: a
	// handler that goes on failing has to do so only a quarter as often.
	trial = 4
)

// State is a breaker's.
type State uint8

// The states, by their usual names (Nygard, Release It!). Half open, events run again, but
// the breaker opens sooner than at first, and its probes go on where they were.
const (
	Closed State = iota
	Open
	HalfOpen
)

// String returns the state's name: "closed", "open" or "half-open".
func (s State) String() string { return [...]string{"closed", "open", "half-open"}[s] }

// Mark remembers an outcome, so that it can be told once more. The zero Mark is none.
type Mark int64

type outcome struct {
	key    string
	failed bool
}

// circuit is the breaker of one handler: a state machine without clock or lock.
type circuit struct {
	Settings
	state State
	since time.Time
	why   string // the error that opened it

	// ring holds the outcomes after from, the newest Window of them; total counts all.
	ring        []outcome
	from, total Mark
	failed      int
	keys        map[string]int // of failures
	// shownFailed and shownOf are those of the moment when it opened.
	shownFailed, shownOf int

	// interval is before the next probe, or was before the last one; probe is when that
	// is due, and probing says that it is under way.
	interval time.Duration
	probe    time.Time
	probing  bool
	probes   int // that have failed since it opened
}

func newCircuit(s Settings) *circuit {
	return &circuit{Settings: s, ring: make([]outcome, s.Window), keys: map[string]int{}}
}

// size is how many outcomes the window holds.
func (c *circuit) size() int { return int(min(c.total-c.from, Mark(c.Window))) }

func (c *circuit) at(m Mark) *outcome { return &c.ring[int(m-1)%c.Window] }

// note takes the outcome of an event, or changes one that was noted: its transaction may have
// been refused since. It reports whether that has changed the state. While the breaker is
// open nothing counts but probes.
func (c *circuit) note(m Mark, key string, failed bool, why string, now time.Time, jitter func(time.Duration) time.Duration) (Mark, bool) {
	if c.state == Open {
		return m, false
	}
	if m > c.from && c.total-m < Mark(c.Window) {
		o := c.at(m)
		if o.failed == failed {
			return m, false
		}
		c.count(o, -1)
		o.failed = failed
		c.count(o, +1)
	} else {
		if c.size() == c.Window {
			c.count(c.at(c.total+1), -1)
		}
		c.total++
		m = c.total
		*c.at(m) = outcome{key, failed}
		c.count(c.at(m), +1)
	}
	switch keys := c.enoughKeys(); {
	case failed && len(c.keys) >= keys && float64(c.failed) > c.Share*float64(c.size()):
		c.why = why
		c.open(now, jitter)
		return m, true
	case c.state == HalfOpen && c.size() >= max(c.Window/trial, 1):
		c.state, c.since, c.interval, c.probes = Closed, now, 0, 0
		return m, true
	}
	return m, false
}

func (c *circuit) enoughKeys() int {
	if c.state == HalfOpen {
		return max(c.Keys/trial, 1)
	}
	return c.Keys
}

func (c *circuit) count(o *outcome, by int) {
	if !o.failed {
		return
	}
	c.failed += by
	if c.keys[o.key] += by; c.keys[o.key] == 0 {
		delete(c.keys, o.key)
	}
}

func (c *circuit) open(now time.Time, jitter func(time.Duration) time.Duration) {
	if c.state == Closed {
		c.since, c.interval = now, 0
	}
	c.shownFailed, c.shownOf = c.failed, c.size()
	c.state = Open
	c.forget()
	c.later(now, jitter)
}

func (c *circuit) forget() {
	c.from, c.failed = c.total, 0
	clear(c.keys)
}

func (c *circuit) later(now time.Time, jitter func(time.Duration) time.Duration) {
	c.interval = min(max(2*c.interval, firstProbe), lastProbe)
	c.probe = now.Add(jitter(c.interval))
}

// probed takes what came of a probe.
func (c *circuit) probed(r Result, why string, now time.Time, jitter func(time.Duration) time.Duration) (changed bool) {
	c.probing = false
	if c.state != Open {
		return false // somebody has closed it meanwhile
	}
	switch r {
	case Unknown:
	case Failed:
		c.why = why
		c.probes++
		c.later(now, jitter)
	case Passed:
		c.state = HalfOpen
		return true
	}
	return false
}

// close lets everything run again at once.
func (c *circuit) close(now time.Time) (changed bool) {
	if c.state == Closed {
		return false
	}
	c.state, c.since, c.interval, c.probes = Closed, now, 0, 0
	c.forget()
	return true
}
