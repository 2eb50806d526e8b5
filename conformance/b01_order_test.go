package conformance

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
)

// story returns the facts of n orders in their true order.
func story(n int, base time.Time, rng *rand.Rand) []fact {
	var facts []fact
	types := []string{"order.placed", "order.paid", "order.noted", "order.shipped", "order.noted", "order.cancelled"}
	for i := range n {
		key := fmt.Sprintf("o-%d", i)
		for j, typ := range types {
			if j > 0 && rng.IntN(3) == 0 {
				continue
			}
			var note *string
			if rng.IntN(2) == 0 {
				s := fmt.Sprintf("note %d", rng.IntN(3))
				note = &s
			}
			facts = append(facts, fact{
				id: fmt.Sprintf("%s-%d", key, j), typ: typ, key: key, at: base.Add(time.Duration(i*10+j) * time.Second),
				body: body{Customer: "c" + key, Note: note, Amount: int64(i)},
			})
		}
	}
	return facts
}

func TestB01ShuffledEventsGiveTheOraclesRows(t *testing.T) {
	t.Parallel()
	each(t, "B01", func(t *testing.T, at combination) {
		t.Parallel()
		const partitions = 3
		w := newWorld(t, at, partitions)
		rng := rand.New(rand.NewPCG(1, 2))
		facts := story(100, time.Now().Add(-time.Hour), rng)
		facts = append(facts, facts[:len(facts)/4]...) // duplicates
		rng.Shuffle(len(facts), func(i, j int) { facts[i], facts[j] = facts[j], facts[i] })
		var records []event.Record
		for _, f := range facts {
			records = append(records, w.record(-1, f.key, f.value()))
		}
		w.broker.Produce(t, records...)
		m := w.start()
		w.drain(partitions)
		r := w.check()
		require.Equal(t, 100, r.Right)
		s := m.final()
		require.EqualValues(t, len(facts), s.Records)
		require.Positive(t, s.Verdicts["discard/duplicate"])
		require.Positive(t, s.PlaceholdersMade)
		require.Equal(t, s.PlaceholdersMade, s.PlaceholdersCompleted)
	})
}
