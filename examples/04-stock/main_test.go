package main

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/examples/play"
	"github.com/evenkeel-go/evenkeel/testutil"
)

// Every order touches three of five items; events are shuffled, and a third come twice.
func TestEachOrderCountsOncePerItem(t *testing.T) {
	t.Parallel()
	p, err := play.Start(t.Context(), play.Scene{
		Models: []any{&Order{}, &Stock{}}, Config: config(), DB: testutil.SQLite(t), Brokers: testutil.Kafka(t).Brokers,
	})
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	require.NoError(t, err)

	rng := rand.New(rand.NewPCG(4, 4))
	var events []play.Event
	ordered, onHand := map[string]int{}, map[string]int{}
	for i := range 200 {
		var items []Item
		for range 3 {
			item := Item{fmt.Sprintf("sku-%d", rng.IntN(5)), 1 + rng.IntN(4)}
			items = append(items, item)
			ordered[item.SKU] += item.Pieces
		}
		sku := fmt.Sprintf("sku-%d", i%5)
		onHand[sku] += i
		events = append(events, order(fmt.Sprintf("o-%d", i), items...), delivery(fmt.Sprintf("d-%d", i), sku, i))
	}
	for i := range len(events) / 3 {
		events = append(events, events[3*i])
	}
	rng.Shuffle(len(events), func(a, b int) { events[a], events[b] = events[b], events[a] })
	require.NoError(t, p.Send(t.Context(), events...))

	var rows []Stock
	require.NoError(t, p.DB.Find(&rows).Error)
	require.Len(t, rows, 5)
	for _, s := range rows {
		require.Equal(t, ordered[s.SKU], s.Ordered, s.SKU)
		require.Equal(t, onHand[s.SKU], s.OnHand, s.SKU)
		require.Equal(t, s.OnHand-s.Ordered, s.Left, s.SKU)
	}
	var orders int64
	require.NoError(t, p.DB.Model(&Order{}).Count(&orders).Error)
	require.EqualValues(t, 200, orders)
}
