package runtime

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/breaker"
	"github.com/evenkeel-go/evenkeel/internal/broker"
	"github.com/evenkeel-go/evenkeel/internal/seam"
)

// Member is one member of the group.
type Member struct {
	Options
	health *health
	relay  *relay // of letters
	events *relay

	// id names it in evenkeel_members and evenkeel_claims.
	id string
	// hard ends when everything must be abandoned.
	hard   context.Context //nolint:containedctx // the member's life
	cancel context.CancelFunc
	bytes  atomic.Int64
	// slots hold a token for each slow handler that is under way, which running counts.
	slots   chan struct{}
	running atomic.Int64
	// reading is when a lane last began to read, or will have at the latest.
	reading atomic.Pointer[time.Time]
	// feed holds a token while something is polled and handed to its lane, or while a
	// lane moves its partition's position: so nothing that was polled before a move is
	// taken for what comes after it.
	feed      chan struct{}
	layoutsMu sync.RWMutex
	breakers  *breaker.Breakers
	controls  controls
	// complaints are about the client's errors, by their texts.
	complaints seam.Seldom

	mu    sync.Mutex
	lanes map[broker.Partition]*lane
}

// New makes a member; Run runs it.
func New(o Options) *Member {
	m := &Member{Options: o, id: rand.Text(), slots: make(chan struct{}, max(o.Parallel, 1)), health: newHealth(o.Log), lanes: map[broker.Partition]*lane{}, feed: make(chan struct{}, 1), complaints: seam.Seldom{Every: time.Minute, Max: 100}}
	m.hard, m.cancel = context.WithCancel(context.Background())
	m.relay, m.events = letterRelay(m), eventRelay(m)
	if o.Breaker.Window > 0 {
		m.breakers = breaker.New(o.Breaker, m.broke)
		m.Judge.Breakers = m.breakers
	}
	return m
}

func (m *Member) log(level Level, text string, fields ...any) { m.Log(level, text, fields...) }

const (
	pollTimeout   = 100 * time.Millisecond
	pausedTimeout = 10 * time.Millisecond
	commitEvery   = 200 * time.Millisecond
	identifyEvery = 5 * time.Second
)

// Run polls until ctx ends or the consumer fails for good.
func (m *Member) Run(ctx context.Context) error {
	m.controls.begin()
	if err := m.Consumer.Subscribe(m.Topics, rebalance{m}); err != nil {
		m.cancel()
		return err
	}
	joined := m.Clock.Now().Add(joinGrace)
	m.reading.Store(&joined)
	background, stopBackground := context.WithCancel(m.hard)
	spawn := func(name string, f func()) <-chan struct{} {
		done := make(chan struct{})
		m.Spawn.Go(name, func() { defer close(done); f() })
		return done
	}
	// The sweeper runs handlers, so it is stopped as lanes are: softly, then hard.
	soft, stopSweeping := context.WithCancel(m.hard)
	hard, abandonSweep := context.WithCancel(m.hard)
	committer := spawn("committer", func() { m.commits(background) })
	identifying := spawn("identities", func() { m.identities(background) })
	relaying := spawn("relay", func() { m.relay.run(background) })
	sending := spawn("event relay", func() { m.events.run(background) })
	beating := spawn("beats", func() { m.beats(background) })
	sweeping := spawn("sweeper", func() { (&sweeper{m: m, upkeep: upkeep{m: m}}).run(soft, hard) })
	replaying := spawn("jobs", func() { newJobs(m).run(soft, background) })

	err := m.poll(ctx)
	stopSweeping()
	left := m.shutdown(sweeping, abandonSweep)
	m.await(left()/2, replaying)
	stopBackground()
	abandonSweep()
	m.await(left(), replaying, committer, identifying, beating, relaying, sending, sweeping)
	m.cancel()
	return err
}

// poll feeds the lanes. It never runs user code and never waits for a lane.
func (m *Member) poll(ctx context.Context) error {
	paused := 0
	for ctx.Err() == nil {
		timeout := pollTimeout
		if paused > 0 {
			paused = m.resume()
			timeout = pausedTimeout
		}
		m.feed <- struct{}{}
		p := m.Consumer.Poll(timeout)
		if p.Record != nil {
			paused += m.deliver(p.Record)
		}
		if p.End != nil {
			if l := m.lane(p.End.Partition); l != nil {
				l.queue.reached(p.End.Next)
			}
		}
		<-m.feed
		switch {
		case p.Record != nil, p.End != nil:
			m.health.up(partBroker)
		case p.Fatal:
			return fmt.Errorf("evenkeel: the Kafka client can't go on: %w", p.Err)
		case p.OutOfRange:
			m.recheck()
		case p.Away:
			m.health.down(partBroker, p.Err)
		case p.Connection:
			// One for each try, and each with another text.
			m.log(Debug, "a connection to Kafka failed", "error", p.Err)
		case p.Err != nil:
			m.complain(p.Err)
		}
	}
	return nil
}

