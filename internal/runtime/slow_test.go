package runtime

import (
	"fmt"
	"math/rand/v2"
	goruntime "runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
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
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 3))
			one := newSlowWorld(t, false)
			randomLog(one, rng, 150)
			l := one.lane(func(o *Options) { o.BatchSize = 1 + rng.IntN(30) })
			one.until("the end", func() bool { return l.position().Next == one.end() })

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
