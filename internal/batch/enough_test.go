package batch_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// after says "enough" from the nth question on.
func after(n int) func() bool {
	return func() bool {
		n--
		return n < 0
	}
}

func (m *memory) admitted(rs []*event.Record, enough func() bool) (*batch.Outcome, []*batch.Item) {
	var items []*batch.Item
	ahead := m.led.Clone()
	for _, r := range rs {
		r.Offset = ahead.Next
		it := m.prepare.Prepare(r)
		m.judge.Admit(it, &ahead, ahead.Next, m.now)
		items = append(items, it)
	}
	out, err := m.judge.Admitted(context.Background(), items, m.layouts, m.recall(items...), m.now, enough)
	require.NoError(m.t, err)
	for _, it := range items[:out.Taken] {
		it.Finish(&m.led)
	}
	m.commit(out)
	return out, items
}

func TestEnoughCutsABatch(t *testing.T) {
	t.Parallel()
	m := newMemory(t, counterRegistry(guards.Once(), nil, map[string]int{}))
	out, items := m.admitted(m.log(ns(1, 2, 3, 4)...), after(1))
	require.Equal(t, 2, out.Taken)
	require.Equal(t, "12", m.order("o1").Customer)
	require.EqualValues(t, 2, m.led.Next)
	out, err := m.judge.Admitted(t.Context(), items[2:], m.layouts, m.recall(items...), m.now, after(0))
	require.NoError(t, err)
	require.Equal(t, 1, out.Taken, "the first is always taken")
}

// What follows in a stream is left, due at once, when its turn takes too long.
func TestEnoughLeavesFollowers(t *testing.T) {
	t.Parallel()
	m := newMemory(t, counterRegistry(guards.Sequence(), nil, map[string]int{}))
	m.judge.MaxParkedPerKey = 100
	m.run(m.log(ns(2, 3, 4)...))
	m.admitted(m.log(n(1)), after(1))
	require.Equal(t, "12", m.order("o1").Customer)
	require.Equal(t, 1, m.woken)

	var units []*batch.Unit
	for _, p := range m.inPlaces() {
		units = append(units, m.prepare.PrepareParked(p))
	}
	require.Len(t, units, 2)
	out, err := m.judge.Waiting(t.Context(), units, m.layouts, m.load(), m.now, func(*store.Parked) bool { return true }, after(1))
	require.NoError(t, err)
	m.commit(out)
	require.Equal(t, "123", m.order("o1").Customer)
	require.Equal(t, m.now, m.inPlaces()[0].Due)
}

// A sweeper's rest is due at once, too, and waits for what it waited for.
func TestEnoughLeavesParkedEvents(t *testing.T) {
	t.Parallel()
	ran, broken := 0, true
	reg := handlers.NewRegistry()
	handlers.Set(reg, "told", func(context.Context, *handlers.Delivery[facts, order]) error {
		if ran++; broken {
			return errFlaky
		}
		return nil
	}, handlers.Creates())
	m := newMemory(t, reg)
	m.run(m.log(ev{"told", "a", 1, "a", ""}, ev{"told", "b", 2, "b", ""}, ev{"told", "c", 3, "c", ""}))
	require.Len(t, m.parked, 3)
	ran, broken = 0, false
	var units []*batch.Unit
	for _, p := range m.parked {
		row := *p
		units = append(units, m.prepare.PrepareParked(&row))
	}
	due := units[2].Parked
	out, err := m.judge.Waiting(t.Context(), units, m.layouts, m.load(), m.now, func(p *store.Parked) bool { return p != due }, after(0))
	require.NoError(t, err)
	require.Equal(t, 1, ran)
	require.Len(t, out.Batch.Repark, 1, "what was not due stays as it is")
	require.Equal(t, m.now, out.Batch.Repark[0].Due)
	require.Equal(t, store.CauseRetry, out.Batch.Repark[0].Cause)
	require.Equal(t, 1, out.Batch.Repark[0].Attempts)
}
