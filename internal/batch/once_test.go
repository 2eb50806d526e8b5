package batch_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// onceRegistry counts orders' events, each once. What an event does is in says, by its id:
// "fail", "letter", "discard", or count.
func onceRegistry(says map[string]string, more ...guards.Guard) *handlers.Registry {
	reg := handlers.NewRegistry(more...)
	handlers.Set(reg, "created", created, handlers.Creates(), handlers.Writes("Customer"))
	handlers.Modify(reg, "count", func(_ context.Context, d *delivery) error {
		d.Entity.Count += d.Payload.Limit
		switch says[d.Event.ID] {
		case "fail":
			return errFlaky
		case "letter":
			return handlers.DeadLetter(errFlaky)
		case "discard":
			return handlers.Discard("not counted")
		}
		return nil
	}, guards.Once(), handlers.Writes("Count"))
	return reg
}

func adds(key string, at int, id string, n int) ev {
	return ev{"count", key, at, id, fmt.Sprintf(`{"limit":%d}`, n)}
}

// heldIDs are the ids that are held, and all.
func (m *memory) heldIDs() (held, all int) {
	for _, id := range m.ids {
		if id.Held {
			held++
		}
	}
	return held, len(m.ids)
}

// forget forgets what is not held up to a second after base, as a sweeper does.
func (m *memory) forget(scope string, upTo int) {
	at := base.Add(time.Duration(upTo) * time.Second)
	for k, id := range m.ids {
		if k.Scope == scope && !id.Held && !id.At.After(at) {
			delete(m.ids, k)
		}
	}
	k := store.HorizonOf(scope)
	m.memos[k] = &store.Memo{MemoKey: k, Rev: 1, Body: strconv.FormatInt(at.UnixMicro(), 10)}
}

const countScope = "once:count→order"

// TestEachIDPassesOnce is R8: known by handler, entity key, source and id.
func TestEachIDPassesOnce(t *testing.T) {
	t.Parallel()
	a := adds("o1", 5, "a", 1)
	again := a
	again.at, again.data = 9, `{"limit":100}`
	for _, c := range []struct {
		rule    string
		batches [][]ev
		count   int
		reasons []string
	}{
		{"a duplicate in the batch", [][]ev{{a, a}}, 1, []string{"apply/applied", "discard/duplicate"}},
		{"a duplicate in a later batch", [][]ev{{a}, {a}}, 1, []string{"apply/applied", "discard/duplicate"}},
		{"the id counts, not what the event says", [][]ev{{a}, {again}}, 1, []string{"apply/applied", "discard/duplicate"}},
		{"old and early ones are applied", [][]ev{{adds("o1", 9, "z", 1), a}, {adds("o1", 1, "b", 1)}}, 3, []string{"apply/applied", "apply/applied", "apply/applied"}},
		{"another id at the same time", [][]ev{{a, adds("o1", 5, "b", 1)}}, 2, []string{"apply/applied", "apply/applied"}},
		{"another source", [][]ev{{adds("o1", 5, "x/yz", 1), adds("o1", 5, "xy/z", 1)}}, 2, []string{"apply/applied", "apply/applied"}},
		{"another entity", [][]ev{{a, adds("o2", 5, "a", 1)}}, 1, []string{"apply/applied", "apply/applied"}},
		{"events without id are their coordinates", [][]ev{{adds("o1", 5, "", 1), adds("o1", 5, "", 1)}}, 2, []string{"apply/applied", "apply/applied"}},
	} {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			m := newMemory(t, onceRegistry(nil))
			for _, b := range c.batches {
				m.run(m.log(b...))
			}
			require.Equal(t, c.reasons, m.reasons())
			require.Equal(t, c.count, m.order("o1").Count)
			held, _ := m.heldIDs()
			require.Zero(t, held)
		})
	}
}

// TestATakenIDStaysTaken: whatever became of the first record of an event, its duplicates
// are discarded; the id outlives the horizon while the event may still have its effect.
func TestATakenIDStaysTaken(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		says, first string
		held        int
	}{
		{"", "apply/applied", 0},
		{"discard", "discard/refused", 0},
		{"fail", "park/retry", 1},
		{"letter", "dead-letter/rejected", 1},
	} {
		t.Run(c.first, func(t *testing.T) {
			t.Parallel()
			m := newMemory(t, onceRegistry(map[string]string{"a": c.says}))
			m.run(m.log(adds("o1", 5, "a", 1), adds("o1", 5, "a", 1), adds("o1", 4, "b", 10)))
			m.run(m.log(adds("o1", 5, "a", 1), adds("o1", 6, "c", 100)))
			require.Equal(t, []string{c.first, "discard/duplicate", "apply/applied", "discard/duplicate", "apply/applied"}, m.reasons(), "and none waits")
			held, all := m.heldIDs()
			require.Equal(t, []int{c.held, 3}, []int{held, all})

			m.forget(countScope, 60)
			_, all = m.heldIDs()
			require.Equal(t, c.held, all)
			m.run(m.log(adds("o1", 5, "a", 1)))
			want := "dead-letter/late"
			if c.held > 0 {
				want = "discard/duplicate"
			}
			require.Equal(t, []string{want}, m.reasons())
		})
	}
}

