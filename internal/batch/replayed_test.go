package batch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// resolve ends replays as a store does.
func (m *memory) resolve(rs []*store.Resolution) {
	for _, r := range rs {
		l := m.letters[r.ID]
		require.Equal(m.t, dlq.Replaying, l.State)
		l.Outcome, l.State = r.Outcome, dlq.Resolved
		if l.Attempts += r.Failed.Attempts; r.Outcome == "" {
			l.State, l.Verdict, l.Error = dlq.Open, r.Failed.Verdict, r.Failed.Error
		}
	}
}

// replay takes the letters of these events in hand, all open ones without any, and sweeps.
func (m *memory) replay(accept bool, ids ...string) {
	m.t.Helper()
	for _, l := range m.letters {
		if l.State != dlq.Open || len(ids) > 0 && !slices.Contains(ids, l.EventID) {
			continue
		}
		l.State = dlq.Replaying
		move := &store.LetterMove{Ref: l.Ref(), Move: dlq.MoveReplay, AcceptForgotten: accept}
		m.parked[l.ID] = &store.Parked{
			ID: l.ID, Group: l.Group, Table: l.Table, Entity: l.Entity, Handler: l.Handler, Stream: l.Stream, Cause: store.CauseReplay, Place: l.Place, Rev: 1,
			EventType: l.EventType, Source: l.Source, EventID: l.EventID, OccurredAt: l.OccurredAt, Record: l.Record, Replay: store.ReplayOf(move, l),
		}
	}
	m.sweep()
}

// ends lists what became of the letters, by event.
func (m *memory) ends() map[string]string {
	all := map[string]string{}
	for _, l := range m.letters {
		all[l.EventID] = string(l.State)
		if l.Outcome != "" {
			all[l.EventID] = string(l.Outcome)
		}
	}
	return all
}

type ends = map[string]string

// fickle is a handler that refuses some events until it is mended.
type fickle struct {
	refuses map[string]bool
	runs    map[string]int
	soft    bool // the failures may heal
}

func (x *fickle) registry(guard guards.Stamper, options ...handlers.Option) *handlers.Registry {
	reg := handlers.NewRegistry()
	handlers.Modify(reg, "count", func(_ context.Context, d *handlers.Delivery[facts, order]) error {
		if x.refuses[d.Event.ID] {
			if x.soft {
				return errors.New("not now")
			}
			return handlers.DeadLetter(errors.New("no"))
		}
		x.runs[d.Event.ID]++
		d.Entity.Customer += d.Event.ID
		return nil
	}, guard, append([]handlers.Option{handlers.Writes("Customer"), handlers.OnMissing(handlers.MissingPlaceholder)}, options...)...)
	return reg
}

func mend(refuses ...string) *fickle {
	x := &fickle{refuses: map[string]bool{}, runs: map[string]int{}}
	for _, id := range refuses {
		x.refuses[id] = true
	}
	return x
}

func count(ids ...string) []ev {
	var es []ev
	for i, id := range ids {
		es = append(es, ev{"count", "o1", i + 1, id, ""})
	}
	return es
}

func TestReplayKeepsTheOrderOfArrival(t *testing.T) {
	t.Parallel()
	x := mend("a", "c")
	m := newMemory(t, x.registry(guards.None()))
	m.judge.MaxParkedPerKey = 10
	m.run(m.log(count("a", "b", "c", "d")...))
	m.replay(false)
	require.Equal(t, ends{"a": "open"}, m.ends(), "it fails again")
	for _, l := range m.letters {
		require.Equal(t, 2, l.Attempts)
	}
	require.Equal(t, []string{"b behind", "c behind", "d behind"}, m.waiting(), "and holds the others up as before")
	clear(x.refuses)
	m.now = m.now.Add(time.Hour)
	m.replay(false)
	require.Equal(t, ends{"a": "applied"}, m.ends())
	require.Equal(t, "abcd", m.order("o1").Customer)
	require.Empty(t, m.parked)
}

