package batch_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// Who discards a letter of an entity without a row takes the key's lock. A batch that parked
// an event behind the letter must look again under the same lock, also when it makes the row:
// else the event would wait for a letter that is dealt with.
func TestLettersWithoutARowAreGuardedByTheKey(t *testing.T) {
	t.Parallel()
	count := func(_ context.Context, d *delivery) error {
		d.Entity.Count++
		return nil
	}
	reg := handlers.NewRegistry()
	handlers.Modify(reg, "bad", count, guards.None(), handlers.Writes("Count"), handlers.OnMissing(handlers.MissingDiscard))
	handlers.Modify(reg, "good", count, guards.None(), handlers.Writes("Count"), handlers.OnMissing(handlers.MissingPlaceholder))
	m := newMemory(t, reg)
	m.run(m.log(ev{"bad", "o1", 1, "a", "{"}))
	require.Len(t, m.letters, 1)
	for _, l := range m.letters {
		require.True(t, l.Blocking)
	}
	require.Nil(t, m.order("o1"))
	out := m.run(m.log(ev{"good", "o1", 2, "b", ""}))
	require.Len(t, out.Batch.Insert, 1)
	require.Len(t, out.Batch.Absent, 1)
	require.Equal(t, 1, out.Batch.Absent[0].Letters)
	require.Zero(t, out.Batch.Absent[0].Parked)
}
