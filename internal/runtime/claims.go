package runtime

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// claims are the parked rows that a sweeper has claimed and is not done with.
type claims struct {
	mu   sync.Mutex
	rows map[store.Mark]bool
	// tails end with the last run of an entity that is under way.
	tails map[string]chan struct{}
}

// add notes the rows of the keys that were claimed, and returns them.
func (c *claims) add(keys [][]*store.Parked, due func(*store.Parked) bool) (rows []store.Mark) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rows == nil {
		c.rows, c.tails = map[store.Mark]bool{}, map[string]chan struct{}{}
	}
	for _, key := range keys {
		for _, p := range key {
			if due(p) {
				m := p.Mark()
				c.rows[m] = true
				rows = append(rows, m)
			}
		}
	}
	return rows
}

// settled drops what a batch that was committed has removed or put off.
func (c *claims) settled(b *store.Batch) {
	c.drop(b.Release)
	again := make([]store.Mark, len(b.Repark))
	for i, p := range b.Repark {
		again[i] = p.Mark()
	}
	c.drop(again)
}

// enqueue lets a run of an entity follow the one before it, which may be under way; both
// would do their work twice.
func (c *claims) enqueue(entity string) (before <-chan struct{}, end func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	tail, mine := c.tails[entity], make(chan struct{})
	c.tails[entity] = mine
	return tail, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		close(mine)
		if c.tails[entity] == mine {
			delete(c.tails, entity)
		}
	}
}

func (c *claims) drop(rows []store.Mark) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range rows {
		delete(c.rows, m)
	}
}

// left are those of the rows that nothing has settled.
func (c *claims) left(rows []store.Mark) (left []store.Mark) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range rows {
		if c.rows[m] {
			left = append(left, m)
		}
	}
	return left
}

// many reports whether so many slow ones are under way that no more should be claimed.
func (c *claims) many() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.rows) >= 2*sweepRows
}

// marks are all that is held.
func (c *claims) marks() []store.Mark {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Keys(c.rows))
}

// done ends the claims of rows that were judged. What is left, since somebody else was first
// or the database did not answer, is put off by a lease, or it would be found at once, again
// and again.
func (s *sweeper) done(ctx context.Context, rows []store.Mark) {
	defer s.claims.drop(rows)
	if err := s.m.Store.Postpone(ctx, s.claims.left(rows), s.m.Clock.Now().Add(lease)); err != nil && ctx.Err() == nil {
		s.m.log(Debug, "parked events that could not be judged are due still", "error", err)
	}
}

// renewals keeps the claims of what is being judged, however long its handlers take.
func (s *sweeper) renewals(ctx context.Context) {
	for s.m.Clock.Sleep(ctx, lease/3) == nil {
		if len(s.claims.marks()) > 0 {
			s.claimUntil(ctx, s.m.Clock.Now().Add(lease))
		}
	}
}

// claimUntil moves the end of the sweeper's claims.
func (s *sweeper) claimUntil(ctx context.Context, until time.Time) {
	if err := s.m.Store.Renew(ctx, s.m.Group, s.m.id, until); err != nil && ctx.Err() == nil {
		s.m.log(Debug, "the claims of parked events could not be renewed", "error", err)
	}
}

// split tells the keys under which a slow handler's events wait from the others. Those of one
// entity stay together, since a stream of numbers may touch several tables.
func (s *sweeper) split(keys [][]*store.Parked) (slow [][][]*store.Parked, rest [][]*store.Parked) {
	at, w := map[string]int{}, s.m.Judge.Wiring
	if w.Slow() {
		for _, key := range keys {
			for _, p := range key {
				if _, known := at[p.Entity]; known || !s.isSlow(p) {
					continue
				}
				at[p.Entity] = len(at)
			}
		}
	}
	slow = make([][][]*store.Parked, len(at))
	for _, key := range keys {
		if i, ok := at[key[0].Entity]; ok {
			slow[i] = append(slow[i], key)
		} else {
			rest = append(rest, key)
		}
	}
	return slow, rest
}

// isSlow reports whether what is parked may run a slow handler. The letter of a whole record
// names none; to know its handlers the record is read.
func (s *sweeper) isSlow(p *store.Parked) bool {
	if p.Handler == "" {
		return s.m.Prepare.PrepareParked(p).Item.Slow()
	}
	h := s.m.Judge.Wiring.Handler(p.EventType, p.Handler)
	return h != nil && batch.Slow(h)
}

// slowly judges the events of one entity beside the sweeps.
func (s *sweeper) slowly(soft, ctx context.Context, keys [][]*store.Parked, due func(*store.Parked) bool) {
	rows := s.claims.add(keys, due)
	before, end := s.claims.enqueue(keys[0][0].Entity)
	s.slow.Go("slow sweep", func() {
		defer end()
		defer s.claims.drop(rows)
		if before != nil {
			<-before
		}
		if !s.m.slot(ctx, soft.Done()) {
			return
		}
		defer s.m.freeSlot()
		if soft.Err() != nil {
			return
		}
		s.m.running.Add(1)
		defer s.m.running.Add(-1)
		defer s.done(ctx, rows)
		if err := s.judge(ctx, keys, due, false, slowTries); err != nil && ctx.Err() == nil {
			s.m.log(Debug, "parked events are left to the next sweep", "error", err)
		}
	})
}