// TestPoisonHoldsItsID: also what can't be decoded for the handler is known by its id.
func TestPoisonHoldsItsID(t *testing.T) {
	t.Parallel()
	m := newMemory(t, onceRegistry(nil))
	m.run(m.log(ev{"count", "o1", 1, "a", `{"limit":"x"}`}))
	m.run(m.log(ev{"count", "o1", 1, "a", `{"limit":"x"}`}, adds("o1", 2, "b", 1)))
	require.Equal(t, []string{"dead-letter/poison", "discard/duplicate", "apply/applied"}, m.reasons())
}

// TestARetryOwnsItsID: it neither takes itself for a duplicate nor looks at the horizon,
// and when it is done its id is like any other.
func TestARetryOwnsItsID(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"", "discard", "letter"} {
		for _, gone := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s gone %v", end, gone), func(t *testing.T) {
				t.Parallel()
				says := map[string]string{"a": "fail"}
				m := newMemory(t, onceRegistry(says))
				m.run(m.log(adds("o1", 5, "a", 1), adds("o1", 9, "b", 10)))
				m.forget(countScope, 60)
				if gone { // by somebody's hand
					clear(m.ids)
				}
				m.now = m.now.Add(time.Second)
				m.sweep() // fails again
				held, all := m.heldIDs()
				require.Equal(t, []int{1, 1}, []int{held, all})
				says["a"] = end
				m.now = m.now.Add(time.Minute)
				m.reasons()
				m.sweep()
				require.Empty(t, m.parked)
				held, all = m.heldIDs()
				require.Equal(t, 1, all)
				switch end {
				case "":
					require.Equal(t, []string{"apply/applied"}, m.reasons())
					require.Equal(t, 11, m.order("o1").Count)
					require.Zero(t, held)
				case "discard":
					require.Equal(t, []string{"discard/refused"}, m.reasons())
					require.Zero(t, held)
				case "letter":
					require.Equal(t, []string{"dead-letter/rejected"}, m.reasons())
					require.Equal(t, 1, held)
				}
				m.run(m.log(adds("o1", 5, "a", 1)))
				require.Equal(t, []string{"discard/duplicate"}, m.reasons())
			})
		}
	}
}

// TestBehindTheHorizon is R8: nothing there is guessed.
func TestOnceBehindTheHorizon(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rule   string
		at     int
		again  bool
		reason string
		holds  bool
	}{
		{"above it all is known", 61, false, "apply/applied", true},
		{"at it nobody knows", 60, false, "dead-letter/late", false},
		{"below it likewise", 1, false, "dead-letter/late", false},
		{"not at first sight, its outcome stands", 60, true, "discard/redelivered", false},
		{"not at first sight and above, it is new", 61, true, "apply/applied", true},
	} {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			m := newMemory(t, onceRegistry(nil))
			m.forget(countScope, 60)
			if c.again {
				m.led.High = 10
			}
			m.run(m.log(adds("o1", c.at, "a", 1)))
			require.Equal(t, c.reason, m.verdict[0].Verdict.Action.String()+"/"+string(m.verdict[0].Verdict.Reason))
			if v := m.verdict[0].Verdict; v.Action != guards.Apply {
				require.Equal(t, guards.Comparison{
					What: "memory", Event: base.Add(time.Duration(c.at) * time.Second).UnixMicro(), Against: base.Add(time.Minute).UnixMicro(),
				}, v.Numbers)
			}
			_, all := m.heldIDs()
			require.Equal(t, c.holds, all == 1, "a late one does not take its id")
			require.Equal(t, c.reason == "dead-letter/late", len(m.letters) == 1)
			for _, l := range m.letters {
				require.Equal(t, "o1", l.Entity)
				require.False(t, l.Blocking)
			}
			require.Equal(t, c.holds, m.order("o1") != nil)
		})
	}
}

// TestIDsAreForgottenByEventTime: an id is as old as its event.
func TestIDsAreForgottenByEventTime(t *testing.T) {
	t.Parallel()
	m := newMemory(t, onceRegistry(nil))
	a := adds("o1", 60, "a", 1)
	m.run(m.log(a))
	m.forget(countScope, 59)
	m.run(m.log(a))
	m.forget(countScope, 60)
	m.run(m.log(a))
	require.Equal(t, []string{"apply/applied", "discard/duplicate", "dead-letter/late"}, m.reasons())
}

