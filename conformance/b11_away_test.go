package conformance

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/testutil"
)

// tries counts the lines at debug level that contain text: one for each try.
func (l *logBook) tries(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, line := range l.lines {
		if line.level == framework.LevelDebug && strings.Contains(line.text, text) {
			n++
		}
	}
	return n
}

// saidOnce checks that a part's going away and its coming back were logged once for each
// time that it happened.
func (w *world) saidOnce(part string, times int) {
	w.t.Helper()
	// It is back before it is said to be.
	w.eventually(func() bool { return w.log.count(part+" is available again") == times }, w.log.loud)
	require.Equal(w.t, times, w.log.count(part+" is not available"), "lines that say that %s is away\n%s", part, w.log.loud())
}

// loud is what was logged above debug.
func (l *logBook) loud() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	for _, line := range l.lines {
		if line.level > framework.LevelDebug {
			b.WriteString(line.text + "\n")
		}
	}
	return b.String()
}

// complaints is how many lines there are above info, but for those that tell of letters, or of a
// partition that was lost: a machine that is busy enough lets a session of two seconds end.
func (l *logBook) complaints() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, line := range l.lines {
		if line.level > framework.LevelInfo && !strings.HasPrefix(line.text, "dead letter;") && !strings.HasPrefix(line.text, "partition lost") {
			n++
		}
	}
	return n
}

func TestB11DatabaseAway(t *testing.T) {
	t.Parallel()
	each(t, "B11 database", func(t *testing.T, at combination) {
		t.Parallel()
		w := newTallyWorld(t, at, 2)
		server := testutil.PostgresServer(t)
		w.dsn = server.DSN()
		w.db = openDB(t, at.store, w.dsn)
		w.migrate()
		w.tables(&Tally{})
		base := w.began.Add(-time.Hour)
		w.start(quick, smallBatches(20))
		w.produce(-1, stream(0, 100, 20, 30, base))
		w.drain(2)

		for i, down := range []func(testing.TB){server.Stop, server.Kill} {
			before := [2]int64{}
			for p := range before {
				before[p], _ = w.broker.Committed(t, w.group, w.topic, int32(p))
			}
			tries := w.log.tries("the database is still not available")
			down(t)
			w.produce(-1, stream(100*(i+1), 100, 20, 30, base))
			w.eventually(func() bool { return w.log.tries("the database is still not available") >= tries+4 }, w.log.loud)
			for p := range before {
				now, _ := w.broker.Committed(t, w.group, w.topic, int32(p))
				require.Equal(t, before[p], now, "Kafka's offset while the database is away")
			}
			server.Start(t)
			w.drain(2)
			w.checkTallied()
			w.saidOnce("the database", i+1)
			require.Equal(t, i+1, w.log.complaints(), w.log.loud())
		}

		// A member that has nothing to do notices, too, and says when it is over.
		server.Stop(t)
		w.eventually(func() bool { return w.log.count("the database is not available") == 3 }, w.log.loud)
		server.Start(t)
		w.eventually(func() bool { return w.log.count("the database is available again") == 3 }, w.log.loud)
	})
}

// outage takes the broker away and brings it back.
type outage struct{ begin, end func() }

// outages are those of an embedded broker, which closes the connection on each request,
// or of Apache Kafka, shut down or killed, which takes long enough to be done once each.
func (w *world) outages(cluster *testutil.Cluster) []outage {
	if cluster != nil {
		down := cluster.Stop
		if w.at.store == storePostgres {
			down = cluster.Kill
		}
		return []outage{{func() { down(w.t, 1) }, func() { cluster.Start(w.t, 1) }}}
	}
	fake, errAway := w.broker.Embedded(), errors.New("away")
	var away atomic.Bool
	fake.Control(func(kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		return nil, errAway, away.Load()
	})
	refuse := outage{func() { away.Store(true) }, func() { away.Store(false) }}
	return []outage{refuse, refuse}
}

