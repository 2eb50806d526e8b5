package main

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/examples/play"
	"github.com/evenkeel-go/evenkeel/testutil"
)

// In any order, and with duplicates, the row is what the carts say that nobody has seen past.
func TestConcurrentCartsAreMerged(t *testing.T) {
	t.Parallel()
	p, err := play.Start(t.Context(), play.Scene{
		Models: []any{&Cart{}}, Config: config(), DB: testutil.SQLite(t), Brokers: testutil.Kafka(t).Brokers,
	})
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	require.NoError(t, err)

	rng := rand.New(rand.NewPCG(6, 6))
	var events []play.Event
	for i := range 60 {
		seen := facts(fmt.Sprintf("c-%d", i))
		if i%2 == 1 {
			seen = seen[:3] // nobody has merged them yet
		}
		seen = append(seen, seen[rng.IntN(len(seen))])
		rng.Shuffle(len(seen), func(a, b int) { seen[a], seen[b] = seen[b], seen[a] })
		events = append(events, seen...)
	}
	require.NoError(t, p.Send(t.Context(), events...))
	for i := range 60 {
		var c Cart
		require.NoError(t, p.DB.First(&c, "id = ?", fmt.Sprintf("c-%d", i)).Error)
		if i%2 == 1 {
			require.Equal(t, "bread,eggs,milk", c.Items)
			require.Equal(t, 2, c.Versions)
		} else {
			require.Equal(t, "bread,eggs", c.Items)
			require.Equal(t, 1, c.Versions)
		}
	}
}
