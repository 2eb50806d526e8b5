package conformance

import (
	"context"
	"fmt"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// slack is what a busy machine may add to a bound. What a stop must not wait for is longer.
const slack = 15 * time.Second

// stopWithin cancels the member and checks that Run returns nil within the time.
func (m *member) stopWithin(most time.Duration) {
	m.w.t.Helper()
	began := time.Now()
	m.stop()
	require.Less(m.w.t, time.Since(began), most, "Run took longer\n%s", m.w.log.tail(20))
}

// marked runs do so that the goroutines that begin in it, and in those, carry the world's
// label.
func (w *world) marked(do func()) {
	pprof.Do(context.Background(), pprof.Labels("world", w.label), func(context.Context) { do() })
}

var labels atomic.Int64

// leaks gives the goroutines that the world begins from now on a label of their own, and
// returns a function that checks that none of them is left. So other tests may run meanwhile.
func (w *world) leaks() func() {
	w.label = fmt.Sprint("world ", labels.Add(1))
	mark := fmt.Sprintf("# labels: {%q:%q}", "world", w.label)
	return func() {
		w.t.Helper()
		var left []string
		w.eventually(func() bool {
			left = nil
			var all strings.Builder
			require.NoError(w.t, pprof.Lookup("goroutine").WriteTo(&all, 1))
			for stack := range strings.SplitSeq(all.String(), "\n\n") {
				if strings.Contains(stack, mark) {
					left = append(left, stack)
				}
			}
			return left == nil
		}, func() string { return "these goroutines are left:\n" + strings.Join(left, "\n\n") })
	}
}

// gate is a handler that stands still until it is opened, whatever its context says.
type gate struct {
	entered chan string
	open    chan struct{}
	once    sync.Once
}

func newGate(t *testing.T) *gate {
	g := &gate{entered: make(chan string, 1000), open: make(chan struct{})}
	t.Cleanup(g.release) // so that a failed test leaves nothing behind
	return g
}

func (g *gate) release() { g.once.Do(func() { close(g.open) }) }

func (g *gate) pass(key string) {
	g.entered <- key
	<-g.open
}

func (g *gate) await(t *testing.T) {
	t.Helper()
	select {
	case <-g.entered:
	case <-time.After(bound):
		t.Fatal("no handler was called")
	}
}

// notes is a registry with one handler.
func notes(fn func(context.Context, *delivery) error) func() *handlers.Registry {
	return func() *handlers.Registry {
		reg := handlers.NewRegistry()
		handlers.Set(reg, "order.noted", fn, handlers.Writes("Note"), blankIsFine)
		return reg
	}
}

func (w *world) note(n int) said {
	key := fmt.Sprintf("o-%d", n)
	return said{id: key, source: "shop", typ: "order.noted", key: key, at: w.began.Add(-time.Minute), data: `{"note":"done"}`}
}

func TestB13RunEndsAtOnceAndLeavesNothing(t *testing.T) {
	t.Parallel()
	each(t, "B13", func(t *testing.T, at combination) {
		t.Parallel()
		w := newWorld(t, at, 3)
		// The first member makes what stays: the pool's connections, the broker's group.
		first := w.start()
		w.tell(-1, w.note(0))
		w.eventually(func() bool { return first.consumer.Stats().Records == 1 }, func() string { return "the first event" })
		first.stop()
		clean := w.leaks()

		const notes, together = 500, 5
		m := w.start(func(c *framework.Config) { c.Metrics = discardMetrics{}; c.ShutdownTimeout = time.Minute })
		for n := 0; n < notes; n += together {
			var some []said
			for i := range together {
				some = append(some, w.note(n+i))
			}
			w.tell(-1, some...)
			if n == notes/5 {
				w.eventually(func() bool { return m.consumer.Stats().Records > 0 }, func() string { return "some event" })
			}
		}
		m.stopWithin(slack) // in the middle of the work
		require.Zero(t, w.log.count("their contexts end now"))
		clean()
		w.marked(func() {
			// Stopped is stopped: a second Run, and Close, do nothing.
			require.Error(t, m.consumer.Run(t.Context()))
			require.NoError(t, m.consumer.Close())
			// A consumer that is never run leaves nothing either.
			idle, err := framework.New(w.db, w.config())
			require.NoError(t, err)
			require.NoError(t, idle.Close())
		})
		clean()

		w.start()
		w.drain(3)
		require.Len(t, all(w, func(o *Order) string { return o.ID }), notes)
		require.Empty(t, w.letters())
	})
}

type discardMetrics struct{}

func (discardMetrics) Count(string, int64, ...string)   {}
func (discardMetrics) Gauge(string, float64, ...string) {}

// TestB13SoftStop: a handler that heeds its context is let finish for ShutdownTimeout, and
// then told to end.
func TestB13AHandlerThatHeedsItsContext(t *testing.T) {
	t.Parallel()
	each(t, "B13", func(t *testing.T, at combination) {
		t.Parallel()
		w := newWorld(t, at, 1)
		entered, finish := make(chan string, 1000), make(chan struct{})
		w.registry = notes(func(ctx context.Context, d *delivery) error {
			d.Entity.Note = d.Payload.Note
			entered <- d.Event.Key
			select {
			case <-finish:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		w.tell(0, w.note(1))
		quick := func(c *framework.Config) { c.ShutdownTimeout = 300 * time.Millisecond }
		m := w.start(quick)
		<-entered
		m.stopWithin(300*time.Millisecond + slack)
		require.Equal(t, 1, w.log.count("their contexts end now"))
		require.Zero(t, w.log.count("ignore the end of their contexts"))
		require.Empty(t, all(w, func(o *Order) string { return o.ID }), "the handler did not finish, so it has no effect")
		require.Empty(t, w.waiting())
		require.Empty(t, w.letters())

		// One that does finish in time has its effect.
		m = w.start(func(c *framework.Config) { c.ShutdownTimeout = time.Minute })
		<-entered
		m.cancel()
		finish <- struct{}{}
		m.stopWithin(slack)
		require.Len(t, all(w, func(o *Order) string { return o.ID }), 1)
		next, committed, _ := w.position(0)
		require.EqualValues(t, 1, next)
		require.EqualValues(t, 1, committed, "the offset is told before the group is left")

		close(finish)
	})
}

// TestB13HardStop: a handler ignores that its context has ended. Run returns all the same,
// and what the handler does afterwards has no effect.
func TestB13AHandlerThatIgnoresItsContext(t *testing.T) {
	t.Parallel()
	each(t, "B13", func(t *testing.T, at combination) {
		t.Parallel()
		w := newWorld(t, at, 1)
		stuck := newGate(t)
		w.registry = notes(func(_ context.Context, d *delivery) error {
			note := "from the stuck member"
			d.Entity.Note = &note
			stuck.pass(d.Event.Key)
			return nil
		})
		w.tell(0, w.note(1))
		warm := w.start(func(c *framework.Config) {
			c.Group = w.broker.Group("warm")
			c.TakeTables = true
			c.Handlers = notes(noted)()
		})
		w.eventually(func() bool { return warm.consumer.Stats().Records == 1 }, func() string { return "the first event" })
		warm.stop()
		require.NoError(t, w.db.Exec("DELETE FROM orders").Error)
		clean := w.leaks()

		m := w.start(func(c *framework.Config) { c.ShutdownTimeout = 200 * time.Millisecond; c.TakeTables = true })
		stuck.await(t)
		m.stopWithin(200*time.Millisecond + framework.HardStop + slack)
		require.Equal(t, 1, w.log.count("ignore the end of their contexts"))
		stuck.release()
		clean()
		require.Empty(t, all(w, func(o *Order) string { return o.ID }))

		w.registry = notes(noted)
		w.start()
		w.drain(1)
		require.Equal(t, "done", *all(w, func(o *Order) string { return o.ID })["o-1"].Note)
	})
}

// TestB13StuckSweeper: the handler that hangs runs a parked event.
func TestB13AStuckRetryIsLikewise(t *testing.T) {
	t.Parallel()
	each(t, "B13", func(t *testing.T, at combination) {
		t.Parallel()
		w := newWorld(t, at, 1)
		stuck := newGate(t)
		w.registry = notes(func(_ context.Context, d *delivery) error {
			if d.Attempt > 2 {
				stuck.pass(d.Event.Key)
			}
			return errHandler
		})
		w.tell(0, w.note(1))
		m := w.start(func(c *framework.Config) { c.ShutdownTimeout = 200 * time.Millisecond })
		stuck.await(t)
		m.stopWithin(200*time.Millisecond + framework.HardStop + slack)
		require.Equal(t, map[string]string{"o-1": "retry"}, w.waiting())
		stuck.release()
	})
}

// TestB13NoBroker: the broker goes while a batch is under way, so that nobody answers the
// commit, the letter and the farewell: once it is gone for good, once it takes every
// request and says nothing.
func TestB13AStopWithoutABroker(t *testing.T) {
	t.Parallel()
	if broker() != brokerKfake {
		t.Skip("only the embedded broker can be told to be silent: make test has it")
	}
	for _, silent := range []bool{false, true} {
		t.Run(map[bool]string{false: "gone", true: "silent"}[silent], func(t *testing.T) {
			t.Parallel()
			each(t, "B13", func(t *testing.T, at combination) {
				t.Parallel()
				stopWithoutABroker(t, at, silent)
			})
		})
	}
}

func stopWithoutABroker(t *testing.T, at combination, silent bool) {
	t.Helper()
	w := newWorld(t, at, 1)
	hold := newGate(t)
	w.registry = notes(func(_ context.Context, d *delivery) error {
		d.Entity.Note = d.Payload.Note
		hold.pass(d.Event.Key)
		if d.Event.Key == "o-2" {
			return handlers.DeadLetter(errHandler)
		}
		return nil
	})
	w.tell(0, w.note(1), w.note(2))
	m := w.start()
	hold.await(t)
	if silent {
		fake, speak := w.broker.Embedded(), make(chan struct{})
		t.Cleanup(func() { close(speak) })
		fake.Control(func(kmsg.Request) (kmsg.Response, error, bool) {
			fake.KeepControl()
			fake.SleepControl(func() { <-speak })
			return nil, nil, false
		})
	} else {
		w.broker.Close()
	}
	hold.release()
	w.eventually(func() bool { return m.consumer.Stats().Records == 2 }, func() string { return "the effects go on without the broker" })
	m.stopWithin(framework.HardStop + slack)
	require.Len(t, all(w, func(o *Order) string { return o.ID }), 1)
	require.Len(t, w.letters(), 1)
	require.Zero(t, w.letters()[0].PublishedAt)
}
