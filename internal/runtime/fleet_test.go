package runtime

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/broker"
	"github.com/evenkeel-go/evenkeel/internal/ledger"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/memory"
)

// heardAlarms keeps the alarms.
type heardAlarms struct {
	quiet
	alarms []string
}

func (h *heardAlarms) Alarm(p broker.Partition, a ledger.Alarm) {
	h.alarms = append(h.alarms, fmt.Sprintf("%s/%d %s: %s", p.Topic, p.Number, a.Kind, a.Detail))
}

// A member that lacks handlers which another living one has leaves events out, without an error
// anywhere: it says so, once, and once more when what it lacks is something else (R22).
func TestAMemberSaysWhatOnlyOthersHandle(t *testing.T) {
	t.Parallel()
	clock := &watch{now: instant{}.Now()}
	var lines []string
	heard := &heardAlarms{}
	m := New(Options{
		Group: "g", Store: memory.New(clock.Now), Clock: clock, Observe: heard, Judge: &batch.Judge{Wiring: newSlowWorld(t, false).wiring},
		Log: func(level Level, text string, fields ...any) {
			lines = append(lines, fmt.Sprint(level, " ", text, " ", fields))
		},
	})
	self := &store.Member{ID: m.id, Group: "g", Owner: "here", State: m.state()}
	require.Equal(t, []string{"note→job"}, self.State.Handles["note"])
	require.False(t, self.State.UnhandledLetters)

	var f fleet
	var others []*store.Member
	other := func(id, group string, change func(store.Handles)) {
		h := m.handles()
		change(h)
		others = append(others, &store.Member{ID: id, Group: group, Owner: id, Version: "2.0", State: store.MemberState{Handles: h}})
	}
	look := func() string {
		t.Helper()
		clock.now = clock.now.Add(compareEvery)
		for _, o := range others {
			_, err := m.Store.Beat(t.Context(), o)
			require.NoError(t, err)
		}
		lines, heard.alarms = nil, nil
		m.compare(t.Context(), &f, self)
		require.LessOrEqual(t, len(lines), 1)
		return strings.Join(lines, "")
	}
	newer := func(h store.Handles) {
		h["refunded"], h["note"] = []string{"refunds"}, []string{"mailer", "note→job"}
	}
	other("same", "g", func(store.Handles) {})
	other("less", "g", func(h store.Handles) { delete(h, "note") })
	other("elsewhere", "other", newer)
	others = append(others, &store.Member{ID: "tells nothing", Group: "g"})
	require.Empty(t, look(), "it lacks nothing")

	other("new", "g", newer)
	text := look()
	for _, part := range []string{
		fmt.Sprint(Warn), "alarm: events of types that only other members of the group handle are discarded as unhandled where this one reads them: refunded; " +
			"handlers that only other members of the group have do not run for the events that this one reads: mailer of note (they are in new, version 2.0)",
		"members-differ", store.HandlesMend,
	} {
		require.Contains(t, text, part)
	}
	require.Len(t, heard.alarms, 1)
	require.Contains(t, heard.alarms[0], "/-1 members-differ: events of types that only")
	other("newer", "g", newer)
	require.Empty(t, look(), "once, however many have it")
	require.Empty(t, heard.alarms)

	self.State.UnhandledLetters = true
	require.Contains(t, look(), "become dead letters where this one reads them: refunded;")

	others = others[:1] // nobody hears of the rest any more
	require.Contains(t, look(), "no other member of the group has handlers that this one lacks any more")
	require.Empty(t, heard.alarms)
	require.Empty(t, look())
}

// Members tell and compare with their beats.
func TestMembersCompareAsTheyBeat(t *testing.T) {
	t.Parallel()
	clock := &watch{now: instant{}.Now()}
	m := New(Options{
		Group: "g", Store: memory.New(clock.Now), Clock: clock, Judge: &batch.Judge{Wiring: newSlowWorld(t, false).wiring, DeadLetterUnhandled: true},
		Consumer: &fakeConsumer{}, Log: func(Level, string, ...any) {},
	})
	ctx, end := context.WithTimeout(t.Context(), time.Minute)
	var others []store.Member
	m.Observe = &atAlarm{then: func() {
		var err error
		others, err = m.Store.Peers(t.Context(), "g", "new")
		require.NoError(t, err)
		end()
	}}
	_, err := m.Store.Beat(ctx, &store.Member{ID: "new", Group: "g", State: store.MemberState{Handles: store.Handles{"refunded": {"refunds"}}}})
	require.NoError(t, err)
	m.beats(ctx)
	require.Len(t, others, 1, "no alarm, or it does not tell what it handles")
	require.Equal(t, m.handles(), others[0].State.Handles)
	require.True(t, others[0].State.UnhandledLetters)
}

// atAlarm does something at an alarm.
type atAlarm struct {
	quiet
	then func()
}

func (a *atAlarm) Alarm(broker.Partition, ledger.Alarm) { a.then() }

// Each member reads what all others say, which is much in a large group.
func TestAMemberComparesSeldom(t *testing.T) {
	t.Parallel()
	clock := &watch{now: instant{}.Now()}
	asked := &askedForPeers{Store: memory.New(clock.Now)}
	m := New(Options{Group: "g", Store: asked, Clock: clock, Observe: quiet{}, Log: func(Level, string, ...any) {}})
	var f fleet
	for range 120 {
		m.compare(t.Context(), &f, &store.Member{})
		clock.now = clock.now.Add(time.Second)
	}
	require.Equal(t, 2, asked.n)
}

type askedForPeers struct {
	*memory.Store
	n int
}

func (a *askedForPeers) Peers(ctx context.Context, group, id string) ([]store.Member, error) {
	a.n++
	return a.Store.Peers(ctx, group, id)
}
