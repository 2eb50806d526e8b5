package testutil

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/internal/parts/fake"
	"github.com/evenkeel-go/evenkeel/internal/parts/kclient"
)

// KafkaEnv names the environment variable with the brokers to test against, as host:port,
// comma-separated.
const KafkaEnv = "EVENKEEL_TEST_KAFKA"

// kafkaTimeout bounds each operation of a [KafkaBroker]. A broker that has just started
// loads its coordinators for seconds; more than this is a broker that is gone.
const kafkaTimeout = time.Minute

// KafkaBroker is a cluster to test against. Its methods fail the test on errors, wait for
// the broker's word before they return, and may be called concurrently.
type KafkaBroker struct {
	// Brokers is the value for bootstrap.servers.
	Brokers string
	// Real tells Apache Kafka from the embedded broker.
	Real bool

	fake   *kfake.Cluster // nil if real
	client *kclient.Client
}

type kafkaConfig struct {
	fake     fake.Config
	embedded bool
}

// KafkaOption says how [Kafka] and [StartKafka] run the embedded broker. None has an
// effect on Apache Kafka but KafkaEmbedded, which is instead of it.
type KafkaOption func(*kafkaConfig)

// KafkaEmbedded makes it the embedded broker whatever the environment says, for tests of
// faults that only it can be told to make.
func KafkaEmbedded() KafkaOption {
	return func(c *kafkaConfig) { c.embedded = true }
}

// KafkaNodes is the number of brokers in the cluster. Defaults to 1.
func KafkaNodes(n int) KafkaOption {
	return func(c *kafkaConfig) { c.fake.Nodes = n }
}

// KafkaPorts are the ports to listen on at 127.0.0.1, one for each broker. Defaults to
// free ones.
func KafkaPorts(ports ...int) KafkaOption {
	return func(c *kafkaConfig) { c.fake.Ports = ports }
}

// KafkaSetting sets a broker setting, such as group.consumer.session.timeout.ms.
func KafkaSetting(name, value string) KafkaOption {
	return func(c *kafkaConfig) {
		if c.fake.Properties == nil {
			c.fake.Properties = make(map[string]string)
		}
		c.fake.Properties[name] = value
	}
}

// Kafka returns a cluster: an embedded broker of the test's own, or the brokers that
// EVENKEEL_TEST_KAFKA names, which other tests use at the same time. Use
// [KafkaBroker.Topic] and [KafkaBroker.Group] for names that don't collide.
func Kafka(t testing.TB, options ...KafkaOption) *KafkaBroker {
	t.Helper()
	config := newKafkaConfig(options)
	var b *KafkaBroker
	var err error
	if brokers := os.Getenv(KafkaEnv); brokers != "" && !config.embedded {
		b, err = connect(brokers)
	} else {
		b, err = startFake(config)
	}
	if err != nil {
		t.Fatalf("testutil: Kafka: %v", err)
	}
	t.Cleanup(b.Close)
	return b
}

// KafkaAt returns the cluster at these brokers, which somebody else has started and ends.
func KafkaAt(t testing.TB, brokers string) *KafkaBroker {
	t.Helper()
	b, err := connect(brokers)
	if err != nil {
		t.Fatalf("testutil: Kafka: %v", err)
	}
	t.Cleanup(b.Close)
	return b
}

// StartKafka starts the embedded broker for a program that is not a test, such as a demo.
// The caller calls Close.
func StartKafka(options ...KafkaOption) (*KafkaBroker, error) {
	return startFake(newKafkaConfig(options))
}

func newKafkaConfig(options []KafkaOption) kafkaConfig {
	var config kafkaConfig
	for _, option := range options {
		option(&config)
	}
	return config
}

func startFake(config kafkaConfig) (*KafkaBroker, error) {
	cluster, err := fake.Start(config.fake)
	if err != nil {
		return nil, err
	}
	b, err := connect(fake.Brokers(cluster))
	if err != nil {
		cluster.Close()
		return nil, err
	}
	b.Real, b.fake = false, cluster
	return b, nil
}

func connect(brokers string) (*KafkaBroker, error) {
	client, err := kclient.New(brokers)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", brokers, err)
	}
	return &KafkaBroker{Brokers: brokers, Real: true, client: client}, nil
}

// Close ends the embedded broker; Apache Kafka stays. [Kafka] does it by itself.
func (b *KafkaBroker) Close() {
	b.client.Close()
	if b.fake != nil {
		b.fake.Close()
	}
}

// Embedded is the embedded broker, which can be told to fail in many ways, and nil for
// Apache Kafka.
func (b *KafkaBroker) Embedded() *kfake.Cluster { return b.fake }

// Topic creates a topic with the number of partitions and returns its name, which begins
// with prefix and is no other test's. It is deleted when the test ends.
func (b *KafkaBroker) Topic(t testing.TB, prefix string, partitions int) string {
	t.Helper()
	name := unique(prefix)
	b.CreateTopic(t, name, partitions)
	return name
}

// Group returns a name for a consumer group that is no other test's.
func (b *KafkaBroker) Group(prefix string) string { return unique(prefix) }

func unique(prefix string) string { return prefix + "-" + strings.ToLower(rand.Text()[:10]) }

