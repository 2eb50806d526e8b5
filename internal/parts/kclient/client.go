// Package kclient is a small Kafka client for tests and tools: it does what an operator
// or another service would do, synchronously, and is itself not under test. It shares
// nothing with the client that the framework uses, so that the two can't be wrong alike.
package kclient

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/evenkeel-go/evenkeel/internal/parts"
)

// pollInterval is how often the broker is asked whether what it accepted is done.
const pollInterval = 5 * time.Millisecond

// Client talks to one cluster. It is safe for concurrent use.
type Client struct {
	brokers []string
	kgo     *kgo.Client
}

// New makes a client for the comma-separated brokers. It connects when it is first used.
func New(brokers string) (*Client, error) {
	c := &Client{brokers: strings.Split(brokers, ",")}
	var err error
	c.kgo, err = kgo.NewClient(c.options()...)
	return c, err
}

func (c *Client) options(more ...kgo.Opt) []kgo.Opt {
	return append([]kgo.Opt{
		kgo.SeedBrokers(c.brokers...),
		// Topics come and go in tests; the defaults would wait seconds to see it.
		kgo.MetadataMinAge(10 * time.Millisecond),
		kgo.UnknownTopicRetries(100),
		kgo.RecordPartitioner(partitioner{}),
		kgo.ProducerLinger(0),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }),
	}, more...)
}

// Close closes the client's connections.
func (c *Client) Close() { c.kgo.Close() }

// Nodes is how many brokers the cluster has now.
func (c *Client) Nodes(ctx context.Context) (int, error) {
	resp, err := c.metadata(ctx)
	if err != nil {
		return 0, err
	}
	return len(resp.Brokers), nil
}

// ClusterID is the cluster's id, as the broker writes it.
func (c *Client) ClusterID(ctx context.Context) (string, error) {
	resp, err := c.metadata(ctx)
	if err != nil {
		return "", err
	}
	if resp.ClusterID == nil {
		return "", errors.New("the broker tells no cluster id")
	}
	return *resp.ClusterID, nil
}

func (c *Client) metadata(ctx context.Context, topics ...string) (*kmsg.MetadataResponse, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{}
	for _, topic := range topics {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(topic)
		req.Topics = append(req.Topics, t)
	}
	return req.RequestWith(ctx, c.kgo)
}

// Warm makes a fresh cluster do what takes seconds the first time only: it looks for the
// coordinators of a group and of a transaction and begins a transaction's producer. It is
// tried again until it succeeds.
func (c *Client) Warm(ctx context.Context) error {
	const name = "evenkeel-warm"
	fetch := kmsg.NewPtrOffsetFetchRequest()
	group := kmsg.NewOffsetFetchRequestGroup()
	group.Group = name
	fetch.Groups = append(fetch.Groups, group)
	fetched, err := fetch.RequestWith(ctx, c.kgo)
	if err != nil {
		return err
	}
	for _, g := range fetched.Groups {
		if err := kerr.ErrorForCode(g.ErrorCode); err != nil {
			return err
		}
	}
	init := kmsg.NewPtrInitProducerIDRequest()
	init.TransactionalID = kmsg.StringPtr(name)
	init.TransactionTimeoutMillis = 10_000
	begun, err := init.RequestWith(ctx, c.kgo)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(begun.ErrorCode)
}

// Topic is what a cluster says about one of its topics.
type Topic struct {
	// ID is the topic's id as Kafka writes it, another one for each incarnation.
	ID string
	// Partitions is how many there are.
	Partitions int
}

// Topic describes a topic, and is nil if there is none of this name.
func (c *Client) Topic(ctx context.Context, name string) (*Topic, error) {
	resp, err := c.metadata(ctx, name)
	if err != nil {
		return nil, err
	}
	if len(resp.Topics) != 1 {
		return nil, fmt.Errorf("asked for one topic, was told of %d", len(resp.Topics))
	}
	t := resp.Topics[0]
	switch err := kerr.ErrorForCode(t.ErrorCode); {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return nil, nil //nolint:nilnil // the doc comment says so
	case err != nil:
		return nil, fmt.Errorf("topic %s: %w", name, err)
	}
	for _, p := range t.Partitions {
		if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
			return nil, fmt.Errorf("topic %s, partition %d: %w", name, p.Partition, err)
		}
	}
	return &Topic{ID: base64.RawURLEncoding.EncodeToString(t.TopicID[:]), Partitions: len(t.Partitions)}, nil
}