// TestMemoriesReachBackFromEventTime: of what has been reached and the clock the lower.
func TestMemoriesReachBackFromEventTime(t *testing.T) {
	t.Parallel()
	m := newMemory(t, onceRegistry(nil))
	memories := batch.Memories(m.judge.Wiring, []string{"orders"})
	require.Equal(t, []batch.Memory{{Scope: countScope, For: guards.DefaultMemory}}, memories)
	week, now := guards.DefaultMemory.Microseconds(), base.UnixMicro()
	require.Equal(t, now-1-week, memories[0].ForgetsUpTo(now-1, base))
	require.Equal(t, now-week, memories[0].ForgetsUpTo(now+1, base), "an event from the future makes it no shorter")
}

// TestStreamsAreForgotten: a stream's ids too are dropped when they are old, once per stream.
func TestStreamsAreForgotten(t *testing.T) {
	t.Parallel()
	nothing := func(context.Context, *handlers.Delivery[struct{}, order]) error { return nil }
	reg := handlers.NewRegistry()
	handlers.Modify(reg, "a", nothing, guards.Sequence(), handlers.Writes("Count"))
	handlers.Modify(reg, "b", nothing, guards.Sequence(), handlers.Writes("Count"))
	handlers.Modify(reg, "c", nothing, guards.Sequence(guards.Stream("own")), handlers.Writes("Limit"))
	require.Equal(t, []batch.Memory{
		{Scope: "sequence:t1", For: guards.DefaultMemory}, {Scope: "sequence:t2", For: guards.DefaultMemory}, {Scope: "sequence:own", For: guards.DefaultMemory},
	}, batch.Memories(newMemory(t, reg).judge.Wiring, []string{"t1", "t2"}))
}

// TestOnceIsNotJudgedTwice: a record that is not at first sight is redelivered where it has
// a letter or is parked, else its id tells (R6); a late one whose id is known is a duplicate
// and no letter.
func TestOnceIsNotJudgedTwice(t *testing.T) {
	t.Parallel()
	m := newMemory(t, onceRegistry(map[string]string{"p": "fail", "l": "letter"}, guards.MaxLateness(time.Hour)))
	m.run(m.log(adds("o1", 0, "a", 1), adds("o1", 0, "p", 1), adds("o1", 0, "l", 1)))
	m.reasons()
	m.judgeAt(m.lastRecords(3))
	require.Equal(t, []string{"discard/duplicate", "discard/redelivered", "discard/redelivered"}, m.reasons())

	m.led.Next = 3
	m.now = base.Add(3 * time.Hour)
	m.run(m.log(adds("o9", 9000, "z", 1), adds("o1", 0, "a", 1), adds("o1", 0, "p", 1), adds("o1", 0, "new", 1)))
	require.Equal(t, []string{"apply/applied", "discard/duplicate", "discard/duplicate", "dead-letter/late"}, m.reasons())
	require.Equal(t, 1, m.order("o1").Count)
}

// TestOnceLeavesClocksAlone: its columns have none, and those of other handlers stay.
func TestOnceLeavesClocksAlone(t *testing.T) {
	t.Parallel()
	reg := onceRegistry(nil)
	handlers.Modify(reg, "limit", func(_ context.Context, d *delivery) error {
		d.Entity.Limit = d.Payload.Limit
		return nil
	}, guards.Timestamp(), handlers.Writes("Limit"))
	m := newMemory(t, reg)
	m.run(m.log(adds("o1", 90, "a", 1)))
	row := m.rows["orders"]["o1"]
	require.True(t, row.Clocks.Newest().IsZero())
	require.Equal(t, guards.Placeholder, row.State, "somebody creates orders, and has not yet")
	m.run(m.log(ev{"limit", "o1", 5, "l", `{"limit":7}`}, ev{"created", "o1", 1, "c", `{"customer":"ann"}`}))
	clocks := m.rows["orders"]["o1"].Clocks.Clone()
	out := m.run(m.log(adds("o1", 99, "b", 10)))
	require.Equal(t, clocks, m.rows["orders"]["o1"].Clocks)
	require.Len(t, out.Batch.Update, 1)
	require.Equal(t, &order{ID: "o1", Customer: "ann", Count: 11, Limit: 7}, withoutGuarded(m.order("o1")))
	require.Equal(t, guards.Alive, m.rows["orders"]["o1"].State)
}

func withoutGuarded(o *order) *order {
	c := *o
	c.Guarded = guards.Guarded{}
	return &c
}

