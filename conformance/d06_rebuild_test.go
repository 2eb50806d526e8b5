package conformance

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
)

// TestD06Rebuild: rows that are made anew have what edited letters were resolved with, and not
// what came (R20); also after the letters' bytes were purged.
func TestD06RebuildsTakeEdits(t *testing.T) {
	each(t, "D06 rebuild", func(t *testing.T, at combination) {
		for name, guard := range map[string]guards.Stamper{"Once": guards.Once(), "Sequence": guards.Sequence()} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, at, 1)
				w.registry = accountsUnder(guard)
				w.tables(&Account{})
				m := w.start()
				w.tell(0, moved("a", 1), broken("a", 2))
				w.eventually(func() bool { return len(w.letters()) == 1 }, func() string { return w.trail("a") })
				require.NoError(t, framework.Edit(t.Context(), w.db, mended(w.letters()[0]), operator))
				w.replayed(map[string]int{"applied": 1})
				w.tell(0, moved("a", 3))
				w.drain(1)
				require.Equal(t, "1 2 3", w.trail("a"))
				m.stop()
				rebuild := func() {
					_, err := framework.Rebuild(t.Context(), w.db, w.config(), framework.RebuildOptions{Models: []string{"Account"}})
					require.NoError(t, err)
					require.Equal(t, "1 2 3", w.trail("a"))
				}
				rebuild()
				require.Equal(t, map[string]int{"applied": 1}, w.outcomes())
				require.NoError(t, w.db.Exec("UPDATE evenkeel_dead_letters SET published_at = 1").Error)
				n, err := framework.Purge(t.Context(), w.db, w.group, time.Now().Add(time.Hour), operator)
				require.NoError(t, err)
				require.EqualValues(t, 1, n)
				rebuild()
			})
		}
	})
}