// A later letter waits for an earlier one, whichever is replayed first.
func TestReplayWaitsForEarlierLetters(t *testing.T) {
	t.Parallel()
	x := mend("a")
	m := newMemory(t, x.registry(guards.None()))
	m.judge.MaxParkedPerKey = 1
	m.run(m.log(count("a", "b", "c")...)) // too many wait: c is a letter behind a letter
	require.Equal(t, ends{"a": "open", "c": "open"}, m.ends())
	clear(x.refuses)
	m.replay(false, "c")
	require.Equal(t, ends{"a": "open", "c": "replaying"}, m.ends())
	require.Equal(t, []string{"b behind", "c replay"}, m.waiting())
	m.now = m.now.Add(time.Hour)
	m.replay(false, "a")
	require.Equal(t, ends{"a": "applied", "c": "applied"}, m.ends())
	require.Equal(t, "abc", m.order("o1").Customer)
}

func TestReplayOfWhatIsObsolete(t *testing.T) {
	t.Parallel()
	x := mend("a")
	m := newMemory(t, x.registry(guards.Timestamp()))
	m.run(m.log(count("a", "b")...))
	clear(x.refuses)
	m.reasons()
	m.replay(false)
	require.Equal(t, ends{"a": "obsolete"}, m.ends())
	require.Equal(t, "b", m.order("o1").Customer)
	require.Equal(t, []string{"discard/superseded"}, m.reasons())
}

func TestReplayTriesAgain(t *testing.T) {
	t.Parallel()
	x := mend("a")
	m := newMemory(t, x.registry(guards.None()))
	m.run(m.log(count("a")...))
	x.soft = true
	m.replay(false)
	require.Equal(t, ends{"a": "replaying"}, m.ends())
	require.Equal(t, []string{"a replay"}, m.waiting())
	for range 2 {
		m.now = m.now.Add(time.Minute)
		m.sweep()
	}
	require.Equal(t, ends{"a": "open"}, m.ends())
	for _, l := range m.letters {
		require.Equal(t, 4, l.Attempts, "one, and three of the replay")
		require.Equal(t, guards.Exhausted, l.Verdict.Reason)
	}
	clear(x.refuses)
	m.replay(false)
	require.Equal(t, ends{"a": "applied"}, m.ends())
}

func TestReplayUnderOnce(t *testing.T) {
	t.Parallel()
	x := mend("a")
	m := newMemory(t, x.registry(guards.Once()))
	m.run(m.log(count("a", "a")...))
	clear(x.refuses)
	m.replay(false)
	require.Equal(t, "a", m.order("o1").Customer)
	for k, id := range m.ids {
		require.False(t, id.Held, "%v", k)
	}
	require.Equal(t, ends{"a": "applied"}, m.ends())

	// Two copies of what is older than the memory: neither has taken the id.
	forget := store.HorizonOf("once:count→order")
	m.memos[forget] = &store.Memo{MemoKey: forget, Rev: 1, Body: fmt.Sprint(base.Add(time.Minute).UnixMicro())}
	m.run(m.log(ev{"count", "o1", 9, "old", ""}, ev{"count", "o1", 9, "old", ""}))
	m.replay(false, "old")
	require.Equal(t, ends{"a": "applied", "old": "open"}, m.ends())
	require.Equal(t, "a", m.order("o1").Customer)
	for _, l := range m.letters {
		if l.EventID == "old" {
			require.Contains(t, l.Error, "--accept-forgotten")
		}
	}
	m.replay(true, "old")
	require.Equal(t, "aold", m.order("o1").Customer, "once")
	var outcomes []string
	for _, l := range m.letters {
		outcomes = append(outcomes, string(l.Outcome))
	}
	require.ElementsMatch(t, []string{"applied", "applied", "duplicate"}, outcomes)
}

