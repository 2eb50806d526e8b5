package conformance

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/framework"
)

// TestC12Refused: where the rows would come out otherwise than they should, nothing is touched
// unless that is accepted.
func TestC12Refused(t *testing.T) {
	each(t, "C12 refused", func(t *testing.T, at combination) {
		w, _ := newMendWorld(t, at, mendRound)
		wrong := contentOf(t, w.db)
		o := framework.RebuildOptions{Models: []string{"Bill"}}
		refused := func(kind framework.RebuildObjectionKind) {
			t.Helper()
			var r *framework.RebuildRefusedError
			_, err := w.rebuild(o)
			require.ErrorAs(t, err, &r)
			require.Len(t, r.Plan.Objections, 1)
			require.Equal(t, kind, r.Plan.Objections[0].Kind)
			require.ErrorContains(t, err, "--allow "+string(kind))
			require.Equal(t, wrong, contentOf(t, w.db))
			w.wholeAgain()
		}
		require.NoError(t, w.db.Exec("UPDATE bills SET ek_state = 0 WHERE id = 'f-0'").Error)
		wrong = contentOf(t, w.db)
		refused(framework.RebuildForeignRows)
		o.Keys = []string{"f-1", "f-2"}
		_, err := w.rebuild(o)
		require.NoError(t, err, "the others can be rebuilt")

		wrong = contentOf(t, w.db)
		w.broker.DeleteRecords(t, w.topic, 0, 2)
		refused(framework.RebuildLostEvents)
		o.Allow = []framework.RebuildObjectionKind{framework.RebuildLostEvents}
		status, err := w.rebuild(o)
		require.NoError(t, err)
		require.EqualValues(t, 2, status.Cleared)
		w.wholeAgain()
	})
}
