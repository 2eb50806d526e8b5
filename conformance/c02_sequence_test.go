package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// Account has a trail that shows in which order its events were applied.
type Account struct {
	ID    string `gorm:"primaryKey"`
	Trail string
	Seen  int64 `gorm:"check:seen < 1000"`
	Owner string
	guards.Guarded
}

type moveData struct {
	Seen int64 `json:"seen"`
}

type moveDelivery = handlers.Delivery[moveData, Account]

// accounts wires a model whose moves are numbered, and whose owner is a fact.
func accounts(options ...guards.SequenceOption) func() *handlers.Registry {
	return accountsThat(func(*moveDelivery) error { return nil }, options...)
}

func accountsThat(fail func(*moveDelivery) error, options ...guards.SequenceOption) func() *handlers.Registry {
	return func() *handlers.Registry {
		reg := handlers.NewRegistry()
		fine := handlers.OnMissing(handlers.MissingPlaceholder)
		handlers.Modify(reg, "account.moved", func(_ context.Context, d *moveDelivery) error {
			if err := fail(d); err != nil {
				return err
			}
			d.Entity.Trail += fmt.Sprint(d.Event.Version, " ")
			d.Entity.Seen += d.Payload.Seen
			return nil
		}, guards.Sequence(options...), handlers.Writes("Trail", "Seen"), fine)
		handlers.Modify(reg, "account.balanced", func(_ context.Context, d *moveDelivery) error {
			d.Entity.Trail = fmt.Sprint("=", d.Event.Version, " ")
			return nil
		}, guards.Sequence(options...), handlers.Writes("Trail"), handlers.Baseline(), fine)
		handlers.Set(reg, "account.owned", func(_ context.Context, d *moveDelivery) error {
			d.Entity.Owner = d.Event.ID
			return nil
		}, handlers.Writes("Owner"), fine)
		return reg
	}
}

func moved(key string, number int64) said {
	return said{
		id: fmt.Sprintf("%s-%d", key, number), source: "bank", typ: "account.moved", key: key,
		at: time.Now().Add(-time.Minute), version: number, data: `{"seen":1}`,
	}
}

func (w *world) trail(key string) string {
	w.t.Helper()
	return strings.TrimSpace(all(w, func(a *Account) string { return a.ID })[key].Trail)
}

// streamOf reads the state of an entity's stream.
func (w *world) streamOf(key string) (s struct {
	Next       int64
	Skipped    [][2]int64
	Incomplete bool
},
) {
	w.t.Helper()
	var body string
	require.NoError(w.t, w.db.Raw("SELECT body FROM evenkeel_memos WHERE grp = ? AND kind = 'sequence' AND scope = ? AND entity = ?", w.group, w.topic, key).Scan(&body).Error)
	require.NoError(w.t, json.Unmarshal([]byte(body), &s))
	return s
}

// TestC02: 30 accounts with 12 numbered events each, of which some are facts and some nobody
// handles, shuffled over three partitions with duplicates. So two lanes hold the events of
// one stream, and most of them come ahead.
func TestC02NumberedEventsApplyOnceAndInOrder(t *testing.T) {
	each(t, "C02", func(t *testing.T, at combination) {
		const partitions, keys, numbers = 3, 30, 12
		w := newWorld(t, at, partitions)
		w.registry = accounts()
		w.tables(&Account{})
		rng := newRand(7)
		var events []said
		want := map[string]string{}
		for k := range keys {
			key := fmt.Sprintf("a-%d", k)
			var trail []string
			for n := int64(1); n <= numbers; n++ {
				e := moved(key, n)
				switch rng.IntN(6) {
				case 0:
					e.typ = "account.viewed" // nobody handles it
				case 1:
					e.typ = "account.owned" // a Set
				default:
					trail = append(trail, fmt.Sprint(n))
				}
				events = append(events, e)
				if rng.IntN(4) == 0 {
					events = append(events, e)
				}
			}
			want[key] = strings.Join(trail, " ")
		}
		rng.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		for _, e := range events[:len(events)/2] {
			w.tell(int32(rng.IntN(partitions)), e)
		}
		one := w.start(smallBatches(11))
		w.atEnd(partitions)
		one.stop() // what waits is picked up by whoever is there
		for _, e := range events[len(events)/2:] {
			w.tell(int32(rng.IntN(partitions)), e)
		}
		w.start(smallBatches(11))
		w.drain(partitions)
		for key, a := range all(w, func(a *Account) string { return a.ID }) {
			require.Equal(t, want[key], strings.TrimSpace(a.Trail), key)
			require.EqualValues(t, numbers+1, w.streamOf(key).Next, key)
			delete(want, key)
		}
		for key, trail := range want {
			require.Empty(t, trail, "%s has no row", key)
		}
		require.Empty(t, w.letters())
	})
}

