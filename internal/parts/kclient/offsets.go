package kclient

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Committed is a group's committed offset in one partition.
type Committed struct {
	// Offset is the next offset to read, or -1 if nothing is committed.
	Offset int64
	// Metadata is what was committed with it.
	Metadata string
}

// Committed returns what the group has committed for the partition.
func (c *Client) Committed(ctx context.Context, group, topic string, partition int32) (Committed, error) {
	req := kmsg.NewPtrOffsetFetchRequest()
	req.RequireStable = true
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = group
	t := kmsg.NewOffsetFetchRequestGroupTopic()
	t.Topic, t.Partitions = topic, []int32{partition}
	described, err := c.metadata(ctx, topic)
	if err != nil {
		return Committed{}, err
	}
	if len(described.Topics) == 1 {
		t.TopicID = described.Topics[0].TopicID // newer brokers are asked by id
	}
	g.Topics = append(g.Topics, t)
	req.Groups = append(req.Groups, g)
	resp, err := req.RequestWith(ctx, c.kgo)
	if err != nil {
		return Committed{}, fmt.Errorf("committed offset of %s: %w", group, err)
	}
	for _, g := range resp.Groups {
		err := kerr.ErrorForCode(g.ErrorCode)
		if errors.Is(err, kerr.GroupIDNotFound) { // kfake; Kafka says -1 for each partition
			return Committed{Offset: -1}, nil
		}
		if err != nil {
			return Committed{}, fmt.Errorf("committed offset of %s: %w", group, err)
		}
		for _, t := range g.Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return Committed{}, fmt.Errorf("committed offset of %s in %s: %w", group, topic, err)
				}
				out := Committed{Offset: p.Offset}
				if p.Metadata != nil {
					out.Metadata = *p.Metadata
				}
				return out, nil
			}
		}
	}
	return Committed{Offset: -1}, nil
}

// Commit sets the group's offset as somebody outside the group does; the group must have
// no members. With metadata "" it does what Kafka's kafka-consumer-groups --reset-offsets
// does.
func (c *Client) Commit(ctx context.Context, group, topic string, partition int32, offset int64, metadata string) error {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation = group, -1
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic = topic
	described, err := c.metadata(ctx, topic)
	if err != nil {
		return err
	}
	if len(described.Topics) == 1 {
		t.TopicID = described.Topics[0].TopicID
	}
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Partition, p.Offset, p.Metadata = partition, offset, kmsg.StringPtr(metadata)
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, c.kgo)
	if err != nil {
		return fmt.Errorf("commit offset of %s: %w", group, err)
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return fmt.Errorf("commit offset of %s in %s: %w", group, topic, err)
			}
		}
	}
	return nil
}