// TestOnceGuardsTheRowThatItShows is R15, also where nothing came of it.
func TestOnceGuardsTheRowThatItShows(t *testing.T) {
	t.Parallel()
	m := newMemory(t, onceRegistry(map[string]string{"b": "discard"}))
	m.run(m.log(adds("o1", 1, "a", 1)))
	out := m.run(m.log(adds("o1", 2, "b", 1)))
	require.Len(t, out.Batch.Update, 1)
	out = m.run(m.log(adds("o1", 2, "b", 1)))
	require.Empty(t, out.Batch.Update, "a duplicate is shown none")
}

// TestKeysUnderOnce: an event's id counts for each of its entities.
func TestKeysUnderOnce(t *testing.T) {
	t.Parallel()
	broken := map[int64]bool{2: true}
	reg := handlers.NewRegistry()
	handlers.Modify(reg, "moved", func(_ context.Context, d *shelfDelivery) error {
		if broken[d.Entity.ID] {
			return errFlaky
		}
		d.Entity.N++
		return nil
	}, guards.Once(), handlers.Keys(shelvesOf), handlers.Writes("N"))
	m := newMemory(t, reg)
	e := ev{"moved", "van", 1, "a", shelves(`"1","2"`)}
	m.run(m.log(e, e))
	require.Equal(t, []string{"apply/applied", "park/retry", "discard/duplicate", "discard/duplicate"}, m.reasons())
	held, all := m.heldIDs()
	require.Equal(t, []int{1, 2}, []int{held, all})
	broken[2] = false
	m.now = m.now.Add(time.Minute)
	m.sweep()
	require.Equal(t, []int64{1, 1}, []int64{m.shelf("1").N, m.shelf("2").N})
}

// TestAnyOrderGivesOneSum: every permutation of a set with duplicates, cut into batches in
// every way, ends in one row.
func TestAnyOrderGivesOneSum(t *testing.T) {
	t.Parallel()
	set := []ev{
		adds("o1", 1, "a", 1), adds("o1", 2, "b", 10), adds("o1", 2, "c", 100),
		adds("o1", 1, "a", 1), adds("o1", 2, "c", 100),
	}
	runs := 0
	orders(len(set), func(order []int) {
		for cuts := range 1 << (len(set) - 1) {
			m := newMemory(t, onceRegistry(map[string]string{}))
			rs := m.log(set...)
			var b []*event.Record
			for i, n := range order {
				b = append(b, rs[n])
				if cuts>>i&1 == 1 || i == len(order)-1 {
					m.run(b)
					b = nil
				}
			}
			if m.order("o1").Count != 111 || len(m.ids) != 3 || len(m.letters) > 0 {
				t.Fatalf("order %v, cuts %b: %d with %d ids", order, cuts, m.order("o1").Count, len(m.ids))
			}
			runs++
		}
	})
	require.Equal(t, 120*16, runs)
}

func orders(n int, with func([]int)) {
	var from func(order []int, left []int)
	from = func(order, left []int) {
		if len(left) == 0 {
			with(order)
			return
		}
		for i, n := range left {
			rest := append(append([]int{}, left[:i]...), left[i+1:]...)
			from(append(order[:len(order):len(order)], n), rest)
		}
	}
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	from(nil, all)
}

// TestFailuresDoNotChangeTheSum: events that fail for a while, in any order, with
// duplicates before and after their retry, are each counted once.
func TestFailuresDoNotChangeTheSum(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 8))
		says := map[string]string{}
		m := newMemory(t, onceRegistry(says))
		m.judge.MaxParkedPerKey = 100
		m.judge.Delay = func(int) (time.Duration, bool) { return time.Second, true }
		var set []ev
		for i := range 8 {
			e := adds(fmt.Sprintf("o%d", i%2), i, fmt.Sprintf("e%d", i), 1<<i)
			set = append(set, e, e)
			if rng.IntN(3) == 0 {
				says[e.id] = "fail"
			}
		}
		for _, e := range shuffled(rng, set) {
			m.run(m.log(e))
			if rng.IntN(4) == 0 {
				says[e.id] = ""
			}
			if rng.IntN(3) == 0 {
				m.now = m.now.Add(time.Second)
				m.sweep()
			}
		}
		clear(says)
		m.now = m.now.Add(time.Minute)
		m.sweep()
		require.Equal(t, []int{1 + 4 + 16 + 64, 2 + 8 + 32 + 128}, []int{m.order("o0").Count, m.order("o1").Count}, "seed %d", seed)
		held, all := m.heldIDs()
		require.Equal(t, []int{0, 8}, []int{held, all})
	}
}
