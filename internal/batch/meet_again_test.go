package batch_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

// blank begins to rebuild the orders.
func (m *memory) blank(keys ...string) {
	model := m.model("orders")
	streams := batch.StreamsOf(m.judge.Wiring, model, []string{"orders"})
	b, _, err := m.judge.Blank(model, keys, m.layouts, m.load(), streams, m.now)
	require.NoError(m.t, err)
	m.commit(&batch.Outcome{Batch: b})
}

// readAgain is what a rebuild does with records.
func (m *memory) readAgain(rs ...*event.Record) {
	var items []*batch.Item
	for _, r := range rs {
		items = append(items, m.prepare.Prepare(r))
	}
	out, err := m.judge.Replay(context.Background(), items, m.layouts, m.recall(items...), m.now)
	require.NoError(m.t, err)
	m.commit(out)
}

// steps is a registry whose numbered events each emit one.
func steps() *handlers.Registry {
	reg := handlers.NewRegistry(guards.Timestamp())
	handlers.Modify(reg, "count", func(_ context.Context, d *delivery) error {
		d.Entity.Customer += d.Event.ID + " "
		d.Emit(event.Draft{Topic: children, Type: "stepped", Key: d.Event.Key, Payload: facts{Customer: d.Event.ID}})
		return nil
	}, guards.Sequence(), handlers.Writes("Customer"), handlers.Emits(children))
	return reg
}

func (m *memory) steppedBy() (ids []string) {
	for _, e := range m.emitted() {
		ids = append(ids, e.CausationID)
	}
	return ids
}

// TestWhatARebuildLetsGoEmits: what waited has sent nothing yet, whoever lets it go.
func TestWhatARebuildLetsGoEmits(t *testing.T) {
	t.Parallel()
	m := emitting(t, steps())
	m.judge.MaxParkedPerKey = 100
	rs := m.log(ns(1, 3, 2)...)
	m.run(rs[:2])
	require.Equal(t, []string{"1"}, m.steppedBy())
	m.blank("o1")
	m.run(rs[2:])
	require.Equal(t, []string{"2 behind", "3 gap"}, m.waiting())
	m.readAgain(rs[:2]...)
	require.Equal(t, "1 2 3 ", m.order("o1").Customer)
	require.Equal(t, []string{"2", "3"}, m.steppedBy(), "1 has sent what it had to")
}

// TestAParkedEventThatFailsIsNotOvertakenByItsNeighbour: what a sweep parks for another try
// holds up those behind it at once (R9).
func TestAParkedEventThatFailsIsNotOvertakenByItsNeighbour(t *testing.T) {
	t.Parallel()
	fails := map[string]int{"a": 2}
	reg := handlers.NewRegistry(guards.Timestamp())
	handlers.Set(reg, "created", func(context.Context, *delivery) error { return nil }, handlers.Creates(), handlers.Writes("Note"))
	handlers.Modify(reg, "count", func(_ context.Context, d *delivery) error {
		if fails[d.Event.ID] > 0 {
			fails[d.Event.ID]--
			return errFlaky
		}
		d.Entity.Customer += d.Event.ID + " "
		return nil
	}, guards.Timestamp(), handlers.Writes("Customer"), handlers.OnMissing(handlers.MissingPark))
	m := newMemory(t, reg)
	m.run(m.log(ev{"count", "o1", 1, "a", ""}, ev{"count", "o1", 2, "b", ""}))
	require.Equal(t, []string{"a missing", "b missing"}, m.waiting())
	m.run(m.log(ev{"created", "o1", 3, "c", ""}))
	m.now = m.now.Add(10 * time.Second)
	m.sweep()
	require.Equal(t, "a retry", m.waiting()[0])
	for range 3 {
		m.now = m.now.Add(time.Minute)
		m.sweep()
	}
	require.Empty(t, m.waiting())
	require.Equal(t, "a b ", m.order("o1").Customer)
}

// TestARebuildLeavesTheStreamsOfOthers: where a stream remembers its numbers, its events are
// only read again for other rows.
func TestARebuildLeavesTheStreamsOfOthers(t *testing.T) {
	t.Parallel()
	m := emitting(t, steps())
	m.rowsAtOnce = 1
	rs := m.log(ns(3, 2, 1)...)
	m.run(rs)
	m.run(m.log(ns(6, 5)...))
	m.run(m.log(ns(4)...))
	require.Equal(t, []string{"6 gap"}, m.waiting(), "it is due, and nobody has looked yet")
	m.steppedBy()
	m.reasons()
	m.readAgain(rs...)
	require.Equal(t, []string{"6 gap"}, m.waiting())
	require.Empty(t, m.steppedBy())
	require.Equal(t, []string{"discard/redelivered", "discard/redelivered", "discard/redelivered"}, m.reasons())
}

// TestAGapThatIsGivenUpDuringARebuild: a stream passes over it in the end, and what was read
// again stays.
func TestAGapThatIsGivenUpDuringARebuild(t *testing.T) {
	t.Parallel()
	m := emitting(t, steps())
	rs := m.log(ns(1, 2, 4)...)
	m.run(rs)
	m.later(time.Hour)
	require.Len(t, m.letters, 1)
	m.blank("o1")
	for id, l := range m.letters { // an operator discards it
		memo := m.memos[store.MemoOf(store.StreamKey{Stream: "orders", Entity: "o1"})]
		body, err := tables.SkipGap(&store.LetterMove{Move: dlq.MoveDiscard}, l, memo.Body)
		require.NoError(t, err)
		memo.Body, memo.Rev = body, memo.Rev+1
		gone := *l
		gone.Blocking = false
		m.letters[id] = &gone
	}
	m.readAgain(rs...)
	require.Equal(t, "1 2 ", m.order("o1").Customer)
	m.whole("o1")
	m.run(m.log(ns(5)...))
	require.Equal(t, "1 2 5 ", m.order("o1").Customer)
}

// whole ends what blank began.
func (m *memory) whole(keys ...string) {
	model := m.model("orders")
	streams := batch.StreamsOf(m.judge.Wiring, model, []string{"orders"})
	b, _, err := m.judge.Whole(model, keys, m.load(), streams, m.now)
	require.NoError(m.t, err)
	m.commit(&batch.Outcome{Batch: b})
}
