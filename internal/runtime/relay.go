package runtime

import (
	"context"
	"sync"
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// relay publishes letters after their transaction has committed (R10), in the order in
// which they were handed over, and tells their lanes. It has one goroutine.
type relay struct {
	m      *Member
	signal chan struct{}

	mu     sync.Mutex
	queue  []order
	active int // letters handed over and not yet published
}

// order is one letter to publish; lane is nil for those of sweepers and of the dead.
type order struct {
	lane   *lane
	letter *dlq.Letter
}

func newRelay(m *Member) *relay { return &relay{m: m, signal: make(chan struct{}, 1)} }

func (r *relay) enqueue(l *lane, letters []*dlq.Letter) {
	if len(letters) == 0 {
		return
	}
	r.mu.Lock()
	if l == nil && len(r.queue) > maxSwept {
		// Lanes stop at a bound of their own; sweepers' letters are found again in the
		// table, by Leftovers.
		r.mu.Unlock()
		return
	}
	for _, letter := range letters {
		r.queue = append(r.queue, order{lane: l, letter: letter})
	}
	r.mu.Unlock()
	select {
	case r.signal <- struct{}{}:
	default:
	}
}

const (
	partLetters = "the dead-letter topic"
	// leftoverEvery and leftoverAge say when letters of the dead are looked for: those
	// of a live lane are published long before.
	leftoverEvery = 15 * time.Second
	leftoverAge   = time.Minute
	publishAtOnce = 500
	// maxSwept is how many letters may wait before those of sweepers are left in the
	// table.
	maxSwept = 5000
)

func (r *relay) run(ctx context.Context) {
	failures := 0
	next, stop := r.m.Clock.After(leftoverEvery)
	defer func() { stop() }()
	for ctx.Err() == nil {
		if failed := r.publish(ctx); failed {
			failures++
			if r.m.Clock.Sleep(ctx, backoff(200*time.Millisecond, 10*time.Second, failures)) != nil {
				return
			}
			select {
			case <-next:
				r.leftovers(ctx)
				next, stop = r.m.Clock.After(leftoverEvery)
			default:
			}
			continue
		}
		failures = 0
		select {
		case <-ctx.Done():
			return
		case <-r.signal:
		case <-next:
			r.leftovers(ctx)
			next, stop = r.m.Clock.After(leftoverEvery)
		}
	}
}

// publish hands a portion to the publisher and reports whether some letter failed.
func (r *relay) publish(ctx context.Context) (failed bool) {
	for ctx.Err() == nil {
		portion := r.portion()
		if len(portion) == 0 {
			return false
		}
		letters := make([]*dlq.Letter, len(portion))
		for i, o := range portion {
			letters[i] = o.letter
		}
		results := r.m.Publisher.Publish(ctx, letters)
		var again []order
		var marks []store.Mark
		for i, res := range results {
			switch o := portion[i]; {
			case res.Err != nil:
				if ctx.Err() == nil {
					r.m.health.down(partLetters, res.Err)
				}
				again, failed = append(again, o), true
			case o.lane != nil:
				o.lane.out.published(res.ID, res.Rev)
			default:
				marks = append(marks, store.Mark{ID: res.ID, Rev: res.Rev})
			}
		}
		r.giveBack(again)
		if n := len(results) - len(again); n > 0 {
			r.m.health.up(partLetters)
			r.m.Observe.Published(n)
		}
		if len(marks) > 0 {
			if err := r.m.Store.Mark(ctx, marks); err != nil {
				// Unmarked, they are published once more by whoever finds them.
				r.m.log(Debug, "marking published letters failed", "error", err)
			}
		}
		if failed {
			return true
		}
	}
	return false
}

// portion takes the next letters; those of lanes that are gone are left to their next
// owner.
func (r *relay) portion() []order {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []order
	for len(r.queue) > 0 && len(out) < publishAtOnce {
		o := r.queue[0]
		r.queue = r.queue[1:]
		if o.lane == nil || o.lane.ctx.Err() == nil {
			out = append(out, o)
		}
	}
	if len(r.queue) == 0 {
		r.queue = nil
	}
	r.active = len(out)
	return out
}

func (r *relay) giveBack(again []order) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.queue = append(again, r.queue...)
	r.active = 0
}

// leftovers takes over letters that nobody has published: of sweepers and members that
// died.
func (r *relay) leftovers(ctx context.Context) {
	now := r.m.Clock.Now()
	letters, err := r.m.Store.Leftovers(ctx, r.m.Group, now, now.Add(-leftoverAge), leftoverAge, publishAtOnce)
	if err != nil {
		if ctx.Err() == nil {
			r.m.health.down(partDatabase, err)
		}
		return
	}
	var mine []*dlq.Letter
	for _, l := range letters {
		if !r.m.publishes(l) {
			mine = append(mine, l)
		}
	}
	r.enqueue(nil, mine)
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

// drain waits until everything is published, within a bound; what is left stays in the
// outbox.
func (r *relay) drain(bound time.Duration) {
	late, stop := r.m.Clock.After(bound)
	defer stop()
	for {
		r.mu.Lock()
		left := len(r.queue) + r.active
		r.mu.Unlock()
		if left == 0 {
			return
		}
		tick, stopTick := r.m.Clock.After(20 * time.Millisecond)
		select {
		case <-late:
			stopTick()
			r.m.log(Warn, "letters stay in the outbox; the next member publishes them", "letters", left)
			return
		case <-tick:
		}
	}
}
