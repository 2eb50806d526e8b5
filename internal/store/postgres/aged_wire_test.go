package postgres_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// TestStatementsWithOriginsAndAHorizon: what early events leave, and the horizon of a table
// that was purged, cost one statement each, whatever the batch.
func TestStatementsWithOriginsAndAHorizon(t *testing.T) {
	t.Parallel()
	w := &wire{}
	l := newLane(t, w.open(t, nil))
	for round := range 3 { // at first a connection learns the statements
		keys := make([]string, 0, 200)
		b := &store.Batch{}
		for i := range 200 {
			key := fmt.Sprintf("%d-%d", round, i)
			keys = append(keys, key)
			if i%2 == 0 {
				b.Insert = append(b.Insert, l.row(key, 1))
			}
			b.Origins = append(b.Origins, &store.Origin{OriginKey: store.OriginKey{Table: "accounts", Born: 1, Entity: key}, Group: "g", ID: key, Record: &event.Record{}})
			b.Verdicts = append(b.Verdicts, store.Verdict{EventID: key})
			b.Letters = append(b.Letters, &dlq.Letter{ID: key, Rev: 1, State: dlq.Open, Group: "g", Record: &event.Record{}})
		}
		later := make([]*store.Row, 0, 100)
		for i := 1; i < 200; i += 2 {
			later = append(later, l.row(keys[i], 1))
		}
		l.commit(t, &store.Batch{Insert: later})
		want := l.want(keys)
		want.Rows[0].Parked = true
		want.Memos = []store.MemoKey{store.TombstoneHorizon("accounts")}
		w.reset()
		loaded, err := l.s.Load(t.Context(), want)
		require.NoError(t, err)
		for _, r := range loaded.Rows["accounts"] {
			b.Update = append(b.Update, r)
		}
		l.commit(t, b)
		t.Logf("%d statements in %d round trips", w.statements, w.trips)
	}
	require.LessOrEqual(t, w.statements, 12)
	require.LessOrEqual(t, w.trips, 3)
}
