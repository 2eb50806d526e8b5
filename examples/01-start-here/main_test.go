package main

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/examples/play"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/testutil"
)

// Whatever the order, and with each event twice, the row is the same.
func TestCompletedBeforeCreated(t *testing.T) {
	t.Parallel()
	p, err := play.Start(t.Context(), play.Scene{
		Models: []any{&Order{}}, Config: config(), DB: testutil.SQLite(t), Brokers: testutil.Kafka(t).Brokers,
	})
	defer func() { require.NoError(t, p.Close()) }()
	require.NoError(t, err)

	for i, order := range [][]int{{0, 1}, {1, 0}, {1, 1, 0}, {1, 0, 1, 0}, {0, 0, 1}} {
		key := fmt.Sprintf("o-%d", i)
		created, completed := facts(key)
		var events []play.Event
		for _, which := range order {
			events = append(events, []play.Event{created, completed}[which])
		}
		require.NoError(t, p.Send(t.Context(), events...))
		var o Order
		require.NoError(t, p.DB.First(&o, "id = ?", key).Error)
		require.Equal(t, "completed", o.Status, "%v", order)
		require.Equal(t, "Ada", o.Customer, "%v", order)
		require.True(t, at.Equal(*o.PlacedAt), "%v", order)
		require.Equal(t, guards.Alive, o.EkState, "%v", order)
	}

	// Its creating event has not come yet.
	_, completed := facts("early")
	require.NoError(t, p.Send(t.Context(), completed))
	var o Order
	require.NoError(t, p.DB.First(&o, "id = ?", "early").Error)
	require.Equal(t, guards.Placeholder, o.EkState)
	require.Equal(t, "completed", o.Status)
}