// CreateTopic makes a topic with the cluster's default of replicas and returns when
// clients can see it. The settings are topic settings such as cleanup.policy.
func (c *Client) CreateTopic(ctx context.Context, name string, partitions int, settings map[string]string) error {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 30_000
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, int32(partitions), -1 //nolint:gosec // G115: a test's number
	for key, value := range settings {
		s := kmsg.NewCreateTopicsRequestTopicConfig()
		s.Name, s.Value = key, kmsg.StringPtr(value)
		t.Configs = append(t.Configs, s)
	}
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, c.kgo)
	if err != nil {
		return fmt.Errorf("create topic %s: %w", name, err)
	}
	for _, t := range resp.Topics {
		if err := answer(t.ErrorCode, t.ErrorMessage); err != nil {
			return fmt.Errorf("create topic %s: %w", name, err)
		}
	}
	return c.awaitPartitions(ctx, name, partitions)
}

// AddPartitions raises a topic's number of partitions to total and returns when clients
// can see it.
func (c *Client) AddPartitions(ctx context.Context, name string, total int) error {
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.TimeoutMillis = 30_000
	t := kmsg.NewCreatePartitionsRequestTopic()
	t.Topic, t.Count = name, int32(total) //nolint:gosec // G115: a test's number
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, c.kgo)
	if err != nil {
		return fmt.Errorf("add partitions to %s: %w", name, err)
	}
	for _, t := range resp.Topics {
		if err := answer(t.ErrorCode, t.ErrorMessage); err != nil {
			return fmt.Errorf("add partitions to %s: %w", name, err)
		}
	}
	return c.awaitPartitions(ctx, name, total)
}

func (c *Client) awaitPartitions(ctx context.Context, name string, partitions int) error {
	err := parts.Until(ctx, pollInterval, func(ctx context.Context) (bool, error) {
		t, err := c.Topic(ctx, name)
		return err == nil && t != nil && t.Partitions == partitions, err
	})
	c.kgo.PurgeTopicsFromClient(name) // what this client remembers of it is old
	return err
}

// DeleteTopic deletes a topic and returns when clients no longer see it. That there is no
// such topic is no error.
func (c *Client) DeleteTopic(ctx context.Context, name string) error {
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TimeoutMillis = 30_000
	req.TopicNames = []string{name}
	t := kmsg.NewDeleteTopicsRequestTopic()
	t.Topic = kmsg.StringPtr(name)
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, c.kgo)
	if err != nil {
		return fmt.Errorf("delete topic %s: %w", name, err)
	}
	for _, t := range resp.Topics {
		err := answer(t.ErrorCode, t.ErrorMessage)
		if err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
			return fmt.Errorf("delete topic %s: %w", name, err)
		}
	}
	err = parts.Until(ctx, pollInterval, func(ctx context.Context) (bool, error) {
		t, err := c.Topic(ctx, name)
		return err == nil && t == nil, err
	})
	c.kgo.PurgeTopicsFromClient(name)
	return err
}

// DeleteRecords moves the start of a partition's log to the offset, as retention does.
func (c *Client) DeleteRecords(ctx context.Context, topic string, partition int32, before int64) error {
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.TimeoutMillis = 30_000
	t := kmsg.NewDeleteRecordsRequestTopic()
	t.Topic = topic
	p := kmsg.NewDeleteRecordsRequestTopicPartition()
	p.Partition, p.Offset = partition, before
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	resp, err := req.RequestWith(ctx, c.kgo)
	if err != nil {
		return fmt.Errorf("delete records of %s: %w", topic, err)
	}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return fmt.Errorf("delete records of %s: %w", topic, err)
			}
		}
	}
	return nil
}

func answer(code int16, message *string) error {
	err := kerr.ErrorForCode(code)
	if err != nil && message != nil && *message != "" {
		return fmt.Errorf("%w (%s)", err, *message)
	}
	return err
}
