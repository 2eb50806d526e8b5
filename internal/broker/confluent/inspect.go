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

// Inspection is what can be told of a topic without reading it.
type Inspection struct {
	Partitions int32
	// Records is how many offsets its logs span: after compaction, more than there are.
	Records int64
	// Earliest and Latest are the timestamps of the first and last records, zero for none.
	Earliest, Latest time.Time
	// Cleanup is the topic's cleanup.policy, empty where the broker doesn't tell it.
	Cleanup string
	// Newest is the last of the partitions' last records, nil for none.
	Newest *event.Record
}

var errSeen = errors.New("one record is enough")

// Inspect looks at a topic's bounds: of each partition it reads the first and the last record.
// It joins no group. Errors are a *broker.NoTopicError, ctx's, or the client's.
func Inspect(ctx context.Context, s Settings, topic string, clock seam.Clock) (in Inspection, err error) {
	c, admin, done, err := newReading(s)
	if err != nil {
		return in, err
	}
	defer func() { err = errors.Join(err, done()) }()
	found, err := describe(ctx, admin, topic)
	if err != nil {
		return in, err
	}
	in.Partitions = found.Partitions
	if in.Cleanup, err = setting(ctx, admin, topic, cleanupPolicy); err != nil && !errors.Is(err, errNoSetting) {
		// Who may read a topic need not be allowed to see its settings.
		if ctx.Err() != nil {
			return in, err
		}
	}
	for n := range found.Partitions {
		low, high, err := c.QueryWatermarkOffsets(topic, n, int(callTimeout.Milliseconds()))
		if err != nil {
			return in, fmt.Errorf("asking for the bounds of %s/%d: %w", topic, n, err)
		}
		in.Records += high - low
		first, err := ends(ctx, c, topic, n, low, high, clock, true)
		if err != nil {
			return in, err
		}
		// Markers of transactions and what was compacted away leave holes at the end.
		var last *event.Record
		for back := int64(1); first != nil && last == nil; back *= 16 {
			if last, err = ends(ctx, c, topic, n, max(low, high-back), high, clock, false); err != nil {
				return in, err
			}
		}
		if first == nil {
			continue
		}
		if in.Earliest.IsZero() || first.Timestamp.Before(in.Earliest) {
			in.Earliest = first.Timestamp
		}
		if in.Newest == nil || last.Timestamp.After(in.Newest.Timestamp) {
			in.Newest, in.Latest = last, last.Timestamp
		}
	}
	if in.Newest != nil {
		in.Newest.Cluster, in.Newest.TopicID = found.Cluster, found.ID
	}
	return in, nil
}

// ends returns the first record at or after an offset, or the last one; nil for none.
func ends(ctx context.Context, c *kafka.Consumer, topic string, n int32, from, high int64, clock seam.Clock, first bool) (found *event.Record, err error) {
	if from >= high {
		return nil, nil //nolint:nilnil // as documented
	}
	if err := c.Assign([]kafka.TopicPartition{{Topic: &topic, Partition: n, Offset: kafka.Offset(from)}}); err != nil {
		return nil, fmt.Errorf("reading %s/%d: %w", topic, n, err)
	}
	err = readUntil(ctx, c, clock, high, func(r *event.Record) error {
		if found = r; first {
			return errSeen
		}
		return nil
	})
	if err != nil && !errors.Is(err, errSeen) {
		return nil, err
	}
	if err := c.Unassign(); err != nil {
		return nil, fmt.Errorf("reading %s/%d: %w", topic, n, err)
	}
	return found, nil
}

// Follow gives do the records of a topic as they come, until ctx ends: first those since a
// time, or without one the last of each partition. Those of a partition come in their order. It
// joins no group and commits nothing, and outlives brokers that are away. Errors are do's, a
// *broker.NoTopicError, or the client's; that ctx has ended is none.
func Follow(ctx context.Context, s Settings, topic string, since time.Time, last int64, do func(*event.Record) error) (err error) {
	c, admin, done, err := newReading(s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	found, err := describe(ctx, admin, topic)
	if err != nil {
		return err
	}
	var at []kafka.TopicPartition
	for n := range found.Partitions {
		low, high, err := c.QueryWatermarkOffsets(topic, n, int(callTimeout.Milliseconds()))
		if err != nil {
			return fmt.Errorf("asking for the bounds of %s/%d: %w", topic, n, err)
		}
		from := max(low, high-last)
		if !since.IsZero() {
			asked, err := c.OffsetsForTimes([]kafka.TopicPartition{{Topic: &topic, Partition: n, Offset: kafka.Offset(since.UnixMilli())}}, int(callTimeout.Milliseconds()))
			if err != nil {
				return fmt.Errorf("asking %s/%d for its offset at %s: %w", topic, n, since.UTC().Format(time.RFC3339), err)
			}
			if from = int64(asked[0].Offset); from < 0 {
				from = high
			}
		}
		at = append(at, kafka.TopicPartition{Topic: &topic, Partition: n, Offset: kafka.Offset(from)})
	}
	if err := c.Assign(at); err != nil {
		return fmt.Errorf("reading %s: %w", topic, err)
	}
	for ctx.Err() == nil {
		switch e := c.Poll(100).(type) {
		case *kafka.Message:
			if e.TopicPartition.Error != nil {
				return fmt.Errorf("reading %v: %w", e.TopicPartition, e.TopicPartition.Error)
			}
			r := record(e)
			r.Cluster, r.TopicID = found.Cluster, found.ID
			if err := do(r); err != nil {
				return err
			}
		case kafka.Error:
			if p := failed(e); !p.Away && !p.Connection {
				return e
			}
		}
	}
	return nil
}
