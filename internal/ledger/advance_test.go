package ledger_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/internal/ledger"
)

func TestFirstSight(t *testing.T) {
	t.Parallel()
	s := ledger.State{
		Next: 40, High: 50, Watermark: 900, HasWatermark: true,
		Gaps: ledger.Gaps{{From: 42, To: 44, Watermark: 100, HasWatermark: true}},
		Done: ledger.Ranges{{From: 55, To: 57}},
	}
	for _, c := range []struct {
		offset int64
		first  bool
		mark   int64
	}{
		{41, false, 900}, // judged before a rewind
		{42, true, 100},  // skipped by an operator, with the watermark of then
		{44, false, 900},
		{50, true, 900},
		{55, false, 900}, // finished out of order
		{57, true, 900},
	} {
		first, mark, has := s.FirstSight(c.offset)
		require.Equal(t, c.first, first, "offset %d", c.offset)
		require.True(t, has)
		require.Equal(t, c.mark, mark, "offset %d", c.offset)
	}
}

func TestObserveMovesTheWatermarkOnlyForward(t *testing.T) {
	t.Parallel()
	var s ledger.State
	s.Observe(0, 10)
	s.Observe(1, 5)
	require.EqualValues(t, 10, s.Watermark)
	s.Advance(2)
	s.High = 10
	s.Observe(3, 99) // below high: it was observed at first sight
	require.EqualValues(t, 10, s.Watermark)
}

func TestAdvanceShrinksGapsAndAbsorbsDone(t *testing.T) {
	t.Parallel()
	s := ledger.State{
		Next: 10, High: 30,
		Gaps: ledger.Gaps{{From: 12, To: 20, Watermark: 1, HasWatermark: true}},
		Done: ledger.Ranges{{From: 30, To: 33, Watermark: 70, HasWatermark: true}},
	}
	s.Advance(15)
	require.Equal(t, []ledger.Range{{From: 15, To: 20, Watermark: 1, HasWatermark: true}}, []ledger.Range(s.Gaps))
	s.Advance(30)
	require.Empty(t, s.Gaps)
	require.EqualValues(t, 33, s.Next)
	require.EqualValues(t, 33, s.High)
	require.EqualValues(t, 70, s.Watermark)
}

// TestEveryOffsetIsJudgedOnce walks random rewinds, skips and batches: an offset is at
// first sight exactly once, unless a truncation made it anew.
func TestEveryOffsetIsJudgedOnce(t *testing.T) {
	t.Parallel()
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 1))
		const end = 200
		s := ledger.State{Key: ledger.Key{Cluster: cluster, TopicID: topicID}}
		judged := map[int64]int{}
		for range 60 {
			switch rng.IntN(4) {
			case 0: // an operator
				to := rng.Int64N(end)
				d := ledger.Decide(ledger.Found{Ledger: s, HasLedger: true, Committed: to, HasCommitted: true, LogEnd: end})
				s = d.State
				require.Equal(t, to, s.Next, "seed %d", seed)
			default:
				for range rng.IntN(20) {
					if s.Next >= end {
						break
					}
					if first, _, _ := s.FirstSight(s.Next); first {
						judged[s.Next]++
					}
					s.Advance(s.Next + 1)
				}
			}
			require.GreaterOrEqual(t, s.High, s.Next, "seed %d", seed)
		}
		for offset, n := range judged {
			require.Equal(t, 1, n, "seed %d: offset %d", seed, offset)
		}
		// What was never read is still at first sight.
		for offset := range int64(end) {
			first, _, _ := s.FirstSight(offset)
			require.Equal(t, judged[offset] == 0, first, "seed %d: offset %d", seed, offset)
		}
	}
}

func TestWitnessMergesLamportTimes(t *testing.T) {
	t.Parallel()
	s := ledger.State{Next: 5, High: 10}
	for _, n := range []int64{0, 7, 3} {
		s.Witness(n)
	}
	require.EqualValues(t, 7, s.Lamport)
	moved := ledger.Decide(ledger.Found{Ledger: s, HasLedger: true, Committed: 2, HasCommitted: true, LogEnd: 20}).State
	require.EqualValues(t, 7, moved.Lamport, "an operator moves the position, not the clock")
}
