package batch_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// TestWhatAResolverWroteBecomesALetter: a placeholder of siblings has its origins, too, so
// that none of them is lost when nothing completes it.
func TestWhatAResolverWroteBecomesALetter(t *testing.T) {
	t.Parallel()
	reg := handlers.NewRegistry(guards.Vector())
	handlers.Set(reg, "created", func(context.Context, *delivery) error { return nil }, handlers.Creates(), handlers.Writes("Note"))
	handlers.Resolve(reg, "saved", joined, guards.Vector(), handlers.Writes("Customer", "Count"))
	m := newMemory(t, reg)
	m.judge.KeepOrigins = true
	m.run(m.log(saved("a", "a=1"), saved("b", "b=1")))
	require.Equal(t, guards.Placeholder, m.rows["orders"]["o1"].State)

	m.now = m.now.Add(time.Hour)
	m.commit(m.judge.Sweep(t.Context(), m.orphans(), m.layouts, m.load(), m.now))
	require.Nil(t, m.order("o1"))
	require.Len(t, m.letters, 2, "both events lose their effect with the row")
}

// TestAFollowerBehindTheHorizonIsKept: an event that only waited for another of its batch is
// at first sight all the same, and what a horizon refuses then is a letter (R13).
func TestAFollowerBehindTheHorizonIsKept(t *testing.T) {
	t.Parallel()
	reg := handlers.NewRegistry(guards.Timestamp())
	handlers.Set(reg, "created", created, handlers.Creates(), handlers.Writes("Customer"))
	handlers.Modify(reg, "count", func(_ context.Context, d *delivery) error {
		d.Entity.Count++
		return nil
	}, guards.Sequence(), handlers.Writes("Count"))
	m := newMemory(t, reg)
	m.horizon("orders", 10)
	m.run(m.log(ns(2, 1)...))
	require.Equal(t, []string{"dead-letter/late", "dead-letter/late"}, m.reasons())
	require.Len(t, m.letters, 2)
}

// TestABrokenRowIsNotReadForItsStream: a row that can't be read must not be asked for by
// those who might follow in its stream either, or its partition stands still (R18).
func TestABrokenRowIsNotReadForItsStream(t *testing.T) {
	t.Parallel()
	reg := handlers.NewRegistry(guards.Timestamp())
	handlers.Modify(reg, "count", func(context.Context, *delivery) error { return nil }, guards.Sequence(), handlers.Writes("Count"))
	m := newMemory(t, reg)
	keys := func(it *batch.Item) (keys []string) {
		for _, r := range batch.Gather("g", []*batch.Item{it}, m.layouts, nil).Rows {
			keys = append(keys, r.Keys...)
		}
		return keys
	}
	rs := m.log(n(1), n(3), ev{"unhandled", "o1", 2, "2", ""})
	it := m.prepare.Prepare(rs[0])
	require.Equal(t, []string{"o1"}, keys(it))
	it.Alone = true
	require.Equal(t, []string{"o1"}, keys(it), "its own row")
	it.Units[0].Break(errFlaky)
	require.Empty(t, keys(it))

	it = m.prepare.Prepare(rs[2])
	require.Equal(t, []string{"o1"}, keys(it), "of those that follow")
	it.Alone = true
	require.Empty(t, keys(it), "and none follows")

	m.run(rs[1:2])
	for _, p := range m.parked {
		u := m.prepare.PrepareParked(p)
		u.Item.Alone = true
		require.Equal(t, []string{"o1"}, keys(u.Item))
		u.Break(errFlaky)
		require.Empty(t, keys(u.Item))
	}
}

