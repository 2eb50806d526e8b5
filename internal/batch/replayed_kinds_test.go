package batch_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// refusing are the ids that a test's handlers refuse; "panic" among them does that.
type refusing map[string]bool

func (r refusing) of(id string) error {
	if !r[id] {
		return nil
	}
	if strings.HasPrefix(id, "panic") {
		panic(id)
	}
	return handlers.DeadLetter(errors.New("no"))
}

// TestReplayUnderSet: what newer events have written meanwhile is masked, the rest is applied.
func TestReplayUnderSet(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rule    string
		between []ev
		outcome string
		masked  []string
		note    string
		limit   int
	}{
		{"nothing came since", nil, "applied", nil, "old", 7},
		{"a newer event has written one of its fields", []ev{{"limited", "o1", 2, "b", `{"limit":9}`}}, "applied", []string{"Limit"}, "old", 9},
		{"newer events have written all of them", []ev{{"note", "o1", 2, "b", `{"note":"new","limit":9}`}}, "obsolete", nil, "new", 9},
		{"the event came once more", []ev{{"note", "o1", 1, "a", `{"note":"old","limit":7}`}}, "duplicate", nil, "old", 7},
	} {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			refused := refusing{"a": true}
			reg := handlers.NewRegistry()
			handlers.Set(reg, "note", func(ctx context.Context, d *delivery) error {
				if err := refused.of(d.Event.ID); err != nil {
					return err
				}
				return noted(ctx, d)
			}, handlers.Writes("Note", "Limit"))
			handlers.Set(reg, "limited", func(_ context.Context, d *delivery) error { d.Entity.Limit = d.Payload.Limit; return nil }, handlers.Writes("Limit"))
			m := newMemory(t, reg)
			m.run(m.log(ev{"note", "o1", 1, "a", `{"note":"old","limit":7}`}))
			clear(refused)
			m.run(m.log(c.between...))
			m.verdict = nil
			m.replay(false)
			require.Equal(t, ends{"a": c.outcome}, m.ends())
			require.Equal(t, c.masked, m.verdict[0].Verdict.Masked)
			require.Equal(t, c.note, *m.order("o1").Note)
			require.Equal(t, c.limit, m.order("o1").Limit)
			require.Empty(t, m.parked)
		})
	}
}

// TestReplayOfSeveralEntities: one entity's letter touches that one alone; that of a whole
// record finds all of them, and who fails has a letter of its own.
func TestReplayOfSeveralEntities(t *testing.T) {
	t.Parallel()
	broken := map[int64]bool{2: true}
	m := newMemory(t, stocked(broken))
	m.judge.Delay = func(int) (time.Duration, bool) { return 0, false }
	m.run(m.log(ev{"moved", "van", 1, "a", shelves(`"1","2","3"`)}))
	require.Equal(t, ends{"a": "open"}, m.ends())
	clear(broken)
	m.run(m.log(ev{"moved", "van", 2, "b", shelves(`"3"`)}))
	m.reasons()
	m.replay(false)
	require.Equal(t, ends{"a": "applied"}, m.ends())
	require.Equal(t, []string{"apply/applied"}, m.reasons())
	require.Equal(t, "a", m.shelf("2").Seen)
	require.Equal(t, "b", m.shelf("3").Seen)

	broken[5] = true
	m.run(m.log(ev{"moved", "van", 7200 + 400, "ahead", shelves(`"4","5","x"`)})) // base is an hour ago
	require.Equal(t, "open", m.ends()["ahead"])
	m.now = m.now.Add(2 * time.Hour)
	m.reasons()
	m.replay(false, "ahead")
	require.Equal(t, []string{"apply/applied", "dead-letter/exhausted", "dead-letter/poison"}, m.reasons())
	require.Equal(t, "ahead", m.shelf("4").Seen)
	states := map[string]dlq.State{}
	for _, l := range m.letters {
		if l.EventID == "ahead" {
			states[l.Handler+" "+l.Entity] = l.State
		}
	}
	require.Equal(t, map[string]dlq.State{" van": dlq.Resolved, "moved→shelf 5": dlq.Open, "moved→shelf van": dlq.Open}, states)
	clear(broken)
	m.reasons()
	m.replay(false)
	require.ElementsMatch(t, []string{"apply/applied", "dead-letter/poison"}, m.reasons(), "what is no key still is the same letter, and asks nothing of the others")
	require.Equal(t, "ahead", m.shelf("5").Seen)
}

