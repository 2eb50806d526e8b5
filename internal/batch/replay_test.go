package batch_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/batch"
)

func asking(t *testing.T, options ...guards.SequenceOption) *memory {
	t.Helper()
	options = append([]guards.SequenceOption{guards.GapTimeout(time.Minute), guards.RequestReplay(children)}, options...)
	return emitting(t, counterRegistry(guards.Sequence(options...), nil, map[string]int{}))
}

// requests takes the requests that are to be sent.
func (m *memory) requests() (rs []event.ReplayRequest) {
	for _, o := range m.outbox {
		require.True(m.t, o.Swept, "no offset waits for it")
	}
	for _, e := range m.emitted() {
		require.Equal(m.t, event.ReplayRequestType, e.Type)
		require.Nil(m.t, e.Lineage, "it follows from no event")
		var r event.ReplayRequest
		require.NoError(m.t, json.Unmarshal(e.Data, &r))
		require.Equal(m.t, r.Key, e.Key)
		rs = append(rs, r)
	}
	return rs
}

func (m *memory) later(d time.Duration) {
	m.now = m.now.Add(d)
	m.sweep()
}

// TestReplayIsRequestedOnce per gap; then a second bound follows, and the letter.
func TestReplayIsRequestedOnce(t *testing.T) {
	t.Parallel()
	m := asking(t)
	m.run(m.log(ns(1, 4)...))
	require.Empty(t, m.requests())
	m.later(50 * time.Second)
	require.Empty(t, m.requests())
	m.run(m.log(ns(5, 8)...)) // their own time ends soon after the request
	m.later(10 * time.Second)
	require.Equal(t, []event.ReplayRequest{{Group: "g", Stream: "orders", Key: "o1", From: 2, To: 3, Reason: "number 2 has not come within 1m0s"}}, m.requests())
	require.Equal(t, []batch.Gap{{Stream: "orders", Entity: "o1", Missing: 2, Waiting: 4, Policy: guards.GapReplay}}, m.gaps)
	for range 11 {
		m.later(5 * time.Second)
		require.Empty(t, m.requests(), "once")
		require.Empty(t, m.letters, "the second bound is one GapTimeout after the request, for all that wait")
	}
	m.later(10 * time.Second)
	require.Empty(t, m.requests())
	require.Len(t, m.letters, 1)
	for _, l := range m.letters {
		require.Equal(t, guards.Gap, l.Verdict.Reason)
		require.EqualValues(t, 4, l.Place)
		require.Contains(t, l.Verdict.Detail, "although a replay was requested")
	}
	require.Equal(t, guards.GapDeadLetter, m.gaps[1].Policy)
	require.EqualValues(t, 1, m.order("o1").Count)
}

// TestReplayThatComes: what is sent again fills the gap, and the next gap is another one.
func TestReplayThatComes(t *testing.T) {
	t.Parallel()
	m := asking(t)
	m.run(m.log(ns(1, 4, 7)...))
	m.later(time.Minute)
	require.Len(t, m.requests(), 1)
	m.run(m.log(ns(2)...))
	require.Nil(t, m.stream("o1").Asked, "another gap from here on")
	m.later(time.Minute)
	require.Equal(t, []event.ReplayRequest{{Group: "g", Stream: "orders", Key: "o1", From: 3, To: 3, Reason: "number 3 has not come within 1m0s"}}, m.requests())
	m.run(m.log(ns(3, 5, 6)...))
	require.EqualValues(t, 7, m.order("o1").Count)
	m.later(time.Hour)
	require.Empty(t, m.requests())
	require.Empty(t, m.letters)
}

// TestReplayAtTheCount: the bound by count asks, too, and after that the time decides.
func TestReplayAtTheCount(t *testing.T) {
	t.Parallel()
	m := asking(t, guards.MaxGap(1))
	m.run(m.log(ns(1, 3)...))
	require.Empty(t, m.requests())
	m.run(m.log(ns(4)...))
	first := m.outbox
	require.Len(t, m.requests(), 1)
	require.True(t, m.gaps[0].Full)
	m.run(m.log(ns(5)...))
	require.Empty(t, m.requests())
	require.Empty(t, m.letters, "more may wait while an answer may come")
	m.later(time.Minute)
	require.Len(t, m.letters, 1)

	again := asking(t, guards.MaxGap(1))
	again.run(again.log(ns(1, 3, 4)...))
	require.Equal(t, first[0].ID, again.outbox[0].ID, "a gap has one id")
	other := asking(t, guards.MaxGap(1))
	other.run(other.log(ns(1, 4, 5)...))
	require.NotEqual(t, first[0].ID, other.outbox[0].ID)
}

// TestReplayThatCantBeRequested becomes what it would be without.
func TestReplayThatCantBeRequested(t *testing.T) {
	t.Parallel()
	m := asking(t)
	m.judge.Outbox.MaxBytes = func(string) int { return 100 }
	m.run(m.log(ns(1, 3)...))
	m.later(time.Minute)
	require.Empty(t, m.outbox)
	require.Len(t, m.letters, 1)
	for _, l := range m.letters {
		require.True(t, strings.Contains(l.Verdict.Detail, "a replay can't be requested") && strings.Contains(l.Verdict.Detail, "max.message.bytes"), l.Verdict.Detail)
	}
}
