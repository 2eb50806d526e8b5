package framework

import (
	"time"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// Config is what a consumer needs. Brokers, Group, Topics, DeadLetterTopic and Handlers
// must be set; everything else has a default that fits most services.
type Config struct {
	// Brokers are the Kafka bootstrap servers, "host:port" separated by commas.
	Brokers string
	// Group is the consumer group.
	Group string
	// Topics are read by all members of the group.
	Topics []string
	// DeadLetterTopic takes a copy of every dead letter. It must exist.
	DeadLetterTopic string
	// Handlers say what the events do to the rows.
	Handlers *handlers.Registry

	// Codec decodes records, and encodes those that handlers emit. Defaults to
	// event.CloudEvents().
	Codec event.Codec
	// Codecs decode and encode the records of single topics instead of Codec. A topic that
	// handlers emit to needs one that is an event.Encoder.
	Codecs map[string]event.Codec

	// Kafka passes librdkafka properties, e.g. those of SASL and TLS. Those that the
	// framework owns are refused by name.
	Kafka map[string]any
	// Protocol is the group protocol. Defaults to ProtocolClassic (cooperative).
	Protocol Protocol
	// Start is where a group begins that has read nothing yet. Defaults to
	// StartEarliest.
	Start Start

	// DeadLetterUnhandled makes dead letters of events whose type no handler is registered
	// for. Without it they are discarded, with a recorded verdict.
	DeadLetterUnhandled bool

	// Retry is the schedule of a failing handler.
	Retry Retry
	// Breaker stops a handler that fails on most of its events.
	Breaker Breaker
	// MissingFor bounds how long an event with handlers.MissingPark waits for its row
	// before it becomes a dead letter. Defaults to 24 hours.
	MissingFor time.Duration
	// MaxParkedPerKey bounds how many events wait under one entity; more become dead
	// letters. Defaults to 1000.
	MaxParkedPerKey int

	// BatchSize bounds the events of one transaction. Defaults to 1000.
	BatchSize int
	// Parallel bounds how many events this member runs at once in handlers that are
	// declared handlers.Slow. Defaults to 16.
	Parallel int
	// MaxBytes bounds the bytes of records that wait in memory, over all partitions
	// of this member. Defaults to 256 MiB.
	MaxBytes int64
	// MaxUnpublished bounds the letters and emitted events of one partition that wait for
	// their topics before the partition pauses. Defaults to 10000.
	MaxUnpublished int

	// SweepInterval is how often parked events are looked for whose time has come.
	// Defaults to 1 second.
	SweepInterval time.Duration
	// PlaceholderAge is when a placeholder whose creating event has not come counts as
	// old: it is reported then (log, hook, metric), and swept by PlaceholderPolicy.
	// Defaults to 1 hour.
	PlaceholderAge time.Duration
	// PlaceholderPolicy says what becomes of old placeholders. Defaults to
	// PlaceholderKeep.
	PlaceholderPolicy PlaceholderPolicy
	// PurgeDeletedAfter lets tombstones go: rows that events have deleted, once their
	// newest event and the row itself are older than this, by the clock. An older event
	// that finds no row becomes a dead letter from then on, since the row may have been
	// one of them, so make it longer than the largest backlog that you want to catch up
	// on, and than guards.MaxLateness. It holds for models that are ordered by
	// guards.Timestamp. What was purged stays known when it is switched off. Defaults to
	// 0: never.
	PurgeDeletedAfter time.Duration
	// KeepVerdicts is how long the verdict journal goes back. Defaults to 7 days.
	KeepVerdicts time.Duration
	// KeepLetters is how long dead letters are kept whole after they were resolved or
	// discarded. Then their bytes and errors go; what stays is a row without them, by which
	// a record is known when it is delivered again. Open letters never go. Defaults to 90
	// days.
	KeepLetters time.Duration
	// RevokeTimeout bounds how long a rebalance waits for a batch under way. Defaults
	// to 3 seconds.
	RevokeTimeout time.Duration
	// ShutdownTimeout bounds the soft stop: when Run's context ends, batches under way
	// may finish for so long before the contexts of their handlers end too. Run
	// returns at the latest HardStop after that, whatever handlers do. Defaults to 20
	// seconds.
	ShutdownTimeout time.Duration

	// Logger takes the log. Defaults to logrus' standard logger.
	Logger Logger
	// Metrics takes counters and gauges. Defaults to none; Stats works without.
	Metrics Metrics
	// Hooks observe; each implements one or more of the hook interfaces.
	Hooks []any
	// ServiceVersion is written into dead letters. Defaults to the version of the main
	// module in the build information.
	ServiceVersion string
	// TakeTables lets this group take tables that another group has claimed. Without
	// it that is refused at start: two groups would overwrite each other.
	TakeTables bool
}

// HardStop bounds what comes after ShutdownTimeout: handlers whose contexts have ended,
// the last letters and offsets, and leaving the group.
const HardStop = 8 * time.Second

// Protocol is a Kafka consumer group protocol.
type Protocol string

// The group protocols.
const (
	// ProtocolClassic is the classic protocol with the cooperative-sticky assignor.
	ProtocolClassic Protocol = "classic"
	// ProtocolConsumer is KIP-848's, for Kafka 4.0 and later.
	ProtocolConsumer Protocol = "consumer"
)

// PlaceholderPolicy is what becomes of a placeholder that is older than
// Config.PlaceholderAge.
type PlaceholderPolicy string

// The policies for old placeholders. A row is removed only if no event waits for it, and by
// its revision: an event that comes meanwhile is never lost.
const (
	// PlaceholderKeep leaves them as they are.
	PlaceholderKeep PlaceholderPolicy = "keep"
	// PlaceholderDelete removes them, with a verdict for each event whose fields go.
	PlaceholderDelete PlaceholderPolicy = "delete"
	// PlaceholderDeadLetter removes them and makes dead letters of all events that wrote
	// them. These events are stored beside the placeholder for that, so early events
	// cost one statement a batch. A placeholder stays that was written by an event
	// before this policy was chosen, or by more than 200.
	PlaceholderDeadLetter PlaceholderPolicy = "dead-letter"
)

// Start is where a group begins that has read nothing of a topic yet.
type Start string

// The starts.
const (
	StartEarliest Start = "earliest"
	StartLatest   Start = "latest"
)

// Retry is the schedule of a failing handler: one more try at once, then the event is
// parked, and run again after Initial, then after twice as long each time up to Max, each
// with a jitter of half, until Attempts runs have failed: then it is a dead letter. The
// partition goes on meanwhile.
type Retry struct {
	// Initial is the first delay. Defaults to 1 second.
	Initial time.Duration
	// Max is the longest delay. Defaults to 5 minutes.
	Max time.Duration
	// Attempts bounds the runs, the quick second one not counted. Defaults to 10.
	Attempts int
}
