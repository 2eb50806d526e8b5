package batch_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// lateCause has a late event of a1, whose letter is of its whole record (R6).
func lateCause(t *testing.T) *memory {
	t.Helper()
	reg := handlers.NewRegistry(causal(), guards.MaxFuture(0), guards.MaxLateness(time.Second))
	handlers.Modify(reg, "saved", func(_ context.Context, d *delivery) error {
		d.Entity.Customer += d.Event.ID
		return nil
	}, causal(), handlers.Writes("Customer"))
	m := patientMemory(t, reg)
	m.run(m.log(by("z", "0", "z=1").of("o2").after(100), by("a", "1", "a=1")))
	require.Equal(t, ends{"1": "open"}, m.ends())
	m.reasons()
	return m
}

func (e ev) of(key string) ev {
	e.key = key
	return e
}

func (e ev) after(seconds int) ev {
	e.at = seconds
	return e
}

// giveUp discards all letters of whole records, as a store does.
func (m *memory) giveUp() {
	for _, l := range m.letters {
		l.State = dlq.Discarded
		m.parked[l.ID] = store.SeenOf(&store.LetterMove{Ref: l.Ref(), Move: dlq.MoveDiscard}, l)
	}
}

// TestAWholeRecordThatIsGivenUpCountsAsSeen: its letter names no entity, so it is a member who
// finds for whom its event counts (R14). What waits for it would be the next letter otherwise.
func TestAWholeRecordThatIsGivenUpCountsAsSeen(t *testing.T) {
	t.Parallel()
	two, three := by("a", "2", "a=2").after(101), by("b", "3", "a=2,b=1").after(101)
	t.Run("what waits goes on", func(t *testing.T) {
		t.Parallel()
		m := lateCause(t)
		m.run(m.log(two, three))
		require.Equal(t, []string{"2 gap", "3 gap"}, m.waiting())
		m.giveUp()
		m.sweep()
		require.Empty(t, m.parked)
		require.Equal(t, "23", m.order("o1").Customer)
	})
	t.Run("what comes later does not wait", func(t *testing.T) {
		t.Parallel()
		m := lateCause(t)
		m.giveUp()
		m.sweep()
		require.Nil(t, m.order("o1"), "it has no effect")
		m.run(m.log(two, three))
		require.Empty(t, m.parked)
		require.Equal(t, "23", m.order("o1").Customer)
	})
	t.Run("a row that was written before begins with what comes first all the same", func(t *testing.T) {
		t.Parallel()
		m := lateCause(t)
		m.run(m.log(by("c", "c", "c=1").after(101)))
		clear(m.memos)
		m.giveUp()
		m.sweep()
		m.run(m.log(by("b", "4", "a=5,b=9").after(101)))
		require.Empty(t, m.parked)
		require.Equal(t, "c4", m.order("o1").Customer)
	})
	t.Run("a memo that can't be read keeps it", func(t *testing.T) {
		t.Parallel()
		m := lateCause(t)
		m.run(m.log(two))
		k := store.MemoOf(store.StreamKey{Stream: "causal:orders", Entity: "o1"})
		whole := m.memos[k].Body
		m.memos[k].Body = "{"
		m.giveUp()
		m.sweep()
		require.ElementsMatch(t, []string{"1 seen", "2 gap"}, m.waiting())
		m.memos[k].Body = whole
		m.now = m.now.Add(time.Minute)
		m.sweep()
		require.Empty(t, m.parked)
		require.Equal(t, "2", m.order("o1").Customer)
	})
	t.Run("nobody handles it any more", func(t *testing.T) {
		t.Parallel()
		m := lateCause(t)
		m.events.events[1].typ = "gone"
		m.giveUp()
		m.sweep()
		require.Empty(t, m.parked)
	})
	t.Run("nobody can read it any more", func(t *testing.T) {
		t.Parallel()
		m := lateCause(t)
		m.giveUp()
		for _, p := range m.parked {
			p.Record.Value = []byte("?")
		}
		m.sweep()
		require.Empty(t, m.parked)
	})
}
