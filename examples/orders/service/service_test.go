package service

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm/schema"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/testutil"
)

func TestHandlersAreWiredRight(t *testing.T) {
	t.Parallel()
	w, err := Handlers().Wire(schema.NamingStrategy{})
	require.NoError(t, err)
	require.Equal(t, 7, w.EventTypes())
	require.Len(t, w.Models, 3)
}

func TestStatus(t *testing.T) {
	t.Parallel()
	at := &time.Time{}
	for want, o := range map[string]Order{
		StatusUnknown:   {},
		StatusPlaced:    {PlacedAt: at},
		StatusPaid:      {PlacedAt: at, PaidAt: at},
		StatusShipped:   {PaidAt: at, ShippedAt: at},
		StatusCancelled: {PlacedAt: at, PaidAt: at, ShippedAt: at, CancelledAt: at},
	} {
		status(&o)
		require.Equal(t, want, o.Status)
	}
}

func TestShopConverges(t *testing.T) {
	t.Parallel()
	at := func(minute int64) time.Time { return time.Unix(60*minute, 0) }
	scan := func(n int64, place string) *event.Event {
		e := testutil.E("shipment.scanned", "s-1", at(n), Scanned{Place: place})
		e.Version, e.HasVersion = n, true
		return e
	}
	testutil.Converges(t, Handlers(), []*event.Event{
		testutil.E("order.created", "o-1", at(1), Created{Customer: "ann", Amount: 500}),
		testutil.E("order.created", "o-2", at(2), Created{Customer: "ann", Amount: 700}),
		testutil.E("order.paid", "o-1", at(3), Nothing{}),
		scan(1, "Hamburg"), scan(2, "Kassel"), scan(3, "Munich"),
	})
}
