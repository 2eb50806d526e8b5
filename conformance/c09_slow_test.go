package conformance

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// Call is written by handlers that take long: without a guard, so that a second effect shows,
// and in the order of numbers.
type Call struct {
	ID      string `gorm:"primaryKey"`
	N       int64
	Trail   string
	Numbers string
	guards.Guarded
}

type callDelivery = handlers.Delivery[struct{}, Call]

// calls wires slow handlers, which do what run says meanwhile, and one that is not.
func calls(run func(context.Context, *callDelivery) error) func() *handlers.Registry {
	return func() *handlers.Registry {
		reg := handlers.NewRegistry()
		called := func(slow bool) func(ctx context.Context, d *callDelivery) error {
			return func(ctx context.Context, d *callDelivery) error {
				if slow {
					if err := run(ctx, d); err != nil {
						return err
					}
				}
				d.Entity.N++
				d.Entity.Trail += d.Event.ID + " "
				return nil
			}
		}
		handlers.Modify(reg, "called", called(true), guards.None(), handlers.Writes("N", "Trail"), handlers.Slow(), handlers.External())
		handlers.Modify(reg, "noted", called(false), guards.None(), handlers.Writes("N", "Trail"))
		handlers.Modify(reg, "dialled", func(ctx context.Context, d *callDelivery) error {
			if err := run(ctx, d); err != nil {
				return err
			}
			d.Entity.Numbers += fmt.Sprint(d.Event.Version, " ")
			return nil
		}, guards.Sequence(), handlers.Writes("Numbers"), handlers.Slow())
		return reg
	}
}

func newCallWorld(t testing.TB, at combination, partitions int, run func(context.Context, *callDelivery) error) *world {
	t.Helper()
	w := newWorld(t, at, partitions)
	w.tables(&Call{})
	w.registry = calls(run)
	return w
}

func (w *world) call(typ, key, id string) said {
	return said{id: id, source: "desk", typ: typ, key: key, at: w.began.Add(-time.Minute)}
}

func (w *world) calls() map[string]Call {
	w.t.Helper()
	got := map[string]Call{}
	for k, c := range all(w, func(c *Call) string { return c.ID }) {
		got[k] = c
	}
	return got
}

// effects is how many there are.
func (w *world) effects() (n int64) {
	for _, c := range w.calls() {
		n += c.N
	}
	return n
}

// done is what the ledger has finished out of order.
func (w *world) outOfOrder() string {
	w.t.Helper()
	var done []string
	require.NoError(w.t, w.db.Raw("SELECT done FROM evenkeel_ledger WHERE grp = ? ORDER BY partition", w.group).Scan(&done).Error)
	return strings.Join(done, "")
}

