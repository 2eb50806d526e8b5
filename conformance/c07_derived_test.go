package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// Wallet knows who moved money into it last, and what was said of it last.
type Wallet struct {
	ID     string `gorm:"primaryKey"`
	By     string
	Note   string
	Moves  int64
	Landed int64
	guards.Guarded
}

// move is the payload of all events of accounts.
type move struct {
	To string `json:"to"`
	By string `json:"by"`
	N  int64  `json:"n"`
}

type onPurse = handlers.Delivery[move, Wallet]

// purses has moves between purses, whose children go to a topic of their own.
func purses(children string) *handlers.Registry {
	reg := handlers.NewRegistry(guards.Timestamp(), guards.MaxLateness(maxLateness))
	handlers.Set(reg, "moved", func(_ context.Context, d *onPurse) error {
		d.Entity.Note = "moved"
		d.Emit(event.Draft{Topic: children, Type: "credited", Key: d.Payload.To, Payload: move{By: "child of " + d.Event.Key, N: d.Payload.N}})
		d.Emit(event.Draft{Topic: children, Type: "noted", Key: d.Event.Key, Payload: move{By: "child"}})
		if d.Payload.By == "too large" {
			d.Emit(event.Draft{Topic: children, Type: "noted", Key: d.Event.Key, Payload: strings.Repeat("x", 2<<20)})
		}
		return nil
	}, handlers.Writes("Note"), handlers.Emits(children))
	handlers.Set(reg, "credited", func(_ context.Context, d *onPurse) error {
		d.Entity.By = d.Payload.By
		return nil
	}, handlers.Writes("By"))
	handlers.Set(reg, "noted", func(_ context.Context, d *onPurse) error {
		d.Entity.Note = d.Payload.By
		return nil
	}, handlers.Writes("Note"))
	handlers.Modify(reg, "credited", func(_ context.Context, d *onPurse) error {
		d.Entity.Landed++
		return nil
	}, guards.Once(), handlers.Key(func(move) string { return "all" }), handlers.Writes("Landed"), handlers.Name("count"))
	return reg
}

// family is a world with a second topic that its own service writes to and reads.
type family struct {
	*world
	children string
}

func newFamily(t testing.TB, at combination, partitions int) *family {
	t.Helper()
	w := newTallyWorld(t, at, partitions)
	f := &family{world: w, children: w.broker.Topic(t, "children", partitions)}
	w.tables(&Wallet{})
	w.registry = func() *handlers.Registry { return purses(f.children) }
	return f
}

func (f *family) both(c *framework.Config) {
	c.Topics = []string{f.topic, f.children}
	quick(c)
}

// settled waits until both topics are worked off and nothing is left to be sent.
func (f *family) settled(partitions int) {
	f.t.Helper()
	f.drain(partitions)
	second := *f.world
	second.topic = f.children
	second.drain(partitions)
	f.eventually(func() bool { return f.unsent() == 0 }, func() string { return fmt.Sprint(f.unsent(), " rows in the outbox") })
}

func (f *family) unsent() (n int64) {
	f.t.Helper()
	require.NoError(f.t, f.db.Table("evenkeel_outbox").Count(&n).Error)
	return n
}

func (f *family) moved(id, from, to string, at time.Time, n int64) said {
	f.t.Helper()
	data, err := json.Marshal(move{To: to, N: n})
	require.NoError(f.t, err)
	return said{id: id, source: "bank", typ: "moved", key: from, at: at, data: string(data)}
}

