// Package confluent talks to Kafka through librdkafka.
package confluent

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/internal/broker"
	"github.com/evenkeel-go/evenkeel/internal/seam"
)

// callTimeout bounds single requests to a broker.
const callTimeout = 10 * time.Second

// Consumer is a broker.Consumer over librdkafka.
type Consumer struct {
	c       *kafka.Consumer
	admin   *kafka.AdminClient
	logs    *logs
	clock   seam.Clock
	group   *seam.Group
	closing atomic.Bool
	gate    gate
	// committing holds a token while a commit is under way.
	committing chan struct{}

	// mu is held while the assignment changes: a lane that takes its partition up again
	// (Start) must not do so after it was revoked.
	mu    sync.Mutex
	owned map[broker.Partition]bool
}

var (
	_ broker.Consumer = (*Consumer)(nil)
	_ broker.Reader   = (*Consumer)(nil)
)

// NewConsumer makes a group member that has not yet joined. spawn owns the goroutine that
// reads librdkafka's log.
func NewConsumer(s Settings, clock seam.Clock, spawn *seam.Group, log LogFunc) (*Consumer, error) {
	cfg := s.common()
	own := kafka.ConfigMap{
		"group.id":                   s.Group,
		"enable.auto.commit":         false,
		"enable.auto.offset.store":   false,
		"auto.offset.reset":          "error", // where to start is the ledger's decision (R17)
		"enable.partition.eof":       true,    // holes at the end of a log move the position too
		"group.protocol":             s.Protocol,
		"fetch.queue.backoff.ms":     10, // at its default of 1 s a fast consumer starves between fetches
		"queued.max.messages.kbytes": 16384,
	}
	if s.Protocol == "classic" {
		own["partition.assignment.strategy"] = "cooperative-sticky"
	}
	for k, v := range own {
		if _, set := cfg[k]; set && !isOwned(k) {
			continue
		}
		cfg[k] = v
	}
	l := newLogs(log)
	cfg["go.logs.channel.enable"] = true
	cfg["go.logs.channel"] = l.channel
	c, err := kafka.NewConsumer(&cfg)
	if err != nil {
		return nil, fmt.Errorf("the Kafka consumer can't be made: %w; check Config.Kafka against librdkafka's CONFIGURATION.md", err)
	}
	admin, err := kafka.NewAdminClientFromConsumer(c)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	spawn.Go("librdkafka log", l.run)
	return &Consumer{
		c: c, admin: admin, logs: l, clock: clock, group: spawn,
		committing: make(chan struct{}, 1), owned: map[broker.Partition]bool{},
	}, nil
}

// Subscribe joins the group.
func (c *Consumer) Subscribe(topics []string, r broker.Rebalance) error {
	return c.c.SubscribeTopics(topics, func(_ *kafka.Consumer, ev kafka.Event) error {
		switch e := ev.(type) {
		case kafka.AssignedPartitions:
			return c.assigned(e.Partitions, r)
		case kafka.RevokedPartitions:
			return c.revoked(e.Partitions, r)
		}
		return nil
	})
}

// Assign is broker.Reader's. A consumer that has subscribed must not call it.
func (c *Consumer) Assign(at []broker.Offset) error {
	tps := make([]kafka.TopicPartition, len(at))
	for i := range at {
		tps[i] = topicPartition(at[i].Partition)
		tps[i].Offset = kafka.Offset(at[i].Next)
	}
	return c.c.Assign(tps)
}

// assigned takes the partitions at offset 0 and paused, so that nothing is fetched before
// the lane has found its position and calls Start. What gets through all the same is below
// that position and dropped, or out of range and sought again. It must not be a logical
// offset such as the log's end: librdkafka asks the broker for that one, and an answer that
// comes after the seek of Start wins over it, so that the records between are never read.
func (c *Consumer) assigned(tps []kafka.TopicPartition, r broker.Rebalance) error {
	at := make([]kafka.TopicPartition, len(tps))
	for i, tp := range tps {
		at[i] = kafka.TopicPartition{Topic: tp.Topic, Partition: tp.Partition, Offset: 0}
	}
	c.mu.Lock()
	err := c.c.IncrementalAssign(at)
	if err == nil {
		for _, p := range partitions(tps) {
			c.owned[p] = true
		}
	}
	c.mu.Unlock()
	if err != nil {
		return err
	}
	if c.closing.Load() || len(tps) == 0 {
		return nil
	}
	if err := c.c.Pause(at); err != nil {
		return err
	}
	r.Assigned(partitions(tps))
	return nil
}

