package runtime

import (
	"context"
	"fmt"
	"math/rand/v2"
	goruntime "runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/internal/ledger"
	"github.com/evenkeel-go/evenkeel/internal/seam"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

func pause() { goruntime.Gosched() }

// randomLog is about few keys, so that everything meets.
func randomLog(w *slowWorld, rng *rand.Rand, n int) {
	numbers := map[string]int64{}
	types := []string{"work", "work", "quick", "pair", "note", "told", "asked", "count", "count", "nobody's"}
	for i := range n {
		key := fmt.Sprint("k", rng.IntN(6))
		s := said{ID: fmt.Sprint("e", i), Type: types[rng.IntN(len(types))], Key: key, At: time.Duration(rng.IntN(80))*time.Minute - 90*time.Minute, Fail: rng.IntN(25) == 0}
		switch s.Type {
		case "pair":
			s.Keys = []string{key, fmt.Sprint("k", rng.IntN(6))}
		case "count":
			numbers[key]++
			s.Number = numbers[key]
			if rng.IntN(6) == 0 { // it comes later, or never
				numbers[key] += rng.Int64N(2)
				s.Number = max(1, s.Number+rng.Int64N(5)-2)
			}
		}
		switch rng.IntN(25) {
		case 0:
			s.ID = fmt.Sprint("e", rng.IntN(i+1)) // a duplicate
		case 1:
			s.At = time.Hour // from the future
		}
		w.add(s)
		if rng.IntN(20) == 0 {
			w.record([]byte("{"))
		}
		if rng.IntN(10) == 0 { // a hole
			w.log[len(w.log)-1].Offset += 3
		}
	}
}

// TestSlowRunsComeToTheSame plays random logs with slow handlers that end in random order,
// with crashes, lost answers to COMMIT, and soft stops, and compares all that there is with a
// run of the same handlers one after the other.
func TestSlowRunsComeToTheSame(t *testing.T) {
	t.Parallel()
	for seed := range uint64(24) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 3))
			one := newSlowWorld(t, false)
			randomLog(one, rng, 150)
			l := one.lane(func(o *Options) { o.BatchSize = 1 + rng.IntN(30) })
			one.until("the end", func() bool { return l.position().Next == one.end() })

			emitted := one.allSent()
			require.Greater(t, len(emitted), 6)

			w := newSlowWorld(t, true)
			w.log, w.waiting = one.log, map[chan struct{}]string{}
			parallel, size := 1+rng.IntN(6), 1+rng.IntN(40)
			faults := rand.New(rand.NewPCG(seed, 4))
			cut := func() error {
				if w.mu.Lock(); faults.IntN(60) == 0 {
					defer w.mu.Unlock()
					return errCut
				}
				w.mu.Unlock()
				return nil
			}
			// Without faults, and where the ledger tells that a COMMIT had taken effect, a
			// lane keeps its hold.
			crashes, keeps := seed%2 == 1, seed%2 == 0
			if seed%4 > 0 {
				w.after = cut
			}
			if crashes {
				w.before = cut
			}
			start := func() *lane {
				return w.lane(func(o *Options) { o.Parallel, o.BatchSize = parallel, size })
			}
			l = start()
			w.until("the end", func() bool {
				switch n := rng.IntN(400); {
				case n < 2 && !crashes:
				case n == 0: // a crash, or a partition that is lost
					l.abandon()
					<-l.done
					l = start()
				case n == 1: // revoked, with time to finish
					l.stop()
					for {
						select {
						case <-l.done:
						default:
							w.openOne(rng)
							pause()
							continue
						}
						break
					}
					l = start()
				case n < 200:
					w.openOne(rng)
				}
				w.offsetWaits(l)
				_, _, under := l.held.size()
				require.LessOrEqual(t, under, 16*parallel+size)
				return l.position().Next == w.end()
			})
			if keeps {
				require.EqualValues(t, 1, l.position().Epoch)
				w.until("nothing is held", func() bool { held, _, under := l.held.size(); return held+under == 0 })
				require.Zero(t, l.m.bytes.Load())
				require.Empty(t, l.held.last)
			}
			require.Equal(t, emitted, w.allSent())
			want, have := one.now(), w.now()
			require.Equal(t, want.Rows, have.Rows)
			require.Equal(t, want.Parked, have.Parked)
			require.Equal(t, want.Letters, have.Letters)
			require.Equal(t, want.IDs, have.IDs)
			require.Equal(t, want.Memos, have.Memos)
			require.Equal(t, want.Verdicts, have.Verdicts)
			require.Equal(t, want.Ledger, have.Ledger)
			w.mu.Lock()
			defer w.mu.Unlock()
			require.LessOrEqual(t, w.most, parallel)
			require.NotEmpty(t, strings.Join(have.Letters, ""))
		})
	}
}

