package runtime

import (
	"context"
	"sync"
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// relay publishes what transactions have left behind after their COMMIT (R10) and tells
// their lanes. A member has two, for letters and for emitted events, each with one
// goroutine. What belongs to one line leaves in the order in which it was handed over, and
// what fails holds back what stands behind it there, and nothing else.
type relay struct {
	m      *Member
	part   string // in the log
	signal chan struct{}

	lineOf func(*parcel) line
	// send publishes and returns one error each, also for what must go once more because
	// something before it in its line has failed.
	send func(ctx context.Context, portion []*parcel) []error
	// claim takes over what nobody has published.
	claim func(ctx context.Context, now, before time.Time) ([]*parcel, error)

	mu     sync.Mutex
	lines  map[line]*waitingLine
	turn   []line // lines whose parcels are not being sent just now, the next one first
	left   int    // parcels handed over and not yet published
	noLane int    // of these, those without a lane
}

// parcel is one letter or one emitted event.
type parcel struct {
	// lane is nil for those of sweepers and of the dead. Such a parcel is the relay's only
	// until expires; then anybody may claim it from the table.
	lane    *lane
	expires time.Time
	letter  *dlq.Letter
	event   *store.Outbound
}

// line is what order is kept in.
type line struct{ topic, key string }

type waitingLine struct {
	parcels  []*parcel
	failures int
	until    time.Time // not before, after a failure
}

const (
	// leftoverEvery and leftoverAge say when what the dead have left is looked for: what
	// belongs to a live lane is published long before. The relay keeps what it has claimed
	// for leaseTime, less than the claim, and what its own sweeper made likewise.
	leftoverEvery = 15 * time.Second
	leftoverAge   = time.Minute
	leaseTime     = 40 * time.Second
	publishAtOnce = 500
	// maxSwept is how many parcels without a lane may wait before more are left in the
	// table.
	maxSwept = 5000
)

// enqueue takes parcels in their order. Lanes stop at a bound of their own; what has no lane
// is found again in the table.
func (r *relay) enqueue(parcels []*parcel) {
	if len(parcels) == 0 {
		return
	}
	expires := r.m.Clock.Now().Add(leaseTime)
	r.mu.Lock()
	for _, p := range parcels {
		if p.lane == nil {
			if r.noLane >= maxSwept {
				continue
			}
			p.expires = expires
			r.noLane++
		}
		at := r.lineOf(p)
		w := r.lines[at]
		if w == nil {
			w = &waitingLine{}
			r.lines[at] = w
			r.turn = append(r.turn, at)
		}
		w.parcels = append(w.parcels, p)
		r.left++
	}
	r.mu.Unlock()
	select {
	case r.signal <- struct{}{}:
	default:
	}
}

func (r *relay) run(ctx context.Context) {
	next, stop := r.m.Clock.After(leftoverEvery)
	defer func() { stop() }()
	r.leftovers(ctx) // whoever starts a member to have something sent does not wait for it
	for ctx.Err() == nil {
		again, free := r.publish(ctx)
		select {
		case <-ctx.Done():
		case <-r.signal:
		case <-again:
		case <-next:
			r.leftovers(ctx)
			next, stop = r.m.Clock.After(leftoverEvery)
		}
		free()
	}
}

// publish sends until nothing is ready, and returns when something will be.
func (r *relay) publish(ctx context.Context) (again <-chan time.Time, free func()) {
	for {
		portion, wait := r.portion(r.m.Clock.Now())
		if len(portion) > 0 {
			r.settle(ctx, portion, r.send(ctx, portion))
		}
		switch {
		case ctx.Err() != nil || len(portion) == 0 && wait == 0:
			return nil, func() {}
		case len(portion) == 0:
			return r.m.Clock.After(wait)
		}
	}
}

// portion takes the next parcels of the lines whose time it is, each line in its turn. What
// belongs to lanes that are gone is left to their next owner. wait is how long until the
// first of the others is ready; 0 means that there is none.
func (r *relay) portion(now time.Time) (portion []*parcel, wait time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var rest []line
	for i, at := range r.turn {
		if len(portion) >= publishAtOnce {
			// They go first the next time.
			rest = append(append([]line{}, r.turn[i:]...), rest...)
			break
		}
		w := r.lines[at]
		if d := w.until.Sub(now); d > 0 {
			rest = append(rest, at)
			if wait == 0 || d < wait {
				wait = d
			}
			continue
		}
		taken := 0
		for len(w.parcels) > 0 && len(portion) < publishAtOnce {
			p := w.parcels[0]
			w.parcels = w.parcels[1:]
			if p.lane == nil && now.After(p.expires) || p.lane != nil && p.lane.ctx.Err() != nil {
				r.gone(p)
				continue
			}
			portion = append(portion, p)
			taken++
		}
		switch {
		case taken > 0: // settle puts it back
		case len(w.parcels) == 0:
			delete(r.lines, at)
		default:
			rest = append(rest, at)
		}
	}
	r.turn = rest
	return portion, wait
}

func (r *relay) gone(p *parcel) {
	r.left--
	if p.lane == nil {
		r.noLane--
	}
}

// settle notes what was published and puts the rest back where it was.
func (r *relay) settle(ctx context.Context, portion []*parcel, errs []error) {
	failed := map[line][]*parcel{}
	var beside published
	r.mu.Lock()
	for i, p := range portion {
		at := r.lineOf(p)
		if errs[i] != nil {
			failed[at] = append(failed[at], p)
			continue
		}
		r.gone(p)
		switch {
		case p.lane != nil && p.event != nil:
			p.lane.out.sent(p.event.ID)
		case p.lane != nil:
			p.lane.out.published(p.letter.ID, p.letter.Rev)
		case p.event != nil:
			beside.events = append(beside.events, p.event.ID)
		default:
			beside.letters = append(beside.letters, store.Mark{ID: p.letter.ID, Rev: p.letter.Rev})
		}
	}
	seen := map[line]bool{}
	for _, p := range portion {
		at := r.lineOf(p)
		if seen[at] {
			continue
		}
		seen[at] = true
		w := r.lines[at]
		if again := failed[at]; len(again) > 0 {
			w.parcels = append(again, w.parcels...)
			w.failures++
			w.until = r.m.Clock.Now().Add(backoff(200*time.Millisecond, 10*time.Second, w.failures))
		} else {
			w.failures, w.until = 0, time.Time{}
		}
		if len(w.parcels) == 0 {
			delete(r.lines, at)
			continue
		}
		r.turn = append(r.turn, at)
	}
	r.mu.Unlock()
	if err := r.m.note(ctx, beside); err != nil {
		// Published once more by whoever finds them.
		r.m.log(Debug, "noting what was published failed", "error", err)
	}
}

// note tells the database what was published, in a transaction of its own.
func (m *Member) note(ctx context.Context, p published) error {
	if len(p.letters) > 0 {
		if err := m.Store.Mark(ctx, p.letters); err != nil {
			return err
		}
	}
	if len(p.events) > 0 {
		return m.Store.Sent(ctx, p.events)
	}
	return nil
}

// leftovers takes over what nobody has published: of sweepers and members that died.
func (r *relay) leftovers(ctx context.Context) {
	now := r.m.Clock.Now()
	found, err := r.claim(ctx, now, now.Add(-leftoverAge))
	if err != nil {
		if ctx.Err() == nil {
			r.m.health.down(partDatabase, err)
		}
		return
	}
	r.enqueue(found)
}

// drain waits until everything is published, within a bound; what is left stays in the
// outbox.
func (r *relay) drain(bound time.Duration) {
	late, stop := r.m.Clock.After(bound)
	defer stop()
	for {
		r.mu.Lock()
		left := r.left
		r.mu.Unlock()
		if left == 0 {
			return
		}
		tick, stopTick := r.m.Clock.After(20 * time.Millisecond)
		select {
		case <-late:
			stopTick()
			r.m.log(Warn, r.part+" stay in the outbox; the next member publishes them", "left", left)
			return
		case <-tick:
		}
	}
}
