package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// Bin holds the stock of one article, of which an order names several.
type Bin struct {
	SKU       string `gorm:"primaryKey"`
	Reserved  int64
	LastOrder string
	guards.Guarded
}

type line struct {
	SKU string `json:"sku"`
	N   int64  `json:"n"`
}

type basket struct {
	Lines []line `json:"lines"`
}

func (b basket) skus() []string {
	var skus []string
	for _, l := range b.Lines {
		skus = append(skus, l.SKU)
	}
	return skus
}

// bins has a fact and a total on each bin of an order.
func bins(before func(sku string) error) *handlers.Registry {
	reg := handlers.NewRegistry()
	handlers.Set(reg, "ordered", func(_ context.Context, d *handlers.Delivery[basket, Bin]) error {
		d.Entity.LastOrder = d.Event.Key
		return nil
	}, handlers.Keys(basket.skus), handlers.Writes("LastOrder"), handlers.Name("last order"))
	handlers.Modify(reg, "ordered", func(_ context.Context, d *handlers.Delivery[basket, Bin]) error {
		if err := before(d.Entity.SKU); err != nil {
			return err
		}
		for _, l := range d.Payload.Lines {
			if l.SKU == d.Entity.SKU {
				d.Entity.Reserved += l.N
			}
		}
		return nil
	}, guards.Once(), handlers.Keys(basket.skus), handlers.Writes("Reserved"), handlers.Name("reserve"))
	return reg
}

func newBinWorld(t testing.TB, at combination, partitions int, before func(sku string) error) *world {
	t.Helper()
	w := newWorld(t, at, partitions)
	w.tables(&Bin{})
	w.registry = func() *handlers.Registry { return bins(before) }
	return w
}

func ordered(t testing.TB, id string, at time.Time, lines ...line) said {
	t.Helper()
	data, err := json.Marshal(basket{Lines: lines})
	require.NoError(t, err)
	return said{id: id, source: "shop", typ: "ordered", key: "order-" + id, at: at, data: string(data)}
}

// TestC08Many: orders in any order and partition, each twice; every bin has its own clocks
// and its own memory of ids.
func TestC08OneEventTouchesManyRows(t *testing.T) {
	each(t, "C08", func(t *testing.T, at combination) {
		const partitions, orders, articles = 2, 120, 15
		w := newBinWorld(t, at, partitions, func(string) error { return nil })
		rng := newRand(8)
		reserved, last := map[string]int64{}, map[string]string{}
		var records []event.Record
		for i := range orders {
			var lines []line
			for range rng.IntN(6) { // some are empty, some name an article twice
				lines = append(lines, line{SKU: fmt.Sprintf("sku-%d", rng.IntN(articles)), N: rng.Int64N(5) + 1})
			}
			e := ordered(t, fmt.Sprint(i), w.began.Add(time.Duration(i-orders)*time.Second), lines...)
			for _, l := range lines {
				reserved[l.SKU] += l.N
				last[l.SKU] = e.key
			}
			for range 2 {
				records = append(records, w.record(rng.Int32N(partitions), e.key, e.value()))
			}
		}
		rng.Shuffle(len(records), func(i, j int) { records[i], records[j] = records[j], records[i] })
		w.broker.Produce(t, records...)
		w.start(smallBatches(23))
		w.drain(partitions)
		rows := all(w, func(b *Bin) string { return b.SKU })
		require.ElementsMatch(t, slices.Collect(maps.Keys(reserved)), slices.Collect(maps.Keys(rows)))
		for sku, b := range rows {
			require.Equal(t, reserved[sku], b.Reserved, sku)
			require.Equal(t, last[sku], b.LastOrder, sku)
		}
		require.Empty(t, w.letters())
	})
}

// TestC08Verdicts: each entity has its own verdict, parked row and letter.
func TestC08EachEntityHasItsOwnVerdict(t *testing.T) {
	each(t, "C08", func(t *testing.T, at combination) {
		var mended atomic.Bool
		w := newBinWorld(t, at, 1, func(sku string) error {
			switch {
			case sku == "dead":
				return handlers.DeadLetter(errHandler)
			case sku == "flaky" && !mended.Load():
				return errHandler
			}
			return nil
		})
		w.start(w.patient())
		order := ordered(t, "1", w.began.Add(-time.Minute), line{"good", 1}, line{"dead", 2}, line{"flaky", 3}, line{"", 4}, line{"good", 5}, line{"fine", 6})
		w.tell(0, order, ordered(t, "2", w.began.Add(-time.Minute)))
		w.atEnd(1)
		reserved := func() map[string]int64 {
			m := map[string]int64{}
			for sku, b := range all(w, func(b *Bin) string { return b.SKU }) {
				m[sku] = b.Reserved
				require.Equal(t, "order-1", b.LastOrder, sku)
			}
			return m
		}
		require.Equal(t, map[string]int64{"good": 6, "dead": 0, "flaky": 0, "fine": 6}, reserved())
		require.Equal(t, map[string]string{"1": "retry"}, w.waiting())
		require.Equal(t, []string{"no-entity"}, w.reasonsAt(1))

		mended.Store(true)
		w.drain(1)
		require.Equal(t, map[string]int64{"good": 6, "dead": 0, "flaky": 3, "fine": 6}, reserved())
		letters := map[string]guards.Reason{}
		for _, l := range w.letters() {
			letters[l.Handler+" "+l.Entity] = l.Verdict.Reason
		}
		require.Equal(t, map[string]guards.Reason{
			"reserve dead": guards.Rejected, "last order order-1": guards.Poison, "reserve order-1": guards.Poison,
		}, letters, "what is no key is a letter under the event's own")
		w.copies(3)

		// A duplicate has no effect on any of them.
		w.tell(0, order)
		w.drain(1)
		require.Equal(t, map[string]int64{"good": 6, "dead": 0, "flaky": 3, "fine": 6}, reserved())
	})
}
