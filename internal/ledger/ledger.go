// Package ledger holds the runtime's decisions about positions in a log: what a group
// has finished of a partition (R16), which offsets it tells Kafka and what it makes of
// those that it finds there (R17), and what "first sight" of a record means (R6). It has
// no goroutines and no I/O.
package ledger

// Key is the ledger row's key: one incarnation of a partition under a group.
type Key struct {
	Cluster   string
	TopicID   string
	Group     string
	Partition int32
}

// State is one ledger row.
type State struct {
	Key
	Topic string
	// Epoch is the owner's: each assignment raises it, and a transaction under an older
	// one is refused. Rev grows by one with each batch.
	Epoch, Rev int64
	// Next is the offset after the last one of the finished prefix; High is the highest
	// Next ever, so a rewind can be told from first sight.
	Next, High int64
	// Watermark is the highest event time, in microseconds, of the admitted records
	// below High; it counts only when HasWatermark is set.
	Watermark    int64
	HasWatermark bool
	// Lamport is the highest Lamport time of all admitted records; 0 before any.
	Lamport int64
	// Gaps are the ranges below High that an operator skipped and that are not done.
	Gaps Gaps
	// Done are the ranges at or above Next that are finished.
	Done Ranges
}

// Range is the offsets From ≤ o < To.
type Range struct {
	From, To int64
	// Watermark of the admitted records in it, if any.
	Watermark    int64
	HasWatermark bool
}

// Ranges are disjoint, ascending and not empty.
type Ranges []Range

// Contains reports whether offset o is in one of the ranges.
func (rs Ranges) Contains(o int64) bool {
	for _, r := range rs {
		if o < r.From {
			return false
		}
		if o < r.To {
			return true
		}
	}
	return false
}

// end is the offset after the last range, 0 for none.
func (rs Ranges) end() int64 {
	if len(rs) == 0 {
		return 0
	}
	return rs[len(rs)-1].To
}

// Gaps are skipped ranges; the watermark of each is the one in force when the skip was
// made, with which its records are judged should they ever be read.
type Gaps = Ranges
