package kclient

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/internal/parts"
)

// partitioner takes a record's partition at its word; a negative one means the partition
// that Kafka's own producer would choose for the key.
type partitioner struct{}

func (partitioner) ForTopic(topic string) kgo.TopicPartitioner {
	return topicPartitioner{byKey: kgo.StickyKeyPartitioner(nil).ForTopic(topic)}
}

type topicPartitioner struct{ byKey kgo.TopicPartitioner }

// RequiresConsistency makes the client choose among all partitions, also those that have
// no leader at the moment.
func (topicPartitioner) RequiresConsistency(*kgo.Record) bool { return true }

func (p topicPartitioner) Partition(r *kgo.Record, n int) int {
	if r.Partition >= 0 {
		return int(r.Partition)
	}
	return p.byKey.Partition(r, n)
}

// Produce writes the records in their order, waits until all in-sync replicas have them
// and returns them with their offsets.
func (c *Client) Produce(ctx context.Context, records ...event.Record) ([]event.Record, error) {
	return produce(ctx, c.kgo, records)
}

// ProduceTransaction writes the records in a transaction of their own and commits or
// aborts it. Either leaves a control record behind in each partition, which takes an
// offset that no consumer is shown.
func (c *Client) ProduceTransaction(ctx context.Context, end kgo.TransactionEndTry, records ...event.Record) (_ []event.Record, err error) {
	client, err := kgo.NewClient(c.options(kgo.TransactionalID("evenkeel-" + rand.Text()))...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	if err := client.BeginTransaction(); err != nil {
		return nil, fmt.Errorf("begin transaction: %w", err)
	}
	written, err := produce(ctx, client, records)
	if err != nil {
		return nil, errors.Join(err, client.EndTransaction(ctx, kgo.TryAbort))
	}
	if err := client.EndTransaction(ctx, end); err != nil {
		return nil, fmt.Errorf("end transaction: %w", err)
	}
	for i := range written {
		if err := c.awaitStable(ctx, &written[i]); err != nil {
			return nil, err
		}
	}
	return written, nil
}

// awaitStable waits until the transaction that the record was written in is over for
// readers. Kafka answers the producer when the outcome is certain, and writes the control
// records that tell readers after that.
func (c *Client) awaitStable(ctx context.Context, r *event.Record) error {
	return parts.Until(ctx, pollInterval, func(ctx context.Context) (bool, error) {
		spans, err := c.Spans(ctx, r.Topic)
		if err != nil {
			return true, err
		}
		return spans[r.Partition].End > r.Offset, nil
	})
}

func produce(ctx context.Context, client *kgo.Client, records []event.Record) ([]event.Record, error) {
	out := make([]*kgo.Record, len(records))
	for i := range records {
		r := &records[i]
		out[i] = &kgo.Record{
			Topic: r.Topic, Partition: r.Partition, Timestamp: r.Timestamp, Key: r.Key, Value: r.Value,
		}
		for _, h := range r.Headers {
			out[i].Headers = append(out[i].Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
	}
	results := client.ProduceSync(ctx, out...)
	if err := results.FirstErr(); err != nil {
		return nil, fmt.Errorf("produce: %w", err)
	}
	written := make([]event.Record, len(records))
	for i, r := range out { // results come in the order of their delivery
		written[i] = records[i]
		written[i].Partition, written[i].Offset = r.Partition, r.Offset
		written[i].Timestamp = r.Timestamp.UTC()
		written[i].TimestampType = timestampType(r.Attrs)
	}
	return written, nil
}

func timestampType(a kgo.RecordAttrs) event.TimestampType {
	switch a.TimestampType() {
	case 0:
		return event.TimestampCreate
	case 1:
		return event.TimestampLogAppend
	default:
		return event.TimestampNone
	}
}
