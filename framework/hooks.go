package framework

import (
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
)

// Hooks observe and decide nothing. A hook implements one or more of the interfaces below
// and is called on the goroutine that does the work, after the effect has committed, so
// it must not block.

// VerdictHook hears what became of each unit.
type VerdictHook interface{ OnVerdict(Verdict) }

// BatchHook hears of each committed batch.
type BatchHook interface{ OnBatch(Batch) }

// LetterHook hears of each dead letter once it is in the database.
type LetterHook interface{ OnLetter(*dlq.Letter) }

// PartitionHook hears when partitions come and go.
type PartitionHook interface{ OnPartition(Partition) }

// AlarmHook hears what people should look at: offsets that somebody else has set, a
// restored database, a topic that was made again, records that are gone, members of the group
// whose handlers differ.
type AlarmHook interface{ OnAlarm(Alarm) }

// PlaceholderHook hears what each look at a table's placeholders has found, after they were
// swept: how many are older than Config.PlaceholderAge. Every member looks, about every
// tenth of that age and at least every minute, but ten times less often where the table
// has no index for them; the start-up log has its SQL.
type PlaceholderHook interface{ OnPlaceholders(OldPlaceholders) }

// GapHook hears of gaps under guards.Sequence and guards.Causal that have reached a bound:
// nobody has sent what is missing, or it was lost on the way.
type GapHook interface{ OnGap(Gap) }

// BreakerHook hears when a handler's breaker opens, and when it has closed again
// (Config.Breaker).
type BreakerHook interface{ OnBreaker(BreakerStats) }

// Verdict is what became of one unit, or of a whole record where Handler is empty.
type Verdict struct {
	// Event is nil for a record that could not be decoded.
	Event   *event.Event
	Record  *event.Record
	Handler string
	Entity  string
	guards.Verdict
}

// Batch is one committed transaction of a partition.
type Batch struct {
	Topic     string
	Partition int32
	Records   int
	// Next is the offset after the last record.
	Next int64
	// Took is from the batch's begin to its commit, with everything that had to be
	// run again; Attempts is how often it was run.
	Took     time.Duration
	Attempts int
}

// Partition is a partition that came or went.
type Partition struct {
	Topic     string
	Partition int32
	// Assigned is false when the partition went, and Lost then says whether it went
	// without notice.
	Assigned, Lost bool
	// Next is where an assigned partition starts.
	Next int64
}

// Gap is a gap in an entity's numbers that stayed longer than guards.GapTimeout, or before
// which more events wait than guards.MaxGap allows; or an event whose causes have not come
// within guards.Causal's bounds.
type Gap struct {
	Stream, Entity string
	// Node is whose event is missing under guards.Causal, empty under guards.Sequence:
	// Missing is its entry, and Waiting the sum of the vector that waits.
	Node string
	// Missing is the first number that did not come, Waiting the first that waits for it.
	Missing, Waiting int64
	// Policy is what was done about it.
	Policy guards.GapPolicy
	// Full says that too many waited; otherwise they waited too long.
	Full bool
}

// Alarm is something that people should look at.
type Alarm struct {
	// Topic is empty and Partition -1 where it is about the whole member.
	Topic     string
	Partition int32
	// Kind is a stable word, e.g. "database-restored", Detail a sentence.
	Kind, Detail string
}

// OldPlaceholders is what a look at one table has found.
type OldPlaceholders struct {
	Table, Model string
	// Count is how many placeholders are old; it ends at 100,000, and then there may be
	// more. [Placeholders] lists them.
	Count int64
	// OldestKey and OldestBorn are of the oldest one, when there is one.
	OldestKey  string
	OldestBorn time.Time
}