// TestReplayOfWhatNamedNoEntity: a mended release finds the entities of what could not be read,
// but under None it gives no event a second time to those that have had it.
func TestReplayOfWhatNamedNoEntity(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rule   string
		guard  guards.Stamper
		list   string
		mended []string
		end    string
		counts map[string]int64
	}{
		{"its text is no key still", guards.Once(), `"1","9 ","2"`, nil, "open", map[string]int64{"1": 1, "2": 1}},
		{"another text is, and ids tell who has had it", guards.Once(), `"1","9 ","2"`, []string{"1", "9", "2"}, "applied", map[string]int64{"1": 1, "9": 1, "2": 1}},
		{"another text is, and nothing tells", guards.None(), `"1","9 ","2"`, []string{"1", "9", "2"}, "open", map[string]int64{"1": 1, "2": 1}},
		{"it was alone", guards.None(), `"9 "`, []string{"9"}, "applied", map[string]int64{"9": 1}},
		{"the payload could not be read", guards.None(), `7`, []string{"1", "9"}, "applied", map[string]int64{"1": 1, "9": 1}},
		{"nor can it now", guards.None(), `7`, nil, "open", nil},
	} {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			reg, names := handlers.NewRegistry(), shelvesOf
			handlers.Modify(reg, "moved", func(_ context.Context, d *shelfDelivery) error { d.Entity.N++; return nil },
				c.guard, handlers.Keys(func(m moved) []string { return names(m) }), handlers.Writes("N"), handlers.OnMissing(handlers.MissingPlaceholder))
			m := newMemory(t, reg)
			m.run(m.log(ev{"moved", "van", 1, "a", shelves(c.list)}))
			require.Equal(t, ends{"a": "open"}, m.ends())
			if c.mended != nil {
				names = func(moved) []string { return c.mended }
				m.events.events[0].data = shelves("")
			}
			m.replay(false)
			require.Equal(t, ends{"a": c.end}, m.ends())
			require.Len(t, m.letters, 1)
			require.Empty(t, m.parked)
			require.Len(t, m.rows["shelves"], len(c.counts))
			for key, n := range c.counts {
				require.Equal(t, n, m.shelf(key).N, key)
			}
		})
	}
}

// TestReplayUnderCausal: what its writer had seen counts as given from then on, and what
// waited for it goes; a letter that lacked its causes is somebody's word to go on without.
func TestReplayUnderCausal(t *testing.T) {
	t.Parallel()
	refused := refusing{"1": true}
	reg := handlers.NewRegistry()
	handlers.Modify(reg, "saved", func(_ context.Context, d *delivery) error {
		if err := refused.of(d.Event.ID); err != nil {
			return err
		}
		d.Entity.Customer += d.Event.ID
		return nil
	}, causal(), handlers.Writes("Customer"))
	m := patientMemory(t, reg)
	m.run(m.log(by("a", "1", "a=1"), by("a", "2", "a=2"), by("b", "3", "a=2,b=1")))
	require.Equal(t, []string{"2 gap", "3 gap"}, m.waiting())
	m.replay(false)
	require.Equal(t, ends{"1": "open"}, m.ends())
	require.Equal(t, []string{"2 gap", "3 gap"}, m.waiting())
	clear(refused)
	m.replay(false)
	m.sweep()
	require.Equal(t, ends{"1": "applied"}, m.ends())
	require.Equal(t, "123", m.order("o1").Customer)
	require.Empty(t, m.parked)

	m.run(m.log(by("a", "5", "a=5,b=1")))
	m.now = m.now.Add(patience)
	m.sweep()
	require.Equal(t, "open", m.ends()["5"])
	m.run(m.log(by("a", "6", "a=6,b=1")))
	require.Equal(t, []string{"6 gap"}, m.waiting())
	m.replay(false)
	m.sweep()
	require.Equal(t, "12356", m.order("o1").Customer)
	require.Empty(t, m.parked)
}

// TestReplayOfAResolver: the versions that came meanwhile are merged with it, or have seen it.
func TestReplayOfAResolver(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rule, vector, outcome string
		count                 int
	}{
		{"a concurrent version", "b=1", "applied", 2},
		{"one that has seen it", "a=1,b=1", "obsolete", 1},
		{"one that it has seen", "a=0", "applied", 1},
	} {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			broken := true
			m := newMemory(t, resolveRegistry(func(o *order, siblings []handlers.Sibling[facts]) error {
				if broken && slices.ContainsFunc(siblings, func(s handlers.Sibling[facts]) bool { return s.ID == "x" }) {
					return handlers.DeadLetter(errors.New("no"))
				}
				return joined(o, siblings)
			}))
			m.run(m.log(saved("x", "a=1")))
			broken = false
			if c.vector != "a=0" {
				m.run(m.log(saved("y", c.vector)))
			}
			m.replay(false)
			require.Equal(t, ends{"x": c.outcome}, m.ends())
			require.Equal(t, c.count, m.order("o1").Count)
		})
	}
}

