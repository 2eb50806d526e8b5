package runtime

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/evenkeel-go/evenkeel/internal/breaker"
	"github.com/evenkeel-go/evenkeel/internal/broker"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// beatEvery is how often a member says that it lives, and hears what it is told; the wait has
// a jitter of a half.
const beatEvery = 3 * time.Second

// beats tells the database of the member, and the member what people say there, until ctx
// ends. A database that is away is told of by those who need it.
func (m *Member) beats(ctx context.Context) {
	self := &store.Member{
		ID: m.id, Group: m.Group, Owner: m.Owner, Version: m.Judge.ServiceVersion, Started: m.Clock.Now(),
	}
	var others fleet
	for {
		self.State = m.state()
		controls, err := m.Store.Beat(ctx, self)
		if err != nil {
			m.log(Debug, "the database has not heard that this member lives", "error", err)
		} else {
			m.obey(controls)
			m.compare(ctx, &others, self)
		}
		if m.Clock.Sleep(ctx, beatEvery/2+rand.N(beatEvery)) != nil { //nolint:gosec // jitter
			break
		}
	}
	last, cancel := m.Clock.WithTimeout(m.hard, time.Second)
	defer cancel()
	if err := m.Store.Leave(last, self.ID); err != nil {
		m.log(Debug, "the database has not heard that this member has ended", "error", err)
	}
}

// state is what people are to know of the member.
func (m *Member) state() store.MemberState {
	s := store.MemberState{
		Partitions: []store.MemberPartition{}, Breakers: []store.MemberBreaker{},
		Handles: m.handles(), UnhandledLetters: m.Judge.DeadLetterUnhandled,
	}
	lags, _ := m.Lags()
	for _, g := range lags {
		s.Partitions = append(s.Partitions, store.MemberPartition{Topic: g.Partition.Topic, Partition: g.Partition.Number, Next: g.Next, LogEnd: g.LogEnd, Held: g.Shut})
	}
	for _, b := range m.Breakers() {
		if b.State == breaker.Closed {
			continue
		}
		of := store.MemberBreaker{Handler: b.Handler, State: b.State.String(), Since: b.Since.UnixMicro(), Failed: b.Failed, Of: b.Of, Probes: b.Probes, Error: b.Error}
		if !b.NextProbe.IsZero() {
			of.NextProbe = b.NextProbe.UnixMicro()
		}
		s.Breakers = append(s.Breakers, of)
	}
	return s
}

// obey does what people have said since the last beat.
func (m *Member) obey(told []store.Control) {
	resumed := m.controls.set(told, func(what string, c store.Control) {
		m.log(Info, "told to "+what, "scope", c.String(), "by", c.By, "why", c.Reason)
	})
	if resumed {
		m.breakers.Resume(m.Clock.Now())
	}
}

// controls are what the members of the group are told.
type controls struct {
	mu   sync.Mutex
	told []store.Control
	// asked and heard: a member that has asked what it is to do runs nothing before it has
	// heard.
	asked   bool
	heard   bool
	resumes int64
	changed chan struct{} // closed at the next change
}

// set takes what was read, tells of what is new, and reports whether there was a word to go
// on since the last time.
func (c *controls) set(told []store.Control, tell func(what string, c store.Control)) (resumed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := map[store.Scope]bool{}
	for _, old := range c.told {
		was[old.Scope] = old.Paused
	}
	changed := !c.heard
	for _, now := range told {
		if now.Paused != was[now.Scope] {
			changed = true
			if now.Paused {
				tell("let it be", now)
			} else {
				tell("go on", now)
			}
		}
		if now.Resumes > c.resumes {
			resumed = c.heard // what was said before this member began is not for it
			c.resumes = now.Resumes
		}
	}
	c.told, c.heard = told, true
	if changed && c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
	return resumed
}

// begin makes everybody wait for the first set.
func (c *controls) begin() {
	c.mu.Lock()
	c.asked = true
	c.mu.Unlock()
}

// ask asks whether a partition may go on.
func (c *controls) ask(p broker.Partition) breaker.Leave {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.paused(func(s store.Scope) bool { return s.Holds(p.Topic, p.Number) }) {
		return breaker.Leave{Go: true}
	}
	if c.changed == nil {
		c.changed = make(chan struct{})
	}
	return breaker.Leave{Changed: c.changed, Again: math.MaxInt64}
}

// all reports whether the whole group is paused: then nothing that is parked runs either.
func (c *controls) all() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.paused(func(s store.Scope) bool { return s.Topic == "" })
}

func (c *controls) paused(holds func(store.Scope) bool) bool {
	return c.asked && !c.heard || slices.ContainsFunc(c.told, func(c store.Control) bool { return c.Paused && holds(c.Scope) })
}