// complain logs an error of the client, one of a kind no more than once a minute: it comes
// again with each try.
func (m *Member) complain(err error) {
	level := Warn
	if _, ok := m.complaints.Now(err.Error(), m.Clock.Now()); !ok {
		level = Debug
	}
	m.log(level, "Kafka reports an error", "error", err)
}

// deliver hands a record to its lane and returns 1 if that paused it.
func (m *Member) deliver(r *event.Record) int {
	l := m.lane(broker.Partition{Topic: r.Topic, Number: r.Partition})
	if l == nil {
		return 0
	}
	m.bytes.Add(l.queue.offer(r))
	if l.paused.Load() || !m.full(l, 1) {
		return 0
	}
	m.pause(l, true)
	return 1
}

// leastAhead is how many records a lane takes before it is paused, however small its batches
// are. A pause throws away what the client has fetched ahead, and up to a second may pass from a
// resume until it fetches again: to hold eight batches of two would be to read sixteen records a second.
const leastAhead = 1000

// full reports whether a lane holds enough, or wants nothing; parts divides the bounds, so that a paused
// lane is resumed well below them.
func (m *Member) full(l *lane, parts int64) bool {
	if l.shut.Load() {
		return true
	}
	n, bytes := l.queue.held()
	if int64(n) >= max(8*int64(m.BatchSize), leastAhead)/parts {
		return true
	}
	return n > 0 && (bytes > m.MaxBytes/4/parts || m.bytes.Load() > m.MaxBytes/parts)
}

func (m *Member) pause(l *lane, yes bool) {
	l.paused.Store(yes)
	act := m.Consumer.Resume
	if yes {
		act = m.Consumer.Pause
	}
	if err := act(l.p); err != nil {
		m.log(Debug, "pausing or resuming failed", "topic", l.p.Topic, "partition", l.p.Number, "error", err)
	}
}

// resume lets lanes with room go on and returns how many stay paused.
func (m *Member) resume() int {
	paused := 0
	for _, l := range m.snapshot() {
		switch {
		case !l.paused.Load():
		case m.full(l, 2):
			paused++
		default:
			m.pause(l, false)
		}
	}
	return paused
}

func (m *Member) recheck() {
	for _, l := range m.snapshot() {
		l.recheck.Store(true)
		l.queue.wake()
	}
}

// identities looks whether topics were deleted and made again. librdkafka goes on at the
// old offset in the new topic if that has grown as long before the next fetch.
func (m *Member) identities(ctx context.Context) {
	for m.Clock.Sleep(ctx, identifyEvery) == nil {
		ids := map[string]string{}
		for _, l := range m.snapshot() {
			have := l.position().TopicID
			id, asked := ids[l.p.Topic]
			if !asked && have != "" {
				if t, err := m.Consumer.Describe(ctx, l.p.Topic); err == nil {
					id = t.ID
				}
				ids[l.p.Topic] = id
			}
			if id != "" && have != "" && id != have {
				l.remade.Store(true)
				l.queue.wake()
			}
		}
	}
}

func (m *Member) lane(p broker.Partition) *lane {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lanes[p]
}

func (m *Member) snapshot() []*lane {
	m.mu.Lock()
	defer m.mu.Unlock()
	ls := make([]*lane, 0, len(m.lanes))
	for _, l := range m.lanes {
		ls = append(ls, l)
	}
	return ls
}

// layouts returns the clocks' layouts as they are known now.
func (m *Member) layouts() batch.Layouts {
	m.layoutsMu.RLock()
	defer m.layoutsMu.RUnlock()
	return m.Layouts
}

// reloadLayouts reads which columns newer versions of the service have added (R5).
func (m *Member) reloadLayouts(ctx context.Context) error {
	ls, err := m.Store.Claim(ctx, m.Group, m.Models, false)
	if err != nil {
		return err
	}
	m.layoutsMu.Lock()
	m.Layouts = batch.LayoutsOf(m.Models, ls)
	m.layoutsMu.Unlock()
	return nil
}

// rebalance is the Member as the broker sees it.
type rebalance struct{ m *Member }

func (r rebalance) Assigned(ps []broker.Partition) {
	m := r.m
	for _, p := range ps {
		l := newLane(m, p)
		m.mu.Lock()
		m.lanes[p] = l
		m.mu.Unlock()
		m.Spawn.Go("lane", l.run)
	}
}

// Revoked lets the lanes finish the batch under way, within a bound. What they have
// committed by then is told to Kafka; what is still running is fenced by the database
// once the next owner has raised the epoch.
func (r rebalance) Revoked(ps []broker.Partition) {
	m := r.m
	ls := m.take(ps)
	m.finish(ls, m.RevokeTimeout)
	m.commit(ls)
	for _, l := range ls {
		l.abandon()
		m.log(Info, "partition revoked", "topic", l.p.Topic, "partition", l.p.Number)
	}
}

// Lost lanes abandon at once: somebody else has their partitions.
func (r rebalance) Lost(ps []broker.Partition) {
	for _, l := range r.m.take(ps) {
		l.lost.Store(true)
		l.abandon()
		r.m.log(Warn, "partition lost", "topic", l.p.Topic, "partition", l.p.Number)
	}
}

