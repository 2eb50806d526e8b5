package lamport_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/internal/lamport"
	"github.com/evenkeel-go/evenkeel/internal/ledger"
	"github.com/evenkeel-go/evenkeel/internal/seam"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/migrations"
	"github.com/evenkeel-go/evenkeel/internal/store/open"
	"github.com/evenkeel-go/evenkeel/testutil"
)

// counted is a store that counts commits and refuses them while it has an error.
type counted struct {
	store.Store
	mu      sync.Mutex
	commits int
	refuses error
	// applied: what is refused was written all the same.
	applied bool
}

func (c *counted) Commit(ctx context.Context, b *store.Batch) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.commits++
	if c.refuses != nil && !c.applied {
		return c.refuses
	}
	if err := c.Store.Commit(ctx, b); err != nil {
		return err
	}
	return c.refuses
}

// database is one with Evenkeel's tables.
func database(t *testing.T) (*gorm.DB, *counted) {
	t.Helper()
	db := testutil.SQLite(t)
	require.NoError(t, migrations.Up(t.Context(), db))
	s, err := open.Open(db)
	require.NoError(t, err)
	return db, &counted{Store: s}
}

// commits is a lane that has admitted a Lamport time.
func (c *counted) lane(t *testing.T, group string, partition int32, n int64) {
	t.Helper()
	s, _, err := c.Own(t.Context(), ledger.Key{Cluster: "c", TopicID: "t", Group: group, Partition: partition}, "orders", "me")
	require.NoError(t, err)
	s.Next, s.High = 1, 1
	s.Witness(n)
	_, err = c.Position(t.Context(), s)
	require.NoError(t, err)
}

func next(t *testing.T, c *lamport.Clock) int64 {
	t.Helper()
	n, err := c.Next(t.Context())
	require.NoError(t, err)
	return n
}

// TestNextIsAfterAllThatWasSeenAndGivenOut is Lamport's rule: one more than the higher of
// the clock and of what comes in.
func TestNextIsAfterAllThatWasSeenAndGivenOut(t *testing.T) {
	t.Parallel()
	_, s := database(t)
	c := lamport.New(s, "g", seam.System())
	require.EqualValues(t, 1, next(t, c))
	require.EqualValues(t, 2, next(t, c))
	c.Witness(7)
	c.Witness(3)
	require.EqualValues(t, 8, next(t, c))
	require.Equal(t, 1, s.commits, "a block lasts")
	c.Witness(lamport.Block)
	require.EqualValues(t, lamport.Block+1, next(t, c))
	require.Equal(t, 2, s.commits, "overtaken")
	for range lamport.Block {
		next(t, c)
	}
	require.Equal(t, 3, s.commits)
}

// TestANewClockNeverRepeatsAndIsNotBehindTheLedgers: a crash leaves the database and
// nothing else.
func TestANewClockNeverRepeatsAndIsNotBehindTheLedgers(t *testing.T) {
	t.Parallel()
	_, s := database(t)
	s.lane(t, "others", 0, 1_000_000)
	highest := int64(0)
	for life := range int64(5) {
		c := lamport.New(s, "g", seam.System())
		first := next(t, c)
		require.Greater(t, first, highest, "life %d", life)
		for range 3 {
			highest = next(t, c)
		}
		require.Less(t, highest, int64(1_000_000), "another group's ledger")
		if life == 2 { // one lane has seen more than was ever given out
			s.lane(t, "g", 0, 50)
			s.lane(t, "g", 1, 70_000)
			highest = 70_000
		}
	}
	require.Greater(t, highest, int64(70_000))
}

func TestClocksOfAGroupShareNoTime(t *testing.T) {
	t.Parallel()
	_, s := database(t)
	var mu sync.Mutex
	given := map[int64]bool{}
	var g seam.Group
	for range 4 {
		c := lamport.New(s, "g", seam.System())
		for range 2 {
			g.Go("clock", func() {
				last := int64(0)
				for range 3 * lamport.Block {
					n, err := c.Next(t.Context())
					mu.Lock()
					if err != nil || given[n] || n <= last {
						t.Errorf("%d after %d, given out before: %t, %v", n, last, given[n], err)
					}
					given[n], last = true, n
					mu.Unlock()
				}
			})
		}
	}
	<-g.Done()
	require.Len(t, given, 8*3*lamport.Block)
}

var errAway = errors.New("the database is away")

// TestAFailedReservationGivesNothingOut: also where it was written and the answer lost.
func TestAFailedReservationGivesNothingOut(t *testing.T) {
	t.Parallel()
	_, s := database(t)
	c := lamport.New(s, "g", seam.System())
	for _, applied := range []bool{false, true} {
		s.refuses, s.applied = errAway, applied
		_, err := c.Next(t.Context())
		require.ErrorIs(t, err, errAway)
		require.ErrorContains(t, err, "evenkeel: the Lamport clock of group g: ")
	}
	s.refuses = nil
	require.EqualValues(t, lamport.Block+1, next(t, c))

	s.refuses, s.applied = store.ErrConflict, false
	c.Witness(10 * lamport.Block)
	before := s.commits
	_, err := c.Next(t.Context())
	require.ErrorIs(t, err, store.ErrConflict)
	require.Equal(t, before+100, s.commits, "bounded")

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.Next(ended)
	require.ErrorIs(t, err, context.Canceled)
}

// TestTheEndOfTime: an event that brings the highest time must not make the clock start
// again below.
func TestTheEndOfTime(t *testing.T) {
	t.Parallel()
	db, s := database(t)
	c := lamport.New(s, "g", seam.System())
	c.Witness(event.MaxLamport - 2)
	require.EqualValues(t, event.MaxLamport-1, next(t, c))
	require.EqualValues(t, event.MaxLamport, next(t, c))
	_, err := c.Next(t.Context())
	require.ErrorContains(t, err, "the highest time that there is")
	_, err = lamport.New(s, "g", seam.System()).Next(t.Context())
	require.ErrorContains(t, err, "lower evenkeel_ledger.lamport")

	require.NoError(t, db.Exec("UPDATE evenkeel_memos SET body = 'x'").Error)
	_, err = lamport.New(s, "g", seam.System()).Next(t.Context())
	require.ErrorContains(t, err, `the row of evenkeel_memos whose kind is lamport holds "x"`)
}
