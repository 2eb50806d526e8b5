package conformance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// tablesNow is what the group's letters, its parked events, the audit and the rows hold.
func (w *world) tablesNow() string {
	w.t.Helper()
	var b strings.Builder
	for _, query := range []string{
		"SELECT id, state, outcome, rev, attempts FROM evenkeel_dead_letters WHERE grp = ? ORDER BY id",
		"SELECT id, cause, rev, due FROM evenkeel_parked WHERE grp = ? ORDER BY id",
		"SELECT id, letter, verb FROM evenkeel_audit WHERE grp = ? ORDER BY id",
		"SELECT kind, scope, entity, rev, body FROM evenkeel_memos WHERE grp = ? ORDER BY kind, scope, entity",
		"SELECT id, trail, ek_rev FROM accounts WHERE ? <> '' ORDER BY id",
	} {
		var rows []map[string]any
		require.NoError(w.t, w.db.Raw(query, w.group).Scan(&rows).Error)
		fmt.Fprintln(&b, rows)
	}
	return b.String()
}

// TestD03DryRunTellsWhatAReplayComesTo while members run; those keep their handlers, and the
// dry run has the mended ones.
func TestD03DryRunTellsWhatAReplayComesTo(t *testing.T) {
	each(t, "D03", func(t *testing.T, at combination) {
		var fixed, external atomic.Bool
		var outside atomic.Int64
		w := newWorld(t, at, 1)
		w.registry = func() *handlers.Registry {
			reg := handlers.NewRegistry()
			options := []handlers.Option{handlers.Writes("Trail"), handlers.OnMissing(handlers.MissingPlaceholder)}
			if external.Load() {
				options = append(options, handlers.External())
			}
			handlers.Modify(reg, "account.moved", func(_ context.Context, d *moveDelivery) error {
				outside.Add(1)
				if d.Event.Version == 2 && !fixed.Load() || d.Event.Version == 4 {
					return handlers.DeadLetter(errNotNow)
				}
				d.Entity.Trail += fmt.Sprint(d.Event.Version, " ")
				return nil
			}, guards.Timestamp(), options...)
			return reg
		}
		w.tables(&Account{})
		m := w.start()
		began := time.Now().Add(-time.Minute)
		for i, e := range []said{moved("a", 1), moved("a", 2), moved("b", 2), moved("b", 3), moved("c", 4)} {
			e.at = began.Add(time.Duration(i) * time.Second)
			w.tell(0, e)
		}
		w.eventually(func() bool { return len(w.letters()) == 3 }, func() string { return fmt.Sprint(w.letters()) })
		w.drain(1)
		m.stop()
		fixed.Store(true)
		refs, err := dlq.Refs(t.Context(), w.db, dlq.Filter{Group: w.group, State: dlq.Open})
		require.NoError(t, err)
		before, ran := w.tablesNow(), outside.Load()

		external.Store(true)
		for l, err := range framework.DryRun(t.Context(), w.db, w.config(), refs, framework.DryRunOptions{}) {
			require.NoError(t, err)
			if l.Letter.Entity == "a" {
				require.True(t, l.Units[0].NotCalled)
				require.Equal(t, framework.DryRunApplied, l.Outcome)
				require.False(t, l.Rows[0].Changed(), "what an external handler would write is not known")
			}
		}
		require.Equal(t, ran, outside.Load(), "external handlers are not called")
		external.Store(false)

		told := map[string]string{}
		for l, err := range framework.DryRun(t.Context(), w.db, w.config(), refs, framework.DryRunOptions{}) {
			require.NoError(t, err)
			told[l.Letter.Entity] = string(l.Outcome)
			for _, r := range l.Rows {
				i := slices.IndexFunc(r.Fields, func(f framework.DryRunField) bool { return f.Column == "trail" })
				told[r.Key] += fmt.Sprintf(" %q", *r.Fields[i].After)
			}
			if l.Outcome == framework.DryRunFails {
				require.Equal(t, errNotNow.Error(), l.Error)
			}
		}
		require.Equal(t, before, w.tablesNow(), "nothing is changed")
		require.Equal(t, map[string]string{"a": `applied "1 2 "`, "b": `obsolete "3 "`, "c": `fails ""`}, told)

		w.start()
		w.replayed(map[string]int{"applied": 1, "obsolete": 1, "open": 1})
		require.Equal(t, []string{"1 2", "3"}, []string{w.trail("a"), w.trail("b")})
	})
}
