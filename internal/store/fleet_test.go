package store

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHandlesGaps(t *testing.T) {
	t.Parallel()
	old := Handles{"paid": {"points", "invoice"}, "placed": {"orders"}}
	rolled := Handles{"paid": {"invoice", "points", "mailer"}, "placed": {"orders"}, "refunded": {"orders"}}
	silent := Handles(nil)
	require.Empty(t, HandlesGaps(nil))
	require.Empty(t, HandlesGaps([]Handles{old, silent, {"placed": {"orders"}, "paid": {"invoice", "points"}}}), "order and those that don't tell are no difference")
	require.Equal(t, []HandlesGap{
		{EventType: "paid", Handler: "mailer", With: []int{2}, Without: []int{0}},
		{EventType: "refunded", With: []int{2}, Without: []int{0}},
	}, HandlesGaps([]Handles{old, silent, rolled}))
	require.Equal(t, []HandlesGap{
		{EventType: "paid", With: []int{0}, Without: []int{1}},
		{EventType: "placed", With: []int{0}, Without: []int{1}},
		{EventType: "scanned", With: []int{1}, Without: []int{0}},
	}, HandlesGaps([]Handles{old, {"scanned": {"parcels"}}}), "of a type that is missing its handlers are not told, too")
}
