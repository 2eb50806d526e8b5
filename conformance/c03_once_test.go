package conformance

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// Counter adds up, each event once.
type Counter struct {
	ID  string `gorm:"primaryKey"`
	N   int64
	Sum int64
	guards.Guarded
}

// counters is the registry of these tests; before may fail a run.
func counters(before func(*handlers.Delivery[body, Counter]) error, options ...guards.OnceOption) *handlers.Registry {
	reg := handlers.NewRegistry()
	handlers.Modify(reg, "counted", func(_ context.Context, d *handlers.Delivery[body, Counter]) error {
		if err := before(d); err != nil {
			return err
		}
		d.Entity.N++
		d.Entity.Sum += d.Payload.Amount
		return nil
	}, guards.Once(options...), handlers.Writes("N", "Sum"))
	return reg
}

func newCounterWorld(t testing.TB, at combination, partitions int, before func(*handlers.Delivery[body, Counter]) error, options ...guards.OnceOption) *world {
	t.Helper()
	w := newWorld(t, at, partitions)
	w.tables(&Counter{})
	w.registry = func() *handlers.Registry { return counters(before, options...) }
	return w
}

func counted(*handlers.Delivery[body, Counter]) error { return nil }

func (w *world) counted(key, id string, amount int64, at time.Time) said {
	return said{id: id, source: "shop", typ: "counted", key: key, at: at, data: fmt.Sprintf(`{"amount":%d}`, amount)}
}

// counts returns N and Sum by key.
func (w *world) counts() map[string][2]int64 {
	w.t.Helper()
	counts := map[string][2]int64{}
	for k, c := range all(w, func(c *Counter) string { return c.ID }) {
		counts[k] = [2]int64{c.N, c.Sum}
	}
	return counts
}

// ids counts the ids that are held, and all that are remembered.
func (w *world) ids() (held, total int64) {
	w.t.Helper()
	require.NoError(w.t, w.db.Raw("SELECT count(*) FROM evenkeel_ids WHERE grp = ? AND held", w.group).Scan(&held).Error)
	require.NoError(w.t, w.db.Raw("SELECT count(*) FROM evenkeel_ids WHERE grp = ?", w.group).Scan(&total).Error)
	return held, total
}

// TestC03Duplicates: each event comes three times, in any order, batch and partition, and
// counts once.
func TestC03AProducersDuplicatesCountOnce(t *testing.T) {
	each(t, "C03", func(t *testing.T, at combination) {
		const partitions, events, keys = 3, 300, 10
		w := newCounterWorld(t, at, partitions, counted)
		rng := newRand(3)
		var records []event.Record
		want := map[string][2]int64{}
		for i := range events {
			e := w.counted(fmt.Sprintf("c-%d", i%keys), fmt.Sprintf("e-%d", i), int64(i), w.began.Add(-time.Duration(i)*time.Minute))
			for range 3 {
				records = append(records, w.record(rng.Int32N(partitions), e.key, e.value()))
			}
			n := want[e.key]
			want[e.key] = [2]int64{n[0] + 1, n[1] + int64(i)}
		}
		rng.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
		w.broker.Produce(t, records...)
		w.start(smallBatches(37))
		w.drain(partitions)
		require.Equal(t, want, w.counts())
		held, total := w.ids()
		require.Equal(t, []int64{0, events}, []int64{held, total})
		require.Empty(t, w.letters())
		require.Equal(t, map[string]int{"duplicate": 2}, w.judgements("e-7"))
		for _, c := range all(w, func(c *Counter) string { return c.ID }) {
			require.Equal(t, guards.Alive, c.EkState, "rows that nobody creates are live")
			require.Zero(t, c.EkTime, "and carry no stamp")
		}
	})
}

// race makes two lanes look for the same ids at once, and find none, before their handlers
// end with what is given.
func race(t *testing.T, at combination, events int, end error) (*world, *member) {
	t.Helper()
	arrived := [2]chan struct{}{make(chan struct{}), make(chan struct{})}
	var once [2]sync.Once
	t.Cleanup(func() {
		for p := range once {
			once[p].Do(func() { close(arrived[p]) })
		}
	})
	w := newCounterWorld(t, at, 2, func(d *handlers.Delivery[body, Counter]) error {
		p := d.Event.Record.Partition
		once[p].Do(func() { close(arrived[p]) })
		<-arrived[1-p]
		return end
	})
	var same []said
	for i := range events {
		same = append(same, w.counted(fmt.Sprintf("c-%d", i), fmt.Sprintf("e-%d", i), 1, w.began.Add(-time.Minute)))
	}
	w.tell(0, same...)
	w.tell(1, same...)
	m := w.start(unbroken)
	w.drain(2)
	require.Positive(t, m.consumer.Stats().Conflicts, "the lanes have met")
	held, total := w.ids()
	require.Equal(t, end != nil, held > 0)
	require.Equal(t, int64(events), total)
	return w, m
}

func TestC03TwoLanesWithTheSameIDs(t *testing.T) {
	each(t, "C03", func(t *testing.T, at combination) {
		const events = 60
		w, _ := race(t, at, events, nil)
		counts := w.counts()
		require.Len(t, counts, events)
		for k, c := range counts {
			require.Equal(t, [2]int64{1, 1}, c, k)
		}
	})
}

// TestC03RaceForLetters: no row is made, so that the ids alone tell one lane of the other.
func TestC03TwoLanesWithTheSameLetters(t *testing.T) {
	each(t, "C03", func(t *testing.T, at combination) {
		const events = 60
		w, m := race(t, at, events, handlers.DeadLetter(errHandler))
		require.Empty(t, w.counts())
		require.Len(t, w.letters(), events)
		require.EqualValues(t, 2*events, m.final().Records)
	})
}