// TestReplayOfAConflict: under ConflictLetters somebody has to settle it; as it stands the
// letter is a conflict still, and once a version has seen both it is obsolete.
func TestReplayOfAConflict(t *testing.T) {
	t.Parallel()
	reg := handlers.NewRegistry()
	handlers.Modify(reg, "saved", func(_ context.Context, d *delivery) error {
		d.Entity.Customer += d.Event.ID
		return nil
	}, guards.Vector(guards.ConflictLetters()), handlers.Writes("Customer"))
	m := newMemory(t, reg)
	m.run(m.log(saved("x", "a=1"), saved("y", "b=1")))
	require.Equal(t, ends{"y": "open"}, m.ends())
	m.replay(false)
	require.Equal(t, ends{"y": "open"}, m.ends())
	for _, l := range m.letters {
		require.Equal(t, guards.Conflict, l.Verdict.Reason)
		require.Equal(t, 2, l.Attempts)
	}
	m.run(m.log(saved("z", "a=1,b=1,c=1")))
	m.replay(false)
	require.Equal(t, ends{"y": "obsolete"}, m.ends())
	require.Equal(t, "xz", m.order("o1").Customer)
}

// TestReplayBehindThePurge: the entity was deleted, and its tombstone is gone: nobody knows
// what the event would have been masked by.
func TestReplayBehindThePurge(t *testing.T) {
	t.Parallel()
	refused := refusing{"a": true, "b": true}
	reg := handlers.NewRegistry()
	handlers.Set(reg, "note", func(ctx context.Context, d *delivery) error {
		if err := refused.of(d.Event.ID); err != nil {
			return err
		}
		return noted(ctx, d)
	}, handlers.Writes("Note", "Limit"), handlers.Creates())
	m := newMemory(t, reg)
	m.run(m.log(ev{"note", "o1", 5, "a", `{"note":"old"}`}, ev{"note", "o2", 15, "b", `{"note":"new"}`}))
	m.horizon("orders", 10)
	clear(refused)
	m.replay(false)
	require.Equal(t, ends{"a": "obsolete", "b": "applied"}, m.ends())
	require.Nil(t, m.order("o1"))
	require.Equal(t, "new", *m.order("o2").Note)
}

// TestReplayOfOneThatPanics: the others of its batch end all the same.
func TestReplayOfOneThatPanics(t *testing.T) {
	t.Parallel()
	refused := refusing{"a": true, "panic": true, "b": true}
	reg := handlers.NewRegistry()
	handlers.Modify(reg, "count", func(_ context.Context, d *delivery) error {
		if err := refused.of(d.Event.ID); err != nil {
			return err
		}
		d.Entity.Customer += d.Event.ID
		return nil
	}, guards.Once(), handlers.Writes("Customer"), handlers.OnMissing(handlers.MissingPlaceholder))
	m := newMemory(t, reg)
	m.judge.Delay = func(int) (time.Duration, bool) { return 0, false }
	m.run(m.log(ev{"count", "o1", 1, "a", ""}, ev{"count", "o1", 2, "panic", ""}, ev{"count", "o2", 3, "b", ""}))
	require.Len(t, m.letters, 3)
	refused["a"], refused["b"] = false, false
	m.replay(false)
	require.Equal(t, ends{"a": "applied", "panic": "open", "b": "applied"}, m.ends())
	require.Equal(t, "a", m.order("o1").Customer)
	require.Equal(t, "b", m.order("o2").Customer)
	for _, l := range m.letters {
		if l.EventID == "panic" {
			require.Equal(t, "panic", l.ErrorType)
			require.Equal(t, guards.Exhausted, l.Verdict.Reason)
		}
	}
}

// TestReplayOfWhatAWholeStateCovers: it is obsolete, and emits as it would have (R11), by each
// way that leads to its turn.
func TestReplayOfWhatAWholeStateCovers(t *testing.T) {
	t.Parallel()
	refused := refusing{"a": true}
	reg := handlers.NewRegistry()
	emit := func(_ context.Context, d *delivery) error {
		if err := refused.of(d.Event.ID); err != nil {
			return err
		}
		d.Entity.Customer = d.Event.ID
		d.Emit(event.Draft{Topic: children, Type: "credited", Key: d.Event.ID})
		return nil
	}
	handlers.Modify(reg, "moved", emit, guards.Sequence(), handlers.Writes("Customer"), handlers.Emits(children))
	handlers.Modify(reg, "state", emit, guards.Sequence(), handlers.Writes("Customer"), handlers.Emits(children), handlers.Baseline())
	m := emitting(t, reg)
	m.run(m.log(ev{"moved", "o1", 1, "a", ""}, ev{"state", "o1", 2, "b", ""}))
	require.Len(t, m.outbox, 1)
	clear(refused)
	m.replay(false)
	require.Equal(t, ends{"a": "obsolete"}, m.ends())
	require.Equal(t, "b", m.order("o1").Customer)
	require.Len(t, m.outbox, 2)
	require.Equal(t, "a", string(m.outbox[1].Key))
	require.True(t, m.outbox[1].Swept)
	require.Empty(t, m.parked)
}