// TestABrokenRowUnderSequence: what can't be read takes no number away. A redelivered event
// is a duplicate as ever, since its replay would apply it once more; and a letter holds the
// numbers behind it (R9).
func TestABrokenRowUnderSequence(t *testing.T) {
	t.Parallel()
	m := newMemory(t, counterRegistry(guards.Sequence(), nil, map[string]int{}))
	rs := m.log(ns(1, 2, 3)...)
	m.run(rs[:1])
	broken := func(r *event.Record) {
		it := m.prepare.Prepare(r)
		it.Alone = true
		it.Units[0].Break(errFlaky)
		out, err := m.judge.Live(t.Context(), []*batch.Item{it}, m.layouts, m.recall(it), m.led, m.now)
		require.NoError(t, err)
		m.commit(out)
	}
	m.led.Next = 0
	broken(rs[0])
	rs[1].Offset = 1
	broken(rs[1])
	rs[2].Offset = 2
	m.judgeAt(rs[2:])
	require.Equal(t, []string{"apply/applied", "discard/duplicate", "dead-letter/poison", "park/behind"}, m.reasons())
	for _, l := range m.letters {
		require.Equal(t, "o1", l.Entity)
		require.Equal(t, int64(2), l.Place)
	}

	for _, p := range m.parked { // and a parked one keeps its turn
		p.Due = m.now
		u := m.prepare.PrepareParked(p)
		u.Item.Alone = true
		u.Break(errFlaky)
		m.commit(m.waitingRun(u))
	}
	require.Equal(t, []string{"3 behind"}, m.waiting())
	resolved()(m, nil)
	for _, p := range m.parked {
		p.Due = m.now
		u := m.prepare.PrepareParked(p)
		u.Item.Alone = true
		u.Break(errFlaky)
		m.commit(m.waitingRun(u))
	}
	require.Empty(t, m.waiting())
	require.Equal(t, []string{"dead-letter/poison"}, m.reasons())
	require.Equal(t, "1", m.order("o1").Customer)
}

func (m *memory) waitingRun(u *batch.Unit) *batch.Outcome {
	out, err := m.judge.Waiting(context.Background(), []*batch.Unit{u}, m.layouts, m.recall(u.Item), m.now, func(*store.Parked) bool { return true }, nil)
	require.NoError(m.t, err)
	return out
}

// orphans are all placeholders with their origins.
func (m *memory) orphans() *batch.Orphans {
	o := &batch.Orphans{Model: m.model("orders"), Before: m.now, Age: time.Hour}
	for life, origins := range m.origins {
		l := batch.Life{OriginKey: life}
		for _, origin := range origins {
			l.Origins = append(l.Origins, m.prepare.PrepareOrigin(origin))
		}
		o.Lives = append(o.Lives, l)
	}
	return o
}

// TestALetterOfAnOriginHoldsItsID: its event may come to its effect once more, by a replay,
// so no duplicate of it may, whatever is forgotten meanwhile (R8).
func TestALetterOfAnOriginHoldsItsID(t *testing.T) {
	t.Parallel()
	m := newMemory(t, onceRegistry(nil))
	m.judge.KeepOrigins = true
	m.run(m.log(adds("o1", 1, "a", 5)))
	m.now = m.now.Add(time.Hour)
	o := m.orphans()
	loaded := m.load()
	loaded.IDs = map[store.IDKey]*store.ID{}
	for _, k := range o.IDs() {
		id := *m.ids[k]
		id.Known = true
		loaded.IDs[k] = &id
	}
	m.commit(m.judge.Sweep(t.Context(), o, m.layouts, loaded, m.now))
	require.Len(t, m.letters, 1)
	held, all := m.heldIDs()
	require.Equal(t, [2]int{1, 1}, [2]int{held, all})
	m.forget("once:count→order", 10)
	m.reasons()
	m.run(m.log(adds("o1", 1, "a", 5)))
	require.Equal(t, []string{"discard/duplicate"}, m.reasons())
}

// TestAnOriginThatWroteTwiceIsOneLetter: a column that is new to the model counts as never
// written, so an event that is read again writes the row once more.
func TestAnOriginThatWroteTwiceIsOneLetter(t *testing.T) {
	t.Parallel()
	m := newMemory(t, setRegistry())
	m.judge.KeepOrigins = true
	rs := m.log(ev{"noted", "o1", 1, "a", `{"note":"x"}`})
	m.run(rs)
	row := m.rows["orders"]["o1"]
	for i := range row.Clocks.Stamps {
		row.Clocks.Stamps[i] = event.Stamp{}
	}
	m.led.Next = 0
	m.judgeAt(rs)
	m.now = m.now.Add(time.Hour)
	m.commit(m.judge.Sweep(t.Context(), m.orphans(), m.layouts, m.load(), m.now))
	require.Len(t, m.letters, 1)
	require.Nil(t, m.order("o1"))
}

