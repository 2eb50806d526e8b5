package runtime

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/internal/seam"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

func TestPortion(t *testing.T) {
	t.Parallel()
	found := func(bytes int) []*store.Parked {
		third := make([]byte, bytes/3)
		return []*store.Parked{
			{Record: &event.Record{Key: third}},
			{Record: &event.Record{Value: third, Headers: []event.Header{{Key: string(third[:3]), Value: third[3:]}}}},
		}
	}
	small, half, large := found(300), found(sweepBytes/2+30), found(sweepBytes+30)
	for name, tt := range map[string]struct {
		before portion
		found  []*store.Parked
		took   time.Duration
		done   bool
		err    error
		want   int
	}{
		"the first":           {0, small, 0, false, nil, 2 * sweepRows},
		"cheap":               {200, small, sweepTime / 2, false, nil, 400},
		"at most":             {sweepMost, small, 0, false, nil, sweepMost},
		"nearly at most":      {sweepMost - 10, small, 0, false, nil, sweepMost},
		"nothing more":        {sweepMost, small, 0, true, nil, sweepRows},
		"an error":            {sweepMost, small, 0, false, errors.New("refused"), sweepRows},
		"slow":                {400, small, sweepTime + 1, false, nil, 200},
		"slow and small":      {0, small, sweepTime + 1, false, nil, sweepRows},
		"large":               {400, large, 0, false, nil, 200},
		"half as slow":        {400, small, sweepTime/2 + 1, false, nil, 400},
		"half as large":       {400, half, 0, false, nil, 400},
		"half as slow, least": {0, small, sweepTime/2 + 1, false, nil, sweepRows},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, tt.before.after(tt.found, tt.took, !tt.done, tt.err).rows())
		})
	}
}

// TestASweeperClaimsMoreWhileThereIsMore: 50, as many that were claimed meanwhile, 100, and the rest.
func TestASweeperClaimsMoreWhileThereIsMore(t *testing.T) {
	t.Parallel()
	const events = 330
	w := newSlowWorld(t, true)
	for i := range events {
		w.add(said{ID: fmt.Sprint("q", i), Type: "told", Key: fmt.Sprint("q", i)})
	}
	s, _ := w.parked(events)
	for _, want := range []struct {
		claimed int
		more    bool
	}{{sweepRows, true}, {sweepRows, true}, {2 * sweepRows, true}, {events - 4*sweepRows, false}} {
		claimed, more, err := s.sweep(t.Context(), t.Context())
		require.NoError(t, err)
		require.Equal(t, want.claimed, claimed)
		require.Equal(t, want.more, more)
	}
	require.Empty(t, w.memory.Content().Parked)
	require.Equal(t, sweepRows, s.portion.rows())
}

// TestWhatIsClaimedAheadIsNotOfTheSameEntity: what was read of an entity while its events were
// judged is out of date, and would be refused.
func TestWhatIsClaimedAheadIsNotOfTheSameEntity(t *testing.T) {
	t.Parallel()
	row := func(entity string, place int64) *store.Parked {
		return &store.Parked{ID: fmt.Sprint(entity, place), Table: "t", Entity: entity, Place: place}
	}
	judged := &claimed{rows: []*store.Parked{row("a", 1), row("b", 1)}}
	ahead := &claimed{rows: []*store.Parked{row("a", 2), {ID: "c1", Table: "another", Entity: "b"}, row("c", 1)}, more: true}
	left := ahead.behind(judged)
	require.Equal(t, []*store.Parked{row("c", 1)}, left.rows)
	require.True(t, left.more)
	require.Nil(t, left.behind(left))

	for others, most := range map[int]int64{0: 4, 20: 6} {
		const events = 3*sweepPerKey + 7
		w := newSlowWorld(t, true)
		for i := range events {
			w.add(said{ID: fmt.Sprint("e", i), Type: "told", Key: "k"})
		}
		for i := range others {
			w.add(said{ID: fmt.Sprint("q", i), Type: "told", Key: fmt.Sprint("q", i)})
		}
		s, commits := w.parked(events + others)
		for more := true; more; {
			waited := w.memory.Content().Parked
			var err error
			_, more, err = s.sweep(t.Context(), t.Context())
			require.NoError(t, err)
			for _, p := range w.memory.Content().Parked {
				waited = slices.DeleteFunc(waited, func(q *store.Parked) bool { return q.ID == p.ID })
			}
			judged := map[string]bool{}
			for _, p := range waited {
				judged[p.Entity] = true
			}
			if s.ahead != nil {
				require.False(t, slices.ContainsFunc(s.ahead.rows, func(p *store.Parked) bool { return judged[p.Entity] }))
			}
		}
		require.Empty(t, w.memory.Content().Parked, "none waits for the next round")
		require.LessOrEqual(t, commits.Load(), most, "none is refused")
	}
}