func TestReplayOfAGap(t *testing.T) {
	t.Parallel()
	x := mend()
	m := newMemory(t, x.registry(guards.Sequence(guards.GapTimeout(time.Minute))))
	m.judge.MaxParkedPerKey = 20
	m.run(m.log(n(1), n(3), n(4), n(6), n(7)))
	m.now = m.now.Add(time.Hour)
	m.sweep()
	require.Equal(t, ends{"3": "open"}, m.ends())
	m.now = m.now.Add(time.Hour)
	m.replay(false)
	require.Equal(t, ends{"3": "applied"}, m.ends())
	require.Equal(t, "134", m.order("o1").Customer, "the next gap has a time of its own")
	m.now = m.now.Add(time.Hour)
	m.sweep()
	m.now = m.now.Add(time.Hour)
	m.sweep()
	require.Equal(t, ends{"3": "applied", "6": "open"}, m.ends())
	// The number that was passed over is a letter, which holds up nobody.
	m.run(m.log(n(2)))
	m.replay(false)
	require.Equal(t, ends{"3": "applied", "6": "applied", "2": "applied"}, m.ends())
	require.ElementsMatch(t, []byte("134267"), []byte(m.order("o1").Customer))
	require.Empty(t, m.parked)
}

// TestReplayAtAGapThatNothingElseWaitsFor: nobody's time runs there, so that the replay would
// wait for ever. The letter says what is missing, and its next replay goes on without that.
func TestReplayAtAGapThatNothingElseWaitsFor(t *testing.T) {
	t.Parallel()
	for _, comes := range []bool{false, true} {
		x := mend()
		m := newMemory(t, x.registry(guards.Sequence(guards.GapTimeout(time.Minute))))
		m.judge.MaxParkedPerKey = 1
		m.run(m.log(n(1), n(3), n(5)))
		require.Equal(t, ends{"5": "open"}, m.ends(), "too many wait")
		m.replay(false)
		require.Equal(t, ends{"5": "replaying"}, m.ends(), "the time of the gap runs, as 3 waits there")
		m.run(m.log(n(2)))
		require.Equal(t, "123", m.order("o1").Customer)
		m.now = m.now.Add(time.Hour)
		m.sweep()
		require.Equal(t, ends{"5": "open"}, m.ends())
		for _, l := range m.letters {
			require.Equal(t, guards.Gap, l.Verdict.Reason)
			require.Contains(t, l.Verdict.Detail, "number 4 has not come, and nothing but this letter waits for it")
		}
		want := "1235"
		if comes {
			m.run(m.log(n(4)))
			want = "12345"
		}
		m.replay(false)
		require.Equal(t, ends{"5": "applied"}, m.ends())
		require.Equal(t, want, m.order("o1").Customer)
		require.Empty(t, m.parked)
	}
}

func TestReplayUnderSequence(t *testing.T) {
	t.Parallel()
	x := mend("2", "5")
	m := newMemory(t, x.registry(guards.Sequence()))
	m.judge.MaxParkedPerKey = 20
	m.run(m.log(ns(1, 2, 3, 4, 5, 6)...))
	// Another event with a number that came: which is right, somebody says.
	m.run(m.log(ev{"count", "o1", 1, "x", ""}))
	require.Equal(t, ends{"2": "open", "x": "open"}, m.ends())
	m.now = m.now.Add(time.Hour)
	m.replay(false, "2")
	require.Equal(t, ends{"2": "open", "x": "open"}, m.ends())
	delete(x.refuses, "2")
	m.now = m.now.Add(time.Hour)
	m.replay(false)
	require.Equal(t, ends{"2": "applied", "x": "applied", "5": "open"}, m.ends())
	require.Contains(t, m.order("o1").Customer, "234")
	clear(x.refuses)
	m.now = m.now.Add(time.Hour)
	m.replay(false)
	require.Equal(t, "applied", m.ends()["5"])
	require.Empty(t, m.parked)
	for id, n := range x.runs {
		require.Equal(t, 1, n, id)
	}
}

