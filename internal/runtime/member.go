package runtime

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/broker"
)

// Member is one member of the group.
type Member struct {
	Options
	health *health
	relay  *relay

	// hard ends when everything must be abandoned.
	hard      context.Context //nolint:containedctx // the member's life
	cancel    context.CancelFunc
	bytes     atomic.Int64
	layoutsMu sync.RWMutex

	mu    sync.Mutex
	lanes map[broker.Partition]*lane
}

// New makes a member; Run runs it.
func New(o Options) *Member {
	m := &Member{Options: o, health: newHealth(o.Log), lanes: map[broker.Partition]*lane{}}
	m.hard, m.cancel = context.WithCancel(context.Background())
	m.relay = newRelay(m)
	return m
}

func (m *Member) log(level Level, text string, fields ...any) { m.Log(level, text, fields...) }

const (
	pollTimeout   = 100 * time.Millisecond
	pausedTimeout = 10 * time.Millisecond
	commitEvery   = 200 * time.Millisecond
)

// Run polls until ctx ends or the consumer fails for good.
func (m *Member) Run(ctx context.Context) error {
	if err := m.Consumer.Subscribe(m.Topics, rebalance{m}); err != nil {
		m.cancel()
		return err
	}
	background, stopBackground := context.WithCancel(m.hard)
	var helpers sync.WaitGroup
	spawn := func(name string, f func(context.Context)) {
		helpers.Add(1)
		m.Spawn.Go(name, func() { defer helpers.Done(); f(background) })
	}
	spawn("committer", m.commits)
	spawn("relay", m.relay.run)
	spawn("sweeper", func(ctx context.Context) { (&sweeper{m: m}).run(ctx) })

	err := m.poll(ctx)
	m.shutdown()
	stopBackground()
	helpers.Wait()
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
		p := m.Consumer.Poll(timeout)
		switch {
		case p.Record != nil:
			m.health.up(partBroker)
			l := m.lane(broker.Partition{Topic: p.Record.Topic, Number: p.Record.Partition})
			if l == nil {
				continue
			}
			m.bytes.Add(l.queue.offer(p.Record))
			if !l.paused && m.full(l, 1) {
				m.pause(l, true)
				paused++
			}
		case p.End != nil:
			m.health.up(partBroker)
			if l := m.lane(p.End.Partition); l != nil {
				l.queue.reached(p.End.Next)
			}
		case p.Fatal:
			return fmt.Errorf("evenkeel: the Kafka client can't go on: %w", p.Err)
		case p.OutOfRange:
			m.recheck()
		case p.Away:
			m.health.down(partBroker, p.Err)
		case p.Err != nil:
			m.log(Warn, "Kafka reports an error", "error", p.Err)
		}
	}
	return nil
}

// full reports whether a lane holds enough; parts divides the bounds, so that a paused
// lane is resumed well below them.
func (m *Member) full(l *lane, parts int64) bool {
	n, bytes := l.queue.held()
	if int64(n) >= 8*int64(m.BatchSize)/parts {
		return true
	}
	return n > 0 && (bytes > m.MaxBytes/4/parts || m.bytes.Load() > m.MaxBytes/parts)
}

func (m *Member) pause(l *lane, yes bool) {
	l.paused = yes
	act := m.Consumer.Resume
	if yes {
		act = m.Consumer.Pause
	}
	if err := act(l.p); err != nil {
		m.log(Debug, "pausing or resuming failed", "topic", l.p.Topic, "partition", l.p.Number, "error", err)
	}
	m.Observe.Paused(l.p, yes)
}

// resume lets lanes with room go on and returns how many stay paused.
func (m *Member) resume() int {
	paused := 0
	for _, l := range m.snapshot() {
		switch {
		case !l.paused:
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
	fresh := make(batch.Layouts, len(ls))
	for i, model := range m.Models {
		fresh[model] = ls[i]
	}
	m.layoutsMu.Lock()
	m.Layouts = fresh
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
		m.Observe.Released(l.p, false)
	}
}

// Lost lanes abandon at once: somebody else has their partitions.
func (r rebalance) Lost(ps []broker.Partition) {
	for _, l := range r.m.take(ps) {
		l.abandon()
		r.m.log(Warn, "partition lost", "topic", l.p.Topic, "partition", l.p.Number)
		r.m.Observe.Released(l.p, true)
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

// finish stops lanes softly and reports whether all ended within the bound.
func (m *Member) finish(ls []*lane, bound time.Duration) bool {
	for _, l := range ls {
		l.stop()
	}
	late, stop := m.Clock.After(bound)
	defer stop()
	for _, l := range ls {
		select {
		case <-l.done:
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

// shutdown stops softly, then hard, and leaves the group.
func (m *Member) shutdown() {
	ls := m.snapshot()
	if !m.finish(ls, m.ShutdownTimeout) {
		m.log(Warn, "handlers did not finish in time; their contexts end now", "after", m.ShutdownTimeout)
		for _, l := range ls {
			l.abandon()
		}
		if !m.finish(ls, m.HardStop) {
			m.log(Error, "handlers ignore the end of their contexts; their goroutines are left behind")
		}
	}
	m.relay.drain(m.HardStop)
	for _, l := range ls {
		l.flushMarks()
	}
	m.commit(ls)
	m.mu.Lock()
	m.lanes = map[broker.Partition]*lane{}
	m.mu.Unlock()
	if err := m.Consumer.Close(m.HardStop); err != nil {
		m.log(Warn, "leaving the group failed", "error", err)
	}
}

// Lag is one partition's distance to the end of its log.
type Lag struct {
	Partition   broker.Partition
	Next        int64
	Committed   int64
	LogEnd      int64 // -1: not known
	Queued      int
	QueuedBytes int64
	Unpublished int
	Epoch       int64
	Watermark   time.Time // zero: none
	Paused      bool
}

// Lags returns where the member's partitions stand, and which parts are away.
func (m *Member) Lags() (lags []Lag, away []string) {
	for _, l := range m.snapshot() {
		s := l.position()
		g := Lag{Partition: l.p, Next: s.Next, Epoch: s.Epoch, LogEnd: m.Consumer.LogEnd(l.p)}
		g.Queued, g.QueuedBytes = l.queue.held()
		g.Unpublished, _ = l.out.size()
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