func (c *Consumer) revoked(tps []kafka.TopicPartition, r broker.Rebalance) error {
	if len(tps) > 0 {
		if c.c.AssignmentLost() {
			r.Lost(partitions(tps))
		} else {
			r.Revoked(partitions(tps))
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range partitions(tps) {
		delete(c.owned, p)
	}
	return c.c.IncrementalUnassign(tps)
}

func partitions(tps []kafka.TopicPartition) []broker.Partition {
	ps := make([]broker.Partition, len(tps))
	for i, tp := range tps {
		ps[i] = broker.Partition{Topic: *tp.Topic, Number: tp.Partition}
	}
	return ps
}

// Poll returns the next record or event.
func (c *Consumer) Poll(timeout time.Duration) broker.Polled {
	switch e := c.c.Poll(int(timeout.Milliseconds())).(type) {
	case *kafka.Message:
		if e.TopicPartition.Error != nil {
			return failed(e.TopicPartition.Error)
		}
		return broker.Polled{Record: record(e)}
	case kafka.PartitionEOF:
		tp := kafka.TopicPartition(e)
		return broker.Polled{End: &broker.Offset{
			Partition: broker.Partition{Topic: *tp.Topic, Number: tp.Partition}, Next: int64(tp.Offset),
		}}
	case kafka.Error:
		return failed(e)
	}
	return broker.Polled{}
}

func failed(err error) broker.Polled {
	p := broker.Polled{Err: err}
	var ke kafka.Error
	if !errors.As(err, &ke) {
		return p
	}
	p.Fatal = ke.IsFatal()
	switch ke.Code() {
	case kafka.ErrAutoOffsetReset, kafka.ErrOffsetOutOfRange:
		p.OutOfRange = true
	case kafka.ErrAllBrokersDown:
		p.Away = true
	case kafka.ErrTransport, kafka.ErrResolve, kafka.ErrTimedOut:
		p.Connection = true
	default:
	}
	return p
}

func record(m *kafka.Message) *event.Record {
	r := &event.Record{
		Coordinates: event.Coordinates{
			Topic: *m.TopicPartition.Topic, Partition: m.TopicPartition.Partition,
			Offset: int64(m.TopicPartition.Offset), LeaderEpoch: -1,
		},
		Key: m.Key, Value: m.Value,
	}
	if m.TopicPartition.LeaderEpoch != nil {
		r.LeaderEpoch = *m.TopicPartition.LeaderEpoch
	}
	switch m.TimestampType {
	case kafka.TimestampCreateTime:
		r.TimestampType, r.Timestamp = event.TimestampCreate, m.Timestamp.UTC()
	case kafka.TimestampLogAppendTime:
		r.TimestampType, r.Timestamp = event.TimestampLogAppend, m.Timestamp.UTC()
	default:
	}
	if len(m.Headers) > 0 {
		r.Headers = make([]event.Header, len(m.Headers))
		for i, h := range m.Headers {
			r.Headers[i] = event.Header{Key: h.Key, Value: h.Value}
		}
	}
	return r
}

// Describe asks for the topic's identity.
func (c *Consumer) Describe(ctx context.Context, topic string) (broker.Topic, error) {
	if err := c.gate.enter(); err != nil {
		return broker.Topic{}, err
	}
	defer c.gate.leave()
	return describe(ctx, c.admin, topic)
}

func describe(ctx context.Context, admin *kafka.AdminClient, topic string) (broker.Topic, error) {
	cluster, err := admin.DescribeCluster(ctx, kafka.SetAdminRequestTimeout(callTimeout))
	if err != nil {
		return broker.Topic{}, fmt.Errorf("asking for the cluster's id: %w", err)
	}
	res, err := admin.DescribeTopics(ctx, kafka.NewTopicCollectionOfTopicNames([]string{topic}), kafka.SetAdminRequestTimeout(callTimeout))
	if err != nil {
		return broker.Topic{}, fmt.Errorf("asking for the topic %s: %w", topic, err)
	}
	t := broker.Topic{}
	if cluster.ClusterID != nil {
		t.Cluster = *cluster.ClusterID
	}
	for _, d := range res.TopicDescriptions {
		if d.Error.Code() == kafka.ErrUnknownTopicOrPart || d.Error.Code() == kafka.ErrUnknownTopic {
			return t, &broker.NoTopicError{Topic: topic}
		}
		if d.Error.Code() != kafka.ErrNoError {
			return t, fmt.Errorf("asking for the topic %s: %w", topic, d.Error)
		}
		t.ID = topicID(d.TopicID)
		t.Partitions = int32(len(d.Partitions)) //nolint:gosec // Kafka counts partitions in an int32
	}
	return t, nil
}

// topicID writes an id as Kafka's own tools do; the client's String uses another alphabet.
func topicID(id kafka.UUID) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(id.GetMostSignificantBits()))  //nolint:gosec // bits
	binary.BigEndian.PutUint64(b[8:], uint64(id.GetLeastSignificantBits())) //nolint:gosec // bits
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Find asks for the group's offset and the log's bounds.
func (c *Consumer) Find(ctx context.Context, p broker.Partition) (broker.Position, error) {
	pos := broker.Position{}
	if err := c.gate.enter(); err != nil {
		return pos, err
	}
	defer c.gate.leave()
	timeout := bounded(ctx, c.clock)
	tps, err := c.c.Committed([]kafka.TopicPartition{topicPartition(p)}, int(timeout.Milliseconds()))
	if err == nil && tps[0].Error != nil {
		err = tps[0].Error
	}
	var ke kafka.Error
	if errors.As(err, &ke) && ke.Code() == kafka.ErrGroupIDNotFound {
		tps, err = []kafka.TopicPartition{{Offset: kafka.OffsetInvalid}}, nil
	}
	if err != nil {
		return pos, fmt.Errorf("asking for the group's offset of %s/%d: %w", p.Topic, p.Number, err)
	}
	if tps[0].Offset >= 0 {
		pos.Committed, pos.HasCommitted = int64(tps[0].Offset), true
		if tps[0].Metadata != nil {
			pos.Metadata = *tps[0].Metadata
		}
	}
	pos.LogStart, pos.LogEnd, err = c.c.QueryWatermarkOffsets(p.Topic, p.Number, int(timeout.Milliseconds()))
	if err != nil {
		return pos, fmt.Errorf("asking for the bounds of %s/%d: %w", p.Topic, p.Number, err)
	}
	return pos, nil
}

func bounded(ctx context.Context, clock seam.Clock) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return max(min(callTimeout, deadline.Sub(clock.Now())), time.Millisecond)
	}
	return callTimeout
}

