package seam

import (
	"sync/atomic"
	"testing"
)

// TestGroupLimit: Go waits for room, and all run in the end.
func TestGroupLimit(t *testing.T) {
	t.Parallel()
	const limit, all = 3, 50
	g := Group{Limit: limit}
	var now, most, ran atomic.Int64
	for range all {
		g.Go("it", func() {
			n := now.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			ran.Add(1)
			now.Add(-1)
		})
		if n := now.Load(); n > limit {
			t.Fatalf("%d run at once, expected %d at most", n, limit)
		}
	}
	g.Wait()
	if most.Load() > limit || ran.Load() != all {
		t.Errorf("found %d at once and %d altogether, expected %d at most and %d", most.Load(), ran.Load(), limit, all)
	}
}