func TestB11BrokerAway(t *testing.T) {
	t.Parallel()
	var cluster *testutil.Cluster // the combinations share it, one after the other
	if broker() == brokerKafka {
		cluster = testutil.KafkaCluster(t, 1)
	}
	each(t, "B11 broker", func(t *testing.T, at combination) {
		var w *world
		if cluster != nil {
			w = newTallyWorldOn(t, at, 2, cluster.KafkaBroker)
		} else {
			t.Parallel()
			w = newTallyWorld(t, at, 2)
		}
		base := w.began.Add(-time.Hour)
		impatient := func(c *framework.Config) { c.Kafka["reconnect.backoff.max.ms"] = 300 }
		w.start(quick, impatient, smallBatches(20))
		w.produce(-1, stream(0, 100, 20, 30, base))
		w.drain(2)
		for i, o := range w.outages(cluster) {
			// An embedded broker closes the connection that it has just accepted, which must go
			// on for a while. One that is gone is gone, and librdkafka may say so once in minutes.
			tries := func() int {
				return w.log.tries("a connection to Kafka failed") + w.log.tries("the broker is still not available")
			}
			least := tries() + 2
			if cluster != nil {
				least = 0
			}
			o.begin()
			w.eventually(func() bool {
				return w.log.count("the broker is not available") == i+1 && tries() >= least
			}, w.log.loud)
			o.end()
			w.produce(-1, stream(100*(i+1), 100, 20, 30, base))
			w.drain(2)
			w.checkTallied()
			w.saidOnce("the broker", i+1)
		}
		require.Zero(t, w.log.count("Kafka reports an error"), w.log.loud())
	})
}

// alter sets a topic's setting while it is in use.
func (w *world) alter(topic, name, value string) {
	w.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(w.broker.Brokers, ",")...))
	require.NoError(w.t, err)
	defer client.Close()
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, topic
	c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	c.Name, c.Value, c.Op = name, &value, kmsg.IncrementalAlterConfigOpSet
	r.Configs = append(r.Configs, c)
	req.Resources = append(req.Resources, r)
	resp, err := req.RequestWith(context.Background(), client)
	require.NoError(w.t, err)
	for _, r := range resp.Resources {
		require.NoError(w.t, kerr.ErrorForCode(r.ErrorCode))
	}
}

// tooLarge makes the broker refuse letters as too large.
func (w *world) tooLarge() outage {
	if fake := w.broker.Embedded(); fake != nil {
		var fault *kfake.FaultHandle
		return outage{
			func() {
				fault = fake.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: w.dlq, Err: kerr.MessageTooLarge, Count: -1})
			},
			func() { fault.Remove() },
		}
	}
	return outage{
		func() { w.alter(w.dlq, "max.message.bytes", "100") },
		func() { w.alter(w.dlq, "max.message.bytes", "1000000") },
	}
}

// The topic is deleted under way, and refuses what is written to it. Effects go on, Kafka's
// offsets wait for the letters.
func TestB11DeadLetterTopicAway(t *testing.T) {
	t.Parallel()
	each(t, "B11 letters", func(t *testing.T, at combination) {
		t.Parallel()
		w := newTallyWorld(t, at, 2)
		base := w.began.Add(-time.Hour)
		prompt := func(c *framework.Config) { c.Kafka["topic.metadata.propagation.max.ms"] = 1000 }
		w.start(quick, attentive, prompt, smallBatches(20))
		w.produce(-1, stream(0, 100, 20, 0, base))
		w.drain(2)
		missing := outage{func() { w.broker.DeleteTopic(t, w.dlq) }, func() { w.broker.CreateTopic(t, w.dlq, 3) }}
		for i, o := range []outage{missing, w.tooLarge()} {
			tries := w.log.tries("the dead-letter topic is still not available")
			o.begin()
			w.produce(-1, stream(100*(i+1), 100, 20, 30, base))
			w.eventually(func() bool {
				return w.log.tries("the dead-letter topic is still not available") >= tries+3 && w.done() == int64(100*(i+2))
			}, w.log.loud)
			require.Positive(t, w.heldBack())
			o.end()
			w.drain(2)
			w.checkTallied()
			w.saidOnce("the dead-letter topic", i+1)
			require.Equal(t, i+1, w.log.complaints(), w.log.loud())
		}
	})
}