// gapEar hears of gaps. Once it has heard of full, if that is not zero, it holds up the sweeper
// that tells it until hold is closed.
type gapEar struct {
	mu   sync.Mutex
	gaps []framework.Gap
	full int
	hold chan struct{}
}

func (g *gapEar) OnGap(gap framework.Gap) {
	g.mu.Lock()
	g.gaps = append(g.gaps, gap)
	full := len(g.gaps) == g.full
	g.mu.Unlock()
	if full {
		<-g.hold
	}
}

func (g *gapEar) heard() []framework.Gap {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]framework.Gap{}, g.gaps...)
}

func TestC02GapsThatStay(t *testing.T) {
	each(t, "C02 gaps", func(t *testing.T, at combination) {
		t.Run("are passed over", func(t *testing.T) {
			t.Parallel()
			w, ear := newWorld(t, at, 1), &gapEar{}
			w.registry = accounts(guards.GapTimeout(300*time.Millisecond), guards.OnGap(guards.GapSkip))
			w.tables(&Account{})
			m := w.start(func(c *framework.Config) { c.Hooks = []any{ear} })
			w.tell(0, moved("a", 1), moved("a", 3), moved("a", 4), moved("a", 7))
			w.drain(1)
			require.Equal(t, "1 3 4 7", w.trail("a"))
			s := w.streamOf("a")
			require.EqualValues(t, 8, s.Next)
			require.True(t, s.Incomplete)
			require.Equal(t, [][2]int64{{2, 2}, {5, 6}}, s.Skipped)
			w.eventually(func() bool { return len(ear.heard()) > 0 }, func() string { return "no hook was called" })
			// Events that came in batches of their own reach the bound one after the other.
			require.Contains(t, []int64{1, 2}, m.consumer.Stats().Gaps["skip/time"])
			gap := ear.heard()[0]
			require.Contains(t, []int64{3, 4, 7}, gap.Waiting)
			require.Equal(t, framework.Gap{Stream: w.topic, Entity: "a", Missing: 2, Waiting: gap.Waiting, Policy: guards.GapSkip}, gap)
			// What comes for them later is kept, and the whole state mends it.
			balanced := moved("a", 9)
			balanced.typ = "account.balanced"
			w.tell(0, moved("a", 2), balanced, moved("a", 10))
			w.drain(1)
			require.Equal(t, "=9 10", w.trail("a"))
			require.False(t, w.streamOf("a").Incomplete)
			ls := w.letters()
			require.Len(t, ls, 1)
			require.Equal(t, guards.Gap, ls[0].Verdict.Reason)
			require.False(t, ls[0].Blocking)
		})
		t.Run("become letters", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, at, 1)
			w.registry = accounts(guards.GapTimeout(300 * time.Millisecond))
			w.tables(&Account{})
			w.start()
			w.tell(0, moved("a", 1), moved("a", 3), moved("a", 4))
			w.eventually(func() bool { return len(w.letters()) == 1 && w.waiting()["a-4"] == "behind" }, func() string {
				return fmt.Sprint(w.letters(), w.waiting())
			})
			l := w.letters()[0]
			require.Equal(t, guards.Gap, l.Verdict.Reason)
			require.True(t, l.Blocking)
			require.Equal(t, w.topic, l.Stream)
			require.EqualValues(t, 3, l.Place)
			w.tell(0, moved("a", 2), moved("b", 1))
			w.eventually(func() bool { return w.trail("a") == "1 2" && w.trail("b") == "1" }, func() string { return w.trail("a") })
			w.copies(1)
		})
		t.Run("are asked for", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, at, 1)
			ear := &gapEar{full: 2, hold: make(chan struct{})}
			answered := sync.OnceFunc(func() { close(ear.hold) })
			t.Cleanup(answered)
			replays := w.broker.Topic(t, "replays", 1)
			w.registry = accounts(guards.GapTimeout(time.Second), guards.RequestReplay(replays))
			w.tables(&Account{})
			w.tell(0, moved("a", 1), moved("a", 4), moved("b", 1), moved("b", 3))
			m := w.start(func(c *framework.Config) { c.Hooks = []any{ear} })
			var requests map[string]event.ReplayRequest
			w.eventually(func() bool {
				requests = map[string]event.ReplayRequest{}
				for _, r := range w.broker.Consume(t, replays) {
					e := event.Event{Record: &r}
					require.NoError(t, codec().Decode(&r, &e))
					require.Equal(t, event.ReplayRequestType, e.Type)
					var asked event.ReplayRequest
					require.NoError(t, json.Unmarshal(e.Data, &asked))
					requests[e.Key] = asked
				}
				return len(requests) == 2
			}, func() string { return fmt.Sprint(requests, w.waiting()) })
			require.Equal(t, event.ReplayRequest{Group: w.group, Stream: w.topic, Key: "a", From: 2, To: 3, Reason: "number 2 has not come within 1s"}, requests["a"])
			// The source has a's events, and has lost b's. No second bound is met before a's are here.
			w.tell(0, moved("a", 2), moved("a", 3))
			w.eventually(func() bool { return w.trail("a") == "1 2 3 4" }, func() string { return w.trail("a") })
			answered()
			w.eventually(func() bool { return len(w.letters()) == 1 }, func() string { return fmt.Sprint(w.waiting()) })
			l := w.letters()[0]
			require.Equal(t, guards.Gap, l.Verdict.Reason)
			require.Equal(t, "b", l.Entity)
			require.Contains(t, l.Verdict.Detail, "although a replay was requested")
			require.Equal(t, "1", w.trail("b"))
			stats := m.final()
			require.EqualValues(t, 2, stats.Gaps["replay/time"])
			require.EqualValues(t, 1, stats.Gaps["dead-letter/time"])
			require.EqualValues(t, 2, stats.Emitted)
			require.Equal(t, guards.GapReplay, ear.heard()[0].Policy)
		})
		t.Run("too many wait", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, at, 1)
			w.registry = accounts(guards.GapTimeout(time.Hour), guards.MaxGap(3), guards.OnGap(guards.GapSkip))
			w.tables(&Account{})
			m := w.start()
			w.tell(0, moved("a", 2), moved("a", 3), moved("a", 5), moved("a", 6))
			w.eventually(func() bool { return w.trail("a") == "2 3" }, func() string { return w.trail("a") })
			w.eventually(func() bool { return m.consumer.Stats().Gaps["skip/count"] == 1 }, func() string { return fmt.Sprint(m.consumer.Stats().Gaps) })
			w.atEnd(1)
			require.Equal(t, map[string]string{"a-5": "gap", "a-6": "gap"}, w.waiting())
		})
		t.Run("but a backlog is none", func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, at, 1)
			w.registry = accounts(guards.GapTimeout(time.Minute))
			w.tables(&Account{})
			m := w.start()
			w.tell(0, moved("a", 1), moved("a", 3))
			w.eventually(func() bool { return w.waiting()["a-3"] == "gap" }, func() string { return fmt.Sprint(w.waiting()) })
			m.stop()
			// Hours pass; then the service comes back, and what is missing is in its backlog.
			require.NoError(t, w.db.Exec("UPDATE evenkeel_parked SET due = 1, expires = 1 WHERE grp = ?", w.group).Error)
			m = w.start()
			w.eventually(func() bool {
				var due int64
				require.NoError(t, w.db.Raw("SELECT coalesce(min(due), 0) FROM evenkeel_parked WHERE grp = ?", w.group).Scan(&due).Error)
				return len(m.consumer.Stats().Partitions) == 1 && m.consumer.Stats().Partitions[0].Epoch > 1 && due > 1
			}, func() string { return fmt.Sprint(w.waiting()) })
			w.tell(0, moved("a", 2))
			w.drain(1)
			require.Equal(t, "1 2 3", w.trail("a"))
			require.Empty(t, w.letters())
		})
	})
}

