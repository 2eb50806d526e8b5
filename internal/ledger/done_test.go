package ledger_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/internal/ledger"
)

// sight is what a record is judged by.
type sight struct {
	first, has bool
	mark       int64
}

type record struct {
	offset, at int64
	admitted   bool
}

// taken is a record on its way, with the first offset that it covers.
type taken struct {
	record
	from int64
}

// reader takes records in order and finishes them in any.
type reader struct {
	state, ahead ledger.State
	reached      int64
	way          []taken
	seen         map[int64]sight
	finished     map[int64]int
}

func (r *reader) restart() {
	r.ahead, r.reached, r.way = r.state.Clone(), r.state.Next, nil
}

func (r *reader) take(t *testing.T, x record) {
	t.Helper()
	if r.ahead.Reach(x.offset) {
		require.Positive(t, r.finished[x.offset], "offset %d is skipped and was never finished", x.offset)
		return
	}
	var s sight
	s.first, s.mark, s.has = r.ahead.FirstSight(x.offset)
	if before, ok := r.seen[x.offset]; ok {
		require.Equal(t, before, s, "offset %d is seen otherwise than before a restart", x.offset)
	}
	r.seen[x.offset] = s
	r.ahead.Finish(r.reached, x.offset+1, x.at, x.admitted)
	r.way = append(r.way, taken{x, r.reached})
	r.reached = x.offset + 1
}

func (r *reader) finish(i int) {
	x := r.way[i]
	r.state.Finish(x.from, x.offset+1, x.at, x.admitted)
	r.finished[x.offset]++
	r.way = append(r.way[:i:i], r.way[i+1:]...)
}

// TestFinishingInAnyOrder reads random logs with holes, from ledgers that operators have
// moved about, and finishes what was taken in any order, with crashes. Each record is judged
// as in a run that finishes one after the other, none is finished twice, and the ledger ends
// the same.
func TestFinishingInAnyOrder(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 7))
		const end = 80
		var log []record
		for o := int64(0); o < end; o++ {
			if rng.IntN(5) > 0 || o == end-1 {
				log = append(log, record{o, rng.Int64N(1000), rng.IntN(6) > 0})
			}
		}
		start := ledger.State{Key: ledger.Key{Cluster: cluster, TopicID: topicID}}
		for range rng.IntN(5) { // an operator's moves, with some reading between them
			start = ledger.Decide(ledger.Found{Ledger: start, HasLedger: true, Committed: rng.Int64N(end), HasCommitted: true, LogEnd: end}).State
			for range rng.IntN(10) {
				if o := start.Next; o < end {
					start.Finish(o, o+1, rng.Int64N(1000), true)
				}
			}
		}
		run := func(window int, crashes bool) *reader {
			r := &reader{state: start.Clone(), seen: map[int64]sight{}, finished: map[int64]int{}}
			r.restart()
			log := slices.Clone(log)
			for i := 0; i < len(log) || len(r.way) > 0; {
				switch {
				case crashes && rng.IntN(20) == 0:
					r.restart()
					i = 0
					log = slices.DeleteFunc(log, func(x record) bool { // compaction
						return r.finished[x.offset] > 0 && x.offset < end-1 && rng.IntN(4) == 0
					})
				case i < len(log) && log[i].offset < r.state.Next && r.reached == r.state.Next:
					i++ // before the start
				case i < len(log) && len(r.way) < window:
					r.take(t, log[i])
					i++
				default:
					if len(r.way) > 0 {
						r.finish(rng.IntN(len(r.way)))
					}
				}
				require.LessOrEqual(t, len(r.state.Done), 2*window+len(start.Gaps)+1, "seed %d", seed)
			}
			for o, n := range r.finished {
				require.Equal(t, 1, n, "seed %d: offset %d", seed, o)
			}
			r.state.Reach(end)
			return r
		}
		serial, other := run(1, false), run(1+rng.IntN(12), true)
		require.Equal(t, serial.seen, other.seen, "seed %d", seed)
		require.Empty(t, other.state.Done, "seed %d", seed)
		other.state.Done, serial.state.Done = nil, nil
		require.Equal(t, serial.state, other.state, "seed %d", seed)
	}
}

