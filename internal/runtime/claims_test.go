package runtime

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm/schema"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// TestWhatLetsSlowOnesGoIsSwept besides the others, too: in a stream, and as a cause.
func TestWhatLetsSlowOnesGoIsSwept(t *testing.T) {
	t.Parallel()
	reg := handlers.NewRegistry()
	count := func(context.Context, *handlers.Delivery[said, tally]) error { return nil }
	state := func(context.Context, *handlers.Delivery[said, job]) error { return nil }
	causal := handlers.By(guards.Vector(guards.Causal(time.Minute)))
	handlers.Set(reg, "quick", state, causal, handlers.Writes("State"), handlers.Name("quick"))
	handlers.Set(reg, "slow", state, causal, handlers.Writes("Log"), handlers.Slow(), handlers.Name("slow"))
	handlers.Modify(reg, "beside", state, guards.Once(), handlers.Writes("Trace"), handlers.Name("beside"))
	handlers.Modify(reg, "quick", count, guards.Sequence(), handlers.Writes("Trace"), handlers.Name("quick number"))
	handlers.Modify(reg, "slow", count, guards.Sequence(), handlers.Writes("Trace"), handlers.Slow(), handlers.Name("slow number"))
	w, err := reg.Wire(schema.NamingStrategy{})
	require.NoError(t, err)
	s := &sweeper{m: &Member{Options: Options{Judge: &batch.Judge{Wiring: w}}}}
	for _, c := range []struct {
		typ, handler string
		slow         bool
	}{
		{"quick", "quick", true},
		{"slow", "slow", true},
		{"beside", "beside", false},
		{"quick", "quick number", true},
		{"slow", "slow number", true},
		{"quick", "registered no more", false},
	} {
		slow, rest := s.split([][]*store.Parked{{{Entity: "a", EventType: c.typ, Handler: c.handler}}})
		require.Equal(t, c.slow, len(slow) == 1, c.handler)
		require.Equal(t, c.slow, len(rest) == 0, c.handler)
	}
}

// Batches that run at once must not meet at an entity, whose stream several tables may share.
func TestPartsKeepEntitiesTogether(t *testing.T) {
	t.Parallel()
	for keys, want := range map[int]int{0: 1, 1: 1, 2*sweepRows - 1: 1, 2 * sweepRows: 2, 100 * sweepRows: sweepAtOnce} {
		var all [][]*store.Parked
		for i := range keys {
			all = append(all, []*store.Parked{{Table: fmt.Sprint(i % 3), Entity: fmt.Sprint(i / 2)}})
		}
		at, n, least := map[string]int{}, 0, keys
		found := parts(all)
		require.Len(t, found, want)
		for i, part := range found {
			least = min(least, len(part))
			for _, key := range part {
				n++
				if j, known := at[key[0].Entity]; known {
					require.Equal(t, j, i)
				}
				at[key[0].Entity] = i
			}
		}
		require.Equal(t, keys, n)
		require.GreaterOrEqual(t, least, keys/want-2)
	}
}

// What a sweep could not settle is due again when a lease has passed, not at once, and nobody
// holds it meanwhile.
func TestWhatASweepLeavesIsPutOff(t *testing.T) {
	t.Parallel()
	w := newSlowWorld(t, true)
	for i := range 3 {
		w.add(said{ID: fmt.Sprint("q", i), Type: "told", Key: fmt.Sprint("q", i)})
	}
	w.broken = true
	l := w.lane(func(o *Options) { o.Judge.Delay = func(int) (time.Duration, bool) { return 0, true } })
	w.until("all are parked", func() bool { return len(w.memory.Content().Parked) == 3 })
	w.mu.Lock()
	w.broken, w.finished = false, map[int64]bool{}
	w.mu.Unlock()
	w.before = func() error { return errors.New("not today") }
	s := &sweeper{m: l.m}
	n, _, err := s.sweep(t.Context(), t.Context())
	require.Error(t, err)
	require.Equal(t, 3, n)
	require.Empty(t, s.claims.marks())
	now := l.m.Clock.Now()
	for _, p := range w.memory.Content().Parked {
		require.Equal(t, now.Add(lease).UnixMicro(), p.Due.UnixMicro())
		require.EqualValues(t, 1, p.Rev)
	}
}

// A sweeper that ends lets go of what it holds.
func TestASweeperThatEndsLetsGo(t *testing.T) {
	t.Parallel()
	w := newSlowWorld(t, true)
	w.add(said{ID: "a", Type: "told", Key: "a"})
	w.broken = true
	l := w.lane(func(o *Options) {
		o.Judge.Delay, o.SweepInterval = func(int) (time.Duration, bool) { return 0, true }, time.Hour
	})
	w.until("it is parked", func() bool { return len(w.memory.Content().Parked) == 1 })
	ask := &store.DueQuery{Group: "g", Owner: l.m.id, Now: l.m.Clock.Now(), Lease: lease, Limit: 1, PerKey: 1}
	due := func() int {
		rows, err := w.memory.Due(t.Context(), ask)
		require.NoError(t, err)
		return len(rows)
	}
	require.Equal(t, 1, due())
	ask.Owner = "another"
	require.Zero(t, due())
	ended, end := context.WithCancel(t.Context())
	end()
	(&sweeper{m: l.m}).run(ended, t.Context())
	require.Equal(t, 1, due())
}