// TestC03Held: an event that is parked, or a letter, has its id; nobody waits for it.
func TestC03ARetryHoldsItsID(t *testing.T) {
	each(t, "C03", func(t *testing.T, at combination) {
		var mended atomic.Bool
		w := newCounterWorld(t, at, 2, func(d *handlers.Delivery[body, Counter]) error {
			switch {
			case d.Event.ID == "dead":
				return handlers.DeadLetter(errHandler)
			case d.Event.ID == "bad" && !mended.Load():
				return errHandler
			}
			return nil
		})
		w.start(w.patient())
		began := w.began.Add(-time.Hour)
		bad, dead := w.counted("c", "bad", 1, began), w.counted("c", "dead", 10, began)
		w.tell(0, bad, dead, w.counted("c", "good", 100, began), bad)
		w.atEnd(1)
		w.tell(1, dead, bad, w.counted("c", "better", 1000, began))
		w.atEnd(2)
		require.Equal(t, map[string][2]int64{"c": {2, 1100}}, w.counts(), "others go on")
		require.Equal(t, map[string]string{"bad": "retry"}, w.waiting())
		held, total := w.ids()
		require.Equal(t, []int64{2, 4}, []int64{held, total})
		require.Equal(t, 2, w.judgements("bad")["duplicate"])
		require.Equal(t, 1, w.judgements("dead")["duplicate"])

		mended.Store(true)
		w.drain(2)
		require.Equal(t, map[string][2]int64{"c": {3, 1101}}, w.counts())
		require.Len(t, w.letters(), 1)
		require.False(t, w.letters()[0].Blocking)
		held, total = w.ids()
		require.Equal(t, []int64{1, 4}, []int64{held, total}, "the letter's")
	})
}

// TestC03Horizon: what is behind the memory is not guessed, and what is held is not
// forgotten.
func TestC03BehindTheHorizonNothingIsGuessed(t *testing.T) {
	each(t, "C03", func(t *testing.T, at combination) {
		var mended atomic.Bool
		w := newCounterWorld(t, at, 1, func(d *handlers.Delivery[body, Counter]) error {
			if d.Event.ID == "held" && !mended.Load() {
				return errHandler
			}
			return nil
		}, guards.Memory(time.Hour))
		old := w.began.Add(-3 * time.Hour).Truncate(time.Microsecond)
		first := w.start(w.patient())
		w.tell(0, w.counted("c", "a", 1, old), w.counted("c", "held", 10, old), w.counted("c", "b", 100, w.began.Add(-time.Minute)))
		w.atEnd(1)
		first.stop()

		w.start(w.patient()) // a sweeper's first round forgets
		w.eventually(func() bool {
			_, total := w.ids()
			return total == 2
		}, func() string { return "the oldest id is forgotten" })
		w.tell(0, w.counted("c", "a", 1, old), w.counted("c", "held", 10, old), w.counted("c", "b", 100, w.began.Add(-time.Minute)),
			w.counted("c", "younger", 1000, old.Add(time.Microsecond)))
		w.atEnd(1)
		letters := w.letters()
		require.Len(t, letters, 1)
		require.Equal(t, "a", letters[0].EventID)
		require.Equal(t, guards.Late, letters[0].Verdict.Reason)
		require.Equal(t, guards.Comparison{What: "memory", Event: old.UnixMicro(), Against: old.UnixMicro()}, letters[0].Verdict.Numbers)
		require.Equal(t, 1, w.judgements("held")["duplicate"])
		require.Equal(t, 1, w.judgements("b")["duplicate"])
		mended.Store(true)
		w.drain(1)
		require.Equal(t, map[string][2]int64{"c": {4, 1111}}, w.counts(), "its own retry ignores the horizon")
	})
}

// TestC03Compacted: a counter must see every event.
func TestC03CompactedTopicsAreRefused(t *testing.T) {
	t.Parallel()
	each(t, "C03 compacted", func(t *testing.T, at combination) {
		t.Parallel()
		w := newCounterWorld(t, at, 1, counted)
		for policy, refused := range map[string]bool{"delete": false, "compact": true, "compact,delete": true} {
			topic := w.topic + "-" + strings.ReplaceAll(policy, ",", "-")
			w.broker.CreateTopic(t, topic, 1, "cleanup.policy", policy)
			cfg := w.config()
			cfg.Topics = []string{w.topic, topic}
			if !refused {
				c, err := framework.New(w.db, cfg)
				require.NoError(t, err)
				require.NoError(t, c.Close())
				continue
			}
			err := w.refusal(w.db, cfg)
			var compacted *framework.CompactedTopicError
			require.ErrorAs(t, err, &compacted)
			require.Equal(t, topic, compacted.Topic)
			contains(t, err, "the topic "+topic+" has cleanup.policy=", "compact", "handler counted→Counter is under guards.Once", "--entity-name "+topic+" --add-config cleanup.policy=delete")
			require.NotContains(t, err.Error(), "topic "+w.topic+" ")

			// Facts bear compaction.
			reg := handlers.NewRegistry()
			handlers.Set(reg, "order.placed", placed, handlers.Creates(), handlers.Writes("Customer"))
			cfg.Handlers = reg
			c, err := framework.New(w.db, cfg)
			require.NoError(t, err)
			require.NoError(t, c.Close())
		}
	})
}
