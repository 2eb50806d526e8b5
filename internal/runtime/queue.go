package runtime

import (
	"slices"
	"sync"

	"github.com/evenkeel-go/evenkeel/event"
)

// queue holds what a partition delivered and its lane has not taken yet. The poll
// goroutine offers, the lane takes. It is bounded by the poll goroutine, which pauses the
// partition when full says so.
type queue struct {
	mu      sync.Mutex
	records []*event.Record
	bytes   int64
	// expect is the least offset that may come next; what is below is left from
	// before the lane's start.
	expect  int64
	started bool
	// end is the offset after the log's last record, once it was reached.
	end    int64
	signal chan struct{}
}

func newQueue() *queue { return &queue{signal: make(chan struct{}, 1)} }

// recordOverhead is about what a record takes in memory beside its bytes.
const recordOverhead = 256

func size(r *event.Record) int64 { return int64(r.Size()) + recordOverhead }

// start opens the queue for records from next on.
func (q *queue) start(next int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.started, q.expect, q.end = true, next, next
	q.records, q.bytes = nil, 0
}

// offer takes a record and returns how many bytes it added.
func (q *queue) offer(r *event.Record) int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.started || r.Offset < q.expect {
		return 0
	}
	q.expect = r.Offset + 1
	q.records = append(q.records, r)
	n := size(r)
	q.bytes += n
	q.wake()
	return n
}

// reached notes that the log ends at end for now.
func (q *queue) reached(end int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.started && end > q.end {
		q.end = end
		q.wake()
	}
}

func (q *queue) wake() {
	select {
	case q.signal <- struct{}{}:
	default:
	}
}

// take returns up to n records and the bytes that they held, and where the log is known
// to end when nothing is left.
func (q *queue) take(n int) (records []*event.Record, bytes, end int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n = min(n, len(q.records))
	// The taken records leave no pointer behind that would keep them in memory.
	records = slices.Clone(q.records[:n])
	clear(q.records[:n])
	q.records = q.records[n:]
	for _, r := range records {
		bytes += size(r)
	}
	q.bytes -= bytes
	if len(q.records) == 0 {
		q.records = nil
		return records, bytes, q.end
	}
	q.wake()
	return records, bytes, -1
}

func (q *queue) held() (records int, bytes int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.records), q.bytes
}

// drop empties and closes the queue and returns the bytes that it held.
func (q *queue) drop() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := q.bytes
	q.records, q.bytes, q.started = nil, 0, false
	return n
}
