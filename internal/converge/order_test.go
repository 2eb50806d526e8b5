package converge

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

func TestPermutationsAreAllAndEachOnce(t *testing.T) {
	t.Parallel()
	for n, want := range []int{1, 1, 2, 6, 24, 120, 720} {
		seen := map[string]bool{}
		count := 0
		for p := range permutations(n) {
			seen[fmt.Sprint(p)] = true
			count++
		}
		require.Equal(t, want, count)
		require.Len(t, seen, want)
	}
}

// TestVariationsHaveEverything: duplicates, batches of several events, and both crashes.
func TestVariationsHaveEverything(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 1))
	twice, together, faults := 0, 0, [again + 1]int{}
	for range 200 {
		o := (&Checker{}).varied(rng, []int{2, 0, 1})
		require.Subset(t, o.list(), []int{0, 1, 2})
		if len(o.list()) > 3 {
			twice++
		}
		for _, s := range o {
			faults[s.fault]++
			if len(s.events) > 1 {
				together++
			}
		}
		o = (&Checker{options: Options{WithoutDuplicates: true}}).varied(rng, []int{2, 0, 1})
		require.Equal(t, []int{2, 0, 1}, o.list())
	}
	require.Equal(t, 200, twice)
	require.Greater(t, together, 50)
	require.Greater(t, faults[lost], 20)
	require.Greater(t, faults[again], 20)
}

type account struct {
	ID    string `gorm:"primaryKey"`
	Total int64
	guards.Guarded
}

// TestFaultsArePlayed: a batch whose commit is lost runs twice and has its effect once, and
// what is read again finds the ledger.
func TestFaultsArePlayed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		order order
		kinds []momentKind
		runs  int
		total int64
	}{
		"plain":       {order{{events: []int{0}}, {events: []int{1}}}, []momentKind{live, live}, 2, 3},
		"together":    {order{{events: []int{0, 1}}}, []momentKind{live}, 2, 3},
		"commit lost": {order{{events: []int{0}}, {events: []int{1}, fault: lost}}, []momentKind{live, undone, live}, 3, 3},
		"read again":  {order{{events: []int{0}}, {events: []int{1}, fault: again}}, []momentKind{live, live, reread}, 2, 3},
		"sent twice":  {order{{events: []int{0, 1, 1}}}, []momentKind{live}, 3, 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			runs := 0
			reg := handlers.NewRegistry()
			handlers.Modify(reg, "added", func(_ context.Context, d *handlers.Delivery[int64, account]) error {
				runs++
				d.Entity.Total += d.Payload
				return nil
			}, guards.None(), handlers.Writes("Total"))
			checker, err := New(reg, []*event.Event{
				{Type: "added", Key: "a", OccurredAt: time.Unix(1, 0), Data: []byte("1")},
				{Type: "added", Key: "a", OccurredAt: time.Unix(2, 0), Data: []byte("2")},
			}, Options{})
			require.NoError(t, err)
			var kinds []momentKind
			r, err := checker.play(t.Context(), c.order, func(m *moment) { kinds = append(kinds, m.kind) })
			require.NoError(t, err)
			require.Equal(t, c.kinds, kinds)
			require.Equal(t, c.runs, runs)
			require.Equal(t, c.total, r.content.Rows[0].Entity.Interface().(*account).Total)
			require.Empty(t, r.content.Parked)
		})
	}
}

func TestCauseIsWhatTheOrdersDoNotShare(t *testing.T) {
	t.Parallel()
	one := plain([]int{0, 1})
	for want, other := range map[string]order{
		"the order in which events come":          plain([]int{1, 0, 1}),
		"whether an event comes twice":            plain([]int{0, 1, 0}),
		"whether events are read again":           {{events: []int{0}, fault: again}, {events: []int{1}}},
		"whether a crash makes a batch run again": {{events: []int{0}}, {events: []int{1}, fault: lost}},
		"which events are in one batch":           {{events: []int{0, 1}}},
	} {
		require.Equal(t, want, cause(one, other))
	}
}

// TestALargeSetIsShrunkToWhatMatters: two of forty events do.
func TestALargeSetIsShrunkToWhatMatters(t *testing.T) {
	t.Parallel()
	reg := handlers.NewRegistry()
	handlers.Modify(reg, "added", func(_ context.Context, d *handlers.Delivery[int64, account]) error {
		d.Entity.Total += d.Payload
		return nil
	}, guards.Timestamp(), handlers.Writes("Total"))
	var events []*event.Event
	for i := range 40 {
		n := "0"
		if i == 13 {
			n = "5"
		}
		events = append(events, &event.Event{Type: "added", Key: "a", OccurredAt: time.Unix(int64(i), 0), Data: []byte(n)})
	}
	c, err := New(reg, events, Options{})
	require.NoError(t, err)
	story, err := c.Check(t.Context())
	require.NoError(t, err)
	require.NotNil(t, story)
	require.Equal(t, "events", story.sections[0].heading)
	require.Len(t, story.sections[0].lines, 2)
	require.Equal(t, "14", story.sections[0].lines[0][0])
}