// What was refused as a whole finds its entities when it is replayed, and is not late again.
func TestReplayOfRecords(t *testing.T) {
	t.Parallel()
	x := mend("bad")
	m := newMemory(t, x.registry(guards.None()))
	ahead := ev{"count", "o2", 7200 + 400, "ahead", ""} // base is an hour ago
	m.run(m.log(ahead, ev{"count", "o3", 7200 + 400, "bad", ""}))
	require.Equal(t, ends{"ahead": "open", "bad": "open"}, m.ends())
	m.replay(false)
	require.Equal(t, ends{"ahead": "open", "bad": "open"}, m.ends(), "still ahead of its time")
	next := m.led.Next
	m.now = m.now.Add(2 * time.Hour)
	m.replay(false)
	require.Equal(t, "ahead", m.order("o2").Customer)
	require.Equal(t, "applied", m.ends()["ahead"])
	require.Len(t, m.letters, 3, "the one that its handler refuses has a letter of its own")
	require.Equal(t, next, m.led.Next)
	clear(x.refuses)
	m.replay(false)
	require.Equal(t, "bad", m.order("o3").Customer)
	require.Equal(t, map[string]int{"ahead": 1, "bad": 1}, x.runs)
}

// A payload that could not be read is read once more.
func TestReplayOfPoison(t *testing.T) {
	t.Parallel()
	x := mend()
	m := newMemory(t, x.registry(guards.None()))
	m.run(m.log(ev{"count", "o1", 1, "a", `{"limit": "many"}`}, ev{"count", "o1", 2, "b", ""}))
	m.replay(false)
	require.Equal(t, ends{"a": "open"}, m.ends())
	require.Equal(t, []string{"b behind"}, m.waiting())
	m.events.events[0].data = "" // a new release reads it
	m.now = m.now.Add(time.Hour)
	m.replay(false)
	require.Equal(t, ends{"a": "applied"}, m.ends())
	require.Equal(t, "ab", m.order("o1").Customer)
}

// What is tried again holds up nobody whom its letter does not.
func TestReplayHoldsUpNobody(t *testing.T) {
	t.Parallel()
	x := mend("b")
	m := newMemory(t, x.registry(guards.Timestamp()))
	m.run(m.log(count("a", "b")...))
	x.soft = true
	m.replay(false)
	require.Equal(t, []string{"b replay"}, m.waiting())
	m.run(m.log(ev{"count", "o1", 3, "c", ""}))
	require.Equal(t, "ac", m.order("o1").Customer)
	m.now = m.now.Add(time.Minute)
	m.sweep()
	require.Equal(t, ends{"b": "obsolete"}, m.ends())

	x = mend("2")
	m = newMemory(t, x.registry(guards.Sequence(guards.GapTimeout(time.Minute), guards.OnGap(guards.GapSkip))))
	m.run(m.log(n(1), n(3)))
	m.now = m.now.Add(time.Hour)
	m.sweep()
	m.run(m.log(n(2)))
	require.Equal(t, ends{"2": "open"}, m.ends())
	x.soft = true
	m.replay(false)
	require.Equal(t, []string{"2 replay"}, m.waiting())
	m.run(m.log(n(4)))
	require.Equal(t, "134", m.order("o1").Customer)
	m.run(m.log(n(7)))
	m.now = m.now.Add(time.Hour)
	clear(x.refuses)
	m.sweep()
	require.Equal(t, ends{"2": "applied"}, m.ends())
	require.ElementsMatch(t, []byte("13427"), []byte(m.order("o1").Customer))
}

// A number that was ahead of its time is taken when its letter is replayed.
func TestReplayTakesTheNumber(t *testing.T) {
	t.Parallel()
	x := mend()
	m := newMemory(t, x.registry(guards.Sequence(guards.FirstSeen())))
	m.run(m.log(n(7600)))
	require.Equal(t, ends{"7600": "open"}, m.ends())
	m.now = m.now.Add(2 * time.Hour)
	m.replay(false)
	require.Equal(t, ends{"7600": "applied"}, m.ends())
	m.run(m.log(n(7602)))
	require.Equal(t, []string{"7602 gap"}, m.waiting())
	m.run(m.log(n(7601), n(7600)))
	require.Equal(t, "760076017602", m.order("o1").Customer)
	require.Empty(t, m.parked)
}