func TestC02OldNumbersAndConflicts(t *testing.T) {
	each(t, "C02 letters", func(t *testing.T, at combination) {
		w := newWorld(t, at, 1)
		w.registry = accounts()
		w.tables(&Account{})
		m := w.start()
		w.tell(0, moved("a", 1), moved("a", 2))
		w.drain(1)
		rival := moved("a", 2)
		rival.id = "rival"
		zero, none := moved("a", 0), moved("a", 3)
		zero.id, none.id = "zero", "none"
		zero.version, none.version = -1, 0 // said leaves a zero out: no number
		w.tell(0, moved("a", 1), rival, zero, none, moved("a", 3))
		w.drain(1)
		m.stop()
		require.Equal(t, "1 2 3", w.trail("a"))
		require.Equal(t, map[string]int{"duplicate": 1}, w.judgements("a-1"))
		require.Equal(t, map[string]int{"superseded": 1}, w.judgements("zero"))
		reasons := map[string]guards.Reason{}
		for _, l := range w.letters() {
			reasons[l.EventID] = l.Verdict.Reason
		}
		require.Equal(t, map[string]guards.Reason{"rival": guards.Conflict, "none": guards.Poison}, reasons)

		// An operator rewinds: everything is known.
		w.broker.ResetOffset(t, w.group, w.topic, 0, 0)
		w.start()
		w.eventually(func() bool { return w.judgements("a-3")["duplicate"] == 1 }, func() string { return fmt.Sprint(w.judgements("a-3")) })
		require.Equal(t, "1 2 3", w.trail("a"))
		require.Len(t, w.letters(), 2)
	})
}