// TestC07Order: a child has its root's place in history, whichever arrives first.
func TestC07ChildrenTakeTheirRootsPlace(t *testing.T) {
	each(t, "C07", func(t *testing.T, at combination) {
		const partitions = 2
		f := newFamily(t, at, partitions)
		root := f.began.Add(-time.Hour)
		type expected struct{ by, note string }
		want := map[string]expected{}
		var first, second []said
		for name, c := range map[string]struct {
			typ  string
			own  bool // the primary is about the root's own entity
			at   time.Duration
			id   string
			wins bool // the primary does
		}{
			"later":                 {typ: "credited", at: time.Microsecond, id: "a", wins: true},
			"equal":                 {typ: "credited", id: "a", wins: true},
			"earlier":               {typ: "credited", at: -time.Microsecond, id: "z", wins: false},
			"later on its own":      {typ: "noted", own: true, at: time.Microsecond, id: "a", wins: true},
			"earlier on its own":    {typ: "noted", own: true, at: -time.Microsecond, id: "z", wins: false},
			"equal, with a less id": {typ: "noted", own: true, id: "a", wins: false},
			"equal, with more":      {typ: "noted", own: true, id: "z", wins: true},
		} {
			for _, before := range []bool{true, false} {
				from, to := fmt.Sprintf("%s, %t, from", name, before), fmt.Sprintf("%s, %t, to", name, before)
				w := expected{by: "child of " + from}
				v := expected{note: "child"}
				primary := said{id: c.id + " of " + from, source: "bank", typ: c.typ, key: to, at: root.Add(c.at), data: `{"by":"primary"}`}
				if c.own {
					primary.key = from
				}
				switch {
				case c.wins && c.own:
					v.note = "primary"
				case c.wins:
					w.by = "primary"
				}
				want[to], want[from] = w, v
				m := f.moved("m of "+from, from, to, root, 1)
				if before {
					first, second = append(first, primary), append(second, m)
				} else {
					first, second = append(first, m), append(second, primary)
				}
			}
		}
		m := f.start(f.both, smallBatches(5))
		for _, events := range [][]said{first, second} {
			f.tell(-1, events...)
			f.settled(partitions)
		}
		rows := all(f.world, func(a *Wallet) string { return a.ID })
		for key, w := range want {
			require.Equal(t, w, expected{rows[key].By, rows[key].Note}, key)
		}
		require.Empty(t, f.letters())
		stats := m.final()
		require.EqualValues(t, 28, stats.Emitted)
		require.EqualValues(t, 28, stats.EmittedPublished)

		// What is read again emits the same, which has no second effect.
		landed := rows["all"].Landed
		for p := range int32(partitions) {
			f.broker.ResetOffset(t, f.group, f.topic, p, 0)
		}
		f.start(f.both)
		f.settled(partitions)
		again := all(f.world, func(a *Wallet) string { return a.ID })
		require.Equal(t, landed, again["all"].Landed)
		for key, w := range want {
			require.Equal(t, w, expected{again[key].By, again[key].Note}, key)
		}
		ids := map[string]int{}
		for _, r := range f.broker.Consume(t, f.children) {
			ids[f.childOf(&r).ID]++
		}
		require.Len(t, ids, 28)
	})
}

// childOf decodes a record of the children's topic.
func (f *family) childOf(r *event.Record) *event.Event {
	f.t.Helper()
	e := &event.Event{Record: r}
	require.NoError(f.t, codec().Decode(r, e))
	require.NoError(f.t, event.Inherit(e))
	require.NotNil(f.t, e.Lineage)
	return e
}

// moves is a stream of moves from some accounts to one another, each to a few others.
func (f *family) moves(n int) []said {
	events := make([]said, n)
	for i := range events {
		// All moves to one account come from one partition, so that they have an order.
		from := i % 8
		events[i] = f.moved(fmt.Sprintf("m-%03d", i), fmt.Sprintf("a-%d", from), fmt.Sprintf("to-%d-%d", from, i/8%3), f.began.Add(time.Duration(i-n)*time.Second), int64(i))
	}
	return events
}

// inOrder checks that every move has its child on the topic, at least once and under one id,
// and that the last copies of each key stand in the order of the moves.
func (f *family) inOrder(n int) (copies int) {
	f.t.Helper()
	last := map[string]int64{}
	seen := map[int64]string{}
	records := f.broker.Consume(f.t, f.children)
	byKey := map[string][]int64{}
	for i := range records {
		e := f.childOf(&records[i])
		if e.Type != "credited" {
			continue
		}
		copies++
		var m move
		require.NoError(f.t, json.Unmarshal(e.Data, &m))
		if id, ok := seen[m.N]; ok {
			require.Equal(f.t, id, e.ID, "a second copy has the same id")
		}
		seen[m.N] = e.ID
		byKey[e.Key] = append(byKey[e.Key], m.N)
	}
	require.Len(f.t, seen, n)
	for key, ns := range byKey {
		at := map[int64]int{}
		for i, n := range ns {
			at[n] = i
		}
		for i, n := range ns {
			if at[n] != i {
				continue // not its last copy
			}
			require.GreaterOrEqual(f.t, n, last[key], "%s: %v", key, ns)
			last[key] = n
		}
	}
	return copies
}

