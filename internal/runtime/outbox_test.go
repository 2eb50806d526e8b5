package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/internal/broker"
	"github.com/evenkeel-go/evenkeel/internal/ledger"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// handClock stands still until it is moved.
type handClock struct {
	instant
	now time.Time
}

func (c *handClock) Now() time.Time { return c.now }
func (c *handClock) After(time.Duration) (<-chan time.Time, func()) {
	return nil, func() {}
}

var errAway = errors.New("away")

// topics takes what is sent, and refuses what refuse says.
type topics struct {
	log    []string
	refuse func(m broker.Message) bool
	calls  int
}

func (t *topics) Send(_ context.Context, messages []broker.Message) []error {
	t.calls++
	errs := make([]error, len(messages))
	for i, m := range messages {
		if t.refuse != nil && t.refuse(m) {
			errs[i] = errAway
			continue
		}
		t.log = append(t.log, fmt.Sprintf("%s/%s=%s", m.Topic, m.Key, m.Value))
	}
	return errs
}

// outboxStore notes what is removed.
type outboxStore struct {
	fakeStore
	sent      []string
	leftovers []*store.Outbound
	unsent    []*store.Outbound
}

func (s *outboxStore) Sent(_ context.Context, ids []string) error {
	s.sent = append(s.sent, ids...)
	return nil
}

func (s *outboxStore) UnsentLeftovers(context.Context, string, time.Time, time.Time, time.Duration, int) ([]*store.Outbound, error) {
	return s.leftovers, nil
}

func (s *outboxStore) Unsent(context.Context, ledger.Key) ([]*store.Outbound, error) {
	return s.unsent, nil
}

func outbound(topic, key, id string, offset int64) *store.Outbound {
	o := &store.Outbound{ID: id, Topic: topic, Key: []byte(key), Value: []byte(id)}
	o.Origin.Offset = offset
	return o
}

func outboxLane(t *testing.T) (*lane, *topics, *outboxStore, *handClock) {
	t.Helper()
	l := testLane(t, fakeStore{}, &fakeConsumer{})
	out, s, clock := &topics{}, &outboxStore{}, &handClock{now: instant{}.Now()}
	l.m.Sender, l.m.Store, l.m.Clock = out, s, clock
	return l, out, s, clock
}

func (l *lane) publishNow(t *testing.T) {
	t.Helper()
	_, free := l.m.events.publish(t.Context())
	free()
}

// TestOrderPerKey is R10's: what fails holds back what comes after it under its topic and
// key, and nothing else.
func TestOrderPerKey(t *testing.T) {
	t.Parallel()
	l, out, s, clock := outboxLane(t)
	refused := "a2"
	out.refuse = func(m broker.Message) bool { return string(m.Value) == refused }
	l.m.emitted(l, []*store.Outbound{
		outbound("x", "a", "a1", 10), outbound("x", "a", "a2", 11), outbound("x", "b", "b1", 12), outbound("x", "a", "a3", 13), outbound("y", "a", "y1", 14),
	})
	require.EqualValues(t, 10, l.out.committable(100))
	l.publishNow(t)
	require.Equal(t, []string{"x/a=a1", "x/a=a3", "x/b=b1", "y/a=y1"}, out.log, "all were on their way at once")
	require.EqualValues(t, 11, l.out.committable(100), "Kafka's offset waits")
	l.m.emitted(l, []*store.Outbound{outbound("x", "a", "a4", 15), outbound("x", "b", "b2", 16)})
	l.publishNow(t)
	require.Equal(t, []string{"x/b=b2"}, out.log[4:], "a4 stands behind a2, and b2 does not")
	require.Equal(t, 2, out.calls, "a key that failed is left alone for a while")
	refused = ""
	clock.now = clock.now.Add(time.Minute)
	l.publishNow(t)
	require.Equal(t, []string{"x/a=a2", "x/a=a3", "x/a=a4"}, out.log[5:], "a3 once more, so that the last ones stand in order")
	require.EqualValues(t, 100, l.out.committable(100))
	done := l.out.takeMarks()
	slices.Sort(done.events)
	require.Equal(t, []string{"a1", "a2", "a3", "a4", "b1", "b2", "y1"}, done.events)
	require.Empty(t, s.sent, "the lane's next batch takes them along")
	l.out.giveBack(done)
	l.flushMarks()
	require.Len(t, s.sent, 7)
	require.False(t, l.out.hasMarks())
}

// TestBrokenKeysDoNotHoldUpOthers: more keys fail than one portion holds.
func TestBrokenKeysDoNotHoldUpOthers(t *testing.T) {
	t.Parallel()
	l, out, _, clock := outboxLane(t)
	out.refuse = func(m broker.Message) bool { return m.Topic == "broken" }
	var events []*store.Outbound
	for i := range 3 * publishAtOnce {
		events = append(events, outbound("broken", fmt.Sprint(i%700), fmt.Sprint("x", i), int64(i)))
	}
	l.m.emitted(l, append(events, outbound("good", "k", "g", 5000)))
	l.publishNow(t)
	require.Equal(t, []string{"good/k=g"}, out.log)
	calls := out.calls
	l.m.emitted(l, []*store.Outbound{outbound("good", "k", "h", 5001)})
	l.publishNow(t)
	require.Equal(t, []string{"good/k=g", "good/k=h"}, out.log)
	require.Equal(t, calls+1, out.calls)
	out.refuse = nil
	clock.now = clock.now.Add(time.Minute)
	l.publishNow(t)
	require.Len(t, out.log, 3*publishAtOnce+2)
	last := map[string]int{}
	for _, line := range out.log[2:] {
		var key string
		var n int
		_, err := fmt.Sscanf(line, "broken/%3s=x%d", &key, &n)
		if err != nil {
			continue // a shorter key
		}
		require.Greater(t, n+1, last[key])
		last[key] = n + 1
	}
}