func gated(t *testing.T) *slowWorld {
	t.Helper()
	w := newSlowWorld(t, true)
	w.waiting = map[chan struct{}]string{}
	return w
}

func TestBlockedKeyHoldsNobodyElse(t *testing.T) {
	t.Parallel()
	w := gated(t)
	w.add(said{ID: "first", Type: "quick", Key: "x"}, said{ID: "blocked", Type: "work", Key: "a"})
	for i := range 60 {
		w.add(said{ID: fmt.Sprint("s", i), Type: "work", Key: fmt.Sprint("s", i)}, said{ID: fmt.Sprint("q", i), Type: "quick", Key: fmt.Sprint("q", i)})
	}
	w.add(said{ID: "behind", Type: "quick", Key: "a"}, said{ID: "beside", Type: "pair", Key: "z", Keys: []string{"a", "b"}},
		said{ID: "behind beside", Type: "told", Key: "b"}, said{ID: "last", Type: "told", Key: "q0"})
	l := w.lane(nil)
	w.until("as many as may are under way", func() bool { return len(w.atGate()) == 4 })
	w.until("all others are done", func() bool {
		w.open(func(key string) bool { return key != "job a" })
		held, _, _ := l.held.size()
		return held == 4 && l.reached == w.end()
	})
	require.Equal(t, []string{"job a"}, w.atGate())
	o, ok := l.committable()
	require.True(t, ok)
	require.EqualValues(t, 1, o.Next, "Kafka's offset waits for the blocked one")
	at := l.position()
	require.EqualValues(t, 1, at.Next)
	require.Len(t, at.Done, 2, "%v", at.Done)
	require.Equal(t, "last", w.job("q0").State)
	require.Equal(t, job{}, w.job("b"))
	w.until("the end", func() bool {
		w.open(nil)
		return l.position().Next == w.end()
	})
	require.Equal(t, "blocked behind beside ", w.job("a").Trace)
	require.Equal(t, "behind beside", w.job("b").State)
	require.Equal(t, 4, w.most)
	w.until("nothing is in memory", func() bool { return l.m.bytes.Load() == 0 && l.m.Running() == 0 })
}

// A lane takes on only so many records while a slow one holds others.
func TestHeldRecordsAreBounded(t *testing.T) {
	t.Parallel()
	w := gated(t)
	for i := range 500 {
		w.add(said{ID: fmt.Sprint(i), Type: "quick", Key: "a"})
		if i == 0 {
			w.add(said{ID: "blocked", Type: "work", Key: "a"})
		}
	}
	l := w.lane(func(o *Options) { o.Parallel, o.BatchSize = 2, 10 })
	most := 0
	w.until("the lane stops taking", func() bool {
		held, _, _ := l.held.size()
		most = max(most, held)
		return held >= 2*heldPerSlot
	})
	queued, _ := l.queue.held()
	require.Positive(t, queued)
	w.until("the end", func() bool {
		w.open(nil)
		held, _, _ := l.held.size()
		most = max(most, held)
		return l.position().Next == w.end()
	})
	require.Less(t, most, 2*heldPerSlot+10)
}

// A revoke lets those finish that run, begins no others, and abandons them at its bound.
func TestRevokedLaneFinishesWhatRuns(t *testing.T) {
	t.Parallel()
	w := gated(t)
	for i := range 10 {
		w.add(said{ID: fmt.Sprint("e", i), Type: "work", Key: fmt.Sprint("k", i)})
	}
	w.add(said{ID: "behind", Type: "told", Key: "k1"})
	l := w.lane(nil)
	w.until("four run", func() bool { return len(w.atGate()) == 4 })
	running := w.atGate()
	l.stop()
	w.open(func(key string) bool { return key != running[0] })
	w.until("three have finished", func() bool { _, _, under := l.held.size(); return under == 1 })
	select {
	case <-l.done:
		t.Fatal("the lane has ended before its handler")
	default:
	}
	l.abandon()
	<-l.done
	require.Empty(t, w.atGate())
	require.Zero(t, l.m.bytes.Load())
	for i := range 10 {
		key := fmt.Sprint("job k", i)
		ran := 0
		if strings.Contains(strings.Join(running, ","), key) {
			ran = 1
		}
		require.Equal(t, ran, w.ran(int64(i), key), key)
	}

	again := w.lane(nil)
	w.until("the end", func() bool {
		w.open(nil)
		return again.position().Next == w.end()
	})
	for i := range 10 {
		want := 1
		if fmt.Sprint("job k", i) == running[0] {
			want = 2
		}
		require.Equal(t, want, w.ran(int64(i), fmt.Sprint("job k", i)), "what is done does not run again")
		require.Equal(t, 1, strings.Count(w.job(fmt.Sprint("k", i)).Trace, "e"+fmt.Sprint(i)+" "))
	}
}

