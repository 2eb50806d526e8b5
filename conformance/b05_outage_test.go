package conformance

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// TestB05Outage: the service knows no lateness above ten minutes and was away for two hours.
// Its producers were not: the log has each event where it belongs, a few minutes of disorder
// included, and one partition that fell silent when the outage began.
func TestB05AnOutageDeadLettersNothing(t *testing.T) {
	t.Parallel()
	each(t, "B05", func(t *testing.T, at combination) {
		t.Parallel()
		const (
			partitions = 3
			lateness   = 10 * time.Minute
			outage     = 2 * time.Hour
		)
		w := newWorld(t, at, partitions)
		w.registry = func() *handlers.Registry {
			reg := handlers.NewRegistry(guards.MaxLateness(lateness), guards.MaxFuture(maxFuture))
			handlers.Set(reg, "order.noted", noted, handlers.Writes("Note"), blankIsFine)
			return reg
		}
		now := time.Now()
		n := 0
		happened := func(partition int32, when time.Time) event.Record {
			key := fmt.Sprintf("o-%d", n)
			n++
			e := said{id: key, source: "shop", typ: "order.noted", key: key, at: when, data: `{"note":"kept"}`}
			r := w.record(partition, key, e.value())
			r.Timestamp = when.Truncate(time.Millisecond)
			return r
		}

		w.broker.Produce(t,
			happened(0, now.Add(-outage-time.Minute)), happened(1, now.Add(-outage-time.Minute)), happened(2, now.Add(-outage-time.Minute)))
		before := w.start()
		w.drain(partitions)
		before.stop()

		rng := newRand(5)
		var backlog []event.Record
		for when := now.Add(-outage); when.Before(now); when = when.Add(20 * time.Second) {
			disorder := time.Duration(rng.Int64N(int64(lateness / 2)))
			backlog = append(backlog, happened(int32(rng.IntN(2)), when.Add(-disorder)))
		}
		// The silent partition's last event came just after the consumer had gone.
		backlog = append(backlog, happened(2, now.Add(-outage)))
		w.broker.Produce(t, backlog...)
		after := w.start()
		w.drain(partitions)
		require.Empty(t, w.letters())
		require.Len(t, all(w, func(o *Order) string { return o.ID }), n)
		// The guard is awake all the same: what is older than its own partition's
		// newest by more than the bound is late.
		w.broker.Produce(t, happened(0, now.Add(-outage/2)), happened(2, now.Add(-outage-lateness/2)))
		w.drain(partitions)
		letters := w.letters()
		require.Len(t, letters, 1)
		require.Equal(t, guards.Late, letters[0].Verdict.Reason)
		require.Zero(t, letters[0].Record.Partition)
		require.EqualValues(t, len(backlog)+1, after.final().Verdicts["apply/applied"])
	})
}