func TestDoneRangesAndOperators(t *testing.T) {
	t.Parallel()
	mark := func(from, to, w int64) ledger.Range {
		return ledger.Range{From: from, To: to, Watermark: w, HasWatermark: w > 0}
	}
	s := ledger.State{Key: ledger.Key{Cluster: cluster, TopicID: topicID}, Next: 10, High: 10, Watermark: 100, HasWatermark: true}
	s.Finish(11, 12, 300, true)
	s.Finish(12, 13, 200, true)
	s.Finish(15, 16, 400, true)
	s.Finish(17, 18, 900, false)
	require.Equal(t, ledger.Ranges{mark(11, 13, 300), mark(15, 16, 400), mark(17, 18, 0)}, s.Done, "neighbours are one range")
	require.EqualValues(t, 10, s.Next)
	require.EqualValues(t, 100, s.Watermark, "the watermark belongs to high")
	found := ledger.Found{Ledger: s, HasLedger: true, LogEnd: 50}
	at := func(to int64) ledger.State {
		f := found
		f.Committed, f.HasCommitted = to, true
		return ledger.Decide(f).State
	}

	t.Run("without token or move nothing changes", func(t *testing.T) {
		t.Parallel()
		require.Equal(t, s, ledger.Decide(found).State)
	})
	t.Run("forward: what is done is no gap", func(t *testing.T) {
		t.Parallel()
		moved := at(16)
		require.EqualValues(t, 16, moved.Next)
		require.Equal(t, ledger.Ranges{mark(10, 11, 100), mark(13, 15, 100)}, moved.Gaps)
		require.Equal(t, ledger.Ranges{mark(17, 18, 0)}, moved.Done)
		require.EqualValues(t, 400, moved.Watermark)
	})
	t.Run("forward into a range that is done", func(t *testing.T) {
		t.Parallel()
		moved := at(12)
		require.EqualValues(t, 13, moved.Next)
		require.EqualValues(t, 13, moved.High)
		require.Equal(t, ledger.Ranges{mark(10, 11, 100)}, moved.Gaps)
		require.EqualValues(t, 300, moved.Watermark)
	})
	t.Run("back: what is done stays done", func(t *testing.T) {
		t.Parallel()
		moved := at(5)
		require.EqualValues(t, 5, moved.Next)
		require.Equal(t, s.Done, moved.Done)
		first, _, _ := moved.FirstSight(11)
		require.False(t, first)
		first, _, _ = moved.FirstSight(10)
		require.True(t, first)
	})
	t.Run("the log has lost its end", func(t *testing.T) {
		t.Parallel()
		f := found
		f.LogEnd = 12
		d := ledger.Decide(f)
		require.Equal(t, ledger.AlarmTruncated, d.Alarms[0].Kind)
		require.Equal(t, ledger.Ranges{mark(11, 12, 300)}, d.State.Done, "what is written there now is new")
		require.EqualValues(t, 10, d.State.Next)
		require.EqualValues(t, 10, d.State.High)
	})
	t.Run("the log has lost its beginning", func(t *testing.T) {
		t.Parallel()
		f := found
		f.LogStart = 14
		moved := ledger.Decide(f).State
		require.EqualValues(t, 14, moved.Next)
		require.Equal(t, ledger.Ranges{mark(10, 11, 100), mark(13, 14, 100)}, moved.Gaps)
		require.EqualValues(t, 300, moved.Watermark)
	})
}

// What was not finished may be compacted away before the next owner reads on.
func TestReachingARecordPassesWhatIsDoneBeforeIt(t *testing.T) {
	t.Parallel()
	s := ledger.State{Next: 10, High: 10}
	s.Finish(12, 15, 300, true)
	require.False(t, s.Reach(16))
	first, mark, _ := s.FirstSight(16)
	require.True(t, first)
	require.EqualValues(t, 300, mark)
}
