package confluent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/internal/seam"
)

// silence is how long a topic that is read may give no sign of life.
const silence = 30 * time.Second

// ReadTopic gives do the records of a topic, one partition after the other, from the
// log's start to its end as it is when the partition's turn comes. It joins no group and
// commits nothing. It ends with do's error, ctx's, or the client's.
func ReadTopic(ctx context.Context, s Settings, topic string, clock seam.Clock, do func(*event.Record) error) (err error) {
	c, admin, done, err := newReading(s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	found, err := describe(ctx, admin, topic)
	if err != nil {
		return err
	}
	for n := range found.Partitions {
		tp := kafka.TopicPartition{Topic: &topic, Partition: n}
		low, high, err := c.QueryWatermarkOffsets(topic, n, int(callTimeout.Milliseconds()))
		if err != nil {
			return fmt.Errorf("asking for the bounds of %s/%d: %w", topic, n, err)
		}
		if low >= high {
			continue
		}
		tp.Offset = kafka.Offset(low)
		if err := c.Assign([]kafka.TopicPartition{tp}); err != nil {
			return fmt.Errorf("reading %s/%d: %w", topic, n, err)
		}
		err = readUntil(ctx, c, clock, high, func(r *event.Record) error {
			r.Cluster, r.TopicID = found.Cluster, found.ID
			return do(r)
		})
		if err != nil {
			return err
		}
		if err := c.Unassign(); err != nil {
			return fmt.Errorf("reading %s/%d: %w", topic, n, err)
		}
	}
	return nil
}

// newReading makes a consumer that joins no group, and its admin client; done ends both.
func newReading(s Settings) (c *kafka.Consumer, admin *kafka.AdminClient, done func() error, err error) {
	cfg := s.common()
	for k, v := range (kafka.ConfigMap{
		"group.id":             s.Group, // required, and not used
		"enable.auto.commit":   false,
		"enable.partition.eof": true,
		"auto.offset.reset":    "earliest", // retention may overtake a reader
		"log_level":            0,          // what matters comes back as an error
	}) {
		cfg[k] = v
	}
	if c, err = kafka.NewConsumer(&cfg); err != nil {
		return nil, nil, nil, fmt.Errorf("the Kafka consumer can't be made: %w; check the properties against librdkafka's CONFIGURATION.md", err)
	}
	if admin, err = kafka.NewAdminClientFromConsumer(c); err != nil {
		return nil, nil, nil, errors.Join(err, c.Close())
	}
	return c, admin, func() error {
		admin.Close()
		return c.Close()
	}, nil
}

// readUntil reads the assigned partition up to an offset, or to its end, which comes first
// when the last records are of an open transaction.
func readUntil(ctx context.Context, c *kafka.Consumer, clock seam.Clock, end int64, do func(*event.Record) error) error {
	last := clock.Now()
	var away error
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		switch e := c.Poll(100).(type) {
		case *kafka.Message:
			if e.TopicPartition.Error != nil {
				return fmt.Errorf("reading %v: %w", e.TopicPartition, e.TopicPartition.Error)
			}
			if int64(e.TopicPartition.Offset) >= end {
				return nil
			}
			if err := do(record(e)); err != nil {
				return err
			}
			if int64(e.TopicPartition.Offset) == end-1 {
				return nil
			}
			// What do did with it is not the broker's silence.
			last, away = clock.Now(), nil
		case kafka.PartitionEOF:
			return nil
		case kafka.Error:
			if p := failed(e); !p.Away && !p.Connection {
				return e
			}
			away = e
		}
		if clock.Now().Sub(last) > silence {
			return errors.Join(fmt.Errorf("nothing came from the brokers for %v", silence), away)
		}
	}
}
