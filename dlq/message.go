package dlq

import (
	"strings"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
)

// Message is a letter's copy as it goes to the dead-letter topic. Key and Value are the
// original's own slices, not copies.
type Message struct {
	Topic      string
	Key, Value []byte
	Headers    []event.Header
	// Timestamp is the original's, in milliseconds; zero when that has none, and the
	// producer sets its own.
	Timestamp time.Time
	// SourcePartition is the original's partition, see [Message.Partition].
	SourcePartition int32
	// LetterID and Rev say which letter this is a copy of, for logs and marks.
	LetterID string
	Rev      int64
}

// Partition is where the message belongs on a dead-letter topic of n partitions: the
// source partition modulo n, as Kafka's own share groups do (KIP-1191). So the letters
// of one source partition, and of one key in it, keep their order whatever the key is,
// null included, and no partitioner has to agree with the source's. It is 0 for n < 1.
func (m *Message) Partition(n int32) int32 {
	if n < 1 || m.SourcePartition < 0 {
		return 0
	}
	return m.SourcePartition % n
}

// The most that Kafka adds around one record: the head of a batch of its own (61 bytes,
// message format v2), the record's attributes, and its varints at full length.
const (
	recordOverhead = 61 + 5 + 1 + 10 + 5 + 5 + 5 + 5
	headerOverhead = 5 + 5
)

// Size is an upper bound of the bytes that the message takes in an uncompressed batch
// of its own, which is what max.message.bytes and max.request.size are compared with.
func (m *Message) Size() int {
	return recordOverhead + len(m.Key) + len(m.Value) + headersSize(m.Headers)
}

func headersSize(headers []event.Header) int {
	n := 0
	for i := range headers {
		n += headerOverhead + len(headers[i].Key) + len(headers[i].Value)
	}
	return n
}

// Prefixes of the headers that Evenkeel writes and therefore owns.
const (
	// HeaderPrefix starts the names of Evenkeel's own headers.
	HeaderPrefix = "evenkeel-"
	// StandardPrefix starts the names of Kafka's standard set (KIP-1191).
	StandardPrefix = "__dlq.errors."
)

// isOwn: the lineage of a derived event has the prefix and is the event's.
func isOwn(name string) bool {
	return name != event.LineageHeader && (strings.HasPrefix(name, HeaderPrefix) || strings.HasPrefix(name, StandardPrefix))
}

// stripOwn returns the headers without those of earlier hops. Without it a record that
// fails again and again grows until no broker takes it.
func stripOwn(headers []event.Header) []event.Header {
	kept := make([]event.Header, 0, len(headers))
	for i := range headers {
		if !isOwn(headers[i].Key) {
			kept = append(kept, headers[i])
		}
	}
	if len(kept) == 0 {
		return nil
	}
	return kept
}
