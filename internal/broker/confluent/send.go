package confluent

import (
	"context"
	"errors"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"github.com/evenkeel-go/evenkeel/internal/broker"
)

var _ broker.Sender = (*Producer)(nil)

// defaultPartitioner is that of Kafka's own client, so that an entity's events share a
// partition whoever sends them. librdkafka's own default hashes otherwise.
const defaultPartitioner = "murmur2_random"

// Send is broker.Sender's.
func (p *Producer) Send(ctx context.Context, messages []broker.Message) []error {
	missing := map[string]error{} // asked once per topic, and not per message
	return p.all(ctx, len(messages), func(i int) (*kafka.Message, error) {
		m := &messages[i]
		err, asked := missing[m.Topic]
		if !asked {
			// librdkafka itself would wait long for a topic that there is not, or make it.
			_, err = p.count(ctx, m.Topic)
			missing[m.Topic] = err
		}
		if err != nil {
			return nil, err
		}
		out := &kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &m.Topic, Partition: kafka.PartitionAny}, Key: m.Key, Value: m.Value, Timestamp: m.Timestamp}
		for _, h := range m.Headers {
			out.Headers = append(out.Headers, kafka.Header{Key: h.Key, Value: h.Value})
		}
		return out, nil
	})
}

// all writes n messages and waits for their delivery reports.
func (p *Producer) all(ctx context.Context, n int, message func(i int) (*kafka.Message, error)) []error {
	errs := make([]error, n)
	reports := make(chan kafka.Event, n)
	sent := 0
	for i := range n {
		m, err := message(i)
		if err == nil {
			m.Opaque = i
			err = p.enqueue(ctx, m, reports)
		}
		if err != nil {
			errs[i] = err
			continue
		}
		errs[i] = errNoReport
		sent++
	}
	for range sent {
		select {
		case ev := <-reports:
			m, ok := ev.(*kafka.Message)
			if !ok {
				continue
			}
			i, _ := m.Opaque.(int)
			errs[i] = deliveryError(m.TopicPartition.Error)
		case <-ctx.Done():
			return errs
		}
	}
	return errs
}

// enqueue hands a message to librdkafka, waiting for room.
func (p *Producer) enqueue(ctx context.Context, m *kafka.Message, reports chan kafka.Event) error {
	for {
		err := p.produce(m, reports)
		var ke kafka.Error
		if errors.As(err, &ke) && ke.Code() == kafka.ErrQueueFull {
			if err := p.clock.Sleep(ctx, queueFullWait); err != nil {
				return err
			}
			continue
		}
		return deliveryError(err)
	}
}
