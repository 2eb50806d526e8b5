// Package broker is the runtime's view of Kafka: small enough for a simulation to
// implement, and without anything that a lane could block on by accident.
package broker

import (
	"context"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
)

// Partition names a partition of a topic.
type Partition struct {
	Topic  string
	Number int32
}

// Consumer is one member of a group. Poll and Close belong to one goroutine; the other
// methods may be called from any.
type Consumer interface {
	// Subscribe joins the group. The Rebalance's methods are called from inside Poll
	// and Close, on their goroutine.
	Subscribe(topics []string, r Rebalance) error
	// Poll waits at most timeout for what comes next.
	Poll(timeout time.Duration) Polled
	// Describe tells what a topic is at present.
	Describe(ctx context.Context, topic string) (Topic, error)
	// Find tells where a partition's log and the group's offset in it stand.
	Find(ctx context.Context, p Partition) (Position, error)
	// Start fetches an assigned partition from an offset on. Until then an assigned
	// partition delivers nothing.
	Start(p Partition, offset int64) error
	// Pause and Resume are the brake: Pause throws away what was fetched ahead.
	Pause(p Partition) error
	Resume(p Partition) error
	// Commit tells Kafka the group's offsets. An error that is [Redelivered] means that
	// the partitions have moved on.
	Commit(ctx context.Context, offsets []Offset) error
	// LogEnd is the last known end of a partition's log, without asking the broker;
	// -1 when it is not known.
	LogEnd(p Partition) int64
	// Close leaves the group. It is bounded by timeout.
	Close(timeout time.Duration) error
}

// Sender writes messages to topics.
type Sender interface {
	// Send writes the messages, those of one topic and key in their order, and returns one
	// error per message, nil once its delivery report is there. It returns early, with
	// errors for what has no report, when ctx ends. A topic that does not exist is a
	// [*NoTopicError].
	Send(ctx context.Context, messages []Message) []error
}

// Message is a record that is to be written; the client chooses the partition by its key.
type Message struct {
	Topic      string
	Key, Value []byte
	Headers    []event.Header
	// Timestamp is zero for that of the sending.
	Timestamp time.Time
}

// Reader reads partitions outside of any group, and commits nothing. Poll, Assign and Close
// belong to one goroutine.
type Reader interface {
	// Assign begins to read the partitions, each from its Next on, and no others.
	Assign(at []Offset) error
	Poll(timeout time.Duration) Polled
	Describe(ctx context.Context, topic string) (Topic, error)
	Find(ctx context.Context, p Partition) (Position, error)
	Pause(p Partition) error
	Resume(p Partition) error
}

// Rebalance hears of assignments. Its methods must not block for long: the member can't
// poll meanwhile.
type Rebalance interface {
	Assigned(ps []Partition)
	// Revoked partitions are still this member's until the method returns.
	Revoked(ps []Partition)
	// Lost partitions belong to somebody else already.
	Lost(ps []Partition)
}

// Polled is what came: a record, the end of a partition, or an error; or nothing.
type Polled struct {
	Record *event.Record // without Cluster and TopicID
	// End is set when the consumer has reached the end of End.Partition, at End.Next.
	End *Offset
	Err error
	// Fatal says that this consumer can't go on.
	Fatal bool
	// OutOfRange says that some partition's position does not exist any more.
	OutOfRange bool
	// Away says that no broker can be reached.
	Away bool
	// Connection says that one connection failed or was closed, which happens also when
	// it was idle; the client makes another one.
	Connection bool
}

// Topic is what a topic is at present.
type Topic struct {
	Cluster    string
	ID         string
	Partitions int32
}

// Position is where a partition stands.
type Position struct {
	Committed    int64
	HasCommitted bool
	Metadata     string
	LogStart     int64
	LogEnd       int64
}

// Offset is one position, as it is committed.
type Offset struct {
	Partition
	Next     int64
	Metadata string
}

// RedeliveredError says that a commit came too late: the group has moved on and what was
// not committed will be delivered to its new owner. It is no failure.
type RedeliveredError struct{ Err error }

func (e *RedeliveredError) Error() string { return "the group has moved on: " + e.Err.Error() }
func (e *RedeliveredError) Unwrap() error { return e.Err }

// NoTopicError says that a topic does not exist.
type NoTopicError struct{ Topic string }

func (e *NoTopicError) Error() string { return "the topic " + e.Topic + " does not exist" }
