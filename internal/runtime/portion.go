package runtime

import (
	"time"

	"github.com/evenkeel-go/evenkeel/internal/store"
)

const (
	// sweepRows is how many due rows a sweeper claims at least, sweepMost at most;
	// sweepPerKey bounds what it reads of one key, and store.DueRows of all.
	sweepRows   = 50
	sweepMost   = 2400
	sweepPerKey = 50
	// sweepAtOnce is how many batches a large portion is judged in at once, on as many
	// connections; each has sweepRows keys at least.
	sweepAtOnce = 4
	// sweepBytes and sweepTime are what a portion may take before the next one is smaller.
	sweepBytes = 4 << 20
	sweepTime  = time.Second
)

// portion is how many due rows are claimed next. What costs little is claimed in large
// portions, since each takes the same number of statements; but memory, locks and a
// refused batch's repetitions grow with it. So it begins small, doubles as long as there
// is more, and falls back at whatever speaks against it.
type portion int

func (p portion) rows() int { return max(int(p), sweepRows) }

// after is the portion that follows one that was judged in the time; more: it was full.
func (p portion) after(found []*store.Parked, took time.Duration, more bool, err error) portion {
	bytes := 0
	for _, r := range found {
		bytes += len(r.Record.Key) + len(r.Record.Value)
		for _, h := range r.Record.Headers {
			bytes += len(h.Key) + len(h.Value)
		}
	}
	switch {
	case err != nil || !more:
		return 0
	case bytes > sweepBytes || took > sweepTime:
		return portion(p.rows() / 2)
	case bytes > sweepBytes/2 || took > sweepTime/2:
		return p // twice as much would be too much
	}
	return portion(min(2*p.rows(), sweepMost))
}
