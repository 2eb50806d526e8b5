package batch_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// n is the event of o1 with this number.
func n(number int) ev { return ev{"count", "o1", number, fmt.Sprint(number), ""} }

func ns(numbers ...int) []ev {
	var out []ev
	for _, number := range numbers {
		out = append(out, n(number))
	}
	return out
}

func applied(reasons []string) (count int) {
	for _, r := range reasons {
		if r == "apply/applied" {
			count++
		}
	}
	return count
}

// TestEveryOrderOfNumbersGivesOneRow: all permutations of the numbers, each with a duplicate
// of one, cut into batches in every way, leave the same row. Of the ways to cut six numbers
// each permutation meets a few, and each way many permutations.
func TestEveryOrderOfNumbersGivesOneRow(t *testing.T) {
	t.Parallel()
	whole := newMemory(t, counterRegistry(guards.Sequence(), nil, map[string]int{}))
	whole.judge.MaxParkedPerKey = 100
	for _, c := range []struct {
		numbers []int
		row     string
		cuts    int
	}{{[]int{1, 2, 3, 4, 5}, "12345", 32}, {[]int{1, 2, 3, 4, 5, 6}, "123456", 3}} {
		tried, all := 0, 1<<len(c.numbers)
		permute(c.numbers, func(order []int) {
			withDuplicate := slices.Insert(slices.Clone(order), 1+tried%len(order), order[tried%len(order)])
			for i := range c.cuts {
				cut := (tried*c.cuts + i) % all
				m := whole.emptied()
				var rs []*event.Record
				for j, r := range m.log(ns(withDuplicate...)...) {
					rs = append(rs, r)
					if cut>>j&1 == 1 || j == len(withDuplicate)-1 {
						m.run(rs)
						rs = nil
					}
				}
				s, o := m.stream("o1"), m.order("o1")
				got := fmt.Sprint(o.Customer, " ", o.Count, len(m.parked), len(m.letters), s.Next, applied(m.reasons()))
				if want := fmt.Sprint(c.row, " ", len(order), 0, 0, len(order)+1, len(order)); got != want {
					t.Fatalf("order %v, cut %b: %s, want %s", withDuplicate, cut, got, want)
				}
			}
			tried++
		})
	}
}

// step is what happens in a case of TestSequence.
type step func(m *memory, broken map[string]bool)

func come(evs ...ev) step { return func(m *memory, _ map[string]bool) { m.run(m.log(evs...)) } }

func sweepAfter(d time.Duration) step {
	return func(m *memory, _ map[string]bool) {
		m.now = m.now.Add(d)
		m.sweep()
	}
}

func breaks(ids ...string) step {
	return func(_ *memory, broken map[string]bool) {
		for _, id := range ids {
			broken[id] = true
		}
	}
}

func mended() step { return func(_ *memory, broken map[string]bool) { clear(broken) } }

// resolved is what somebody does about all letters.
func resolved() step {
	return func(m *memory, _ map[string]bool) {
		for _, l := range m.letters {
			l.Blocking = false
		}
	}
}