// parked is a sweeper of a world whose events were all parked by a member that is gone, and the
// count of its commits.
func (w *slowWorld) parked(events int) (*sweeper, *atomic.Int64) {
	w.t.Helper()
	w.broken = true
	l := w.lane(func(o *Options) {
		o.Judge.Delay = func(int) (time.Duration, bool) { return 0, true }
		o.Clock = &hurried{standing: standing{seam.System()}}
	})
	w.until("all are parked", func() bool { return len(w.memory.Content().Parked) == events })
	commits := new(atomic.Int64)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken, w.finished = false, map[int64]bool{}
	w.before = func() error {
		commits.Add(1)
		return nil
	}
	return &sweeper{m: l.m}, commits
}

// TestWhatIsMovedWhileItWasClaimedAheadIsClaimedAnew: a lane has more time for that than between
// a claim and its commit, and one row must not cost the portion all its tries.
func TestWhatIsMovedWhileItWasClaimedAheadIsClaimedAnew(t *testing.T) {
	t.Parallel()
	const events = 1000
	w := newSlowWorld(t, true)
	for i := range events {
		w.add(said{ID: fmt.Sprint("e", i), Type: "told", Key: fmt.Sprint("k", i)})
	}
	s, commits := w.parked(events)
	s.portion = 200
	_, more, err := s.sweep(t.Context(), t.Context())
	require.NoError(t, err)
	require.True(t, more)
	require.NotNil(t, s.ahead)
	moved := *s.ahead.rows[0]
	require.NoError(t, w.memory.Commit(t.Context(), &store.Batch{Group: "g", Now: s.m.Clock.Now(), Repark: []*store.Parked{&moved}}))
	commits.Store(0)
	_, more, err = s.sweep(t.Context(), t.Context())
	require.NoError(t, err)
	require.True(t, more)
	require.LessOrEqual(t, commits.Load(), int64(sweepAtOnce))
	for more {
		_, more, err = s.sweep(t.Context(), t.Context())
		require.NoError(t, err)
	}
	require.Empty(t, w.memory.Content().Parked)
}

// TestWhatSomebodyHasMovedHoldsNobodyUp: a portion in which one row was moved meanwhile can't
// commit as a whole. After some tries it is split, so that the others don't wait for the lease.
func TestWhatSomebodyHasMovedHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	const events = 8
	w := newSlowWorld(t, false)
	for i := range events {
		w.add(said{ID: fmt.Sprint("e", i), Type: "told", Key: fmt.Sprint("k", i), Fail: true})
	}
	clock := &hurried{standing: standing{seam.System()}}
	l := w.lane(func(o *Options) { o.Clock = clock })
	w.until("all are letters", func() bool { return len(w.memory.Content().Letters) == events })
	l.abandon()
	<-l.done
	clock.now.Store(true)
	w.mu.Lock()
	w.finished = map[int64]bool{}
	w.mu.Unlock()
	letters := w.memory.Content().Letters
	for _, letter := range letters {
		require.NoError(t, w.memory.MoveLetter(t.Context(), &store.LetterMove{Ref: letter.Ref(), Move: dlq.MoveReplay}))
	}
	rows, err := w.memory.Due(t.Context(), &store.DueQuery{Group: "g", Now: instant{}.Now(), Lease: lease, Limit: events, PerKey: sweepPerKey})
	require.NoError(t, err)
	require.Len(t, rows, events)
	moved := rows[events/2].ID
	require.NoError(t, w.memory.MoveLetter(t.Context(), &store.LetterMove{Ref: dlq.Ref{ID: moved}, Move: dlq.MoveCancel}))
	commits := 0
	w.before = func() error {
		commits++
		return nil
	}
	s := &sweeper{m: l.m}
	err = s.judge(t.Context(), group(rows), func(*store.Parked) bool { return true }, false, sweepTries)
	require.ErrorIs(t, err, store.ErrConflict, "the one that was moved")
	require.Empty(t, w.memory.Content().Parked)
	for _, letter := range w.memory.Content().Letters {
		attempts := 2 // their replays have failed again
		if letter.ID == moved {
			attempts = 1
		}
		require.Equal(t, []any{dlq.Open, attempts}, []any{letter.State, letter.Attempts}, letter.Entity)
	}
	require.LessOrEqual(t, commits, 4*sweepTogether+3, "8, 4, 2 and 1 of them so often, and the other halves once")
}
