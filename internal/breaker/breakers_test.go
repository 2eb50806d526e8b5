package breaker

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// world is one handler's breaker with a clock of its own, and no jitter.
type world struct {
	*testing.T
	b     *Breakers
	now   time.Time
	n     int
	heard []State
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, now: time.Unix(1000, 0)}
	w.b = New(Settings{Share: 0.5, Window: 200, Keys: 20}, func(s Status) { w.heard = append(w.heard, s.State) })
	w.b.jitter = func(d time.Duration) time.Duration { return d }
	return w
}

// fresh is a key that no event was about.
const fresh = ""

func (w *world) events(n int, failed bool, key string) {
	for range n {
		w.n++
		k := key
		if k == fresh {
			k = fmt.Sprint("k", w.n)
		}
		w.b.Note(0, "h", k, failed, "down", w.now)
	}
}

func (w *world) state() State { return w.b.List()[0].State }

// probe asks for a probe and tells its result.
func (w *world) probe(r Result) {
	w.Helper()
	require.Equal(w, []string{"h"}, w.b.Ask([]string{"h"}, w.now).Probe)
	w.b.Probed("h", r, "still down", w.now)
}

// TestWhenABreakerOpens is R22's table.
func TestWhenABreakerOpens(t *testing.T) {
	t.Parallel()
	type run struct {
		n      int
		failed bool
		key    string
	}
	for _, c := range []struct {
		name string
		runs []run
		open bool
	}{
		{"all fail, nineteen keys", []run{{19, true, fresh}}, false},
		{"all fail, twenty keys", []run{{20, true, fresh}}, true},
		{"one hot key fails for long", []run{{1000, true, "hot"}}, false},
		{"a hot key and nineteen others", []run{{1000, true, "hot"}, {19, true, fresh}}, true},
		{"half fail", []run{{100, false, fresh}, {100, true, fresh}}, false},
		{"one more than half", []run{{99, false, fresh}, {101, true, fresh}}, true},
		{"the last 200 count, good ones before don't", []run{{100_000, false, fresh}, {101, true, fresh}}, true},
		{"and bad ones before don't", []run{{19, true, fresh}, {200, false, fresh}, {19, true, fresh}}, false},
		{"a hundred of the last 200", []run{{100_000, false, fresh}, {100, true, fresh}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for _, r := range c.runs {
				w.events(r.n, r.failed, r.key)
			}
			require.Equal(t, c.open, w.b.Open("h"))
			require.Equal(t, c.open, !w.b.Ask([]string{"h"}, w.now).Go)
			require.False(t, w.b.Open("other"))
			require.True(t, w.b.Ask([]string{"other"}, w.now).Go)
		})
	}
}

func TestProbesComeLessAndLessOften(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.events(20, true, fresh)
	for _, seconds := range []int{1, 2, 4, 8, 16, 32, 60, 60} {
		most := time.Duration(seconds) * time.Second
		require.Equal(t, most, w.b.Ask([]string{"h"}, w.now).Again)
		w.now = w.now.Add(most - 1)
		require.Empty(t, w.b.Ask([]string{"h"}, w.now).Probe)
		w.now = w.now.Add(1)
		l := w.b.Ask([]string{"h", "other"}, w.now)
		require.Equal(t, []string{"h"}, l.Probe)
		l = w.b.Ask([]string{"h"}, w.now)
		require.Empty(t, l.Probe, "one at a time")
		require.Equal(t, most, l.Again)
		w.b.Probed("h", Failed, "still down", w.now)
		<-l.Changed
	}
	s := w.b.List()[0]
	require.Equal(t, Status{Handler: "h", State: Open, Since: time.Unix(1000, 0), Failed: 20, Of: 20, Probes: 8, NextProbe: w.now.Add(time.Minute), Error: "still down"}, s)
	require.Equal(t, []State{Open}, w.heard, "it says so once")
}

func TestABreakerThatOpensAgainGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.events(20, true, fresh)
	for range 3 {
		w.now = w.now.Add(time.Minute)
		w.probe(Failed)
	}
	w.now = w.now.Add(time.Minute)
	w.probe(Passed)
	require.Equal(t, HalfOpen, w.state())
	require.True(t, w.b.Ask([]string{"h"}, w.now).Go)
	w.events(2, false, fresh)
	w.events(4, true, fresh)
	require.Equal(t, HalfOpen, w.state(), "five keys are a quarter of twenty")
	w.events(1, true, fresh)
	require.Equal(t, Open, w.state())
	require.Equal(t, 16*time.Second, w.b.Ask([]string{"h"}, w.now).Again)
	w.now = w.now.Add(time.Minute)
	w.probe(Passed)
	w.events(49, false, fresh)
	require.Equal(t, HalfOpen, w.state())
	require.Equal(t, []State{Open}, w.heard)
	w.events(1, false, fresh)
	require.Equal(t, Closed, w.state())
	require.Equal(t, []State{Open, Closed}, w.heard)
	w.events(51, true, fresh)
	require.Equal(t, Open, w.state())
	require.Equal(t, time.Second, w.b.Ask([]string{"h"}, w.now).Again, "it had been well")
}

// A probe whose event did not come to the handler says nothing, and another may be made.
func TestAProbeThatSaysNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.events(20, true, fresh)
	w.now = w.now.Add(time.Minute)
	w.probe(Unknown)
	w.probe(Unknown)
	w.probe(Passed)
	require.Equal(t, HalfOpen, w.state())
}

func TestAnEventOfTwoHandlersProbesBoth(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.events(20, true, fresh)
	w.now = w.now.Add(time.Second)
	for i := range 20 {
		w.b.Note(0, "i", fmt.Sprint(i), true, "", w.now)
	}
	require.Equal(t, time.Second, w.b.Ask([]string{"h", "i"}, w.now).Again)
	require.Equal(t, []string{"h"}, w.b.Ask([]string{"h"}, w.now).Probe, "asking has taken none")
	w.b.Probed("h", Unknown, "", w.now)
	w.now = w.now.Add(time.Second)
	require.Equal(t, []string{"h", "i"}, w.b.Ask([]string{"h", "i"}, w.now).Probe)
}

func TestResumeClosesAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.events(20, true, fresh)
	changed := w.b.Ask([]string{"h"}, w.now).Changed
	w.b.Resume(w.now)
	<-changed
	require.True(t, w.b.Ask([]string{"h"}, w.now).Go)
	require.Equal(t, []State{Open, Closed}, w.heard)
	w.events(19, true, fresh)
	require.Equal(t, Closed, w.state())
	w.events(1, true, fresh)
	require.Equal(t, Open, w.state())
}

// What the database refuses was noted as passed when its handler ran, and is one event.
func TestAnOutcomeCanChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var marks []Mark
	for i := range 40 {
		marks = append(marks, w.b.Note(0, "h", fmt.Sprint(i), false, "", w.now))
	}
	for i := range 20 {
		require.Equal(t, marks[i], w.b.Note(marks[i], "h", fmt.Sprint(i), true, "refused", w.now))
		require.Equal(t, marks[i], w.b.Note(marks[i], "h", fmt.Sprint(i), true, "refused", w.now))
	}
	s := w.b.List()[0]
	require.Equal(t, []any{Closed, 20, 40}, []any{s.State, s.Failed, s.Of})
	w.b.Note(marks[20], "h", "20", true, "refused", w.now)
	require.Equal(t, Open, w.state())

	w = newWorld(t)
	old := w.b.Note(0, "h", "old", false, "", w.now)
	w.events(200, false, fresh)
	w.b.Note(old, "h", "old", true, "", w.now)
	s = w.b.List()[0]
	require.Equal(t, []int{1, 200}, []int{s.Failed, s.Of}, "it is out of the window, and counts as one more")
}

// Whoever has been told asks what there is to know: nothing is locked then.
func TestWhoIsToldMayAsk(t *testing.T) {
	t.Parallel()
	var b *Breakers
	open := 0
	b = New(Settings{Share: 0.5, Window: 200, Keys: 20}, func(Status) { open += len(b.List()) })
	for i := range 20 {
		b.Note(0, "h", fmt.Sprint(i), true, "", time.Unix(0, 0))
	}
	require.Equal(t, 1, open)
}