func topicPartition(p broker.Partition) kafka.TopicPartition {
	return kafka.TopicPartition{Topic: &p.Topic, Partition: p.Number}
}

// Start seeks and resumes. A partition whose position was out of range is one that
// librdkafka has stopped for good, since auto.offset.reset is "error": it can't be sought
// any more, and is given back and taken again.
func (c *Consumer) Start(p broker.Partition, offset int64) error {
	if err := c.gate.enter(); err != nil {
		return err
	}
	defer c.gate.leave()
	tp := topicPartition(p)
	tp.Offset = kafka.Offset(offset)
	err := c.c.Seek(tp, 0)
	var ke kafka.Error
	if errors.As(err, &ke) && ke.Code() == kafka.ErrState {
		err = c.assignAgain(p, tp)
	}
	if err != nil {
		return fmt.Errorf("seeking %s/%d to %d: %w", p.Topic, p.Number, offset, err)
	}
	return c.c.Resume([]kafka.TopicPartition{tp})
}

var errRevoked = errors.New("the partition is not this member's any more")

func (c *Consumer) assignAgain(p broker.Partition, tp kafka.TopicPartition) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.owned[p] || c.closing.Load() {
		return &broker.RedeliveredError{Err: errRevoked}
	}
	tps := []kafka.TopicPartition{tp}
	if err := c.c.IncrementalUnassign(tps); err != nil {
		return err
	}
	return c.c.IncrementalAssign(tps)
}

