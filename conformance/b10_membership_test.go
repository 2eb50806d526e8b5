package conformance

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// attentive makes a member notice new partitions soon. Under the consumer protocol the
// broker tells.
func attentive(c *framework.Config) { c.Kafka["topic.metadata.refresh.interval.ms"] = 300 }

// flow produces a stream in portions, as a producer does that goes on while a test waits
// for something.
type flow struct {
	w  *world
	at int
}

// while produces more until the condition holds, however long that takes.
func (f *flow) while(what string, condition func() bool) {
	f.w.t.Helper()
	f.w.eventually(func() bool {
		if condition() {
			return true
		}
		f.w.produce(-1, stream(f.at, 40, 60, 100, f.w.began.Add(-time.Hour)))
		f.at += 40
		return false
	}, func() string { return fmt.Sprintf("%s, after %d events", what, f.at) })
}

func TestB10MembersComeAndGo(t *testing.T) {
	t.Parallel()
	each(t, "B10", func(t *testing.T, at combination) {
		t.Parallel()
		const partitions = 6
		w := newTallyWorld(t, at, partitions)
		f := &flow{w: w}
		works := func(m *member, before int64) func() bool {
			return func() bool {
				s := m.consumer.Stats()
				return len(s.Partitions) > 0 && s.Records > before
			}
		}
		one := w.start(quick, smallBatches(20))
		f.while("the first member works", works(one, 100))
		two, three := w.start(quick, smallBatches(20)), w.start(quick, smallBatches(20))
		f.while("the second member works", works(two, 20))
		f.while("the third member works", works(three, 20))
		f.while("the partitions are shared", func() bool {
			n := [3]int{}
			for i, m := range []*member{one, two, three} {
				n[i] = len(m.consumer.Stats().Partitions)
			}
			return n == [3]int{2, 2, 2}
		})
		one.stop()
		before := two.consumer.Stats().Records + three.consumer.Stats().Records
		f.while("the two have all partitions", func() bool {
			a, b := two.consumer.Stats(), three.consumer.Stats()
			return len(a.Partitions)+len(b.Partitions) == partitions && a.Records+b.Records > before+100
		})
		w.drain(partitions)
		w.checkTallied()
	})
}

// A partition is added while events flow. Keys move: the lane of the old partition still
// holds events of an entity when the lane of the new one gets to work on it. The group
// would begin at the log's end, but not in a partition that came to a topic it knows.
func TestB10PartitionAddedWhileEventsFlow(t *testing.T) {
	t.Parallel()
	each(t, "B10 partition", func(t *testing.T, at combination) {
		t.Parallel()
		w := newTallyWorld(t, at, 2)
		var once sync.Once
		moved := make(chan struct{})
		w.registry = func() *handlers.Registry {
			return tallied(func(_ int64, d *handlers.Delivery[body, Tally]) {
				switch {
				case d.Event.Record.Partition == 2:
					once.Do(func() { close(moved) })
				case d.Event.Record.Offset >= 50:
					<-moved
				}
			})
		}
		latest := func(c *framework.Config) { c.Start = framework.StartLatest }
		one, two := w.start(quick, attentive, latest, smallBatches(20)), w.start(quick, attentive, latest, smallBatches(20))
		w.eventually(func() bool {
			owned := 0
			for _, m := range []*member{one, two} {
				for _, p := range m.consumer.Stats().Partitions {
					if p.Epoch > 0 {
						owned++
					}
				}
			}
			return owned == 2
		}, func() string { return "both partitions have an owner" })

		facts := stream(0, 400, 20, 0, w.began.Add(-time.Hour))
		of := func(f fact, partitions int32) int32 {
			var n int32
			_, err := fmt.Sscanf(f.key, "o-%d", &n)
			require.NoError(t, err)
			return n % partitions
		}
		spread := func(facts []fact, partitions int32) {
			by := map[int32][]fact{}
			for _, f := range facts {
				by[of(f, partitions)] = append(by[of(f, partitions)], f)
			}
			for p, fs := range by {
				w.produce(p, fs)
			}
		}
		spread(facts[:200], 2)
		w.broker.AddPartitions(t, w.topic, 3)
		spread(facts[200:], 3)
		t.Cleanup(func() { once.Do(func() { close(moved) }) })
		w.drain(3)
		select {
		case <-moved:
		default:
			t.Fatal("the new partition was not read before the old ones were done")
		}
		w.checkTallied()
	})
}

// Two lanes have seen that a row is missing, and both make it, each with other fields.
func TestB10TwoLanesInsertTheSameRow(t *testing.T) {
	t.Parallel()
	each(t, "B10 insert", func(t *testing.T, at combination) {
		t.Parallel()
		const orders = 100
		w := newTallyWorld(t, at, 2)
		base := w.began.Add(-time.Hour)
		arrived := [2]chan struct{}{make(chan struct{}), make(chan struct{})}
		var once [2]sync.Once
		w.registry = func() *handlers.Registry {
			return tallied(func(_ int64, d *handlers.Delivery[body, Tally]) {
				// The rows are loaded by now: nobody goes on before both have looked.
				p := d.Event.Record.Partition
				once[p].Do(func() { close(arrived[p]) })
				<-arrived[1-p]
			})
		}
		t.Cleanup(func() {
			for p := range once {
				once[p].Do(func() { close(arrived[p]) })
			}
		})
		var placed, paid []fact
		for i := range orders {
			key := fmt.Sprintf("o-%d", i)
			placed = append(placed, fact{id: key + "-placed", typ: "order.placed", key: key, at: base, body: body{Customer: "c" + key, Amount: int64(i)}})
			paid = append(paid, fact{id: key + "-paid", typ: "order.paid", key: key, at: base.Add(time.Minute), body: body{Amount: 1}})
		}
		w.produce(0, placed)
		w.produce(1, paid)
		m := w.start(quick)
		w.drain(2)
		w.checkTallied()
		require.Positive(t, m.consumer.Stats().Conflicts, "the lanes have met")
		for id, o := range all(w, func(o *Order) string { return o.ID }) {
			require.NotNil(t, o.PaidAt, id)
			require.NotEmpty(t, o.Customer, id)
		}
	})
}
