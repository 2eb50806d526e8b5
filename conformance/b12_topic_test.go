package conformance

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/framework"
)

// again deletes the topic and makes it again, and returns what it held.
func (w *world) again() (before []event.Record) {
	w.t.Helper()
	before = w.broker.Consume(w.t, w.topic)
	w.broker.DeleteTopic(w.t, w.topic)
	id := ""
	for i := range before {
		// To the oracle it is a topic of its own.
		if id == "" {
			id = fmt.Sprintf("%s up to %s", w.topic, before[len(before)-1].Value)
		}
		before[i].Topic = id
	}
	w.eventually(func() bool { return w.broker.TopicID(w.t, w.topic) == "" }, func() string { return "the topic is gone" })
	w.broker.CreateTopic(w.t, w.topic, 1)
	return before
}

// A topic is deleted and made again under its name, while the members are down and while
// one is at work, and then holds more than before. No offset of the earlier one may count:
// not Kafka's, not the ledger's, not the member's own.
func TestB12TopicMadeAgain(t *testing.T) {
	t.Parallel()
	each(t, "B12 topic", func(t *testing.T, at combination) {
		t.Parallel()
		w := newTallyWorld(t, at, 1)
		base := w.began.Add(-time.Hour)
		w.produce(0, stream(0, 100, 20, 0, base))
		w.visit()
		log := w.again()
		w.produce(0, stream(100, 250, 20, 0, base))
		s := w.visit()
		require.EqualValues(t, 250, s.Records)
		w.checkTalliedLog(append(log, w.broker.Consume(t, w.topic)...))

		m := w.start(quick, attentive)
		w.eventually(func() bool {
			s := m.consumer.Stats()
			return len(s.Partitions) == 1 && s.Partitions[0].Epoch > 0
		}, func() string { return "the member owns the partition" })
		log = append(log, w.again()...)
		w.eventually(func() bool { return len(w.positions()) == 1 }, func() string { return "the member has noticed" })
		w.produce(0, stream(350, 400, 20, 0, base))
		w.settled()
		w.checkTalliedLog(append(log, w.broker.Consume(t, w.topic)...))
		require.EqualValues(t, 400, m.final().Records)
	})
}

// kept are the tables that a restored database has in an older state.
var kept = []string{"orders", "tallies", "evenkeel_ledger", "evenkeel_topics", "evenkeel_dead_letters", "evenkeel_parked"}

func (w *world) backup() {
	w.t.Helper()
	for _, table := range kept {
		require.NoError(w.t, w.db.Exec("CREATE TABLE old_"+table+" AS SELECT * FROM "+table).Error)
	}
}

func (w *world) restore() {
	w.t.Helper()
	for _, table := range kept {
		require.NoError(w.t, w.db.Exec("DELETE FROM "+table).Error)
		require.NoError(w.t, w.db.Exec("INSERT INTO "+table+" SELECT * FROM old_"+table).Error)
	}
}

func TestB12DatabaseRestored(t *testing.T) {
	t.Parallel()
	each(t, "B12 restored", func(t *testing.T, at combination) {
		t.Parallel()
		w := newTallyWorld(t, at, 1)
		base := w.began.Add(-time.Hour)
		w.produce(0, stream(0, 120, 20, 25, base))
		w.visit()
		w.backup()
		w.produce(0, stream(120, 80, 20, 25, base))
		w.visit()
		w.checkTallied()

		w.restore()
		s := w.visit()
		require.EqualValues(t, 80, s.Records, "what the backup does not have")
		require.EqualValues(t, 1, s.Alarms["database-restored"])
		w.checkTallied()

		// Nothing at all is left, but Kafka has a token.
		for _, table := range kept {
			require.NoError(t, w.db.Exec("DELETE FROM "+table).Error)
		}
		s = w.visit(func(c *framework.Config) { c.Start = framework.StartLatest })
		require.EqualValues(t, 200, s.Records)
		require.EqualValues(t, 1, s.Alarms["database-restored"])
		w.checkTallied()
	})
}