// TestASweeperLeavesWhatALaneHasChanged: what a lane has woken, or run and parked again,
// since the sweeper claimed it has another revision, which no repetition would find.
func TestASweeperLeavesWhatALaneHasChanged(t *testing.T) {
	t.Parallel()
	for _, cause := range []store.Cause{store.CauseGap, store.CauseRetry} {
		m := newMemory(t, counterRegistry(guards.Sequence(), nil, map[string]int{}))
		m.run(m.log(n(2)))
		var claimed *batch.Unit
		for id, p := range m.parked {
			row, now := *p, *p
			claimed = m.prepare.PrepareParked(&row)
			now.Rev, now.Cause = p.Rev+1, cause
			m.parked[id] = &now
		}
		out := m.waitingRun(claimed)
		require.Empty(t, out.Batch.Repark, cause)
		require.Empty(t, out.Batch.Release, cause)
	}
}

// TestAloneMakesNoLettersOfOthers: an event that is judged alone, at the bound of its gap,
// does not speak for another handler's, whose row was not read.
func TestAloneMakesNoLettersOfOthers(t *testing.T) {
	t.Parallel()
	reg := counterRegistry(guards.Sequence(), nil, map[string]int{})
	handlers.Modify(reg, "count", func(context.Context, *handlers.Delivery[facts, stock]) error { return nil }, guards.Sequence(), handlers.Writes("Sold"))
	m := newMemory(t, reg)
	m.run(m.log(n(2)))
	m.now = m.now.Add(time.Hour)
	alone := func(table string) {
		for _, p := range m.inPlaces() {
			if p.Table == table {
				row := *p
				u := m.prepare.PrepareParked(&row)
				u.Item.Alone = true
				m.commit(m.waitingRun(u))
			}
		}
	}
	alone("orders")
	require.Len(t, m.letters, 1)
	for _, l := range m.letters {
		require.Equal(t, "orders", l.Table)
	}
	require.Equal(t, []string{"2 gap"}, m.waiting())
	alone("stocks")
	require.Len(t, m.letters, 2, "it has a bound of its own")
}

// TestALateNumberIsMissing is the end of R7: a late event was not admitted, so its number is
// missing until its letter is replayed, and a late letter does not stop the time of the gap.
// One that nobody handles takes its number, whatever it becomes (DeadLetterUnhandled).
func TestALateNumberIsMissing(t *testing.T) {
	t.Parallel()
	reg := handlers.NewRegistry(guards.Timestamp(), guards.MaxFuture(time.Second), guards.MaxLateness(10*time.Second))
	handlers.Modify(reg, "count", func(_ context.Context, d *delivery) error {
		d.Entity.Customer += d.Event.ID + " "
		return nil
	}, guards.Sequence(guards.OnGap(guards.GapSkip), guards.GapTimeout(time.Minute)), handlers.Writes("Customer"))
	m := newMemory(t, reg)
	m.judge.DeadLetterUnhandled = true
	m.run(m.log(n(1), ev{"unhandled", "o1", 2, "2", ""}, n(3), ev{"unhandled", "o2", 50, "far", ""}, n(4), n(51)))
	require.Equal(t, []string{"apply/applied", "dead-letter/unhandled", "apply/applied", "dead-letter/unhandled", "dead-letter/late", "park/gap"}, m.reasons())
	require.Equal(t, int64(4), m.stream("o1").Next)
	sweepAfter(time.Minute)(m, nil)
	require.Equal(t, []string{"apply/applied"}, m.reasons())
	require.Equal(t, "1 3 51 ", m.order("o1").Customer)
}