// TestC02 broken: the rows of those that may follow are read with an event, so a broken one
// must not stop the partition (R18).
func TestC02ARowThatCannotBeRead(t *testing.T) {
	each(t, "C02 broken", func(t *testing.T, at combination) {
		w := newWorld(t, at, 1)
		w.registry = accounts()
		w.tables(&Account{})
		w.start()
		w.tell(0, moved("a", 1))
		w.drain(1)
		require.NoError(t, w.db.Exec("UPDATE accounts SET ek_fields = 'no such thing' WHERE id = 'a'").Error)
		viewed := moved("a", 3)
		viewed.typ = "account.viewed" // nobody handles it
		w.tell(0, moved("a", 2), viewed, moved("b", 1))
		w.atEnd(1)
		require.NoError(t, w.db.Exec("UPDATE accounts SET ek_fields = '' WHERE id = 'a'").Error)
		w.tell(0, moved("a", 4))
		w.atEnd(1)
		require.Equal(t, "1", w.trail("a"), "what comes after the letter waits for it")
		require.Equal(t, "1", w.trail("b"))
		ls := w.letters()
		require.Len(t, ls, 1)
		require.Equal(t, guards.Poison, ls[0].Verdict.Reason)
		require.Equal(t, "a", ls[0].Entity)
		require.True(t, ls[0].Blocking)
	})
}
