package runtime

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/evenkeel-go/evenkeel/internal/broker"
	"github.com/evenkeel-go/evenkeel/internal/ledger"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// lane turns the records of one assigned partition into committed batches. It has one
// goroutine, which the member starts and whose end closes done.
type lane struct {
	m     *Member
	p     broker.Partition
	queue *queue
	out   *tracker

	// ctx ends when the lane must abandon what it does; soft is closed when it should
	// finish the batch under way and stop.
	ctx     context.Context //nolint:containedctx // the lane's life
	abandon context.CancelFunc
	soft    chan struct{}
	stopped sync.Once
	done    chan struct{}

	// recheck asks the lane to look at its position: the broker says that some
	// partition's is out of range.
	recheck atomic.Bool
	// remade says that the topic has another id than the one that the lane reads.
	remade atomic.Bool
	paused atomic.Bool // written by the poll goroutine alone
	// shut says that nothing is fetched while the lane waits for leave; written by the
	// lane's goroutine alone.
	shut atomic.Bool
	lost atomic.Bool // somebody else had the partition before this lane ended

	// term ends when what is under way must be abandoned because the lane has lost its
	// hold, which is less than its life; endTerm takes the reason.
	term    context.Context //nolint:containedctx // a part of the lane's life
	endTerm context.CancelCauseFunc
	// ahead is the ledger as it will be when all that was taken is finished: what records
	// are admitted by (R6). Those that were taken cover the offsets below reached. Both
	// belong to the lane's goroutine.
	ahead   ledger.State
	reached int64
	held    *chains

	// committing is held while a batch is bound to the ledger and committed. Who locks
	// rows takes it first.
	committing sync.Mutex
	mu         sync.Mutex
	led        ledger.State
	owned      bool
	committed  int64 // what Kafka was last told, -1 before

	// unsent are events that the lane has found and not handed over yet.
	unsent []*store.Outbound
}

var errAbandoned = errors.New("the lane was told to stop")

func newLane(m *Member, p broker.Partition) *lane {
	l := &lane{
		m: m, p: p, queue: newQueue(), out: newTracker(), held: newChains(),
		soft: make(chan struct{}), done: make(chan struct{}), committed: -1,
	}
	l.ctx, l.abandon = context.WithCancel(m.hard)
	l.newTerm()
	return l
}

// stop asks the lane to finish what it does and end.
func (l *lane) stop() { l.stopped.Do(func() { close(l.soft) }) }

func (l *lane) stopping() bool {
	select {
	case <-l.soft:
		return true
	case <-l.ctx.Done():
		return true
	default:
		return false
	}
}

func (l *lane) run() {
	defer close(l.done)
	defer func() { l.m.Observe.Released(l.p, l.lost.Load()) }()
	defer func() { l.m.bytes.Add(-l.queue.drop()) }()
	err := l.own()
	for fenced := 0; !errors.Is(err, errAbandoned); {
		if err == nil {
			if err = l.turn(); err == nil {
				fenced = 0
			}
			continue
		}
		// The ledger fences transactions; the group says whose the partition is. A
		// zombie hears soon that it has lost it. Until somebody says so, it is ours,
		// and nobody else reads it.
		fenced++
		l.endTerm(err)
		l.quiesce()
		l.newTerm()
		l.m.log(Warn, "the lane lost its hold; taking the partition over again unless the group takes it away", "topic", l.p.Topic, "partition", l.p.Number, "error", err)
		if err = l.wait(backoff(time.Second, 30*time.Second, fenced)); err == nil {
			if err = l.halt(); err == nil {
				err = l.own()
			}
		}
	}
	l.quiesce()
	l.flushMarks()
}

// exclusively runs f while nothing is polled.
func (l *lane) exclusively(f func() error) error {
	select {
	case l.m.feed <- struct{}{}:
	case <-l.soft:
		return errAbandoned
	case <-l.ctx.Done():
		return errAbandoned
	}
	defer func() { <-l.m.feed }()
	return f()
}

