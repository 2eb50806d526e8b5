package conformance

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/testutil/oracle"
)

// eventsEnv is how many events TestD07 sends, if not brokenEvents.
const (
	eventsEnv    = "EVENKEEL_TEST_BREAKER_EVENTS"
	brokenEvents = 20_000
)

// breakers hears of them.
type breakers struct {
	mu    sync.Mutex
	heard []framework.BreakerState
}

func (b *breakers) OnBreaker(s framework.BreakerStats) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.heard = append(b.heard, s.State)
}

func (b *breakers) all() []framework.BreakerState {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.heard)
}

// A handler fails on everything. Its events wait in Kafka instead of becoming retries and
// letters, and all of them have their effect when it is mended. Another topic goes on.
func TestD07BreakerKeepsABrokenHandlersEventsInKafka(t *testing.T) {
	each(t, "D07", func(t *testing.T, at combination) {
		const partitions = 8
		events := brokenEvents
		if n, err := strconv.Atoi(os.Getenv(eventsEnv)); err == nil {
			events = n
		}
		w := newWorld(t, at, partitions)
		other := w.broker.Topic(t, "notes", 1)
		var mended atomic.Bool
		w.registry = func() *handlers.Registry {
			reg := registry()
			handlers.Set(reg, "order.stamped", func(_ context.Context, d *delivery) error {
				if !mended.Load() {
					return fmt.Errorf("asking for a stamp: %w", errHandler)
				}
				d.Entity.Note = d.Payload.Note
				return nil
			}, handlers.Writes("Note"), blankIsFine, handlers.Name("stamper"))
			return reg
		}
		key := func(i int) string { return fmt.Sprint("o-", i) }
		records := make([]event.Record, events)
		for i := range records {
			typ := "order.stamped"
			if i%10 == 0 {
				typ = "order.noted" // these are well
			}
			e := said{id: key(i), source: "shop", typ: typ, key: key(i), at: w.began.Add(-time.Hour), data: `{"note":"done"}`}
			records[i] = w.record(int32(i%partitions), key(i), e.value())
		}
		w.broker.Produce(t, records...)

		hook := &breakers{}
		config := func(c *framework.Config) {
			c.Topics, c.Hooks = []string{w.topic, other}, []any{hook}
			// What is parked would become letters soon.
			c.Retry = framework.Retry{Initial: 50 * time.Millisecond, Max: 100 * time.Millisecond, Attempts: 2}
		}
		m := w.start(config)
		breaker := func() framework.BreakerStats {
			for _, b := range m.consumer.Stats().Breakers {
				if b.Handler == "stamper" {
					return b
				}
			}
			return framework.BreakerStats{}
		}
		state := func() string { return fmt.Sprintf("%+v", m.consumer.Stats()) }
		w.eventually(func() bool {
			s := m.consumer.Stats()
			waiting := 0
			for _, p := range s.Partitions {
				if p.Topic == w.topic && p.Paused {
					waiting++
				}
			}
			return waiting == partitions && breaker().Probes >= 2 && len(hook.all()) > 0
		}, state)
		require.Equal(t, framework.BreakerOpen, breaker().State)
		require.Contains(t, breaker().Error, errHandler.Error())
		// Another topic goes on.
		note := said{id: "n", source: "shop", typ: "order.noted", key: "elsewhere", at: w.began, data: `{"note":"done"}`}
		r := w.record(0, "elsewhere", note.value())
		r.Topic = other
		w.broker.Produce(t, r)
		w.eventually(func() bool {
			var n int64
			return w.db.Model(&Order{}).Where("id = ?", "elsewhere").Count(&n).Error == nil && n == 1
		}, state)
		few := func() {
			t.Helper()
			_, parked, _, err := oracle.ReadGroup(t.Context(), w.db, w.group)
			require.NoError(t, err)
			require.Less(t, len(parked)+len(w.letters()), 300)
			t.Logf("%d letters, %d parked", len(w.letters()), len(parked))
		}
		few()
		waits := int64(0)
		for p := range int32(partitions) {
			next, _, end := w.position(p)
			waits += end - next
		}
		require.Greater(t, waits, int64(events*8/10), "the rest waits in Kafka")
		require.Equal(t, []framework.BreakerState{framework.BreakerOpen}, hook.all())
		require.Equal(t, 1, w.log.count("breaker of a handler has opened"))

		// A new owner trips by itself, at the same price.
		m.stop()
		m = w.start(config)
		w.eventually(func() bool { return breaker().State == framework.BreakerOpen }, state)
		few()

		mended.Store(true)
		w.drain(partitions)
		few()
		rows := all(w, func(o *Order) string { return o.ID })
		lost := len(w.letters())
		for i := range events {
			if o, ok := rows[key(i)]; !ok || o.Note == nil || *o.Note != "done" {
				lost--
			}
		}
		require.Zero(t, lost, "each event has had its effect, or is a letter")
		w.eventually(func() bool { return breaker().State == framework.BreakerClosed }, state)
		m.stop() // what it does is said afterwards
		require.Equal(t, 2, w.log.count("breaker of a handler has opened"))
		require.Equal(t, 1, w.log.count("breaker of a handler has closed"))
	})
}

