package runtime

import (
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/breaker"
	"github.com/evenkeel-go/evenkeel/internal/broker"
	"github.com/evenkeel-go/evenkeel/internal/ledger"
	"github.com/evenkeel-go/evenkeel/internal/seam"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// Options are what a member is made of.
type Options struct {
	Group  string
	Topics []string
	// Owner names this member in the ledger, for people.
	Owner string

	Store     store.Store
	Consumer  broker.Consumer
	Publisher *dlq.Publisher
	Sender    broker.Sender
	Clock     seam.Clock
	Spawn     *seam.Group
	Judge     *batch.Judge
	Prepare   *batch.Preparer
	Models    []*handlers.Model
	Layouts   batch.Layouts

	StartLatest bool
	BatchSize   int
	// Breaker says when handlers that fail are stopped (R22); without a window never.
	Breaker breaker.Settings
	// Parallel is how many slow handlers may run at once, in lanes and sweeper together.
	Parallel       int
	MaxBytes       int64
	MaxUnpublished int
	SweepInterval  time.Duration
	KeepVerdicts   time.Duration
	KeepLetters    time.Duration // resolved and discarded ones
	// PlaceholderAge is when a placeholder counts as old, PlaceholderPolicy what becomes
	// of it then.
	PlaceholderAge    time.Duration
	PlaceholderPolicy PlaceholderPolicy
	// PurgeAfter is when tombstones go (R13); 0: never.
	PurgeAfter      time.Duration
	RevokeTimeout   time.Duration
	ShutdownTimeout time.Duration
	HardStop        time.Duration

	Log     Log
	Observe Observer
}

// Level is how loud a log line is.
type Level uint8

// The levels.
const (
	Debug Level = iota
	Info
	Warn
	Error
)

// Log takes one line with alternating keys and values.
type Log func(level Level, text string, fields ...any)

// Observer hears what happens, on the goroutine where it happens: it must not block.
type Observer interface {
	Assigned(p broker.Partition, next int64)
	Released(p broker.Partition, lost bool)
	Alarm(p broker.Partition, a ledger.Alarm)
	Batch(b Batch)
	Swept(verdicts []batch.Judged)
	Letter(l *dlq.Letter)
	Published(n int)
	// Emitted events are in the database, those that were sent on their topic.
	Emitted(events []*store.Outbound)
	Sent(topic string, n int)
	Conflict(p broker.Partition)
	Placeholders(o OldPlaceholders)
	// Removed says that rows of a table were swept or purged, by what they were.
	Removed(table string, state guards.Existence, n int)
	Gap(g batch.Gap)
	// Breaker hears of each that opens, and that has closed again.
	Breaker(s breaker.Status)
}

// Batch is one committed batch.
type Batch struct {
	Partition broker.Partition
	Records   int
	Verdicts  []batch.Judged
	Next      int64
	Took      time.Duration
	Attempts  int
}