// TestSequence reads as R7 and R9 do.
func TestSequence(t *testing.T) {
	t.Parallel()
	skip := []guards.SequenceOption{guards.OnGap(guards.GapSkip)}
	const timeout = 31 * time.Second
	for _, c := range []struct {
		name    string
		options []guards.SequenceOption
		steps   []step
		row     string   // the events that were applied, in order
		waiting []string // what is parked
		letters []string // ids and reasons
		state   string
	}{
		{
			"an event ahead waits", nil,
			[]step{come(ns(1, 3)...)},
			"1",
			[]string{"3 gap"},
			nil, `{"next":2,"begun":true,"ahead":[[3,3]]}`,
		},
		{
			"an event that nobody handles uses its number up", nil,
			[]step{come(n(1), ev{"other", "o1", 2, "x", ""}, n(3))},
			"13", nil, nil, `{"next":4,"begun":true}`,
		},
		{
			"also one that comes ahead", nil,
			[]step{come(n(3), ev{"other", "o1", 2, "x", ""}), come(n(1))},
			"13", nil, nil, `{"next":4,"begun":true}`,
		},
		{
			"each key has its own numbers", nil,
			[]step{come(n(1), ev{"count", "o2", 2, "x", ""}, n(2))},
			"12",
			[]string{"x gap"},
			nil, `{"next":3,"begun":true}`,
		},
		{
			"an old number that nobody remembers is discarded",
			[]guards.SequenceOption{guards.From(5)},
			[]step{come(ns(4, 5)...)},
			"5", nil, nil, `{"next":6,"begun":true}`,
		},
		{
			"a number under another id is a conflict", nil,
			[]step{come(n(1), ev{"count", "o1", 1, "other", ""}, n(2))},
			"12", nil,
			[]string{"other conflict"},
			`{"next":3,"begun":true}`,
		},
		{
			"a conflict about a number that waits holds what comes after", nil,
			[]step{come(n(2), ev{"count", "o1", 2, "other", ""}, n(3), n(1))},
			"12",
			[]string{"3 behind"},
			[]string{"other conflict"},
			`{"next":4,"begun":true}`,
		},
		{
			"a first number that is seen begins the stream",
			[]guards.SequenceOption{guards.FirstSeen()},
			[]step{come(ns(7, 6, 9, 8)...)},
			"789", nil, nil, `{"next":10,"begun":true}`,
		},
		{
			"a missing number is poison, and holds nothing up", nil,
			[]step{come(ev{"count", "o1", 9, "x", noNumber}, n(1))},
			"1", nil,
			[]string{"x poison"},
			`{"next":2,"begun":true}`,
		},
		{
			"what can't be read uses its number up and holds what comes after", nil,
			[]step{come(n(1), ev{"count", "o1", 2, "x", "{"}, n(3))},
			"1",
			[]string{"3 behind"},
			[]string{"x poison"},
			`{"next":4,"begun":true}`,
		},
		{
			"until somebody has dealt with it", nil,
			[]step{come(n(1), ev{"count", "o1", 2, "x", "{"}, n(3)), resolved(), sweepAfter(time.Hour)},
			"13", nil,
			[]string{"x poison"},
			`{"next":4,"begun":true}`,
		},

		{
			"a retry holds what comes after, and all go on together", nil,
			[]step{breaks("1"), come(ns(1, 2, 3)...), mended(), sweepAfter(time.Second)},
			"123", nil, nil, `{"next":4,"begun":true}`,
		},
		{
			"a follower that fails holds those behind it", nil,
			[]step{breaks("2"), come(ns(2, 3)...), come(n(1))},
			"1",
			[]string{"2 retry", "3 gap"},
			nil, `{"next":4,"begun":true}`,
		},
		{
			"and runs when its time has come", nil,
			[]step{breaks("2"), come(ns(2, 3)...), come(n(1)), mended(), sweepAfter(time.Second)},
			"123", nil, nil, `{"next":4,"begun":true}`,
		},
		{
			"a head that fails for good holds its key", nil,
			[]step{breaks("1"), come(ns(1, 2)...), sweepAfter(time.Minute), sweepAfter(time.Minute), come(n(3)), sweepAfter(time.Hour)},
			"",
			[]string{"2 behind", "3 behind"},
			[]string{"1 exhausted"},
			`{"next":4,"begun":true}`,
		},

		{
			"before the bound a gap is left alone", nil,
			[]step{come(ns(1, 3)...), sweepAfter(29 * time.Second)},
			"1",
			[]string{"3 gap"},
			nil, `{"next":2,"begun":true,"ahead":[[3,3]]}`,
		},
		{
			"at the bound the first that waits becomes a letter, and holds the others", nil,
			[]step{come(ns(1, 3, 4)...), sweepAfter(timeout)},
			"1",
			[]string{"4 behind"},
			[]string{"3 gap"},
			`{"next":2,"begun":true,"ahead":[[3,4]]}`,
		},
		{
			"no gap timer runs behind a blocking letter", nil,
			[]step{come(ns(1, 3, 5)...), sweepAfter(timeout), sweepAfter(time.Hour), sweepAfter(time.Hour)},
			"1",
			[]string{"5 behind"},
			[]string{"3 gap"},
			`{"next":2,"begun":true,"ahead":[[3,3],[5,5]]}`,
		},
		{
			"nor behind one that comes later", nil,
			[]step{come(n(3)), come(ev{"count", "o1", 1, "x", "{"}), sweepAfter(timeout)},
			"",
			[]string{"3 behind"},
			[]string{"x poison"},
			`{"next":2,"begun":true,"ahead":[[3,3]]}`,
		},
		{
			"what fills the gap before the letter is applied", nil,
			[]step{come(ns(1, 3, 4)...), sweepAfter(timeout), come(n(2))},
			"12",
			[]string{"4 behind"},
			[]string{"3 gap"},
			`{"next":5,"begun":true}`,
		},
		{
			"after the letter its time runs anew", nil,
			[]step{come(ns(1, 3, 5)...), sweepAfter(timeout), resolved(), sweepAfter(time.Hour)},
			"1",
			[]string{"5 gap"},
			[]string{"3 gap"},
			`{"next":2,"begun":true,"ahead":[[3,3],[5,5]]}`,
		},
		{
			"an event from the future uses up no number", nil,
			[]step{come(n(1), ev{"count", "o1", 7200, "future", ""}, n(2))},
			"12", nil,
			[]string{"future future"},
			`{"next":3,"begun":true}`,
		},

		{
			"at the bound the stream goes on without", skip,
			[]step{come(ns(1, 3, 4, 6)...), sweepAfter(timeout)},
			"1346", nil, nil, `{"next":7,"begun":true,"skipped":[[2,2],[5,5]],"incomplete":true}`,
		},
		{
			"a gap is as old as the first that waits for it", skip,
			[]step{come(ns(1, 8)...), sweepAfter(20 * time.Second), come(n(5)), sweepAfter(11 * time.Second)},
			"158", nil, nil, `{"next":9,"begun":true,"skipped":[[2,4],[6,7]],"incomplete":true}`,
		},
		{
			"but no older", skip,
			[]step{come(ns(1, 3)...), sweepAfter(20 * time.Second), come(n(5)), sweepAfter(11 * time.Second)},
			"13",
			[]string{"5 gap"},
			nil, `{"next":4,"begun":true,"ahead":[[5,5]],"skipped":[[2,2]],"incomplete":true}`,
		},
		{
			"what fills a skipped number is a letter, never old, and holds nothing up", skip,
			[]step{come(ns(1, 3)...), sweepAfter(timeout), come(ns(2, 4)...)},
			"134", nil,
			[]string{"2 gap"},
			`{"next":5,"begun":true,"skipped":[[2,2]],"incomplete":true}`,
		},
		{
			"too many that wait trip the bound at once",
			[]guards.SequenceOption{guards.MaxGap(2), guards.OnGap(guards.GapSkip)},
			[]step{come(ns(1, 3, 5, 7)...)},
			"13",
			[]string{"5 gap", "7 gap"},
			nil, `{"next":4,"begun":true,"ahead":[[5,5],[7,7]],"skipped":[[2,2]],"incomplete":true}`,
		},
		{
			"the newcomer may be the first of them",
			[]guards.SequenceOption{guards.MaxGap(2), guards.OnGap(guards.GapSkip)},
			[]step{come(ns(1, 7, 5)...), come(n(3))},
			"13",
			[]string{"5 gap", "7 gap"},
			nil, `{"next":4,"begun":true,"ahead":[[5,5],[7,7]],"skipped":[[2,2]],"incomplete":true}`,
		},
		{
			"likewise where the first becomes a letter",
			[]guards.SequenceOption{guards.MaxGap(1)},
			[]step{come(ns(1, 5)...), come(n(3))},
			"1",
			[]string{"5 gap"},
			[]string{"3 gap"},
			`{"next":2,"begun":true,"ahead":[[3,3],[5,5]]}`,
		},
		{
			"numbers that nobody waits for are bounded, too",
			[]guards.SequenceOption{guards.MaxGap(1)},
			[]step{come(ev{"other", "o1", 3, "x", ""}, ev{"other", "o1", 5, "y", ""})},
			"", nil, nil, `{"next":4,"begun":true,"ahead":[[5,5]],"skipped":[[1,2]],"incomplete":true}`,
		},
		{
			"behind a letter too many become letters themselves", nil,
			[]step{come(ev{"count", "o1", 1, "x", "{"}), come(ns(2, 3, 4, 5)...)},
			"",
			[]string{"2 behind", "3 behind", "4 behind"},
			[]string{"5 behind", "x poison"},
			`{"next":6,"begun":true}`,
		},

		{
			"an event with the whole state goes on from its number", nil,
			[]step{come(n(1), ev{"whole", "o1", 5, "5", ""}, n(6), n(3))},
			"5!6", nil, nil, `{"next":7,"begun":true,"base":5,"has_base":true}`,
		},
		{
			"what waited for less is discarded", nil,
			[]step{come(ns(1, 3)...), come(ev{"whole", "o1", 5, "5", ""})},
			"5!", nil, nil, `{"next":6,"begun":true,"base":5,"has_base":true}`,
		},
		{
			"what failed before it holds nothing up", nil,
			[]step{breaks("1"), come(n(1), ev{"whole", "o1", 5, "5", ""}, n(6)), sweepAfter(time.Second)},
			"5!6", nil, nil, `{"next":7,"begun":true,"base":5,"has_base":true}`,
		},
		{
			"nor do letters before it", nil,
			[]step{come(ev{"count", "o1", 1, "x", "{"}, n(2), ev{"whole", "o1", 5, "5", ""}, n(6))},
			"5!6", nil,
			[]string{"x poison"},
			`{"next":7,"begun":true,"base":5,"has_base":true}`,
		},
		{
			"nor do they stop the time of later gaps", skip,
			[]step{come(ev{"count", "o1", 1, "x", "{"}, ev{"whole", "o1", 5, "5", ""}, n(7)), sweepAfter(timeout)},
			"5!7", nil,
			[]string{"x poison"},
			`{"next":8,"begun":true,"base":5,"has_base":true,"skipped":[[6,6]],"incomplete":true}`,
		},
		{
			"nor does what failed", nil,
			[]step{breaks("1"), come(n(1), ev{"whole", "o1", 5, "5", ""}, n(7))},
			"5!",
			[]string{"1 retry", "7 gap"},
			nil, `{"next":6,"begun":true,"base":5,"has_base":true,"ahead":[[7,7]]}`,
		},
		{
			"the stream is complete again", skip,
			[]step{come(ns(1, 3)...), sweepAfter(timeout), come(ev{"whole", "o1", 5, "5", ""}, n(2))},
			"5!", nil, nil, `{"next":6,"begun":true,"base":5,"has_base":true}`,
		},
		{
			"an old whole state is old", nil,
			[]step{come(n(1), n(2), ev{"whole", "o1", 1, "w", ""})},
			"12", nil,
			[]string{"w conflict"},
			`{"next":3,"begun":true}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			broken := map[string]bool{}
			reg := counterRegistry(guards.Sequence(c.options...), broken, map[string]int{})
			handlers.Modify(reg, "whole", func(_ context.Context, d *delivery) error {
				d.Entity.Customer = d.Event.ID + "!"
				return nil
			}, guards.Sequence(c.options...), handlers.Writes("Customer"), handlers.Baseline())
			m := newMemory(t, reg)
			for _, s := range c.steps {
				s(m, broken)
			}
			row := ""
			if o := m.order("o1"); o != nil {
				row = o.Customer
			}
			require.Equal(t, c.row, row)
			require.Equal(t, c.waiting, m.waiting())
			var letters []string
			for _, l := range m.letters {
				letters = append(letters, l.EventID+" "+string(l.Verdict.Reason))
			}
			slices.Sort(letters)
			require.Equal(t, c.letters, letters)
			s := m.stream("o1")
			require.Equal(t, c.state, s.String())
		})
	}
}