// Pause stops fetching.
func (c *Consumer) Pause(p broker.Partition) error {
	if err := c.gate.enter(); err != nil {
		return err
	}
	defer c.gate.leave()
	return c.c.Pause([]kafka.TopicPartition{topicPartition(p)})
}

// Resume goes on fetching.
func (c *Consumer) Resume(p broker.Partition) error {
	if err := c.gate.enter(); err != nil {
		return err
	}
	defer c.gate.leave()
	return c.c.Resume([]kafka.TopicPartition{topicPartition(p)})
}

var errCommitTimeout = errors.New("the group's coordinator does not answer")

// Commit commits offsets with their metadata, and waits for the answer. librdkafka waits
// for a coordinator that is away without any bound, so the call has a goroutine of its own
// and is left to itself after callTimeout; the next one waits its turn.
func (c *Consumer) Commit(ctx context.Context, offsets []broker.Offset) error {
	late, stop := c.clock.After(callTimeout)
	defer stop()
	select {
	case c.committing <- struct{}{}:
	case <-late:
		return errCommitTimeout
	case <-ctx.Done():
		return ctx.Err()
	}
	answer := make(chan error, 1)
	c.group.Go("commit", func() {
		answer <- c.commit(offsets)
		<-c.committing
	})
	select {
	case err := <-answer:
		return err
	case <-late:
		return errCommitTimeout
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *Consumer) commit(offsets []broker.Offset) error {
	tps := make([]kafka.TopicPartition, len(offsets))
	for i := range offsets {
		tps[i] = topicPartition(offsets[i].Partition)
		tps[i].Offset = kafka.Offset(offsets[i].Next)
		tps[i].Metadata = &offsets[i].Metadata
	}
	answers, err := c.c.CommitOffsets(tps)
	for _, tp := range answers {
		if err == nil && tp.Error != nil {
			err = tp.Error
		}
	}
	var ke kafka.Error
	if errors.As(err, &ke) {
		switch ke.Code() {
		case kafka.ErrRebalanceInProgress, kafka.ErrIllegalGeneration, kafka.ErrUnknownMemberID,
			kafka.ErrFencedMemberEpoch, kafka.ErrStaleMemberEpoch, kafka.ErrAssignmentLost, kafka.ErrNoOffset:
			return &broker.RedeliveredError{Err: err}
		default:
		}
	}
	return err
}

// LogEnd is the end of the log as the last fetch told it.
func (c *Consumer) LogEnd(p broker.Partition) int64 {
	if c.gate.enter() != nil {
		return -1
	}
	defer c.gate.leave()
	_, high, err := c.c.GetWatermarkOffsets(p.Topic, p.Number)
	if err != nil {
		return -1
	}
	return high
}

var errCloseTimeout = errors.New("librdkafka did not close in time; its threads are left behind")

// Close leaves the group. librdkafka's own close can hang while a broker does not answer,
// so it is waited for no longer than timeout.
func (c *Consumer) Close(timeout time.Duration) error {
	c.closing.Store(true)
	done := make(chan error, 1)
	c.group.Go("close consumer", func() {
		c.gate.shut()
		err := c.c.Close()
		c.logs.stop()
		done <- err
	})
	late, stop := c.clock.After(timeout)
	defer stop()
	select {
	case err := <-done:
		return err
	case <-late:
		return errCloseTimeout
	}
}
