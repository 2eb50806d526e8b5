package confluent

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/internal/broker"
	"github.com/evenkeel-go/evenkeel/internal/seam"
)

// deliveryTimeout bounds one try to publish. librdkafka's default of five minutes would
// hide a missing topic for as long.
const deliveryTimeout = 15 * time.Second

// MaxMessageBytes is the producer's limit, above Kafka's default for topics, so that an
// event which was consumable fits with the letter's headers if the topic lets it.
const MaxMessageBytes = 8 << 20

// Producer publishes letters and emitted events.
type Producer struct {
	p     *kafka.Producer
	admin *kafka.AdminClient
	logs  *logs
	clock seam.Clock
	spawn *seam.Group
	gate  gate
	// maxBytes is the client's own limit.
	maxBytes int

	mu         sync.Mutex
	partitions map[string]partitionCount
}

type partitionCount struct {
	n     int32
	until time.Time
}

var _ dlq.Producer = (*Producer)(nil)

// NewProducer makes a producer; spawn owns its goroutines.
func NewProducer(s Settings, clock seam.Clock, spawn *seam.Group, log LogFunc) (*Producer, error) {
	cfg := s.common()
	for k := range cfg {
		if isConsumerOnly(k) {
			delete(cfg, k)
		}
	}
	cfg["acks"] = "all"
	cfg["enable.idempotence"] = true
	cfg["message.timeout.ms"] = int(deliveryTimeout.Milliseconds())
	if _, set := cfg["linger.ms"]; !set {
		cfg["linger.ms"] = 5
	}
	if _, set := cfg["message.max.bytes"]; !set {
		cfg["message.max.bytes"] = MaxMessageBytes
	}
	if _, set := cfg["partitioner"]; !set {
		cfg["partitioner"] = defaultPartitioner
	}
	l := newLogs(log)
	cfg["go.logs.channel.enable"] = true
	cfg["go.logs.channel"] = l.channel
	// The binding makes room for a million each, 24 MiB, in a channel that nobody uses and in
	// one that is read all the time.
	cfg["go.produce.channel.size"], cfg["go.events.channel.size"] = 1, 1000
	p, err := kafka.NewProducer(&cfg)
	if err != nil {
		return nil, fmt.Errorf("the Kafka producer can't be made: %w; check Config.Kafka against librdkafka's CONFIGURATION.md", err)
	}
	admin, err := kafka.NewAdminClientFromProducer(p)
	if err != nil {
		p.Close()
		return nil, err
	}
	most, err := strconv.Atoi(fmt.Sprint(cfg["message.max.bytes"]))
	if err != nil {
		most = MaxMessageBytes // librdkafka has taken it, in whatever notation
	}
	out := &Producer{p: p, admin: admin, logs: l, clock: clock, spawn: spawn, maxBytes: most, partitions: map[string]partitionCount{}}
	spawn.Go("librdkafka log", l.run)
	spawn.Go("producer events", func() {
		for range p.Events() { // client-level errors repeat what the delivery reports say
		}
	})
	return out, nil
}

// isConsumerOnly names the consumer's properties that users commonly pass; a producer
// would log a warning for each.
func isConsumerOnly(k string) bool {
	switch k {
	case "session.timeout.ms", "heartbeat.interval.ms", "max.poll.interval.ms", "group.instance.id",
		"group.remote.assignor", "isolation.level", "check.crcs", "client.rack":
		return true
	}
	return strings.HasPrefix(k, "fetch.") || strings.HasPrefix(k, "queued.")
}

// Describe asks for a topic's identity.
func (p *Producer) Describe(ctx context.Context, topic string) (broker.Topic, error) {
	if err := p.gate.enter(); err != nil {
		return broker.Topic{}, err
	}
	defer p.gate.leave()
	return describe(ctx, p.admin, topic)
}

var errNoReport = errors.New("no delivery report came")

// Produce writes the messages and waits for their delivery reports.
func (p *Producer) Produce(ctx context.Context, messages []dlq.Message) []error {
	return p.all(ctx, len(messages), func(i int) (*kafka.Message, error) { return p.letter(ctx, &messages[i]) })
}

func deliveryError(err error) error {
	var ke kafka.Error
	if errors.As(err, &ke) && (ke.Code() == kafka.ErrMsgSizeTooLarge || ke.Code() == kafka.ErrRecordListTooLarge) {
		return fmt.Errorf("%w: %w", dlq.ErrTooLarge, err)
	}
	return err
}

func (p *Producer) letter(ctx context.Context, m *dlq.Message) (*kafka.Message, error) {
	n, err := p.count(ctx, m.Topic)
	if err != nil {
		return nil, err
	}
	out := &kafka.Message{
		TopicPartition: kafka.TopicPartition{Topic: &m.Topic, Partition: m.Partition(n)},
		Key:            m.Key, Value: m.Value, Timestamp: m.Timestamp,
	}
	for _, h := range m.Headers {
		out.Headers = append(out.Headers, kafka.Header{Key: h.Key, Value: h.Value})
	}
	return out, nil
}

// queueFullWait is between looks whether librdkafka's queue has room.
const queueFullWait = 10 * time.Millisecond

func (p *Producer) produce(m *kafka.Message, reports chan kafka.Event) error {
	if err := p.gate.enter(); err != nil {
		return err
	}
	defer p.gate.leave()
	return p.p.Produce(m, reports)
}

// count returns how many partitions a topic has, as of at most a minute ago.
func (p *Producer) count(ctx context.Context, topic string) (int32, error) {
	p.mu.Lock()
	c, ok := p.partitions[topic]
	p.mu.Unlock()
	if ok && p.clock.Now().Before(c.until) {
		return c.n, nil
	}
	t, err := p.Describe(ctx, topic)
	if err != nil {
		return 0, err
	}
	p.mu.Lock()
	p.partitions[topic] = partitionCount{n: t.Partitions, until: p.clock.Now().Add(time.Minute)}
	p.mu.Unlock()
	return t.Partitions, nil
}

// Close frees the producer; what has no report by then stays in the outbox. It is bounded
// by timeout.
func (p *Producer) Close(timeout time.Duration) error {
	done := make(chan struct{})
	p.spawn.Go("close producer", func() {
		p.gate.shut()
		_ = p.p.Purge(kafka.PurgeInFlight | kafka.PurgeQueue | kafka.PurgeNonBlocking)
		p.p.Close()
		p.logs.stop()
		close(done)
	})
	late, stop := p.clock.After(timeout)
	defer stop()
	select {
	case <-done:
		return nil
	case <-late:
		return errCloseTimeout
	}
}