func TestC09BlockedKeyHoldsUpNobody(t *testing.T) {
	each(t, "C09", func(t *testing.T, at combination) {
		const parallel = 4
		gate := make(chan struct{})
		var under, most atomic.Int64
		w := newCallWorld(t, at, 1, func(ctx context.Context, d *callDelivery) error {
			most.Store(max(most.Load(), under.Add(1)))
			defer under.Add(-1)
			if d.Event.ID != "blocked" {
				return nil
			}
			select {
			case <-gate:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		w.tell(0, w.call("called", "a", "first"), w.call("called", "b", "blocked"))
		for i := range 100 {
			w.tell(0, w.call([]string{"called", "noted"}[i%2], fmt.Sprint("k", i%20), fmt.Sprint("e", i)))
		}
		w.tell(0, w.call("noted", "b", "behind"), w.call("noted", "a", "last"))
		m := w.start(func(c *framework.Config) { c.Parallel = parallel })
		where := func() string { return fmt.Sprintf("%d effects, %+v", w.effects(), m.consumer.Stats()) }
		w.eventually(func() bool { return w.effects() == 102 }, where)
		w.eventually(func() bool {
			next, committed, _ := w.position(0)
			s := m.consumer.Stats()
			return next == 1 && committed == 1 && s.Slow == 1 && s.Partitions[0].Held == 2
		}, where)
		require.NotEmpty(t, w.outOfOrder())
		require.NotContains(t, w.calls(), "b")
		close(gate)
		w.drain(1)
		require.Equal(t, "blocked behind ", w.calls()["b"].Trail)
		require.Equal(t, "first last ", w.calls()["a"].Trail)
		require.EqualValues(t, 104, w.effects())
		require.Empty(t, strings.Trim(w.outOfOrder(), "[]"))
		require.LessOrEqual(t, most.Load(), int64(parallel))
	})
}

// A member is killed while slow handlers run: what it has finished does not run again, and
// the rest does.
func TestC09KilledInTheMiddle(t *testing.T) {
	each(t, "C09", func(t *testing.T, at combination) {
		const events = 300
		var calls atomic.Int64
		w := newCallWorld(t, at, 2, func(context.Context, *callDelivery) error {
			calls.Add(1)
			return nil
		})
		w.tell(0, w.call("called", "stuck", "stuck"), w.call("called", "stuck", "stuck too"))
		for i := range events {
			w.tell(int32(i%2), w.call("called", fmt.Sprint("k", i%50), fmt.Sprint("e", i)))
		}
		dead := w.spawn(func(s *childSpec) { s.Slow, s.Fault, s.Nth = true, dieAtHandler, 150 })
		dead.died()
		finished := w.effects()
		require.Positive(t, finished)
		require.Less(t, finished, int64(150))
		require.NotEmpty(t, strings.Trim(w.outOfOrder(), "[]"), "what was finished beside the stuck one")
		w.start(quick)
		w.drain(2)
		require.EqualValues(t, events+2, w.effects())
		require.Equal(t, int64(events+2)-finished, calls.Load(), "what was finished does not run again")
		for key, c := range w.calls() {
			require.Equal(t, c.N, int64(len(strings.Fields(strings.ReplaceAll(c.Trail, "stuck too", "stuck")))), key)
		}
	})
}

// slowMember is the member of TestC09KilledInTheMiddle that dies.
func slowMember(f *faults) func() *handlers.Registry {
	var seen atomic.Int64
	return calls(func(ctx context.Context, d *callDelivery) error {
		if d.Event.Key == "stuck" {
			<-ctx.Done()
			return ctx.Err()
		}
		f.strike(dieAtHandler, seen.Add(1))
		return nil
	})
}

// Partitions move while their handlers run: those are finished or abandoned within the bound,
// and each event has one effect.
func TestC09RevokedInTheMiddle(t *testing.T) {
	each(t, "C09", func(t *testing.T, at combination) {
		const partitions, keys, per = 4, 24, 6
		var open atomic.Bool
		gate := make(chan struct{})
		var abandoned atomic.Int64
		w := newCallWorld(t, at, partitions, func(ctx context.Context, d *callDelivery) error {
			if open.Load() || d.Event.Record.Offset%3 > 0 {
				return nil
			}
			select {
			case <-gate:
				return nil
			case <-ctx.Done():
				abandoned.Add(1)
				return ctx.Err()
			}
		})
		want := map[string]string{}
		for i := range keys * per {
			key := fmt.Sprint("k", i%keys)
			id := fmt.Sprint("e", i)
			want[key] += id + " "
			w.tell(int32(i%keys%partitions), w.call("called", key, id))
		}
		short := func(c *framework.Config) { c.RevokeTimeout = 300 * time.Millisecond }
		one := w.start(quick, short)
		where := func() string { return fmt.Sprintf("%+v", one.consumer.Stats()) }
		w.eventually(func() bool { return one.consumer.Stats().Slow >= 4 && w.effects() > 0 }, where)
		two := w.start(quick, short)
		w.eventually(func() bool {
			return len(one.consumer.Stats().Partitions) == 2 && len(two.consumer.Stats().Partitions) == 2
		}, where)
		w.eventually(func() bool { return abandoned.Load() > 0 }, where)
		open.Store(true)
		close(gate)
		w.drain(partitions)
		got := map[string]string{}
		for key, c := range w.calls() {
			got[key] = c.Trail
		}
		require.Equal(t, want, got)
	})
}

// Handlers end in any order, and each key's events have their effects in the order of the log,
// numbered ones in that of their numbers.
func TestC09OrderWithinAKey(t *testing.T) {
	each(t, "C09", func(t *testing.T, at combination) {
		const keys, per = 8, 15
		rng := newRand(9)
		var mu sync.Mutex
		running := map[string]bool{}
		var clashes atomic.Int64
		turns := make(chan struct{})
		w := newCallWorld(t, at, 1, func(ctx context.Context, d *callDelivery) error {
			mu.Lock()
			if running[d.Entity.ID] {
				clashes.Add(1)
			}
			running[d.Entity.ID] = true
			mu.Unlock()
			defer func() {
				mu.Lock()
				running[d.Entity.ID] = false
				mu.Unlock()
			}()
			select {
			case <-turns: // whoever is lucky
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		trail, numbers := map[string]string{}, map[string]string{}
		next := map[string]int64{}
		var events []said
		for i := range keys * per {
			key := fmt.Sprint("k", i%keys)
			next[key]++
			n := w.call("dialled", key, fmt.Sprint("n", i))
			n.version = next[key]
			numbers[key] += fmt.Sprint(n.version, " ")
			events = append(events, n)
		}
		rng.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		for i := range keys * per {
			key := fmt.Sprint("k", rng.IntN(keys))
			e := w.call([]string{"called", "called", "noted"}[i%3], key, fmt.Sprint("e", i))
			trail[key] += e.id + " "
			events = append(events[:2*i:2*i], append([]said{e}, events[2*i:]...)...)
		}
		w.tell(0, events...)
		w.start(smallBatches(30))
		stop := make(chan struct{})
		var feeding sync.WaitGroup
		feeding.Go(func() {
			for {
				select {
				case turns <- struct{}{}:
				case <-stop:
					return
				}
			}
		})
		w.drain(1)
		close(stop)
		feeding.Wait()
		for key, c := range w.calls() {
			require.Equal(t, trail[key], c.Trail, key)
			require.Equal(t, numbers[key], c.Numbers, key)
		}
		require.Zero(t, clashes.Load(), "two handlers of one key at once")
	})
}
