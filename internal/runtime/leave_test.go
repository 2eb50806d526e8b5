package runtime

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/internal/breaker"
	"github.com/evenkeel-go/evenkeel/internal/seam"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// leaping is a clock whose waits for a probe are soon over, and move it.
type leaping struct{ ticking }

func (c *leaping) After(d time.Duration) (<-chan time.Time, func()) {
	if d != markAfter { // a lane that idles
		c.passed.Add(int64(d))
	}
	return c.standing.After(time.Millisecond)
}

var usual = breaker.Settings{Share: 0.5, Window: 200, Keys: 20}

func brokenLane(w *slowWorld, heard *atomic.Int64) *lane {
	w.broken = true
	clock := &leaping{ticking{standing: standing{seam.System()}}}
	return w.lane(func(o *Options) {
		o.Clock, o.Breaker, o.BatchSize = clock, usual, 100
		o.Log = func(level Level, _ string, _ ...any) {
			if level > Debug {
				heard.Add(1)
			}
		}
	})
}

func (w *slowWorld) breaker(l *lane) breaker.Status {
	for _, s := range l.m.Breakers() {
		if s.State != breaker.Closed {
			return s
		}
	}
	return breaker.Status{}
}

// R22: a lane stops before the next event of a handler that fails on everything, and goes on
// by itself; nothing is lost, and no probe leaves anything behind.
func TestALaneStopsWhereAHandlerFails(t *testing.T) {
	t.Parallel()
	for _, typ := range []string{"told", "quick", "asked", "work", "note"} {
		t.Run(typ, func(t *testing.T) {
			t.Parallel()
			const events = 500
			w := newSlowWorld(t, true)
			for i := range events {
				w.add(said{ID: fmt.Sprint("e", i), Type: typ, Key: fmt.Sprint("k", i)})
			}
			var heard atomic.Int64
			l := brokenLane(w, &heard)
			w.until("probes have failed", func() bool { return w.breaker(l).Probes >= 10 })
			s := w.breaker(l)
			require.Equal(t, breaker.Open, s.State)
			require.Equal(t, []int{20, 20}, []int{s.Failed, s.Of})
			require.Equal(t, errPlain.Error(), s.Error)
			parked := func() int { return len(w.memory.Content().Parked) }
			// Slow handlers that were under way, and one event in three probes.
			waiting := parked()
			require.LessOrEqual(t, waiting, 20+4+w.breaker(l).Probes/probesEach)
			if typ == "note" { // others are cut once more, as their queues were not read at first
				require.GreaterOrEqual(t, parked(), 20)
			}
			require.Empty(t, w.memory.Content().Letters)
			lags, _ := l.m.Lags()
			if typ == "told" || typ == "quick" {
				require.True(t, lags[0].Paused)
				require.Zero(t, lags[0].Queued, "the rest waits in Kafka")
			}
			w.mu.Lock()
			w.broken = false
			w.mu.Unlock()
			w.until("the end", func() bool { return l.position().Next == w.end() })
			require.Empty(t, w.memory.Content().Letters)
			require.Empty(t, w.breaker(l))
			w.until("bytes are given back", func() bool { return l.m.bytes.Load() == 0 })
			left := map[string]bool{}
			for _, p := range w.memory.Content().Parked {
				left[p.Entity] = true
			}
			require.Less(t, len(left), 40)
			for i := range events {
				j := w.job(fmt.Sprint("k", i))
				require.Equal(t, !left[fmt.Sprint("k", i)], j.N == 1 || j.State != "" || j.Log != "", "k%d", i)
			}
			require.EqualValues(t, 3, heard.Load(), "assigned, opened, closed")
		})
	}
}

// What waited for a breaker is judged anew: of a batch that was split, the rest remembers what
// its Set handlers said before, which is of another time, and no probe.
func TestWhatWaitedForABreakerIsAskedAnew(t *testing.T) {
	t.Parallel()
	for name, probed := range map[string]bool{"resumed": false, "probed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const events = 200
			w := newSlowWorld(t, false)
			for i := range events {
				w.add(said{ID: fmt.Sprint("e", i), Type: "told", Key: fmt.Sprint("k", i)})
			}
			clock := &ticking{standing: standing{seam.System()}}
			made := make(chan *lane, 1)
			half, last, before, opened := 0, 0, 0, false
			w.before = func() error {
				w.mu.Lock()
				ran := len(w.runs)
				w.mu.Unlock()
				switch {
				case half == 0 && ran-before > 1: // while the log is fetched batches may be small
					half, last = before+(ran-before)/2, ran
					return &store.DataError{State: "22000", Err: errPlain}
				case half > 0 && !opened: // the first half; meanwhile the handler fails on others' events
					opened = true
					l := <-made
					for i := range 2 * events {
						l.m.breakers.Note(0, w.wiring.Handlers("told")[0].Name, fmt.Sprint("other ", i), true, "x", clock.Now())
					}
					if probed {
						clock.passed.Add(int64(2 * time.Minute))
					}
				}
				before = ran
				return nil
			}
			l := w.lane(func(o *Options) { o.Clock, o.Breaker, o.BatchSize = clock, usual, 40 })
			made <- l
			if !probed {
				w.until("the rest waits", l.shut.Load)
				l.m.breakers.Resume(clock.Now())
			}
			w.until("the end", func() bool { return l.position().Next == w.end() })
			for i := range events {
				require.Equal(t, fmt.Sprint("e", i), w.job(fmt.Sprint("k", i)).State)
				runs := 1 // a Set handler that did not wait takes what it said
				if i >= half && i < last {
					runs = 2
				}
				require.Equal(t, runs, w.ran(int64(i), fmt.Sprint("job k", i)), "k%d", i)
			}
			require.Empty(t, w.memory.Content().Parked)
		})
	}
}

