package main

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/examples/play"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/testutil"
)

// All statements about an order, in every order and some of them twice, give one row.
func TestThreeSystemsMakeOneRow(t *testing.T) {
	t.Parallel()
	p, err := play.Start(t.Context(), play.Scene{
		Models: []any{&Delivery{}}, Config: config(), DB: testutil.SQLite(t), Brokers: testutil.Kafka(t, testutil.KafkaEmbedded()).Brokers,
	})
	defer func() { require.NoError(t, p.Close()) }()
	require.NoError(t, err)

	rng := rand.New(rand.NewPCG(5, 5))
	orders := 24
	for i := range orders {
		events := facts(fmt.Sprintf("o-%d", i), 10*i)
		events = append(events, events[rng.IntN(len(events))])
		rng.Shuffle(len(events), func(a, b int) { events[a], events[b] = events[b], events[a] })
		require.NoError(t, p.Send(t.Context(), events...))
	}
	var rows []Delivery
	require.NoError(t, p.DB.Find(&rows).Error)
	require.Len(t, rows, orders)
	for _, d := range rows {
		require.Equal(t, "Ada", d.Customer)
		require.Equal(t, "2 New Street", d.Address, "the later statement, of whichever system")
		require.Equal(t, "pay_"+d.Order, d.Payment)
		require.EqualValues(t, 4200, d.Amount)
		require.NotNil(t, d.PaidAt)
		require.NotNil(t, d.ShippedAt)
		require.Equal(t, guards.Alive, d.EkState)
	}
}
