package stage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/testutil/oracle"
)

// kafkaTimeout bounds what a broker needs for one answer.
const kafkaTimeout = 30 * time.Second

// cluster is the stage's own way to Kafka: what an operator and a producer do.
type cluster struct {
	brokers string
	admin   *kafka.AdminClient
}

// quiet keeps librdkafka from writing to stderr: the result line must be the last.
func quiet(config kafka.ConfigMap) *kafka.ConfigMap {
	config["log_level"] = 0
	return &config
}

func connect(ctx context.Context, brokers string) (*cluster, error) {
	admin, err := kafka.NewAdminClient(quiet(kafka.ConfigMap{"bootstrap.servers": brokers}))
	if err != nil {
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, kafkaTimeout)
	defer cancel()
	if _, err := admin.ClusterID(ctx); err != nil {
		admin.Close()
		return nil, fmt.Errorf("kafka at %s does not answer: %w; is it running, and is --brokers its address?", brokers, err)
	}
	return &cluster{brokers: brokers, admin: admin}, nil
}

func (c *cluster) close() { c.admin.Close() }

// create makes topics and returns those that it made.
func (c *cluster) create(ctx context.Context, partitions int, topics ...string) (made []string, err error) {
	specs := make([]kafka.TopicSpecification, len(topics))
	for i, t := range topics {
		specs[i] = kafka.TopicSpecification{Topic: t, NumPartitions: partitions, ReplicationFactor: 1}
	}
	results, err := c.admin.CreateTopics(ctx, specs, kafka.SetAdminOperationTimeout(kafkaTimeout))
	if err != nil {
		return nil, fmt.Errorf("create topics: %w", err)
	}
	for _, r := range results {
		if r.Error.Code() == kafka.ErrNoError {
			made = append(made, r.Topic)
		}
	}
	for _, r := range results {
		if r.Error.Code() == kafka.ErrTopicAlreadyExists {
			return made, &flagError{"topic", "the topic " + r.Topic + ", which is there already", "a name of its own for this run", "leave --topic out, or delete the topic"}
		}
		if r.Error.Code() != kafka.ErrNoError {
			return made, fmt.Errorf("create topic %s: %w", r.Topic, r.Error)
		}
	}
	return made, nil
}

// remove deletes topics and groups; what is not there is as it should be.
func (c *cluster) remove(ctx context.Context, topics, groups []string) error {
	var errs []error
	found, err := c.admin.DeleteTopics(ctx, topics, kafka.SetAdminOperationTimeout(kafkaTimeout))
	errs = append(errs, err)
	for _, r := range found {
		if code := r.Error.Code(); code != kafka.ErrNoError && code != kafka.ErrUnknownTopicOrPart && code != kafka.ErrUnknownTopic {
			errs = append(errs, fmt.Errorf("delete topic %s: %w", r.Topic, r.Error))
		}
	}
	if len(groups) == 0 {
		return errors.Join(errs...)
	}
	gone, err := c.admin.DeleteConsumerGroups(ctx, groups, kafka.SetAdminRequestTimeout(kafkaTimeout))
	errs = append(errs, err)
	for _, r := range gone.ConsumerGroupResults {
		if code := r.Error.Code(); code != kafka.ErrNoError && code != kafka.ErrGroupIDNotFound {
			errs = append(errs, fmt.Errorf("delete group %s: %w", r.Group, r.Error))
		}
	}
	return errors.Join(errs...)
}

