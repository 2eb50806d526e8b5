package batch_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// TestARepeatedSweepCountsOneAttempt: a sweep whose transaction is refused, because another
// lane was there, is run again from the same claimed rows. It is one attempt all the same.
func TestARepeatedSweepCountsOneAttempt(t *testing.T) {
	t.Parallel()
	broken, runs := map[string]bool{"a": true}, map[string]int{}
	m := newMemory(t, counterRegistry(guards.Timestamp(), broken, runs))
	m.run(m.log(ev{"count", "o1", 1, "a", ""}))
	require.Len(t, m.parked, 1)
	m.now = m.now.Add(time.Second)
	for id, claimed := range m.parked {
		require.Equal(t, 1, claimed.Attempts)
		for range 3 {
			unit := m.prepare.PrepareParked(claimed)
			out, err := m.judge.Waiting(t.Context(), []*batch.Unit{unit}, m.layouts, m.load(), m.now, func(*store.Parked) bool { return true }, nil)
			require.NoError(t, err)
			require.Len(t, out.Batch.Repark, 1)
			require.Equal(t, id, out.Batch.Repark[0].ID)
			require.Equal(t, 2, out.Batch.Repark[0].Attempts)
		}
		require.Equal(t, 1, claimed.Attempts)

		// So it is where the judgement itself is repeated, since it had too little loaded.
		unit := m.prepare.PrepareParked(claimed)
		for range 3 {
			out, err := m.judge.Waiting(t.Context(), []*batch.Unit{unit}, m.layouts, m.load(), m.now, func(*store.Parked) bool { return true }, nil)
			require.NoError(t, err)
			require.Len(t, out.Batch.Repark, 1)
			require.Equal(t, 2, out.Batch.Repark[0].Attempts)
		}
	}
}
