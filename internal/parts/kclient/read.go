package kclient

import (
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/evenkeel-go/evenkeel/event"
)

// Span is what a partition's log holds: offsets from Start up to, not including, End.
type Span struct{ Start, End int64 }

// Spans returns the span of each partition of the topic, by partition. End is where a
// reader of committed records stops: an open transaction ends the span before it.
func (c *Client) Spans(ctx context.Context, topic string) ([]Span, error) {
	t, err := c.Topic(ctx, topic)
	if err != nil {
		return nil, err
	}
	if t == nil {
		return nil, fmt.Errorf("topic %s: %w", topic, kerr.UnknownTopicOrPartition)
	}
	spans := make([]Span, t.Partitions)
	const earliest, latest = -2, -1
	for _, ask := range []int64{earliest, latest} {
		req := kmsg.NewPtrListOffsetsRequest()
		req.IsolationLevel = 1 // committed
		rt := kmsg.NewListOffsetsRequestTopic()
		rt.Topic = topic
		for p := range spans {
			rp := kmsg.NewListOffsetsRequestTopicPartition()
			rp.Partition, rp.Timestamp = int32(p), ask
			rt.Partitions = append(rt.Partitions, rp)
		}
		req.Topics = append(req.Topics, rt)
		resp, err := req.RequestWith(ctx, c.kgo)
		if err != nil {
			return nil, fmt.Errorf("offsets of %s: %w", topic, err)
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return nil, fmt.Errorf("offsets of %s, partition %d: %w", topic, p.Partition, err)
				}
				if ask == earliest {
					spans[p.Partition].Start = p.Offset
				} else {
					spans[p.Partition].End = p.Offset
				}
			}
		}
	}
	return spans, nil
}

// Read returns all committed records that the topic holds at the time of the call, with
// full coordinates, ordered by partition and offset.
func (c *Client) Read(ctx context.Context, topic string) ([]event.Record, error) {
	spans, err := c.Spans(ctx, topic)
	if err != nil {
		return nil, err
	}
	described, err := c.Topic(ctx, topic)
	if err != nil {
		return nil, err
	}
	cluster, err := c.ClusterID(ctx)
	if err != nil {
		return nil, err
	}
	start := make(map[int32]kgo.Offset)
	for p, span := range spans {
		if span.Start < span.End {
			start[int32(p)] = kgo.NewOffset().At(span.Start)
		}
	}
	if len(start) == 0 {
		return nil, nil
	}
	client, err := kgo.NewClient(c.options(
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: start}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		// A log may end in one, and then no other record says that the end is reached.
		kgo.KeepControlRecords(),
	)...)
	if err != nil {
		return nil, err
	}
	defer client.Close()

	var records []event.Record
	for len(start) > 0 {
		fetches := client.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("reading %s: %w", topic, context.Cause(ctx))
		}
		if errs := fetches.Errors(); len(errs) > 0 {
			return nil, fmt.Errorf("reading %s: %w", topic, errs[0].Err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			end := spans[r.Partition].End
			if r.Offset >= end {
				return
			}
			if r.Offset == end-1 {
				delete(start, r.Partition)
			}
			if r.Attrs.IsControl() {
				return
			}
			records = append(records, record(r, cluster, described.ID))
		})
	}
	slices.SortFunc(records, func(a, b event.Record) int {
		if a.Partition != b.Partition {
			return int(a.Partition - b.Partition)
		}
		return int(a.Offset - b.Offset)
	})
	return records, nil
}

func record(r *kgo.Record, cluster, topicID string) event.Record {
	out := event.Record{
		Coordinates: event.Coordinates{
			Cluster: cluster, Topic: r.Topic, TopicID: topicID,
			Partition: r.Partition, Offset: r.Offset, LeaderEpoch: r.LeaderEpoch,
		},
		Key: r.Key, Value: r.Value,
		Timestamp: r.Timestamp.UTC(), TimestampType: timestampType(r.Attrs),
	}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, event.Header{Key: h.Key, Value: h.Value})
	}
	return out
}