// What people say is followed by members that run, and by those that begin later.
func TestD07PausedGroupsWaitUntilTheyAreTold(t *testing.T) {
	each(t, "D07 pause", func(t *testing.T, at combination) {
		w := newWorld(t, at, 2)
		other := w.broker.Topic(t, "notes", 1)
		ctx := t.Context()
		n := 0
		send := func(topic string, partition int32) string {
			n++
			key := fmt.Sprint("o-", n)
			r := w.record(partition, key, said{id: key, source: "shop", typ: "order.noted", key: key, at: w.began, data: `{"note":"done"}`}.value())
			r.Topic = topic
			w.broker.Produce(t, r)
			return key
		}
		came := func(key string) bool {
			var n int64
			return w.db.Model(&Order{}).Where("id = ?", key).Count(&n).Error == nil && n == 1
		}
		both := func(c *framework.Config) { c.Topics = []string{w.topic, other} }
		m := w.start(both)
		state := func() string { return fmt.Sprintf("%+v", m.consumer.Stats()) }
		arrives := func(key string) {
			t.Helper()
			w.eventually(func() bool { return came(key) }, state)
		}
		arrives(send(w.topic, 0))
		arrives(send(w.topic, 1))
		arrives(send(other, 0))

		act := framework.ConsumerAct{Group: w.group, Topic: w.topic, By: operator.By, Reason: "the warehouse is being moved"}
		changed, err := framework.PauseConsumer(ctx, w.db, act)
		require.NoError(t, err)
		require.True(t, changed)
		w.eventually(func() bool { return w.log.count("told to let it be") == 1 }, state)
		held := send(w.topic, 1)
		group := func() framework.ConsumerGroup {
			t.Helper()
			groups, err := framework.Consumers(ctx, w.db, w.group)
			require.NoError(t, err)
			require.Len(t, groups, 1)
			return groups[0]
		}
		waits := func() bool {
			for _, p := range group().Partitions {
				if p.Held {
					return p.Topic == w.topic && p.Partition == 1
				}
			}
			return false
		}
		w.eventually(waits, state)
		arrives(send(other, 0))
		require.False(t, came(held))
		g := group()
		require.Len(t, g.Members, 1)
		require.Equal(t, 3, g.Members[0].Partitions)
		require.Equal(t, "topic "+w.topic, g.Pauses[0].String())
		require.Equal(t, "the warehouse is being moved", g.Pauses[0].Reason)

		m.stop()
		require.Empty(t, group().Members, "who leaves says so")
		m = w.start(both)
		w.eventually(waits, state)
		require.False(t, came(held))
		lifted, err := framework.ResumeConsumer(ctx, w.db, framework.ConsumerAct{Group: w.group, By: operator.By})
		require.NoError(t, err)
		require.EqualValues(t, 1, lifted)
		arrives(held)
		w.drain(2)
	})
}
