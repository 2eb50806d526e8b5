package runtime

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/internal/broker"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

func TestControls(t *testing.T) {
	t.Parallel()
	var c controls
	p := broker.Partition{Topic: "o", Number: 3}
	var said []string
	set := func(told ...store.Control) bool {
		return c.set(told, func(what string, c store.Control) { said = append(said, what+": "+c.String()) })
	}
	all := store.Control{Scope: store.Scope{Partition: store.AllPartitions}, Resumes: 7}
	on := func(topic string, partition int32, paused bool) store.Control {
		return store.Control{Scope: store.Scope{Topic: topic, Partition: partition}, Paused: paused}
	}
	require.True(t, c.ask(p).Go)
	c.begin()
	first := c.ask(p)
	require.False(t, first.Go, "what it is told may be to wait")
	require.True(t, c.all())
	require.False(t, set(all), "what was said before is not for it")
	<-first.Changed
	require.False(t, c.all())
	require.True(t, c.ask(p).Go)
	for _, told := range []store.Control{on("o", 3, true), on("o", store.AllPartitions, true)} {
		require.False(t, set(all, told))
		held := c.ask(p)
		require.False(t, held.Go)
		require.False(t, c.all())
		require.False(t, set(all, told), "nothing new")
		require.NotPanics(t, func() {
			select {
			case <-held.Changed:
				t.Error("nothing has changed")
			default:
			}
		})
		told.Paused = false
		require.False(t, set(all, told))
		<-held.Changed
		require.True(t, c.ask(p).Go)
	}
	for _, told := range []store.Control{on("o", 4, true), on("p", store.AllPartitions, true)} {
		set(all, told)
		require.True(t, c.ask(p).Go)
	}
	all.Paused = true
	require.False(t, set(all))
	require.False(t, c.ask(p).Go)
	require.True(t, c.all())
	all.Paused, all.Resumes = false, 8
	require.True(t, set(all))
	require.False(t, set(all), "once")
	require.Equal(t, []string{
		"let it be: partition 3 of topic o", "go on: partition 3 of topic o", "let it be: topic o", "go on: topic o",
		"let it be: partition 4 of topic o", "let it be: topic p", "let it be: everything", "go on: everything",
	}, said)
}

// A member that is told so runs nothing, neither of its partitions nor of what is parked, and
// goes on when it is told that, its breakers closed.
func TestAMemberDoesAsItIsTold(t *testing.T) {
	t.Parallel()
	w := newSlowWorld(t, false)
	for i := range 40 {
		w.add(said{ID: fmt.Sprint("e", i), Type: "note", Key: fmt.Sprint("k", i)})
	}
	w.broken = true
	l := w.lane(func(o *Options) {
		o.Breaker = usual
		o.Judge.Delay = func(int) (time.Duration, bool) { return 0, true }
	})
	w.until("it waits", func() bool { return l.shut.Load() })
	heard := func() {
		t.Helper()
		controls, err := w.memory.Beat(t.Context(), &store.Member{Group: "g"})
		require.NoError(t, err)
		l.m.obey(controls)
	}
	act := &store.ControlAct{Scope: store.Scope{Group: "g", Partition: store.AllPartitions}, By: dlq.Actor{Name: "ann"}}
	_, err := w.memory.Pause(t.Context(), act)
	require.NoError(t, err)
	heard()
	w.mu.Lock()
	w.broken = false
	w.mu.Unlock()
	n, _, err := (&sweeper{m: l.m}).sweep(t.Context(), t.Context())
	require.NoError(t, err)
	require.Zero(t, n)
	require.False(t, l.m.controls.ask(l.p).Go)
	require.EqualValues(t, 20, l.position().Next)

	_, err = w.memory.Resume(t.Context(), act)
	require.NoError(t, err)
	heard()
	w.until("the end", func() bool { return l.position().Next == w.end() })
	require.Len(t, w.memory.Content().Parked, 20)
	require.Empty(t, l.m.state().Breakers)
}

func TestWhatAMemberSaysOfItself(t *testing.T) {
	t.Parallel()
	w := newSlowWorld(t, false)
	for i := range 40 {
		w.add(said{ID: fmt.Sprint("e", i), Type: "note", Key: fmt.Sprint("k", i)})
	}
	w.broken = true
	l := w.lane(func(o *Options) { o.Breaker = usual })
	w.until("it waits", func() bool { return l.shut.Load() })
	s := l.m.state()
	require.Equal(t, []store.MemberPartition{{Topic: "o", Next: 20, LogEnd: -1, Held: true}}, s.Partitions)
	b := s.Breakers[0]
	require.NotZero(t, b.NextProbe)
	b.NextProbe = 0
	require.Equal(t, store.MemberBreaker{Handler: "note→job", State: "open", Since: instant{}.Now().UnixMicro(), Failed: 20, Of: 20, Error: errPlain.Error()}, b)
}
