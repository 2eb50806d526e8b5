package confluent

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
)

// Readers are the consumer groups that have committed a position in a topic, by name. Groups that may not be looked at are left out; errors are ctx's or the client's.
func Readers(ctx context.Context, s Settings, topic string) (groups []string, err error) {
	c, admin, done, err := newReading(s)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, done()) }()
	about, err := c.GetMetadata(&topic, false, int(callTimeout.Milliseconds()))
	if err != nil {
		return nil, fmt.Errorf("asking for the partitions of %s: %w", topic, err)
	}
	var partitions []kafka.TopicPartition
	for _, p := range about.Topics[topic].Partitions {
		partitions = append(partitions, kafka.TopicPartition{Topic: &topic, Partition: p.ID})
	}
	if len(partitions) == 0 {
		return nil, nil
	}
	all, err := admin.ListConsumerGroups(ctx, kafka.SetAdminRequestTimeout(callTimeout))
	if err != nil {
		return nil, fmt.Errorf("asking for the consumer groups: %w", err)
	}
	for _, g := range all.Valid {
		// One group a request is all that the client takes.
		told, err := admin.ListConsumerGroupOffsets(ctx, []kafka.ConsumerGroupTopicPartitions{{Group: g.GroupID, Partitions: partitions}}, kafka.SetAdminRequestTimeout(callTimeout))
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			continue
		}
		for _, of := range told.ConsumerGroupsTopicPartitions {
			if slices.ContainsFunc(of.Partitions, func(p kafka.TopicPartition) bool { return p.Offset >= 0 }) {
				groups = append(groups, g.GroupID)
			}
		}
	}
	slices.Sort(groups)
	return slices.Compact(groups), nil
}