// What was replayed is no more judged by a rewind than any letter's event; a rebuild reads it
// again with all that had an effect, and asks for numbers as little as the replay did (R20).
func TestReplayedIsReadAgainByARebuildAlone(t *testing.T) {
	t.Parallel()
	x := mend("4")
	m := newMemory(t, x.registry(guards.Sequence(guards.GapTimeout(time.Minute), guards.OnGap(guards.GapSkip))))
	m.judge.MaxParkedPerKey = 20
	first := m.log(n(1), n(3))
	m.run(first)
	m.now = m.now.Add(time.Hour)
	m.sweep()
	rest := m.log(n(2), ev{"count", "o1", 1, "x", ""}, n(4), n(5))
	m.run(rest)
	clear(x.refuses)
	m.now = m.now.Add(time.Hour)
	m.replay(false)
	require.Equal(t, ends{"2": "applied", "x": "applied", "4": "applied"}, m.ends())
	require.Equal(t, "13x245", m.order("o1").Customer, "letters are replayed in the order of their numbers")
	all := slices.Concat(first, rest)
	m.reasons()
	m.judgeAt(all)
	require.Equal(t, []string{"discard/duplicate", "discard/duplicate", "discard/redelivered", "discard/redelivered", "discard/redelivered", "discard/duplicate"}, m.reasons())

	// Of the letters one more was discarded since, and one failed again.
	m.run(m.log(ev{"count", "o1", 3, "y", ""}))
	for _, l := range m.letters {
		if l.EventID == "y" {
			l.State = dlq.Discarded
		}
	}
	m.order("o1").Customer, m.rows["orders"]["o1"].Rebuilding = "", true
	memo := *m.memos[store.MemoOf(store.StreamKey{Stream: "orders", Entity: "o1"})]
	state := m.stream("o1")
	state = state.Again(1)
	memo.Body = state.String()
	m.memos[memo.MemoKey] = &memo
	var items []*batch.Item
	for i := range m.events.events {
		r := m.record(fmt.Sprint(i))
		r.Offset = int64(i)
		items = append(items, m.prepare.Prepare(r))
	}
	out, err := m.judge.Replay(t.Context(), items, m.layouts, m.recall(items...), m.now)
	require.NoError(t, err)
	require.Empty(t, out.Batch.Letters)
	m.commit(out)
	require.Equal(t, "132x45", m.order("o1").Customer, "and read again in that of the log")
}

// A number that came twice, and was said to count, waits for its turn in a rebuild like others.
func TestReplayedConflictWaitsForItsTurnInARebuild(t *testing.T) {
	t.Parallel()
	x := mend()
	m := newMemory(t, x.registry(guards.Sequence()))
	m.judge.MaxParkedPerKey = 20
	m.run(m.log(n(1), n(3), ev{"count", "o1", 3, "x", ""}, n(2)))
	require.Equal(t, "123", m.order("o1").Customer)
	m.now = m.now.Add(time.Hour)
	m.replay(false)
	require.Equal(t, "123x", m.order("o1").Customer)
	m.order("o1").Customer, m.rows["orders"]["o1"].Rebuilding = "", true
	memo := *m.memos[store.MemoOf(store.StreamKey{Stream: "orders", Entity: "o1"})]
	state := m.stream("o1")
	state = state.Again(1)
	memo.Body = state.String()
	m.memos[memo.MemoKey] = &memo
	for i := range m.events.events {
		r := m.record(fmt.Sprint(i))
		r.Offset = int64(i)
		items := []*batch.Item{m.prepare.Prepare(r)}
		out, err := m.judge.Replay(t.Context(), items, m.layouts, m.recall(items...), m.now)
		require.NoError(t, err)
		m.commit(out)
	}
	require.Contains(t, []string{"123x", "12x3"}, m.order("o1").Customer)
	require.Empty(t, m.parked)
}
