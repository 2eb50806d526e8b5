package batch_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

func move(key string, number int, id string) ev { return ev{"count", key, number, id, ""} }

// TestUnreadableStreamStopsNobodyElse: a batch that failed for it would be tried for ever.
func TestUnreadableStreamStopsNobodyElse(t *testing.T) {
	t.Parallel()
	x := mend("f")
	m := newMemory(t, x.registry(guards.Sequence(guards.GapTimeout(time.Minute))))
	m.judge.MaxParkedPerKey = 20
	m.run(m.log(move("o1", 1, "a"), move("o1", 3, "c"), move("o2", 2, "w"), move("o3", 1, "f")))
	require.Equal(t, ends{"f": "open"}, m.ends())
	tear := func(entity string) (mended func()) {
		k := store.MemoOf(store.StreamKey{Stream: "orders", Entity: entity})
		good, bad := m.memos[k].Body, *m.memos[k]
		bad.Body = "?"
		m.memos[k] = &bad
		return func() {
			next := *m.memos[k]
			next.Body = good
			m.memos[k] = &next
		}
	}
	mendOne, mendThree := tear("o1"), tear("o3")
	clear(x.refuses)
	m.reasons()
	rs := m.log(move("o1", 4, "d"), move("o2", 1, "v"), move("o1", 2, "b"))
	m.run(rs)
	require.Equal(t, "vw", m.order("o2").Customer)
	require.Equal(t, []string{"dead-letter/poison", "apply/applied", "apply/applied", "dead-letter/poison"}, m.reasons())
	for _, l := range m.letters {
		if l.EventID == "b" {
			require.Contains(t, l.Error, `restore the body of the row in evenkeel_memos (kind sequence, scope orders, entity o1)`)
			require.Empty(t, l.Handler)
		}
	}
	m.judgeAt(rs)
	require.Equal(t, []string{"discard/redelivered", "discard/duplicate", "discard/redelivered"}, m.reasons())

	m.now = m.now.Add(time.Hour)
	m.replay(false) // what waits is left alone, and a replay fails
	require.Equal(t, ends{"f": "open", "d": "open", "b": "open"}, m.ends())
	for _, p := range m.parked {
		require.Equal(t, "c", p.EventID)
		require.Equal(t, store.CauseGap, p.Cause)
		require.Zero(t, p.Attempts)
		require.Contains(t, p.Error, "restore the body")
		require.True(t, p.Due.After(m.now))
	}
	mendOne()
	mendThree()
	m.replay(false)
	m.replay(false)
	require.Equal(t, ends{"f": "applied", "d": "applied", "b": "applied"}, m.ends())
	require.Equal(t, "abcd", m.order("o1").Customer)
	require.Equal(t, "f", m.order("o3").Customer)
	require.Empty(t, m.parked)
}

// TestUnreadableHorizonStopsNobodyElse: what is known is told from the ids, and the rest is
// kept by letters that don't take them.
func TestUnreadableHorizonStopsNobodyElse(t *testing.T) {
	t.Parallel()
	x := mend()
	m := newMemory(t, x.registry(guards.Once()))
	m.run(m.log(move("o1", 1, "a")))
	k := store.HorizonOf("once:count→order")
	m.memos[k] = &store.Memo{MemoKey: k, Rev: 1, Body: "?"}
	m.reasons()
	ahead := move("o1", 7200+400, "ahead") // a letter of a whole record; base is an hour ago
	m.run(m.log(move("o1", 1, "a"), move("o1", 2, "b"), ahead))
	require.Equal(t, []string{"discard/duplicate", "dead-letter/late", "dead-letter/future"}, m.reasons())
	m.now = m.now.Add(2 * time.Hour)
	m.replay(true)
	require.Equal(t, ends{"b": "open", "ahead": "open"}, m.ends())
	for _, l := range m.letters {
		require.Contains(t, l.Error, `the horizon of "once:count→order" is "?"`)
		require.Equal(t, dlq.Open, l.State)
	}
	m.memos[k] = &store.Memo{MemoKey: k, Rev: 2, Body: "0"}
	m.replay(false)
	require.Equal(t, ends{"b": "applied", "ahead": "applied"}, m.ends())
	require.ElementsMatch(t, []string{"a", "b", "ahead"}, keysOf(x.runs))
}

func keysOf(runs map[string]int) (ids []string) {
	for id := range runs {
		ids = append(ids, id)
	}
	return ids
}