// halt stops the partition and forgets what was fetched of it.
func (l *lane) halt() error {
	return l.exclusively(func() error {
		if err := l.m.Consumer.Pause(l.p); err != nil {
			l.m.log(Debug, "pausing failed", "topic", l.p.Topic, "partition", l.p.Number, "error", err)
		}
		l.m.bytes.Add(-l.queue.drop())
		return nil
	})
}

// begin fetches from next on.
func (l *lane) begin(next int64) error {
	return l.exclusively(func() error {
		l.shut.Store(false)
		l.queue.start(next)
		l.ahead, l.reached = l.position().Clone(), next
		return l.m.Consumer.Start(l.p, next)
	})
}

// turn waits for something to do and does it.
func (l *lane) turn() error {
	for {
		if l.stopping() {
			return errAbandoned
		}
		if err := l.ended(); err != nil {
			return err
		}
		if err := l.reposition(); err != nil {
			return err
		}
		if n, bytes := l.out.size(); n < l.m.MaxUnpublished && bytes < maxUnpublishedBytes {
			if did, err := l.release(); did || err != nil {
				return err
			}
			if l.room() {
				if l.shut.Load() {
					if err := l.fetchOn(); err != nil {
						return err
					}
				}
				records, _, end := l.queue.take(l.m.BatchSize)
				if len(records) > 0 {
					return l.process(records)
				}
				if held, _, _ := l.held.size(); held == 0 && end > l.position().Next {
					return l.passHole(end)
				}
			}
		}
		if !l.idle() && l.out.hasMarks() {
			l.flushMarks()
		}
	}
}

const (
	// markAfter is how long an idle lane waits for a batch to take its marks along.
	markAfter = 100 * time.Millisecond
	// maxUnpublishedBytes bounds the letters and emitted events that a lane keeps in
	// memory for their topics.
	maxUnpublishedBytes = 16 << 20
)

// idle waits for work and reports whether it came before markAfter.
func (l *lane) idle() bool {
	timer, stop := l.m.Clock.After(markAfter)
	defer stop()
	select {
	case <-l.queue.signal:
		return true
	case <-l.soft:
		return true
	case <-l.term.Done(): // with ctx
		return true
	case <-timer:
		return false
	}
}

// flushMarks notes what was published in a transaction of its own.
func (l *lane) flushMarks() {
	marks := l.out.takeMarks()
	if marks.empty() {
		return
	}
	if err := l.m.note(l.ctx, marks); err != nil {
		l.out.giveBack(marks)
		if l.ctx.Err() == nil {
			l.m.health.down("the database", err)
		}
	}
}

func (l *lane) position() ledger.State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.led
}

func (l *lane) setPosition(s ledger.State) {
	l.mu.Lock()
	l.led, l.owned = s, true
	l.mu.Unlock()
}

// committable returns the offset to commit, with its token; ok is false when Kafka has
// been told already or the lane owns nothing yet.
func (l *lane) committable() (o broker.Offset, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.owned {
		return o, false
	}
	n := l.out.committable(l.led.Next)
	if n == l.committed || n < 0 {
		return o, false
	}
	t := ledger.Token{Cluster: l.led.Cluster, TopicID: l.led.TopicID, Epoch: l.led.Epoch, Offset: n}
	return broker.Offset{Partition: l.p, Next: n, Metadata: t.String()}, true
}

func (l *lane) setCommitted(n int64) {
	l.mu.Lock()
	l.committed = n
	l.mu.Unlock()
}

// wait sleeps about d, with a jitter of half, unless the lane must stop.
func (l *lane) wait(d time.Duration) error {
	if d > 0 {
		d = d/2 + rand.N(d) //nolint:gosec // jitter
	}
	timer, stop := l.m.Clock.After(d)
	defer stop()
	select {
	case <-timer:
		return nil
	case <-l.soft:
		return errAbandoned
	case <-l.term.Done(): // with ctx
		return l.ended()
	}
}