// TestWithoutALane: sweepers' events hold no offset, are removed at once, and are given up
// before somebody else may claim them.
func TestWithoutALane(t *testing.T) {
	t.Parallel()
	l, out, s, clock := outboxLane(t)
	swept := func(id string) *store.Outbound {
		o := outbound("x", "a", id, 3)
		o.Swept = true
		return o
	}
	l.m.emitted(l, []*store.Outbound{outbound("x", "a", "1", 10), swept("2"), outbound("x", "a", "3", 11)})
	require.EqualValues(t, 10, l.out.committable(100))
	l.publishNow(t)
	require.Equal(t, []string{"x/a=1", "x/a=2", "x/a=3"}, out.log, "in the batch's order")
	require.Equal(t, []string{"2"}, s.sent)

	l.m.emitted(nil, []*store.Outbound{swept("4")})
	clock.now = clock.now.Add(leaseTime + time.Second)
	l.publishNow(t)
	require.Len(t, out.log, 3, "whoever claims it sends it")
	s.leftovers = []*store.Outbound{swept("4")}
	l.m.events.leftovers(t.Context())
	l.publishNow(t)
	require.Equal(t, "x/a=4", out.log[3])
	require.Less(t, leaseTime, leftoverAge)

	for i := range maxSwept + 10 {
		l.m.emitted(nil, []*store.Outbound{swept(fmt.Sprint("s", i))})
	}
	require.Equal(t, maxSwept, l.m.events.noLane, "the rest is left in the table")
	l.m.emitted(l, []*store.Outbound{outbound("x", "b", "lane", 20)})
	require.Equal(t, maxSwept+1, l.m.events.left, "lanes have a bound of their own")

	gone := outbound("x", "c", "gone", 30)
	l.m.emitted(l, []*store.Outbound{gone})
	l.abandon()
	out.log = nil
	l.publishNow(t)
	require.NotContains(t, out.log, "x/c=gone", "the next owner sends it")
	require.Zero(t, l.m.events.left)
}

// TestOwnerFindsWhatIsUnsent before Kafka hears of any offset, and sends it once however
// often owning is tried.
func TestOwnerFindsWhatIsUnsent(t *testing.T) {
	t.Parallel()
	l, out, s, _ := outboxLane(t)
	s.own = func() (ledger.State, bool, error) { return ledger.State{Next: 50, High: 50}, true, nil }
	s.unsent = []*store.Outbound{outbound("x", "a", "1", 40), outbound("x", "a", "2", 41)}
	c := &failingStart{fakeConsumer: fakeConsumer{pos: broker.Position{LogEnd: 50}}, fail: 2}
	l.m.Consumer = c
	for range 2 {
		_, err := l.tryOwn()
		require.ErrorIs(t, err, errAway)
	}
	_, err := l.tryOwn()
	require.NoError(t, err)
	require.NotEmpty(t, c.committed)
	for _, o := range c.committed {
		require.EqualValues(t, 40, o.Next, "the first that is not sent")
	}
	l.publishNow(t)
	require.Equal(t, []string{"x/a=1", "x/a=2"}, out.log)
	_, err = l.tryOwn()
	require.NoError(t, err)
	l.publishNow(t)
	require.Len(t, out.log, 2, "they are sent, though not removed yet")
	require.EqualValues(t, 100, l.out.committable(100))
}

type failingStart struct {
	fakeConsumer
	fail      int
	committed []broker.Offset
}

func (f *failingStart) Start(broker.Partition, int64) error {
	if f.fail--; f.fail >= 0 {
		return errAway
	}
	return nil
}

func (f *failingStart) Commit(_ context.Context, os []broker.Offset) error {
	f.committed = append(f.committed, os...)
	return nil
}

// TestUnsentEventsBoundALane: emitted events count where letters do.
func TestUnsentEventsBoundALane(t *testing.T) {
	t.Parallel()
	tr := newTracker()
	tr.add([]*dlq.Letter{letterAt("a", 1, 40)})
	fresh := tr.emit([]*store.Outbound{outbound("x", "k", "e", 30), outbound("x", "k", "e", 50)})
	require.Len(t, fresh, 1, "the same once more")
	n, bytes := tr.size()
	require.Equal(t, 2, n)
	require.Positive(t, bytes)
	require.EqualValues(t, 30, tr.committable(100))
	tr.sent("e")
	tr.published("a", 1)
	n, bytes = tr.size()
	require.Zero(t, n)
	require.Zero(t, bytes)
	require.Empty(t, tr.emit([]*store.Outbound{outbound("x", "k", "e", 30)}), "sent, but not removed yet")
	require.Equal(t, published{letters: []store.Mark{{ID: "a", Rev: 1}}, events: []string{"e"}}, tr.takeMarks())
	require.Len(t, tr.emit([]*store.Outbound{outbound("x", "k", "e", 30)}), 1, "removed, and so to be sent again")
}

// TestLongLineKeepsItsOrder: what failed goes before what was not taken with it.
func TestLongLineKeepsItsOrder(t *testing.T) {
	t.Parallel()
	l, out, _, clock := outboxLane(t)
	away := true
	out.refuse = func(broker.Message) bool { return away }
	var events []*store.Outbound
	var want []string
	for i := range publishAtOnce + 100 {
		events = append(events, outbound("x", "a", fmt.Sprint(i), int64(i)))
		want = append(want, fmt.Sprintf("x/a=%d", i))
	}
	l.m.emitted(l, events)
	l.publishNow(t)
	away = false
	clock.now = clock.now.Add(time.Minute)
	l.publishNow(t)
	require.Equal(t, want, out.log)
}