// A row that changes underneath lets a Modify run again, the third time under its lock, and
// a Set never.
func TestSlowRunsAgainOnlyWhereItLooksAtTheRow(t *testing.T) {
	t.Parallel()
	w := newSlowWorld(t, true)
	w.add(said{ID: "a", Type: "asked", Key: "a"}, said{ID: "b", Type: "work", Key: "b"})
	w.before = func() error { return store.ErrConflict }
	l := w.lane(nil)
	w.until("the end", func() bool { return l.position().Next == w.end() })
	require.Equal(t, 1, w.ran(0, "job a"))
	require.Equal(t, 3, w.ran(1, "job b"))
	require.Equal(t, 1, w.job("b").N)
	require.Len(t, w.idempotency, 2)
}

// Handlers that are slow without being declared cut their batch.
func TestSlowBatchIsCut(t *testing.T) {
	t.Parallel()
	w := newSlowWorld(t, false)
	for i := range 7 {
		w.add(said{ID: fmt.Sprint("e", i), Type: "told", Key: fmt.Sprint("k", i)})
	}
	clock := &ticking{standing: standing{seam.System()}}
	var sizes []int64
	var at int64
	w.after = func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		n := int64(len(w.finished))
		sizes = append(sizes, n-at)
		at = n
		return nil
	}
	w.tick = func() { clock.passed.Add(int64(900 * time.Millisecond)) }
	l := w.lane(func(o *Options) { o.Clock = clock })
	w.until("the end", func() bool { return l.position().Next == w.end() })
	require.Equal(t, []int64{3, 3, 1}, sizes)
}

// A sweeper runs slow handlers beside each other and the rest of what is due, and keeps its
// claims meanwhile.
func TestSweeperRunsSlowHandlersBesideTheOthers(t *testing.T) {
	t.Parallel()
	w := newSlowWorld(t, true)
	for i := range 6 {
		w.add(said{ID: fmt.Sprint("s", i), Type: "asked", Key: fmt.Sprint("s", i)}, said{ID: fmt.Sprint("q", i), Type: "told", Key: fmt.Sprint("q", i)})
	}
	w.add(said{ID: "s0 again", Type: "work", Key: "s0"})
	w.broken = true
	clock := &hurried{standing: standing{seam.System()}}
	l := w.lane(func(o *Options) {
		o.Judge.Delay = func(int) (time.Duration, bool) { return 0, true }
		o.Clock = clock
	})
	w.until("all are parked", func() bool { return len(w.memory.Content().Parked) == 13 })
	w.mu.Lock()
	w.broken, w.waiting, w.finished = false, map[chan struct{}]string{}, map[int64]bool{}
	conflicts := 0
	w.mu.Unlock()
	w.before = func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if conflicts > 0 {
			conflicts--
			return store.ErrConflict
		}
		return nil
	}
	ran := func(i int) int { return w.ran(int64(2*i), fmt.Sprint("job s", i)) }
	runs := ran(0)

	s := &sweeper{m: l.m}
	ctx := t.Context()
	n, _, err := s.sweep(ctx, ctx)
	require.NoError(t, err)
	require.Equal(t, 13, n)
	w.until("four run", func() bool { return len(w.atGate()) == 4 })
	require.Len(t, w.memory.Content().Parked, 7, "the others don't wait for them")
	require.Equal(t, "q3", w.job("q3").State)
	again, _, err := s.sweep(ctx, ctx)
	require.NoError(t, err)
	require.Zero(t, again, "they are claimed")

	renewing, stop := context.WithCancel(ctx)
	clock.now.Store(true)
	ended := make(chan struct{})
	l.m.Spawn.Go("renewals", func() { defer close(ended); s.renewals(renewing) })
	require.Equal(t, l.m.id, <-w.renewed)
	require.Len(t, s.claims.marks(), 7, "those that wait for a slot, too")
	stop()
	w.until("the renewals end", func() bool {
		select {
		case <-w.renewed:
		case <-ended:
			return true
		default:
		}
		return false
	})
	w.mu.Lock()
	conflicts = 4
	w.mu.Unlock()
	w.until("nothing is parked", func() bool {
		w.open(nil)
		return len(w.memory.Content().Parked) == 0
	})
	s.slow.Wait()
	require.Empty(t, s.claims.marks())
	require.Empty(t, s.claims.tails)
	require.Equal(t, 4, w.most)
	for i := range 6 {
		require.Equal(t, runs+1, ran(i), "a Set says the same again")
	}
	require.Equal(t, 1, w.job("s0").N)
}

