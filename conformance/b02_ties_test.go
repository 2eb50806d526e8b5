package conformance

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// Fact, Latest and Numbered keep the last word of their entity, each under its own kind of
// comparison.
type (
	// Fact is written by Set, by timestamp.
	Fact struct {
		ID, Word string
		guards.Guarded
	}
	// Latest is written by Modify under Timestamp.
	Latest struct {
		ID, Word string
		guards.Guarded
	}
	// Numbered is written by Set, by version.
	Numbered struct {
		ID, Word string
		guards.Guarded
	}
)

type wordOf struct {
	Word string `json:"word"`
}

func lastWords() *handlers.Registry {
	reg := handlers.NewRegistry(guards.Timestamp())
	handlers.Set(reg, "said", func(_ context.Context, d *handlers.Delivery[wordOf, Fact]) error {
		d.Entity.Word = d.Payload.Word
		return nil
	}, handlers.Writes("Word"))
	handlers.Modify(reg, "said", func(_ context.Context, d *handlers.Delivery[wordOf, Latest]) error {
		d.Entity.Word = d.Payload.Word
		return nil
	}, guards.Timestamp(), handlers.Writes("Word"))
	handlers.Set(reg, "said", func(_ context.Context, d *handlers.Delivery[wordOf, Numbered]) error {
		d.Entity.Word = d.Payload.Word
		return nil
	}, handlers.By(guards.Version()), handlers.Writes("Word"))
	return reg
}

// TestB02EqualStamps: four events at one time and with one version, in all 24 orders, once
// with all four in one partition and once spread over three. What decides is the tuple
// (source, id), byte by byte: neither the joined text, in which the first would win, nor a
// collation, in which the last would.
func TestB02EqualStampsHaveTheSameWinnerInEveryOrder(t *testing.T) {
	t.Parallel()
	each(t, "B02", func(t *testing.T, at combination) {
		t.Parallel()
		const partitions = 3
		rivals := []struct{ source, id string }{{"a", "z9"}, {"ab", "c"}, {"ab", "cc"}, {"B", "x"}}
		const winner = "ab/cc"
		w := newWorld(t, at, partitions)
		w.registry = lastWords
		w.tables(&Fact{}, &Latest{}, &Numbered{})
		when := time.Now().Add(-time.Hour)

		var records []event.Record
		keys := 0
		permutations(len(rivals), func(order []int) {
			for _, spread := range []bool{false, true} {
				key := fmt.Sprintf("k-%d", keys)
				for n, i := range order {
					r := rivals[i]
					e := said{id: r.id, source: r.source, typ: "said", key: key, at: when, version: 7, data: fmt.Sprintf(`{"word":"%s/%s"}`, r.source, r.id)}
					partition := int32(keys % partitions)
					if spread {
						partition = int32(n % partitions)
					}
					records = append(records, w.record(partition, key, e.value()))
				}
				keys++
			}
		})
		w.broker.Produce(t, records...)
		w.start(smallBatches(7)) // some rivals meet in one batch, most in the database
		w.drain(partitions)

		won := func(table, word string, g guards.Guarded) {
			t.Helper()
			require.Equal(t, winner, word, table)
			require.Equal(t, event.Tie(true, "ab", "cc"), string(g.EkTie), table)
		}
		facts := all(w, func(f *Fact) string { return f.ID })
		latest := all(w, func(l *Latest) string { return l.ID })
		numbered := all(w, func(n *Numbered) string { return n.ID })
		require.Len(t, facts, keys)
		require.Len(t, latest, keys)
		require.Len(t, numbered, keys)
		for key := range facts {
			won("facts "+key, facts[key].Word, facts[key].Guarded)
			won("latests "+key, latest[key].Word, latest[key].Guarded)
			won("numbereds "+key, numbered[key].Word, numbered[key].Guarded)
			require.EqualValues(t, when.UnixMicro(), facts[key].EkTime)
			require.EqualValues(t, 7, numbered[key].EkTime)
		}
		require.Empty(t, w.letters())
	})
}