// CreateTopic creates a topic, with topic settings as name, value, name, value. It is
// deleted when the test ends.
func (b *KafkaBroker) CreateTopic(t testing.TB, name string, partitions int, settings ...string) {
	t.Helper()
	if len(settings)%2 != 0 {
		t.Fatalf("testutil: topic settings come in pairs, got %q", settings)
	}
	set := make(map[string]string, len(settings)/2)
	for i := 0; i < len(settings); i += 2 {
		set[settings[i]] = settings[i+1]
	}
	b.do(t, func(ctx context.Context) error { return b.client.CreateTopic(ctx, name, partitions, set) })
	t.Cleanup(func() {
		if !b.Real {
			return
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), kafkaTimeout)
		defer cancel()
		if err := b.client.DeleteTopic(ctx, name); err != nil {
			t.Errorf("testutil: %v", err)
		}
	})
}

// AddPartitions raises the topic's number of partitions to total.
func (b *KafkaBroker) AddPartitions(t testing.TB, topic string, total int) {
	t.Helper()
	b.do(t, func(ctx context.Context) error { return b.client.AddPartitions(ctx, topic, total) })
}

// DeleteTopic deletes the topic, if it is there.
func (b *KafkaBroker) DeleteTopic(t testing.TB, topic string) {
	t.Helper()
	b.do(t, func(ctx context.Context) error { return b.client.DeleteTopic(ctx, topic) })
}

// DeleteRecords moves the start of the partition's log to the offset, as retention does.
func (b *KafkaBroker) DeleteRecords(t testing.TB, topic string, partition int32, before int64) {
	t.Helper()
	b.do(t, func(ctx context.Context) error { return b.client.DeleteRecords(ctx, topic, partition, before) })
}

// TopicID is the id of the topic's present incarnation, as Kafka writes it, and "" if
// there is no such topic.
func (b *KafkaBroker) TopicID(t testing.TB, topic string) (id string) {
	t.Helper()
	b.do(t, func(ctx context.Context) error {
		described, err := b.client.Topic(ctx, topic)
		if described != nil {
			id = described.ID
		}
		return err
	})
	return id
}

// ClusterID is the cluster's id.
func (b *KafkaBroker) ClusterID(t testing.TB) (id string) {
	t.Helper()
	b.do(t, func(ctx context.Context) (err error) {
		id, err = b.client.ClusterID(ctx)
		return err
	})
	return id
}

// Produce writes the records in their order, waits for all in-sync replicas and returns
// them with their offsets. Of the coordinates, Topic and Partition count; a negative
// partition is the one that Kafka's own producer would choose for the key. A zero
// Timestamp is now.
func (b *KafkaBroker) Produce(t testing.TB, records ...event.Record) (written []event.Record) {
	t.Helper()
	b.do(t, func(ctx context.Context) (err error) {
		written, err = b.client.Produce(ctx, records...)
		return err
	})
	return written
}

// ProduceCommitted is Produce in a transaction, which leaves a hole of one offset after
// the records in each of their partitions.
func (b *KafkaBroker) ProduceCommitted(t testing.TB, records ...event.Record) []event.Record {
	t.Helper()
	return b.transaction(t, kgo.TryCommit, records)
}

// ProduceAborted is Produce in a transaction that is aborted: the records take their
// offsets, and one more in each of their partitions, and no consumer sees them.
func (b *KafkaBroker) ProduceAborted(t testing.TB, records ...event.Record) []event.Record {
	t.Helper()
	return b.transaction(t, kgo.TryAbort, records)
}

func (b *KafkaBroker) transaction(t testing.TB, end kgo.TransactionEndTry, records []event.Record) (written []event.Record) {
	t.Helper()
	b.do(t, func(ctx context.Context) (err error) {
		written, err = b.client.ProduceTransaction(ctx, end, records...)
		return err
	})
	return written
}

// Consume returns all committed records that the topic holds now, with full coordinates,
// ordered by partition and offset. It belongs to no group.
func (b *KafkaBroker) Consume(t testing.TB, topic string) (records []event.Record) {
	t.Helper()
	b.do(t, func(ctx context.Context) (err error) {
		records, err = b.client.Read(ctx, topic)
		return err
	})
	return records
}

// Span returns the offsets that the partition's log holds: from start up to, not
// including, end.
func (b *KafkaBroker) Span(t testing.TB, topic string, partition int32) (start, end int64) {
	t.Helper()
	b.do(t, func(ctx context.Context) error {
		spans, err := b.client.Spans(ctx, topic)
		if err != nil {
			return err
		}
		if int(partition) >= len(spans) {
			return errors.New("no such partition")
		}
		start, end = spans[partition].Start, spans[partition].End
		return nil
	})
	return start, end
}

// Committed returns the group's committed offset in the partition, -1 if it has none, and
// the metadata that were committed with it.
func (b *KafkaBroker) Committed(t testing.TB, group, topic string, partition int32) (offset int64, metadata string) {
	t.Helper()
	b.do(t, func(ctx context.Context) error {
		c, err := b.client.Committed(ctx, group, topic, partition)
		offset, metadata = c.Offset, c.Metadata
		return err
	})
	return offset, metadata
}

// ResetOffset sets the group's offset as kafka-consumer-groups --reset-offsets does,
// without metadata. The group must have no members.
func (b *KafkaBroker) ResetOffset(t testing.TB, group, topic string, partition int32, offset int64) {
	t.Helper()
	b.do(t, func(ctx context.Context) error {
		return b.client.Commit(ctx, group, topic, partition, offset, "")
	})
}

// do runs one operation and fails the test if it fails. Not under the test's context: the
// broker is also asked in cleanups.
func (b *KafkaBroker) do(t testing.TB, operation func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(t.Context()), kafkaTimeout,
		fmt.Errorf("no answer from Kafka at %s within %s", b.Brokers, kafkaTimeout))
	defer cancel()
	if err := operation(ctx); err != nil {
		t.Fatalf("testutil: %v", err)
	}
}
