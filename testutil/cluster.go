//go:build unix

package testutil

import (
	"context"
	"os"
	"testing"

	"github.com/evenkeel-go/evenkeel/internal/parts/kafka"
)

// Cluster is an Apache Kafka cluster whose brokers a test may stop, kill and freeze. Its
// brokers are numbered from 1; their addresses and data stay. One goroutine at a time may
// use it, but for what it has of [KafkaBroker].
type Cluster struct {
	*KafkaBroker

	cluster *kafka.Cluster
}

// KafkaCluster starts Apache Kafka for this test alone, with so many brokers; three need
// about 1.5 GB of memory and ten seconds. It needs Java and Maven, so the test is skipped
// unless EVENKEEL_TEST_KAFKA says that Apache Kafka is wanted.
func KafkaCluster(t testing.TB, brokers int) *Cluster {
	t.Helper()
	if os.Getenv(KafkaEnv) == "" {
		t.Skipf("runs with Apache Kafka only (%s, make test-kafka)", KafkaEnv)
	}
	cluster, err := kafka.Start(t.Context(), kafka.Config{Brokers: brokers})
	if err != nil {
		t.Fatalf("testutil: Apache Kafka: %v", err)
	}
	t.Cleanup(func() {
		if err := cluster.Close(); err != nil {
			t.Errorf("testutil: Apache Kafka: %v", err)
		}
	})
	b, err := connect(cluster.Brokers())
	if err != nil {
		t.Fatalf("testutil: Apache Kafka: %v", err)
	}
	t.Cleanup(b.Close)
	return &Cluster{KafkaBroker: b, cluster: cluster}
}

// Addr is a broker's own address.
func (c *Cluster) Addr(broker int) string { return c.cluster.Nodes()[broker-1].Addr() }

// Stop shuts a broker down in order: it hands over its leaderships first.
func (c *Cluster) Stop(t testing.TB, broker int) {
	t.Helper()
	c.must(t, c.cluster.Nodes()[broker-1].Stop(t.Context()))
}

// Kill ends a broker with SIGKILL, as a crash would.
func (c *Cluster) Kill(t testing.TB, broker int) {
	t.Helper()
	c.must(t, c.cluster.Nodes()[broker-1].Kill(t.Context()))
}

// Start starts a broker again after Stop or Kill and returns when it is back in the
// cluster.
func (c *Cluster) Start(t testing.TB, broker int) {
	t.Helper()
	c.must(t, c.cluster.Nodes()[broker-1].Start(t.Context()))
}

// Pause freezes a broker with SIGSTOP: its connections stay and nothing answers.
func (c *Cluster) Pause(t testing.TB, broker int) {
	t.Helper()
	c.must(t, c.cluster.Nodes()[broker-1].Pause())
}

// Resume lets a paused broker go on.
func (c *Cluster) Resume(t testing.TB, broker int) {
	t.Helper()
	c.must(t, c.cluster.Nodes()[broker-1].Resume())
}

// Tool runs one of Kafka's console tools by its class, such as
// org.apache.kafka.tools.consumer.group.ConsumerGroupCommand, and returns what it printed.
// It takes a second or two.
func (c *Cluster) Tool(t testing.TB, class string, args ...string) string {
	t.Helper()
	out, err := c.cluster.Tool(context.WithoutCancel(t.Context()), class, args...)
	c.must(t, err)
	return out
}

func (c *Cluster) must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("testutil: Apache Kafka: %v", err)
	}
}
