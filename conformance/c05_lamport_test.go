package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// Heard and Followed keep words under Lamport times, by Set and by Modify.
type (
	Heard struct {
		ID, Word, Answer string
		guards.Guarded
	}
	Followed struct {
		ID, Word string
		guards.Guarded
	}
)

func heard() *handlers.Registry {
	reg := handlers.NewRegistry(guards.Lamport())
	handlers.Set(reg, "asked", func(_ context.Context, d *handlers.Delivery[wordOf, Heard]) error {
		d.Entity.Word = d.Payload.Word
		return nil
	}, handlers.Writes("Word"))
	handlers.Set(reg, "answered", func(_ context.Context, d *handlers.Delivery[wordOf, Heard]) error {
		d.Entity.Answer = d.Payload.Word
		return nil
	}, handlers.Writes("Answer"))
	for _, typ := range []string{"asked", "answered"} {
		handlers.Modify(reg, typ, func(_ context.Context, d *handlers.Delivery[wordOf, Followed]) error {
			d.Entity.Word = d.Payload.Word
			return nil
		}, guards.Lamport(), handlers.Writes("Word"))
	}
	return reg
}

// more adds members to an event as codec() reads it.
func (s said) more(members map[string]any) string {
	env := map[string]any{}
	if err := json.Unmarshal([]byte(s.value()), &env); err != nil {
		panic(err)
	}
	maps.Copy(env, members)
	b, err := json.Marshal(env)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// conversation lets producers write about one entity, each with a Lamport clock that merges
// what it is told.
func conversation(rng *rand.Rand, n int) (events []said, lamports []int64) {
	clock := map[string]int64{}
	sources := []string{"ann", "bob", "eve"}
	for i := range n {
		s := sources[rng.IntN(len(sources))]
		if rng.IntN(2) == 0 {
			clock[s] = max(clock[s], clock[sources[rng.IntN(len(sources))]])
		}
		clock[s]++
		typ := "asked"
		if rng.IntN(2) == 0 {
			typ = "answered"
		}
		events = append(events, said{id: fmt.Sprint(i), source: s, typ: typ, at: time.Now(), data: fmt.Sprintf(`{"word":"%s-%d"}`, s, i)})
		lamports = append(lamports, clock[s])
	}
	return events, lamports
}

// TestC05LamportTimes: one conversation about many entities, each told in an order of its
// own, with duplicates, over two partitions at once: the same row for all.
func TestC05LamportTimesGiveOneRowInEveryOrder(t *testing.T) {
	each(t, "C05", func(t *testing.T, at combination) {
		const partitions, keys = 2, 120
		w := newWorld(t, at, partitions)
		w.registry = heard
		w.tables(&Heard{}, &Followed{})
		rng := newRand(5)
		events, lamports := conversation(rng, 14)

		// What must come of it: of each field the event with the highest time, source and id.
		last := func(types ...string) (winner int) {
			winner = -1
			for i, e := range events {
				if e.typ != types[0] && e.typ != types[len(types)-1] {
					continue
				}
				if winner < 0 || lamports[i] > lamports[winner] ||
					lamports[i] == lamports[winner] && (e.source+"\x00"+e.id > events[winner].source+"\x00"+events[winner].id) {
					winner = i
				}
			}
			return winner
		}
		word := func(i int) string { return fmt.Sprintf("%s-%s", events[i].source, events[i].id) }

		var records []event.Record
		for k := range keys {
			key := fmt.Sprintf("k-%d", k)
			order := append(rng.Perm(len(events)), rng.Perm(len(events))[:3]...)
			for _, i := range order {
				e := events[i]
				e.key = key
				records = append(records, w.record(int32(rng.IntN(partitions)), key, e.more(map[string]any{"lamport": lamports[i]})))
			}
		}
		w.broker.Produce(t, records...)
		w.start(smallBatches(83))
		w.drain(partitions)

		rows := all(w, func(h *Heard) string { return h.ID })
		followed := all(w, func(f *Followed) string { return f.ID })
		require.Len(t, rows, keys)
		require.Len(t, followed, keys)
		newest := last("asked", "answered")
		for key, row := range rows {
			require.Equal(t, word(last("asked")), row.Word, key)
			require.Equal(t, word(last("answered")), row.Answer, key)
			require.Equal(t, lamports[newest], row.EkTime, key)
			require.Equal(t, event.Tie(true, events[newest].source, events[newest].id), string(row.EkTie), key)
			require.Equal(t, word(newest), followed[key].Word, key)
		}
		require.Empty(t, w.letters())

		w.tell(0, said{id: "none", source: "ann", typ: "asked", key: "k-0", at: time.Now(), data: `{"word":"x"}`})
		w.drain(partitions)
		letters := w.letters()
		require.Len(t, letters, 2, "one for each handler")
		require.Equal(t, guards.Poison, letters[0].Verdict.Reason)
		require.Contains(t, letters[0].Verdict.Detail, "guard lamport: lamport: expected a whole number, found none")
	})
}

// TestC05TheServicesClock: what the service sends is after what it has seen, whichever of
// its processes sends it and whether or not it was there when it was seen.
func TestC05TheServicesClockIsAfterWhatTheGroupHasSeen(t *testing.T) {
	each(t, "C05 clock", func(t *testing.T, at combination) {
		const partitions = 2
		w := newWorld(t, at, partitions)
		w.tables(&Heard{}, &Followed{})
		var inHandler atomic.Int64
		var m *member
		w.registry = func() *handlers.Registry {
			reg := handlers.NewRegistry(guards.Lamport())
			handlers.Set(reg, "asked", func(ctx context.Context, d *handlers.Delivery[wordOf, Heard]) error {
				if d.Event.ID != "inside" {
					return nil
				}
				n, err := m.consumer.Lamport().Next(ctx)
				inHandler.Store(n)
				return err
			}, handlers.Writes("Word"))
			return reg
		}
		tell := func(partition int32, id string, lamport int64) {
			t.Helper()
			s := said{id: id, source: "ann", typ: "asked", key: id, at: time.Now(), data: `{}`}
			w.broker.Produce(t, w.record(partition, id, s.more(map[string]any{"lamport": lamport})))
			w.drain(partitions)
		}
		next := func(c *framework.LamportClock) int64 {
			t.Helper()
			n, err := c.Next(t.Context())
			require.NoError(t, err)
			return n
		}
		api := func() *framework.LamportClock {
			t.Helper()
			c, err := framework.NewLamportClock(w.db, w.group)
			require.NoError(t, err)
			return c
		}
		m = w.start()
		first := next(m.consumer.Lamport())
		tell(0, "a", 5000)
		require.Greater(t, next(m.consumer.Lamport()), int64(5000), "its own lane has seen 5000")
		tell(1, "b", 4000)
		own := next(m.consumer.Lamport())
		require.Greater(t, own, int64(5000))
		require.Greater(t, next(api()), int64(5000), "the ledgers have seen 5000")
		tell(1, "inside", 90_000)
		require.Greater(t, inHandler.Load(), int64(90_000), "a handler sends after what it was called with")
		m.stop()

		// Another life: nothing but the database is left.
		var lamport []int64
		require.NoError(t, w.db.Raw("SELECT lamport FROM evenkeel_ledger WHERE grp = ? ORDER BY partition", w.group).Scan(&lamport).Error)
		require.Equal(t, []int64{5000, 90_000}, lamport)
		m = w.start()
		again := next(m.consumer.Lamport())
		require.Greater(t, again, max(first, own, inHandler.Load()))
		mine := api()
		mine.Witness(1_000_000)
		require.EqualValues(t, 1_000_001, next(mine))
	})
}
