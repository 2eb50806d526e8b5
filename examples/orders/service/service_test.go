package service

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm/schema"
)

func TestHandlersAreWiredRight(t *testing.T) {
	t.Parallel()
	w, err := Handlers().Wire(schema.NamingStrategy{})
	require.NoError(t, err)
	require.Equal(t, 5, w.EventTypes())
	require.Len(t, w.Models, 1)
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