// TestC07Killed between COMMIT and publication, and between publication and its note: a new
// owner finds what the dead has left.
func TestC07KilledMembersLeaveTheirChildren(t *testing.T) {
	each(t, "C07 killed", func(t *testing.T, at combination) {
		const partitions, events = 2, 160
		for _, how := range []fault{dieAtEmitted, dieAtSent} {
			t.Run(string(how), func(t *testing.T) {
				f := newFamily(t, at, partitions)
				f.tell(-1, f.moves(events)...)
				dead := f.spawn(func(s *childSpec) { s.Fault, s.Nth, s.BatchSize, s.Children = how, 60, 20, f.children })
				dead.died()
				require.Positive(t, f.unsent(), "in the table")
				arrived := map[string]bool{}
				for _, r := range f.broker.Consume(t, f.children) {
					arrived[f.childOf(&r).ID] = true
				}
				var left []struct {
					ID        string
					Partition int32
					LogOffset int64
				}
				require.NoError(t, f.db.Raw("SELECT id, partition, log_offset FROM evenkeel_outbox WHERE topic = ?", f.topic).Scan(&left).Error)
				missing := 0
				for _, o := range left {
					if !arrived[o.ID] {
						missing++
						committed, _ := f.broker.Committed(t, f.group, f.topic, o.Partition)
						require.LessOrEqual(t, committed, o.LogOffset, "Kafka's offset has passed what is not sent")
					}
				}
				if how == dieAtEmitted {
					require.Positive(t, missing)
				}
				f.start(f.both)
				f.settled(partitions)
				f.inOrder(events)
				require.EqualValues(t, events, all(f.world, func(a *Wallet) string { return a.ID })["all"].Landed, "each child counts once")
				require.Empty(t, f.letters())
			})
		}
	})
}

// TestC07Away: the topic of the children is gone and refuses for a while. Effects go on,
// Kafka's offsets wait, and then all is sent in order.
func TestC07ChildrensTopicAway(t *testing.T) {
	each(t, "C07 away", func(t *testing.T, at combination) {
		const partitions, events = 2, 120
		f := newFamily(t, at, partitions)
		parents := func(c *framework.Config) { quick(c); attentive(c) }
		m := f.start(parents, smallBatches(20))
		f.tell(-1, f.moved("first", "a-0", "warm", f.began.Add(-2*time.Hour), -1))
		f.drain(partitions)
		part := "the topic " + f.children + " for emitted events"
		f.broker.DeleteTopic(t, f.children)
		f.tell(-1, f.moves(events)...)
		f.atEnd(partitions)
		f.eventually(func() bool { return f.log.tries(part+" is still not available") >= 2 }, f.log.loud)
		require.Positive(t, f.unsent())
		waiting := 0
		for p := range int32(partitions) {
			if next, committed, _ := f.position(p); committed < next {
				waiting++
			}
		}
		require.Equal(t, partitions, waiting, "Kafka's offsets wait")
		require.NotEmpty(t, m.consumer.Stats().Away)
		require.Positive(t, m.consumer.Stats().Partitions[0].Unpublished)
		f.broker.CreateTopic(t, f.children, partitions)
		f.drain(partitions)
		f.eventually(func() bool { return f.unsent() == 0 }, f.log.loud)
		f.inOrder(events)
		f.saidOnce(part, 1)
		require.Empty(t, f.letters())
	})
}

// TestC07Unsendable: what its topic does not take is the unit's failure.
func TestC07TooLargeIsALetter(t *testing.T) {
	each(t, "C07 letters", func(t *testing.T, at combination) {
		f := newFamily(t, at, 1)
		f.start(f.both)
		large := f.moved("large", "a", "b", f.began.Add(-time.Minute), 1)
		large.data = `{"by":"too large","to":"b"}`
		f.tell(0, large, f.moved("small", "a", "c", f.began.Add(-time.Minute), 2))
		f.settled(1)
		letters := f.letters()
		require.Len(t, letters, 1)
		require.Equal(t, guards.Rejected, letters[0].Verdict.Reason)
		require.Contains(t, letters[0].Error, "max.message.bytes")
		rows := all(f.world, func(a *Wallet) string { return a.ID })
		require.NotContains(t, rows, "b", "not one of its children was sent")
		require.Equal(t, "child of a", rows["c"].By)
	})
}
