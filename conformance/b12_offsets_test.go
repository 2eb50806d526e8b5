package conformance

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/testutil"
)

// visit lets one member work until everything is done, and returns what it says then.
func (w *world) visit(change ...func(*framework.Config)) framework.Stats {
	w.t.Helper()
	m := w.start(append([]func(*framework.Config){quick}, change...)...)
	// The ledger may be at the end before the member is there.
	w.eventually(func() bool {
		s := m.consumer.Stats()
		return len(s.Partitions) == 1 && s.Partitions[0].Epoch > 0
	}, func() string { return "the member owns the partition" })
	w.settled()
	return m.final()
}

// settled waits until the present incarnation of partition 0 is finished.
func (w *world) settled() {
	w.t.Helper()
	var next, committed, end int64
	w.eventually(func() bool {
		_, end = w.broker.Span(w.t, w.topic, 0)
		committed, _ = w.broker.Committed(w.t, w.group, w.topic, 0)
		next = -1
		if at := w.positions(); len(at) > 0 {
			next = at[0].Next
		}
		return next == end && committed == end && len(w.waiting()) == 0
	}, func() string {
		return fmt.Sprintf("ledger %d, committed %d, end %d", next, committed, end)
	})
}

func TestB12OffsetsResetWhileMembersAreDown(t *testing.T) {
	t.Parallel()
	each(t, "B12", func(t *testing.T, at combination) {
		t.Parallel()
		w := newTallyWorld(t, at, 1)
		base := w.began.Add(-time.Hour)
		w.produce(0, stream(0, 200, 20, 30, base))
		w.visit()
		w.checkTallied()

		// Earlier: everything is read again and changes nothing.
		w.broker.ResetOffset(t, w.group, w.topic, 0, 50)
		s := w.visit()
		require.EqualValues(t, 150, s.Records, "read again")
		require.EqualValues(t, 1, s.Alarms["offset-rewound"])
		require.Empty(t, s.Letters)
		w.checkTallied()

		// Later: what lies between is skipped, and known to be.
		w.produce(0, stream(200, 100, 20, 30, base))
		w.broker.ResetOffset(t, w.group, w.topic, 0, 260)
		s = w.visit()
		require.EqualValues(t, 40, s.Records)
		require.EqualValues(t, 1, s.Alarms["offset-skipped"])
		require.EqualValues(t, 240, w.done())

		// Back into what was skipped: these are seen for the first time.
		w.broker.ResetOffset(t, w.group, w.topic, 0, 180)
		s = w.visit()
		require.EqualValues(t, 120, s.Records)
		w.checkTallied()
		require.Empty(t, w.gaps())
	})
}

// Kafka's own tool commits without metadata, by which an operator's offset is told from
// one of ours.
func TestB12OffsetsResetWithKafkasTool(t *testing.T) {
	t.Parallel()
	var cluster *testutil.Cluster
	if broker() == brokerKafka {
		cluster = testutil.KafkaCluster(t, 1)
	}
	each(t, "B12 tool", func(t *testing.T, at combination) {
		w := newTallyWorldOn(t, at, 1, cluster.KafkaBroker)
		reset := func(to string) {
			cluster.Tool(t, "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
				"--bootstrap-server", cluster.Brokers, "--group", w.group, "--topic", w.topic,
				"--reset-offsets", "--to-offset", to, "--execute")
		}
		base := w.began.Add(-time.Hour)
		w.produce(0, stream(0, 100, 20, 30, base))
		w.visit()
		reset("30")
		s := w.visit()
		require.EqualValues(t, 70, s.Records)
		require.EqualValues(t, 1, s.Alarms["offset-rewound"])
		w.produce(0, stream(100, 50, 20, 30, base))
		reset("120")
		s = w.visit()
		require.EqualValues(t, 30, s.Records)
		require.EqualValues(t, 1, s.Alarms["offset-skipped"])
		reset("0")
		w.visit()
		w.checkTallied()
	})
}

// gaps is what the ledger remembers as skipped.
func (w *world) gaps() (gaps string) {
	w.t.Helper()
	require.NoError(w.t, w.db.Raw("SELECT gaps FROM evenkeel_ledger WHERE grp = ?", w.group).Scan(&gaps).Error)
	return gaps
}

// Records are gone before they were read: while the members are down, and under the feet
// of one that is held up, whose client then finds its position out of range.
func TestB12OffsetOutOfRange(t *testing.T) {
	t.Parallel()
	each(t, "B12 range", func(t *testing.T, at combination) {
		t.Parallel()
		w := newTallyWorld(t, at, 1)
		base := w.began.Add(-time.Hour)
		w.produce(0, stream(0, 300, 20, 0, base))
		log := w.broker.Consume(t, w.topic)
		w.broker.DeleteRecords(t, w.topic, 0, 100)
		s := w.visit()
		require.EqualValues(t, 200, s.Records)
		w.checkTalliedLog(log[100:])

		w.produce(0, stream(300, 100, 20, 0, base))
		log = append(log, w.broker.Consume(t, w.topic)[200:]...)
		w.broker.DeleteRecords(t, w.topic, 0, 350)
		s = w.visit()
		require.EqualValues(t, 50, s.Records)
		require.EqualValues(t, 1, s.Alarms["records-gone"])
		require.NotEmpty(t, w.gaps())
		kept := append(append([]event.Record{}, log[100:300]...), log[350:]...)
		w.checkTalliedLog(kept)

		// The member is held in its first batch; its partition is paused by then, as there is
		// more than it takes into memory, and what was fetched ahead is thrown away.
		w.produce(0, stream(400, 2500, 20, 0, base))
		entered, let := w.heldUp()
		m := w.start(quick, smallBatches(100))
		<-entered
		paused := func() bool {
			s := m.consumer.Stats()
			return len(s.Partitions) == 1 && s.Partitions[0].Paused
		}
		w.eventually(paused, func() string { return "the partition is paused" })
		log = append(log, w.broker.Consume(t, w.topic)[50:]...)
		w.broker.DeleteRecords(t, w.topic, 0, 2800)
		let()
		w.settled()
		s = m.final()
		require.EqualValues(t, 1, s.Alarms["records-gone"])
		read := int(s.Records) - 100
		require.Positive(t, read, "what was in memory")
		w.checkTalliedLog(append(append(kept, log[400:400+read]...), log[2800:]...))
	})
}