// Events of other handlers before it are judged, and a lane without any goes on.
func TestOnlyTheBrokenHandlerStops(t *testing.T) {
	t.Parallel()
	w := newSlowWorld(t, true)
	for i := range 30 {
		w.add(said{ID: fmt.Sprint("e", i), Type: "told", Key: fmt.Sprint("k", i), Fail: true})
		w.add(said{ID: fmt.Sprint("f", i), Type: "quick", Key: fmt.Sprint("k", i)})
	}
	var heard atomic.Int64
	l := brokenLane(w, &heard)
	w.mu.Lock()
	w.broken = false
	w.mu.Unlock()
	// The rest is broken too, and for good: it goes its way, one event in three probes.
	w.until("the end", func() bool { return l.position().Next == w.end() })
	require.Len(t, w.memory.Content().Letters, 30)
	for i := range 30 {
		require.Equal(t, 1, w.job(fmt.Sprint("k", i)).N)
	}
	require.Equal(t, breaker.Open, w.breaker(l).State)
	require.EqualValues(t, 30, w.breaker(l).Probes)
}

// What is parked for a handler whose breaker is open uses up no attempts, and is a probe, too:
// nothing else may come.
func TestParkedEventsWaitForTheBreaker(t *testing.T) {
	t.Parallel()
	w := newSlowWorld(t, false)
	for i := range 25 {
		w.add(said{ID: fmt.Sprint("e", i), Type: "note", Key: fmt.Sprint("k", i)})
	}
	w.broken = true
	clock := &ticking{standing: standing{seam.System()}}
	l := w.lane(func(o *Options) {
		o.Clock, o.Breaker = clock, usual
		// No letter may come of it, although no attempts are left.
		o.Judge.Delay = func(n int) (time.Duration, bool) { return 0, n < 2 }
	})
	w.until("the breaker opens", func() bool { return w.breaker(l).State == breaker.Open })
	l.abandon()
	<-l.done
	w.mu.Lock()
	w.finished = map[int64]bool{}
	w.mu.Unlock()
	s := &sweeper{m: l.m}
	sweep := func() {
		_, _, err := s.sweep(t.Context(), t.Context())
		require.NoError(t, err)
	}
	attempts := func() (sum int) {
		for _, p := range w.memory.Content().Parked {
			sum += p.Attempts
		}
		return sum
	}
	ran := func() (n int) {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, r := range w.runs {
			n += r
		}
		return n
	}
	require.Equal(t, 20, attempts())
	before := ran()
	sweep()
	require.Equal(t, before, ran(), "none runs before its time")
	for range 5 {
		clock.passed.Add(int64(2 * time.Minute))
		before, probes := ran(), w.breaker(l).Probes
		sweep()
		require.Equal(t, before+2, ran(), "one runs, and at once again")
		require.Equal(t, probes+1, w.breaker(l).Probes)
	}
	require.Equal(t, 20, attempts())
	require.Empty(t, w.memory.Content().Letters)

	// A probe whose transaction fails has said nothing.
	w.mu.Lock()
	w.broken = false
	w.mu.Unlock()
	clock.passed.Add(int64(2 * time.Minute))
	w.before = func() error { return errors.New("away") }
	_, _, err := s.sweep(t.Context(), t.Context())
	require.Error(t, err)
	require.Equal(t, breaker.Open, w.breaker(l).State)

	w.before = nil
	clock.passed.Add(int64(2 * time.Minute))
	sweep()
	require.Equal(t, breaker.HalfOpen, w.breaker(l).State)
	clock.passed.Add(int64(2 * time.Minute))
	sweep()
	require.Empty(t, w.memory.Content().Parked)
	require.Empty(t, w.memory.Content().Letters)
}

// Who waits for leave is stopped like anybody.
func TestALaneThatWaitsForABreakerStops(t *testing.T) {
	t.Parallel()
	for _, slow := range []bool{false, true} {
		w := newSlowWorld(t, slow)
		for i := range 200 {
			w.add(said{ID: fmt.Sprint("e", i), Type: "asked", Key: fmt.Sprint("k", i)})
		}
		w.broken = true
		l := w.lane(func(o *Options) { o.Breaker = usual })
		w.until("the breaker opens", func() bool { return w.breaker(l).State == breaker.Open })
		l.stop()
		<-l.done
		require.Zero(t, l.m.bytes.Load())
		require.Empty(t, l.m.slots)
	}
}
