package conformance

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/testutil"
)

const (
	backlog = 1_000_000
	// roomToGrow is what a member may take more than it took before the backlog: what
	// librdkafka fetches ahead (16 MiB), the lane's queue and batch, and the garbage
	// between two collections, with the race detector's shadow of all that. The backlog
	// itself is several times as much.
	roomToGrow = 160 << 20
)

// slow makes each statement that writes orders take a while.
func (w *world) slow() {
	w.t.Helper()
	statements := []string{
		"CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.2); RETURN NULL; END $$",
		"CREATE TRIGGER slow AFTER INSERT OR UPDATE ON orders FOR EACH STATEMENT EXECUTE FUNCTION dawdle()",
	}
	if w.at.store == storeSQLite {
		// SQLite can't wait, but it can count.
		statements = nil
		for _, verb := range []string{"INSERT", "UPDATE"} {
			statements = append(statements, "CREATE TRIGGER slow_"+verb+" AFTER "+verb+" ON orders BEGIN "+
				"SELECT count(*) FROM json_each('["+strings.Repeat("0,", 20_000)+"0]'); END")
		}
	}
	for _, s := range statements {
		require.NoError(w.t, w.db.Exec(s).Error)
	}
}

// A million events wait in front of a slow database. The member is a process of its own,
// whose memory is measured from outside, and so is the embedded broker.
func TestB14BacklogStaysWithTheBroker(t *testing.T) {
	t.Parallel()
	var kafka *testutil.KafkaBroker
	if broker() == brokerKafka {
		kafka = testutil.Kafka(t)
	} else {
		kafka = testutil.KafkaAt(t, spawn(t, childSpec{Broker: true}).line("brokers "))
	}
	topic := kafka.Topic(t, "orders", 1)
	began := time.Now()
	base := began.Add(-12 * time.Hour)
	records := make([]event.Record, 50_000)
	for first := 0; first < backlog; first += len(records) {
		for i := range records {
			at := first + i
			key := fmt.Sprintf("o-%d", at%5000)
			value := fmt.Sprintf(`{"id":"e-%d","type":"order.placed","source":"shop","key":%q,"time":%q,"data":{"customer":"somebody","amount":1}}`,
				at, key, base.Add(time.Duration(at)*time.Millisecond).UTC().Format(time.RFC3339Nano))
			records[i] = event.Record{Key: []byte(key), Value: []byte(value), Timestamp: began}
			records[i].Topic = topic
		}
		kafka.Produce(t, records...)
	}
	t.Logf("%d events written after %s", backlog, time.Since(began))

	each(t, "B14", func(t *testing.T, at combination) {
		t.Parallel()
		w := newTallyWorldOn(t, at, 1, kafka)
		w.produce(0, stream(0, 300, 100, 0, base))
		member := func() *process { return w.spawn(func(s *childSpec) { s.BatchSize = 100 }) }
		before := member()
		w.drain(1)
		idle := resident(before.pid)
		require.Positive(t, idle)
		before.kill()

		w.slow()
		w.topic, w.group = topic, w.group+"-backlog"
		require.NoError(t, w.db.Exec("DELETE FROM evenkeel_models").Error)
		m := member()
		most := int64(0)
		w.eventually(func() bool {
			most = max(most, resident(m.pid))
			if most > idle+roomToGrow {
				t.Fatalf("the member has grown from %d MiB to %d MiB", idle>>20, most>>20)
			}
			return m.count("committed 100 of") >= 30
		}, m.text)
		t.Logf("%d MiB before, at most %d MiB", idle>>20, most>>20)
		_, end := kafka.Span(t, topic, 0)
		require.EqualValues(t, backlog, end)
		next := w.positions()[0].Next
		require.Less(t, next, int64(backlog/10), "the database was not slow")
		m.kill()
	})
}
