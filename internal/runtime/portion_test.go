package runtime

import (
	"errors"
	"fmt"
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

// TestASweeperClaimsMoreWhileThereIsMore: 50, 100, and the rest.
func TestASweeperClaimsMoreWhileThereIsMore(t *testing.T) {
	t.Parallel()
	const events = 200
	w := newSlowWorld(t, true)
	for i := range events {
		w.add(said{ID: fmt.Sprint("q", i), Type: "told", Key: fmt.Sprint("q", i)})
	}
	w.broken = true
	l := w.lane(func(o *Options) {
		o.Judge.Delay = func(int) (time.Duration, bool) { return 0, true }
		o.Clock = &hurried{standing: standing{seam.System()}}
	})
	w.until("all are parked", func() bool { return len(w.memory.Content().Parked) == events })
	w.mu.Lock()
	w.broken, w.finished = false, map[int64]bool{}
	w.mu.Unlock()
	s := &sweeper{m: l.m}
	for _, want := range []struct {
		claimed int
		more    bool
	}{{sweepRows, true}, {2 * sweepRows, true}, {events - 3*sweepRows, false}} {
		claimed, more, err := s.sweep(t.Context(), t.Context())
		require.NoError(t, err)
		require.Equal(t, want.claimed, claimed)
		require.Equal(t, want.more, more)
	}
	require.Empty(t, w.memory.Content().Parked)
	require.Equal(t, sweepRows, s.portion.rows())
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
