package store

// StreamKey names the stream of numbers of one entity (R7).
type StreamKey struct{ Stream, Entity string }

// Stream is what waits in a stream of numbers.
type Stream struct {
	// Parked are the waiting units in the order of their numbers, Letters the unresolved
	// blocking letters.
	Parked, Letters []QueueEntry
	// Rows are the first StreamRows of Parked that wait for numbers before them (causes
	// gap and behind), whole: what can be applied along with the event that fills a gap.
	Rows []*Parked
}

// StreamRows bounds Stream.Rows, and with it what one event can bring into its
// transaction.
const StreamRows = 50

// WakeStream names the events of a stream that wait for numbers before them (causes gap
// and behind) and whose own is below Next.
type WakeStream struct {
	StreamKey
	Next int64
}