// Offsets without records, in the middle and at the end: markers of transactions, records
// of aborted ones, and what compaction took away.
func TestB12Holes(t *testing.T) {
	t.Parallel()
	each(t, "B12 holes", func(t *testing.T, at combination) {
		t.Parallel()
		w := newTallyWorld(t, at, 1)
		base := w.began.Add(-time.Hour)
		records := func(first, n int) []event.Record {
			var rs []event.Record
			for _, f := range stream(first, n, 20, 30, base) {
				rs = append(rs, w.record(0, f.key, f.value()))
			}
			return rs
		}
		w.broker.ProduceCommitted(t, records(0, 50)...)
		w.broker.ProduceAborted(t, records(1000, 30)...)
		w.broker.Produce(t, records(50, 50)...)
		w.broker.ProduceAborted(t, records(2000, 10)...)
		s := w.visit()
		require.EqualValues(t, 100, s.Records)
		w.checkTallied()
		_, end := w.broker.Span(t, w.topic, 0)
		require.EqualValues(t, 50+1+30+1+50+10+1, end)

		// While a member waits at the end, too.
		m := w.start(quick)
		w.eventually(func() bool { return len(m.consumer.Stats().Partitions) == 1 }, func() string { return "the member is there" })
		w.broker.ProduceAborted(t, records(3000, 10)...)
		w.settled()
		w.broker.ProduceCommitted(t, records(100, 10)...)
		w.settled()
		w.checkTallied()
	})
}

func TestB12CompactedTopic(t *testing.T) {
	t.Parallel()
	each(t, "B12 compacted", func(t *testing.T, at combination) {
		t.Parallel()
		w := newTallyWorld(t, at, 1)
		w.topic += "-compacted"
		w.broker.CreateTopic(t, w.topic, 1, "cleanup.policy", "compact", "segment.ms", "100",
			"min.cleanable.dirty.ratio", "0.01", "max.compaction.lag.ms", "100", "delete.retention.ms", "100")
		facts := stream(0, 20_000, 20, 0, w.began.Add(-time.Hour))
		written := 200
		w.produce(0, facts[:written])
		var left []event.Record
		w.eventually(func() bool {
			// Kafka does not clean the segment that is written to, and begins another one
			// only with a record that comes late enough.
			w.produce(0, facts[written:written+1])
			written++
			if fake := w.broker.Embedded(); fake != nil {
				fake.Compact()
			}
			left = w.broker.Consume(t, w.topic)
			return len(left) < written
		}, func() string { return "the log is compacted" })
		require.NotEmpty(t, left)
		w.visit()
		w.checkTallied()
	})
}

// A null value without headers is a compaction marker and says nothing; one with headers
// is an event if the codec reads headers.
func TestB12Tombstones(t *testing.T) {
	t.Parallel()
	each(t, "B12 tombstones", func(t *testing.T, at combination) {
		t.Parallel()
		w := newTallyWorld(t, at, 1)
		base := w.began.Add(-time.Hour)
		w.produce(0, stream(0, 20, 20, 0, base))
		marker := event.Record{Coordinates: event.Coordinates{Topic: w.topic}, Key: []byte("o-1")}
		headed := event.Record{
			Coordinates: event.Coordinates{Topic: w.topic}, Key: []byte("o-2"),
			Headers: []event.Header{
				{Key: "id", Value: []byte("h-1")},
				{Key: "type", Value: []byte("order.shipped")},
				{Key: "time", Value: []byte(base.Add(time.Minute).UTC().Format(time.RFC3339Nano))},
			},
		}
		w.broker.Produce(t, marker, headed)
		s := w.visit()
		require.EqualValues(t, 22, s.Records)
		require.EqualValues(t, 1, s.Verdicts["discard/compaction-marker"], "%v", s.Verdicts)
		// The envelope's codec finds no event in the second; its letter has the record's
		// null and headers.
		letters := w.letters()
		require.Len(t, letters, 1)
		require.Nil(t, letters[0].Record.Value)
		require.Equal(t, headed.Headers, letters[0].Record.Headers)
		w.checkTallied()

		w.broker.Produce(t, marker, headed)
		s = w.visit(func(c *framework.Config) { c.Codec = event.Headers(event.HeadersConfig{}) })
		require.EqualValues(t, 1, s.Verdicts["discard/compaction-marker"], "%v", s.Verdicts)
		require.Len(t, w.letters(), 1, "no new letter")
		var o Order
		require.NoError(t, w.db.First(&o, "id = ?", "o-2").Error)
		require.NotNil(t, o.ShippedAt)
	})
}
