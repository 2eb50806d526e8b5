package batch_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/sequence"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// TestRewindRepeatsNothing: a redelivered or rewound record finds its number taken.
func TestRewindRepeatsNothing(t *testing.T) {
	t.Parallel()
	broken := map[string]bool{"2": true}
	m := newMemory(t, counterRegistry(guards.Sequence(), broken, map[string]int{}))
	rs := m.log(ns(1, 2, 3, 5)...)
	m.run(rs)
	require.Equal(t, []string{"apply/applied", "park/retry", "park/behind", "park/behind"}, m.reasons())
	m.led.Next = 0
	m.judgeAt(rs)
	require.Equal(t, []string{"discard/duplicate", "discard/redelivered", "discard/redelivered", "discard/redelivered"}, m.reasons())
	require.Equal(t, "1", m.order("o1").Customer)
	// The ids are forgotten: what came is still known by its number.
	clear(m.ids)
	m.led.Next = 0
	clear(m.parked)
	m.judgeAt(rs)
	require.Equal(t, []string{"discard/superseded", "discard/superseded", "discard/superseded", "discard/duplicate"}, m.reasons())
}

// TestNothingIsWrittenOfAGapThatFillsInItsBatch: the followers need no table.
func TestNothingIsWrittenOfAGapThatFillsInItsBatch(t *testing.T) {
	t.Parallel()
	m := newMemory(t, counterRegistry(guards.Sequence(), nil, map[string]int{}))
	out := m.run(m.log(ns(3, 2, 1)...))
	require.Empty(t, out.Batch.Park)
	require.Empty(t, out.Batch.Release)
	require.Empty(t, out.Batch.Verdicts, "no line in the journal either")
	require.Len(t, out.Batch.IDs, 3)
	require.Len(t, out.Batch.Memos, 1)
	require.Len(t, out.Batch.Insert, 1)
}

// TestFollowersComeInChunks: what one transaction can't take along is due at once.
func TestFollowersComeInChunks(t *testing.T) {
	t.Parallel()
	m := newMemory(t, counterRegistry(guards.Sequence(), nil, map[string]int{}))
	m.judge.MaxParkedPerKey, m.rowsAtOnce = 100, 2
	m.run(m.log(ns(2, 3, 4, 5, 6)...))
	m.run(m.log(n(1)))
	require.Equal(t, "123", m.order("o1").Customer)
	require.Equal(t, []string{"4 gap", "5 gap", "6 gap"}, m.waiting())
	require.Equal(t, 1, m.woken)
	m.run(m.log(n(7)))
	require.Equal(t, "12345", m.order("o1").Customer, "a newcomer takes its place, and a chunk along")
	require.Equal(t, []string{"6 gap", "7 behind"}, m.waiting())
	m.sweep()
	require.Equal(t, "1234567", m.order("o1").Customer)
}

// TestMemoIsGuarded is R7 and R15: whatever a decision was based on is in the guarded
// statement.
func TestMemoIsGuarded(t *testing.T) {
	t.Parallel()
	m := newMemory(t, counterRegistry(guards.Sequence(), map[string]bool{"4": true}, map[string]int{}))
	memos := func(out *batch.Outcome) (revs []int64) {
		for _, memo := range out.Batch.Memos {
			require.Equal(t, store.MemoKey{Kind: store.KindSequence, Scope: "orders", Entity: "o1"}, memo.MemoKey)
			revs = append(revs, memo.Rev)
		}
		return revs
	}
	require.Equal(t, []int64{0}, memos(m.run(m.log(n(1)))), "made")
	require.Equal(t, []int64{1}, memos(m.run(m.log(n(1)))), "a duplicate")
	require.Equal(t, []int64{2}, memos(m.run(m.log(n(3)))), "parked")
	require.Equal(t, []int64{3}, memos(m.run(m.log(ev{"other", "o1", 2, "x", ""}))), "a follower")
	require.Equal(t, []int64{4}, memos(m.run(m.log(n(4)))), "a retry")
	require.Equal(t, []int64{5}, memos(m.sweep()), "a look at it")
	require.Empty(t, memos(m.run(m.log(ev{"count", "", 4, "y", ""}))), "no entity, no stream")
}

// TestGatherAsksForTheStream: and for the rows of what may follow, also for an event that
// nobody handles.
func TestGatherAsksForTheStream(t *testing.T) {
	t.Parallel()
	m := newMemory(t, counterRegistry(guards.Sequence(), nil, map[string]int{}))
	gather := func(e ev) *store.Want {
		return batch.Gather("g", []*batch.Item{m.prepare.Prepare(m.log(e)[0])}, m.layouts, nil)
	}
	for _, typ := range []string{"count", "other"} {
		w := gather(ev{typ, "o1", 7, "x", ""})
		require.Equal(t, []store.StreamKey{{Stream: "orders", Entity: "o1"}}, w.Streams)
		require.Equal(t, []store.MemoKey{{Kind: "sequence", Scope: "orders", Entity: "o1"}}, w.Memos)
		require.Equal(t, []store.IDKey{{Scope: "sequence:orders", Entity: "o1", ID: "7"}}, w.IDs)
		require.Len(t, w.Rows, 1)
		require.Equal(t, []string{"o1"}, w.Rows[0].Keys)
		require.False(t, w.Rows[0].Parked, "the stream's queue is enough")
	}
	require.Empty(t, gather(ev{"other", "o1", 7, "x", noNumber}).Streams)
	require.Empty(t, gather(ev{"other", "", 7, "x", ""}).Streams)
}