func (m *Member) take(ps []broker.Partition) []*lane {
	m.mu.Lock()
	defer m.mu.Unlock()
	var ls []*lane
	for _, p := range ps {
		if l := m.lanes[p]; l != nil {
			ls = append(ls, l)
			delete(m.lanes, p)
		}
	}
	return ls
}

// finish stops lanes softly and reports whether all ended within the bound, and others
// with them.
func (m *Member) finish(ls []*lane, bound time.Duration, others ...<-chan struct{}) bool {
	for _, l := range ls {
		l.stop()
		others = append(others, l.done)
	}
	return m.await(bound, others...)
}

// await reports whether all goroutines ended within the bound.
func (m *Member) await(bound time.Duration, ends ...<-chan struct{}) bool {
	late, stop := m.Clock.After(bound)
	defer stop()
	for _, end := range ends {
		select {
		case <-end:
		case <-late:
			return false
		}
	}
	return true
}

// commits tells Kafka the lanes' positions.
func (m *Member) commits(ctx context.Context) {
	for m.Clock.Sleep(ctx, commitEvery) == nil {
		m.commit(m.snapshot())
	}
}

func (m *Member) commit(ls []*lane) {
	var offsets []broker.Offset
	var of []*lane
	for _, l := range ls {
		if o, ok := l.committable(); ok {
			offsets, of = append(offsets, o), append(of, l)
		}
	}
	if len(offsets) == 0 {
		return
	}
	ctx, cancel := m.Clock.WithTimeout(m.hard, m.RevokeTimeout)
	defer cancel()
	if err := m.Consumer.Commit(ctx, offsets); err != nil {
		// The token makes the next owner start at the ledger, so a commit that
		// failed costs nothing; the next one carries the position on.
		m.log(Debug, "committing offsets failed", "error", err)
		return
	}
	for i, l := range of {
		l.setCommitted(offsets[i].Next)
	}
}

// shutdown stops softly, then hard, and leaves the group. After the soft stop everything
// shares one bound, HardStop, and no step takes more than half of what is left of it;
// left returns that.
func (m *Member) shutdown(sweeping <-chan struct{}, abandonSweep func()) (left func() time.Duration) {
	ls := m.snapshot()
	finished := m.finish(ls, m.ShutdownTimeout, sweeping)
	end := m.Clock.Now().Add(m.HardStop)
	left = func() time.Duration { return max(end.Sub(m.Clock.Now()), 0) }
	if !finished {
		m.log(Warn, "handlers did not finish in time; their contexts end now", "after", m.ShutdownTimeout)
		for _, l := range ls {
			l.abandon()
		}
		abandonSweep()
		if !m.finish(ls, left()/2, sweeping) {
			m.log(Error, "handlers ignore the end of their contexts; their goroutines are left behind")
		}
	}
	m.relay.drain(left() / 3)
	m.events.drain(left() / 3)
	told := make(chan struct{})
	m.Spawn.Go("last words", func() {
		defer close(told)
		for _, l := range ls {
			l.flushMarks()
		}
		m.commit(ls)
	})
	m.await(left()/2, told)
	m.mu.Lock()
	m.lanes = map[broker.Partition]*lane{}
	m.mu.Unlock()
	if err := m.Consumer.Close(left() * 3 / 4); err != nil {
		m.log(Warn, "leaving the group failed", "error", err)
	}
	return left
}

// Lag is one partition's distance to the end of its log.
type Lag struct {
	Partition   broker.Partition
	Next        int64
	Committed   int64
	LogEnd      int64 // -1: not known
	Queued      int
	QueuedBytes int64
	Held        int // records that were taken and wait for slow ones, or are such
	Unpublished int
	Epoch       int64
	Watermark   time.Time // zero: none
	Paused      bool
	Shut        bool // paused since the lane waits for leave (R22)
}

// Breakers are those of the handlers that have run.
func (m *Member) Breakers() []breaker.Status { return m.breakers.List() }

// Running is how many slow handlers are under way.
func (m *Member) Running() int64 { return m.running.Load() }

// Lags returns where the member's partitions stand, and which parts are away.
func (m *Member) Lags() (lags []Lag, away []string) {
	for _, l := range m.snapshot() {
		s := l.position()
		g := Lag{Partition: l.p, Next: s.Next, Epoch: s.Epoch, LogEnd: m.Consumer.LogEnd(l.p), Paused: l.paused.Load() || l.shut.Load(), Shut: l.shut.Load()}
		g.Queued, g.QueuedBytes = l.queue.held()
		g.Unpublished, _ = l.out.size()
		g.Held, _, _ = l.held.size()
		l.mu.Lock()
		g.Committed = l.committed
		l.mu.Unlock()
		if s.HasWatermark {
			g.Watermark = time.UnixMicro(s.Watermark).UTC()
		}
		lags = append(lags, g)
	}
	return lags, m.health.list()
}