// A sweep that finds more of an entity while a slow handler of it runs waits for that.
func TestSweeperRunsAnEntityOnceAtATime(t *testing.T) {
	t.Parallel()
	w := newSlowWorld(t, true)
	w.add(said{ID: "a", Type: "asked", Key: "a"})
	w.broken = true
	l := w.lane(func(o *Options) { o.Judge.Delay = func(int) (time.Duration, bool) { return 0, true } })
	w.until("it is parked", func() bool { return len(w.memory.Content().Parked) == 1 })
	w.mu.Lock()
	w.broken, w.waiting, w.finished = false, map[chan struct{}]string{}, map[int64]bool{}
	w.mu.Unlock()
	s := &sweeper{m: l.m}
	_, _, err := s.sweep(t.Context(), t.Context())
	require.NoError(t, err)
	w.until("it runs", func() bool { return len(w.atGate()) == 1 })
	s.slowly(t.Context(), t.Context(), [][]*store.Parked{w.memory.Content().Parked}, func(*store.Parked) bool { return true })
	for range 1000 {
		pause()
	}
	require.Len(t, w.atGate(), 1)
	w.until("both end", func() bool {
		w.open(nil)
		select {
		case <-s.slow.Done():
			return true
		default:
			return false
		}
	})
	require.Zero(t, l.m.Running())
	require.Empty(t, s.claims.marks())
	require.Empty(t, s.claims.tails)
	require.Equal(t, "a", w.job("a").State)
}

// The letter of a whole record names no handler; those that it turns out to have may be slow.
func TestSweeperReplaysWholeRecordsBesideTheOthers(t *testing.T) {
	t.Parallel()
	w := newSlowWorld(t, true)
	w.add(said{ID: "now", Type: "told", Key: "q"}, said{ID: "late", Type: "asked", Key: "s", At: -2 * time.Hour}, said{ID: "late too", Type: "told", Key: "q", At: -2 * time.Hour})
	l := w.lane(func(*Options) {})
	w.until("both are letters", func() bool { return len(w.memory.Content().Letters) == 2 })
	w.mu.Lock()
	w.waiting, w.finished = map[chan struct{}]string{}, map[int64]bool{}
	w.mu.Unlock()
	for _, letter := range w.memory.Content().Letters {
		require.Empty(t, letter.Handler)
		require.NoError(t, w.memory.MoveLetter(t.Context(), &store.LetterMove{Ref: letter.Ref(), Move: dlq.MoveReplay}))
	}
	s := &sweeper{m: l.m}
	swept := make(chan error)
	l.m.Spawn.Go("sweep", func() {
		_, _, err := s.sweep(t.Context(), t.Context())
		swept <- err
	})
	w.until("the slow one runs", func() bool { return len(w.atGate()) == 1 })
	require.NoError(t, <-swept, "and the sweep does not wait for it")
	require.Len(t, w.memory.Content().Parked, 1)
	w.until("it ends", func() bool {
		w.open(nil)
		return len(w.memory.Content().Parked) == 0
	})
	s.slow.Wait()
	for _, letter := range w.memory.Content().Letters {
		require.Equal(t, dlq.Resolved, letter.State)
	}
	require.Equal(t, "late", w.job("s").State)
}

// Where nobody knows whether a batch will take effect, no other one of the lane is bound to
// the ledger before the lane owns it again: if both answers were lost, one would stand for
// the other (R16).
func TestNobodyIsBoundBehindAnUnsettledCommit(t *testing.T) {
	t.Parallel()
	w := gated(t)
	w.add(said{ID: "a", Type: "work", Key: "a"}, said{ID: "b", Type: "work", Key: "b"})
	l := w.lane(nil)
	w.until("both run", func() bool { return len(w.atGate()) == 2 })
	term := l.term
	lost := bound{lane: l}
	b := &store.Batch{Group: "g"}
	lost.to(b, func(*ledger.State) {})
	require.ErrorIs(t, lost.settle(b, errCut), errUnsettled)
	require.ErrorIs(t, context.Cause(term), errUnsettled)
	w.until("the end", func() bool {
		w.open(nil)
		return l.position().Next == w.end()
	})
	require.EqualValues(t, 2, l.position().Epoch)
	require.Equal(t, 1, w.job("a").N)
	require.Equal(t, 1, w.job("b").N)
}