// TestAloneTakesNothingAlong is R18: when the database refuses an event with what waited
// for it, each is tried for itself.
func TestAloneTakesNothingAlong(t *testing.T) {
	t.Parallel()
	m := newMemory(t, counterRegistry(guards.Sequence(), nil, map[string]int{}))
	m.run(m.log(ns(2, 3, 4)...))
	m.judge.MaxParkedPerKey = 100
	r := m.log(n(1))[0]
	r.Offset = m.led.Next
	it := m.prepare.Prepare(r)
	it.Alone = true
	out, err := m.judge.Live(t.Context(), []*batch.Item{it}, m.layouts, m.load(), m.led, m.now)
	require.NoError(t, err)
	m.commit(out)
	require.Equal(t, "1", m.order("o1").Customer)
	require.Equal(t, []string{"2 gap", "3 gap", "4 gap"}, m.waiting())
	require.Equal(t, 1, m.woken, "the sweeper takes them up at once")

	sweep := func(refused error, places int64) {
		var units []*batch.Unit
		for i, p := range m.inPlaces() {
			u := m.prepare.PrepareParked(p)
			u.Item.Alone = true
			if i == 0 {
				u.Refused = refused
			}
			units = append(units, u)
		}
		out, err := m.judge.Waiting(t.Context(), units, m.layouts, m.load(), m.now, func(p *store.Parked) bool { return p.Place <= places }, nil)
		require.NoError(t, err)
		m.commit(out)
	}
	sweep(nil, 2)
	require.Equal(t, "12", m.order("o1").Customer)
	require.Equal(t, []string{"3 gap", "4 gap"}, m.waiting())
	sweep(errFlaky, 4)
	require.Equal(t, []string{"3 retry", "4 behind"}, m.waiting(), "the culprit goes the way of failures, in its place")
	require.Equal(t, "12", m.order("o1").Customer)
}

// TestLetterOfAFollowerHoldsNoOffset is R10: its offset was passed when it was parked.
func TestLetterOfAFollowerHoldsNoOffset(t *testing.T) {
	t.Parallel()
	reg := handlers.NewRegistry()
	handlers.Modify(reg, "count", func(_ context.Context, d *delivery) error {
		if d.Event.ID == "2" {
			return handlers.DeadLetter(errFlaky)
		}
		return nil
	}, guards.Sequence(), handlers.Writes("Count"))
	m := newMemory(t, reg)
	m.run(m.log(n(2)))
	out := m.run(m.log(n(1)))
	require.Empty(t, out.Batch.Letters)
	require.Len(t, out.Batch.SweptLetters, 1)
	l := out.Batch.SweptLetters[0]
	require.Equal(t, "orders", l.Stream)
	require.EqualValues(t, 2, l.Place)
	require.True(t, l.Blocking)
	require.EqualValues(t, 2, l.Stamp.Time)
}

// TestGapsAreTold: the hook hears what was done about which gap.
func TestGapsAreTold(t *testing.T) {
	t.Parallel()
	m := newMemory(t, counterRegistry(guards.Sequence(guards.MaxGap(1)), nil, map[string]int{}))
	m.run(m.log(ns(1, 4, 6)...))
	require.Equal(t, []batch.Gap{{Stream: "orders", Entity: "o1", Missing: 2, Waiting: 4, Policy: guards.GapDeadLetter, Full: true}}, m.gaps)
	m = newMemory(t, counterRegistry(guards.Sequence(guards.OnGap(guards.GapSkip)), nil, map[string]int{}))
	m.run(m.log(ns(1, 4)...))
	sweepAfter(time.Hour)(m, nil)
	require.Equal(t, []batch.Gap{{Stream: "orders", Entity: "o1", Missing: 2, Waiting: 4, Policy: guards.GapSkip}}, m.gaps)
}

