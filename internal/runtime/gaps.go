package runtime

import (
	"time"

	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// gaps tells of gaps that have reached a bound (R7, R14). The log has one a minute for each
// stream name: a producer that loses events does so for many entities.
func (m *Member) gaps(gs []batch.Gap) {
	for _, g := range gs {
		if silent, ok := m.complaints.Now("gap "+g.Stream, m.Clock.Now()); ok {
			what := "a gap in a stream of numbers has reached its bound"
			if g.Node != "" {
				what = "an event's causes have not come within the bound"
			}
			m.log(Warn, what, "stream", g.Stream, "entity", g.Entity, "node", g.Node,
				"missing", g.Missing, "waiting", g.Waiting, "policy", g.Policy.String(), "full", g.Full, "like it since the last line", silent)
		}
		m.Observe.Gap(g)
	}
}

// joinGrace is how long a member that has just begun gets to be given a partition, before
// it judges gaps without having read anything.
const joinGrace = 30 * time.Second

// patient gives an event that waits for numbers before it the time that it has, anew where
// this member has begun to read a partition since: what is missing may be in the backlog,
// and a backlog is no gap.
func (s *sweeper) patient(p *store.Parked) *store.Parked {
	began := s.m.reading.Load()
	if p.Cause != store.CauseGap || began == nil || p.Expires.IsZero() {
		return p
	}
	// A sweeper runs its batch several times, and the row stays what was claimed.
	again := *p
	if e := began.Add(s.m.gapTimeout(p)); e.After(p.Expires) {
		again.Expires = e
	}
	return &again
}

// gapTimeout is how long a parked event waits for those before it.
func (m *Member) gapTimeout(p *store.Parked) time.Duration {
	h := m.Judge.Wiring.Handler(p.EventType, p.Handler)
	switch {
	case h != nil && h.Stream != nil:
		return h.Stream.GapTimeout
	case h != nil && h.Causal != nil:
		return h.Causal.Wait
	}
	return 0
}