// produce writes the messages in their order and waits for the broker's word on each.
func (c *cluster) produce(ctx context.Context, messages []message) error {
	p, err := kafka.NewProducer(quiet(kafka.ConfigMap{
		"bootstrap.servers": c.brokers, "enable.idempotence": true, "linger.ms": 5,
		"queue.buffering.max.messages": len(messages) + 1, "go.logs.channel.enable": false,
	}))
	if err != nil {
		return fmt.Errorf("producer: %w", err)
	}
	defer p.Close()
	header := []kafka.Header{{Key: "content-type", Value: []byte("application/cloudevents+json")}}
	reports := make(chan kafka.Event, len(messages))
	for _, m := range messages {
		err := p.Produce(&kafka.Message{
			TopicPartition: kafka.TopicPartition{Topic: &m.topic, Partition: m.part},
			Key:            []byte(m.key), Value: m.value, Headers: header,
		}, reports)
		if err != nil {
			return fmt.Errorf("produce: %w", err)
		}
	}
	for range messages {
		select {
		case e := <-reports:
			if m, ok := e.(*kafka.Message); ok && m.TopicPartition.Error != nil {
				return fmt.Errorf("produce: %w", m.TopicPartition.Error)
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// places are the partitions of topics, and an offset in each.
type places map[oracle.Partition]int64

// of are those of one topic.
func (p places) of(topic string) places {
	out := places{}
	for at, offset := range p {
		if at.Topic == topic {
			out[at] = offset
		}
	}
	return out
}

func (p places) topics() []string {
	names := map[string]bool{}
	for at := range p {
		names[at.Topic] = true
	}
	return slices.Sorted(maps.Keys(names))
}

func (p places) sum() (n int64) {
	for _, offset := range p {
		n += offset
	}
	return n
}

// ends are the offsets after the last record.
func (c *cluster) ends(ctx context.Context, partitions int, topics ...string) (places, error) {
	ask := map[kafka.TopicPartition]kafka.OffsetSpec{}
	for _, topic := range topics {
		for p := range partitions {
			ask[kafka.TopicPartition{Topic: &topic, Partition: int32(p)}] = kafka.LatestOffsetSpec
		}
	}
	result, err := c.admin.ListOffsets(ctx, ask, kafka.SetAdminRequestTimeout(kafkaTimeout))
	if err != nil {
		return nil, fmt.Errorf("list offsets: %w", err)
	}
	ends := places{}
	for tp, info := range result.ResultInfos {
		if info.Error.Code() != kafka.ErrNoError {
			return nil, fmt.Errorf("list offsets of %s/%d: %w", *tp.Topic, tp.Partition, info.Error)
		}
		ends[oracle.Partition{Topic: *tp.Topic, Partition: tp.Partition}] = int64(info.Offset)
	}
	return ends, nil
}

// committed are the group's offsets; partitions without one are left out.
func (c *cluster) committed(ctx context.Context, group string, of places) (places, error) {
	ask := make([]kafka.TopicPartition, 0, len(of))
	for at := range of {
		ask = append(ask, kafka.TopicPartition{Topic: &at.Topic, Partition: at.Partition})
	}
	result, err := c.admin.ListConsumerGroupOffsets(ctx, []kafka.ConsumerGroupTopicPartitions{{Group: group, Partitions: ask}}, kafka.SetAdminRequestTimeout(kafkaTimeout))
	if err != nil {
		return nil, fmt.Errorf("list the offsets of group %s: %w", group, err)
	}
	offsets := places{}
	for _, g := range result.ConsumerGroupsTopicPartitions {
		for _, tp := range g.Partitions {
			if tp.Error == nil && tp.Offset >= 0 {
				offsets[oracle.Partition{Topic: *tp.Topic, Partition: tp.Partition}] = int64(tp.Offset)
			}
		}
	}
	return offsets, nil
}

// read returns all records before the ends, byte for byte, outside of any group.
func (c *cluster) read(ctx context.Context, ends places) ([]event.Record, error) {
	consumer, err := kafka.NewConsumer(quiet(kafka.ConfigMap{
		"bootstrap.servers": c.brokers, "group.id": "evenkeel-demo-reader", "enable.auto.commit": false,
		"fetch.queue.backoff.ms": 10,
	}))
	if err != nil {
		return nil, fmt.Errorf("reader: %w", err)
	}
	defer consumer.Close() //nolint:errcheck // it has committed nothing
	var from []kafka.TopicPartition
	left := ends.sum()
	for at, end := range ends {
		if end > 0 {
			from = append(from, kafka.TopicPartition{Topic: &at.Topic, Partition: at.Partition, Offset: 0})
		}
	}
	if err := consumer.Assign(from); err != nil {
		return nil, fmt.Errorf("reader: %w", err)
	}
	records := make([]event.Record, 0, left)
	quietSince := now()
	for left > 0 {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		m, ok := consumer.Poll(100).(*kafka.Message)
		if !ok || m.TopicPartition.Error != nil {
			if since(quietSince) > kafkaTimeout {
				return nil, fmt.Errorf("%d records of the log could not be read", left)
			}
			continue
		}
		quietSince = now()
		left--
		records = append(records, recordOf(m))
	}
	return records, nil
}

func recordOf(m *kafka.Message) event.Record {
	r := event.Record{
		Coordinates: event.Coordinates{Topic: *m.TopicPartition.Topic, Partition: m.TopicPartition.Partition, Offset: int64(m.TopicPartition.Offset)},
		Key:         m.Key, Value: m.Value, Timestamp: m.Timestamp, TimestampType: event.TimestampCreate,
	}
	for _, h := range m.Headers {
		r.Headers = append(r.Headers, event.Header{Key: h.Key, Value: h.Value})
	}
	if m.TimestampType == kafka.TimestampLogAppendTime {
		r.TimestampType = event.TimestampLogAppend
	}
	return r
}

// positions puts together what the ledger and Kafka say.
func positions(ledger []oracle.Position, committed, ends places) []oracle.Position {
	for i := range ledger {
		at := &ledger[i]
		at.End = ends[at.Partition]
		if offset, ok := committed[at.Partition]; ok {
			at.Committed = offset
		}
	}
	return ledger
}
