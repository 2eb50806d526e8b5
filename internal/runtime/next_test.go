package runtime

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/clocks"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

var errPlain = errors.New("connection reset")

func TestNextReadsLikeR15R16R18(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want step
	}{
		{store.ErrConflict, stepAgain},
		{fmt.Errorf("commit: %w", store.ErrFenced), stepAbandon},
		{&store.UnknownError{Err: errPlain}, stepSettle},
		{&store.DataError{State: "23514", Err: errPlain}, stepSplit},
		{&batch.ProjectionError{}, stepSplit},
		{&store.TransientError{Away: true, Err: errPlain}, stepAgain},
		{fmt.Errorf("loading: %w", clocks.ErrNewerGeneration), stepLayout},
		{errPlain, stepAgain}, // what nobody knows is the batch's failure, never the event's
	} {
		got, _ := next(c.err, 1)
		require.Equal(t, c.want, got, "%v", c.err)
	}
}

func TestBackoffGrowsToItsBound(t *testing.T) {
	t.Parallel()
	require.Equal(t, time.Millisecond, backoff(time.Millisecond, time.Second, 1))
	require.Equal(t, 8*time.Millisecond, backoff(time.Millisecond, time.Second, 4))
	require.Equal(t, time.Second, backoff(time.Millisecond, time.Second, 1_000_000))
}

func letterAt(id string, rev, offset int64) *dlq.Letter {
	r := &event.Record{}
	r.Offset = offset
	return &dlq.Letter{ID: id, Rev: rev, Record: r}
}

// TestOffsetWaitsForTheFirstUnpublishedLetter is R10.
func TestOffsetWaitsForTheFirstUnpublishedLetter(t *testing.T) {
	t.Parallel()
	tr := newTracker()
	require.EqualValues(t, 100, tr.committable(100))
	tr.add([]*dlq.Letter{letterAt("a", 1, 40), letterAt("b", 2, 30)})
	require.EqualValues(t, 30, tr.committable(100))
	tr.published("b", 1) // a report of a revision that was reopened since
	require.EqualValues(t, 30, tr.committable(100))
	tr.published("b", 2)
	require.EqualValues(t, 40, tr.committable(100))
	tr.published("a", 1)
	require.EqualValues(t, 100, tr.committable(100))
	n, bytes := tr.size()
	require.Zero(t, n)
	require.Zero(t, bytes)
}

func TestMarksAreGivenBackAfterAFailedBatch(t *testing.T) {
	t.Parallel()
	tr := newTracker()
	tr.add([]*dlq.Letter{letterAt("a", 1, 40)})
	tr.published("a", 1)
	marks := tr.takeMarks()
	require.Equal(t, published{letters: []store.Mark{{ID: "a", Rev: 1}}}, marks)
	require.False(t, tr.hasMarks())
	tr.giveBack(marks)
	require.True(t, tr.hasMarks())
}

func recordAt(offset int64) *event.Record {
	r := &event.Record{Value: []byte("v")}
	r.Offset = offset
	return r
}

func TestQueueTakesNothingFromBeforeItsStart(t *testing.T) {
	t.Parallel()
	q := newQueue()
	require.Zero(t, q.offer(recordAt(7)), "not started")
	q.start(10)
	require.Zero(t, q.offer(recordAt(9)), "below the start")
	require.Positive(t, q.offer(recordAt(12)), "a hole is no mistake")
	require.Zero(t, q.offer(recordAt(12)), "delivered twice")
	require.Positive(t, q.offer(recordAt(13)))
	q.reached(20)
	records, _, end := q.take(1)
	require.Len(t, records, 1)
	require.EqualValues(t, -1, end, "records are left")
	records, _, end = q.take(10)
	require.Len(t, records, 1)
	require.EqualValues(t, 20, end)
	n, bytes := q.held()
	require.Zero(t, n)
	require.Zero(t, bytes)
}

func TestSuspectsAccuseEachUnitAloneAndThenAll(t *testing.T) {
	t.Parallel()
	it := &batch.Item{}
	for range 2 {
		it.Units = append(it.Units, &batch.Unit{Item: it})
	}
	s := newSuspects([]*batch.Item{it})
	marked := func() []bool { return []bool{it.Units[0].Refused != nil, it.Units[1].Refused != nil} }
	require.True(t, s.accuse(errPlain))
	require.Equal(t, []bool{true, false}, marked())
	require.True(t, s.accuse(errPlain))
	require.Equal(t, []bool{false, true}, marked())
	require.True(t, s.accuse(errPlain))
	require.Equal(t, []bool{true, true}, marked())
	require.False(t, s.accuse(errPlain))
}

func TestHealthLogsOnceForEachChange(t *testing.T) {
	t.Parallel()
	var lines []string
	h := newHealth(func(l Level, text string, _ ...any) {
		if l > Debug {
			lines = append(lines, text)
		}
	})
	for range 5 {
		h.down("the database", errPlain)
	}
	h.up("the database")
	h.up("the database")
	require.Equal(t, []string{"the database is not available; trying on", "the database is available again"}, lines)
}