// TestOneEventOnTwoModels: both units have one number, and neither waits for the other.
func TestOneEventOnTwoModels(t *testing.T) {
	t.Parallel()
	broken := map[string]bool{}
	reg := counterRegistry(guards.Sequence(), broken, map[string]int{})
	handlers.Modify(reg, "count", func(_ context.Context, d *handlers.Delivery[facts, stock]) error {
		d.Entity.Sold++
		return nil
	}, guards.Sequence(), handlers.Writes("Sold"))
	m := newMemory(t, reg)
	broken["1"] = true
	m.run(m.log(ns(2, 1)...))
	sold := func() int { return m.rows["stocks"]["o1"].Entity.Interface().(*stock).Sold }
	require.Equal(t, 1, sold(), "what one handler can't do does not keep the other from it")
	require.Equal(t, []string{"1 retry", "2 gap", "2 gap"}, m.waiting(), "but the stream waits")
	clear(broken)
	sweepAfter(time.Second)(m, nil)
	require.Equal(t, 2, sold())
	require.Equal(t, "12", m.order("o1").Customer)
}

// TestNamedStreamsRunOverTopics: their numbers are those of their handlers' events.
func TestNamedStreamsRunOverTopics(t *testing.T) {
	t.Parallel()
	m := newMemory(t, counterRegistry(guards.Sequence(guards.Stream("all")), nil, map[string]int{}))
	rs := m.log(n(1), n(2), ev{"other", "o1", 3, "x", ""}, n(4))
	rs[1].Topic = "orders-2"
	m.run(rs)
	require.Equal(t, "12", m.order("o1").Customer)
	require.Equal(t, []string{"4 gap"}, m.waiting(), "a type without a handler is none of this stream's")
}

// TestStreamWaitsForItsRow: MissingPark under Sequence keeps the place in the stream.
func TestStreamWaitsForItsRow(t *testing.T) {
	t.Parallel()
	reg := handlers.NewRegistry()
	handlers.Set(reg, "made", created, handlers.Creates(), handlers.Writes("Note"))
	handlers.Modify(reg, "count", func(_ context.Context, d *delivery) error {
		d.Entity.Customer += d.Event.ID
		return nil
	}, guards.Sequence(), handlers.Writes("Customer"), handlers.OnMissing(handlers.MissingPark))
	m := newMemory(t, reg)
	out := m.run(m.log(ns(1, 2)...))
	require.Equal(t, []string{"1 missing", "2 behind"}, m.waiting())
	require.Len(t, out.Batch.Absent, 1)
	out = m.run(m.log(ev{"made", "o1", 3, "m", ""}))
	require.Len(t, out.Batch.Wake, 1)
	m.now = m.now.Add(2 * time.Second)
	m.sweep()
	require.Equal(t, "12", m.order("o1").Customer)
	require.Empty(t, m.parked)
}

// TestTimeForTheRowBeginsWithTheTurn: the bound of the gap is not that of the row.
func TestTimeForTheRowBeginsWithTheTurn(t *testing.T) {
	t.Parallel()
	reg := handlers.NewRegistry()
	handlers.Set(reg, "made", created, handlers.Creates(), handlers.Writes("Note"))
	handlers.Modify(reg, "count", func(context.Context, *delivery) error { return nil },
		guards.Sequence(), handlers.Writes("Customer"), handlers.OnMissing(handlers.MissingPark))
	m := newMemory(t, reg)
	m.run(m.log(n(2)))
	m.run(m.log(ev{"other", "o1", 1, "x", ""}))
	require.Equal(t, []string{"2 missing"}, m.waiting())
	sweepAfter(50*time.Minute)(m, nil)
	require.Equal(t, []string{"2 missing"}, m.waiting(), "an hour is what it has")
	require.Empty(t, m.letters)
}

// TestStreamsAndArrivalsDontMix: on one row, columns under None wait for what came before
// under None, and those under Sequence for their numbers.
func TestStreamsAndArrivalsDontMix(t *testing.T) {
	t.Parallel()
	reg := handlers.NewRegistry()
	handlers.Modify(reg, "count", func(context.Context, *delivery) error { return errFlaky },
		guards.Sequence(), handlers.Writes("Count"), handlers.Name("one name"))
	handlers.Modify(reg, "limit", func(_ context.Context, d *delivery) error {
		d.Entity.Limit++
		return nil
	}, guards.None(), handlers.Writes("Limit"), handlers.Name("one name"))
	m := newMemory(t, reg)
	limit := func(id string) ev { return ev{"limit", "o1", 100, id, noNumber} }
	m.run(m.log(n(1), n(3), limit("a")))
	m.run(m.log(limit("b")))
	require.Equal(t, 2, m.order("o1").Limit)
	require.Equal(t, []string{"1 retry", "3 behind"}, m.waiting())
}

// TestSkippedStateIsKeptForPeople: what the memo's text says.
func TestSkippedStateIsKeptForPeople(t *testing.T) {
	t.Parallel()
	m := newMemory(t, counterRegistry(guards.Sequence(), nil, map[string]int{}))
	m.run(m.log(n(1)))
	for k, memo := range m.memos {
		require.Equal(t, "sequence", string(k.Kind))
		require.True(t, strings.HasPrefix(memo.Body, `{"next":2`), memo.Body)
		_, err := sequence.Parse(memo.Body)
		require.NoError(t, err)
	}
}
