package event

import "time"

// Header is one Kafka record header. A nil Value is Kafka's null, which is not the
// same as an empty one. Keys may repeat and their order counts.
type Header struct {
	Key   string
	Value []byte
}

// TimestampType says who set a record's timestamp.
type TimestampType uint8

// Timestamp types, as in Kafka's record format.
const (
	// TimestampNone means that the record carries no timestamp.
	TimestampNone TimestampType = iota
	// TimestampCreate means that the producer set it.
	TimestampCreate
	// TimestampLogAppend means that the broker set it when it appended the record.
	TimestampLogAppend
)

// Coordinates say where a record stands in a log. TopicID tells a topic from another
// that was made later under the same name.
type Coordinates struct {
	Cluster     string
	Topic       string
	TopicID     string
	Partition   int32
	Offset      int64
	LeaderEpoch int32 // -1 when the broker does not tell
}

// Record is one Kafka record as it was read, byte for byte. Key and Value are nil
// where Kafka has null.
type Record struct {
	Coordinates
	Key           []byte
	Value         []byte
	Headers       []Header
	Timestamp     time.Time // milliseconds, UTC; zero when TimestampType is TimestampNone
	TimestampType TimestampType
}

// Size is the number of bytes that the record's key, value and headers take.
func (r *Record) Size() int {
	n := len(r.Key) + len(r.Value)
	for i := range r.Headers {
		n += len(r.Headers[i].Key) + len(r.Headers[i].Value)
	}
	return n
}

// Header returns the value of the last header named key, as Kafka's own lastHeader
// does, and whether there is one.
func (r *Record) Header(key string) ([]byte, bool) {
	for i := len(r.Headers) - 1; i >= 0; i-- {
		if r.Headers[i].Key == key {
			return r.Headers[i].Value, true
		}
	}
	return nil, false
}

// IsCompactionMarker reports whether the record says no more than "forget this key":
// a null value and no headers.
func (r *Record) IsCompactionMarker() bool {
	return r.Value == nil && len(r.Headers) == 0
}
