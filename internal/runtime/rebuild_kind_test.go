package runtime

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// newRelease stops the service and makes one whose handlers order by Lamport times, which
// can't start.
func (b *bench) newRelease() {
	b.t.Helper()
	b.stopped, b.stamper = true, guards.Lamport()
	b.wire(0)
	_, err := b.st.Claim(b.t.Context(), mixedGroup, b.wiring.Models, false)
	require.ErrorContains(b.t, err, "have stamps of the kind timestamp and the handlers order by lamport")
}

// rebuildAs is a rebuild of the service as its handlers are now.
func (b *bench) rebuildAs() *Rebuild {
	b.t.Helper()
	ls, err := b.st.ClaimToRebuild(b.t.Context(), mixedGroup, b.wiring.Models)
	require.NoError(b.t, err)
	b.layouts = batch.LayoutsOf(b.wiring.Models, ls)
	return b.rebuild()
}

// starts says that the service may run again, and runs it.
func (b *bench) starts() {
	if b.stopped {
		ls, err := b.st.Claim(b.t.Context(), mixedGroup, b.wiring.Models, false)
		require.NoError(b.t, err)
		b.layouts, b.stopped = batch.LayoutsOf(b.wiring.Models, ls), false
	}
	b.something()
}

// sameAsEmpty checks that the rows are those of the release on an empty database.
func (b *bench) sameAsEmpty(seed uint64) {
	b.t.Helper()
	b.even()
	b.settle()
	empty := newBench(b.t, seed)
	empty.stamper = b.stamper
	empty.release(0)
	empty.logs, empty.now = b.logs, b.now
	empty.settle()
	require.Equal(b.t, empty.rows(), b.rows(), "seed %d", seed)
}

// TestRebuildToAnotherKind: rows of events that were ordered by time are made anew by Lamport
// times. The service stands still until they have forgotten the times, and no longer.
func TestRebuildToAnotherKind(t *testing.T) {
	t.Parallel()
	beside := 0
	for seed := range uint64(60) {
		b := newBench(t, seed)
		b.release(0)
		for range 60 {
			b.something()
		}
		for b.ledgers[0].Next == 0 || b.ledgers[1].Next == 0 {
			b.something()
		}
		b.newRelease()
		for round := 0; ; round++ {
			r := b.rebuildAs()
			if err := r.Begin(t.Context(), true); err != nil {
				require.ErrorAs(t, err, new(*store.UnknownError))
				continue
			}
			ctx, interrupt := context.WithCancel(t.Context())
			steps := b.rng.IntN(12)
			r.Progress = func(s RebuildState) {
				if s.Phase != RebuildClearing {
					beside++
					b.starts()
				}
				if steps--; steps == 0 && round < 6 {
					interrupt()
				}
			}
			_, err := r.Run(ctx)
			interrupt()
			if err == nil {
				break
			}
			require.ErrorIs(t, err, context.Canceled, "seed %d", seed)
		}
		b.stopped = false
		b.sameAsEmpty(seed)
		for _, l := range b.st.Content().Letters {
			require.Equal(t, dlq.Resolved, l.State, "seed %d", seed)
		}
	}
	require.Greater(t, beside, 100)
}

// written lets a member of the old release, which runs on, write a row.
func (b *bench) written(old *bench, key string) {
	b.t.Helper()
	m := old.wiring.Models[0]
	loaded, err := b.st.Load(b.t.Context(), &store.Want{Group: mixedGroup, Rows: []store.WantRows{{Model: m, Layout: old.layouts[m], Keys: []string{key}}}})
	require.NoError(b.t, err)
	row := loaded.Rows["mixeds"][key]
	require.NotNil(b.t, row)
	row.Clocks.Stamps[old.layouts[m].Exists] = event.Stamp{Time: b.now.UnixMicro(), Tie: event.Tie(true, "s", "late")}
	require.NoError(b.t, b.st.Commit(b.t.Context(), &store.Batch{Group: mixedGroup, Now: b.now, Update: []*store.Row{row}}))
}

// TestRebuildWhileTheOldKindIsWritten: it says so, and the same call goes on once nobody does.
func TestRebuildWhileTheOldKindIsWritten(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1)
	b.release(0)
	for len(b.rows()) < 3 {
		b.something()
	}
	old := *b
	b.newRelease()
	r := b.rebuildAs()
	r.Store = b.st
	require.NoError(t, r.Begin(t.Context(), true))
	r.Progress = func(s RebuildState) {
		if s.HasAfter { // a portion of rows was cleared
			b.written(&old, "1")
		}
	}
	s, err := r.Run(t.Context())
	require.ErrorContains(t, err, "rows of mixeds go on getting stamps of the kind timestamp while they are cleared; stop the members of group \"g\"")
	require.Equal(t, RebuildClearing, s.Phase)

	r = b.rebuildAs()
	r.Store = b.st
	require.NoError(t, r.Begin(t.Context(), true))
	s, err = r.Run(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 3, s.Cleared)
	b.starts()
	b.sameAsEmpty(1)
}

// TestRebuildIsNotTakenUpUnderAnotherKind: what has been read again has stamps of the kind
// under which it was.
func TestRebuildIsNotTakenUpUnderAnotherKind(t *testing.T) {
	t.Parallel()
	b := newBench(t, 2)
	b.release(0)
	for len(b.rows()) < 3 {
		b.something()
	}
	r := b.rebuild()
	r.Store = b.st
	require.NoError(t, r.Begin(t.Context(), true))
	ctx, interrupt := context.WithCancel(t.Context())
	r.Progress = func(s RebuildState) {
		if s.Phase == RebuildReplaying && s.Read > 0 {
			interrupt()
		}
	}
	_, err := r.Run(ctx)
	interrupt()
	require.ErrorIs(t, err, context.Canceled)

	b.newRelease()
	take := func(begin func(*Rebuild) error) error {
		r := b.rebuildAs()
		r.Store = b.st
		require.NoError(t, begin(r))
		_, err := r.Run(t.Context())
		return err
	}
	begin := func(r *Rebuild) error { return r.Begin(t.Context(), true) }
	require.ErrorContains(t, take(begin), "has begun under handlers that order mixeds by stamps of the kind timestamp, and those here do not; cancel it")
	require.NoError(t, take(func(r *Rebuild) error { return r.Cancel(t.Context()) }))
	require.NoError(t, take(begin))
	b.starts()
	b.sameAsEmpty(2)
}
