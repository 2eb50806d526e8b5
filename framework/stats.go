package framework

import (
	"slices"
	"strings"
	"time"
)

// Stats is a look at a consumer since it was made.
type Stats struct {
	// Records, Batches and Conflicts count what has been committed, and how often a
	// batch was run again because another lane was there.
	Records, Batches, Conflicts int64
	// Verdicts counts units and records by "action/reason", e.g. "discard/superseded".
	Verdicts map[string]int64
	// Letters counts dead letters by reason, Published those known to be on the topic.
	Letters   map[string]int64
	Published int64
	// Emitted counts events that handlers have emitted and that are in the database,
	// EmittedPublished those known to be on their topics.
	Emitted, EmittedPublished int64
	// PlaceholdersMade and PlaceholdersCompleted count early events' rows.
	PlaceholdersMade, PlaceholdersCompleted int64
	// PlaceholdersSwept and TombstonesPurged count rows that this member has removed.
	PlaceholdersSwept, TombstonesPurged int64
	Alarms                              map[string]int64
	// Gaps counts gaps under guards.Sequence that reached a bound, by "policy/bound", e.g.
	// "dead-letter/time" or "skip/count".
	Gaps map[string]int64
	// Slow is how many events are under way in slow handlers (Config.Parallel).
	Slow int64
	// Breakers are those of the handlers that have run, by name; none where they are off.
	Breakers []BreakerStats
	// Partitions are those assigned at present, in order.
	Partitions []PartitionStats
	// Away names the parts that can't be reached at present: "the broker", "the
	// database", "the dead-letter topic", "the topic … for emitted events".
	Away []string
}

// PartitionStats is where an assigned partition stands.
type PartitionStats struct {
	Topic     string
	Partition int32
	// Next is the offset after the last record whose effect is in the database,
	// Committed what Kafka was told (-1: nothing yet), LogEnd the log's end (-1: not
	// known yet).
	Next, Committed, LogEnd int64
	// Lag is how many offsets Next is behind LogEnd; -1 when that is not known.
	Lag int64
	// Queued records wait in memory; Unpublished letters for the dead-letter topic, and
	// emitted events for theirs.
	Queued      int
	QueuedBytes int64
	// Held records are in slow handlers, or wait for one that is.
	Held        int
	Unpublished int
	Epoch       int64
	// Watermark is the newest admitted event time; zero when there is none yet.
	Watermark time.Time
	// Paused says that nothing is fetched: enough waits in memory, or a breaker is open.
	Paused bool
}

// Stats returns a snapshot. It may be called at any time.
func (c *Consumer) Stats() Stats {
	s := c.observer.snapshot()
	for _, b := range c.member.Breakers() {
		s.Breakers = append(s.Breakers, breakerOf(b))
	}
	lags, away := c.member.Lags()
	slices.Sort(away)
	s.Away, s.Slow = away, c.member.Running()
	for _, l := range lags {
		p := PartitionStats{
			Topic: l.Partition.Topic, Partition: l.Partition.Number, Next: l.Next, Committed: l.Committed,
			LogEnd: l.LogEnd, Lag: -1, Queued: l.Queued, QueuedBytes: l.QueuedBytes, Held: l.Held,
			Unpublished: l.Unpublished, Epoch: l.Epoch, Watermark: l.Watermark, Paused: l.Paused,
		}
		if p.LogEnd >= 0 {
			p.Lag = max(p.LogEnd-p.Next, 0)
		}
		s.Partitions = append(s.Partitions, p)
	}
	slices.SortFunc(s.Partitions, func(a, b PartitionStats) int {
		if c := strings.Compare(a.Topic, b.Topic); c != 0 {
			return c
		}
		return int(a.Partition) - int(b.Partition)
	})
	return s
}
