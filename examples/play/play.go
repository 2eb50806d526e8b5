// Package play runs the small examples beside it: a consumer, or several members of its group,
// on a broker in this process and a database in a temporary file, and a producer.
package play

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/sirupsen/logrus"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/testutil"
)

// Scene is what an example brings: its service.
type Scene struct {
	Models []any
	// Config is the service's; Start fills in the broker, the group, and the topics where
	// they are missing.
	Config framework.Config
	// Further are topics that the consumer does not read, but writes to.
	Further []string
	// Members is how many consumers share the topics; 0 is one.
	Members int
	// Partitions is how many each topic has. 0 is one, so that the order of sending is
	// the order of arrival.
	Partitions int
	// DB and Brokers are used instead of the temporary ones if they are set.
	DB      *gorm.DB
	Brokers string
}

// Event is one event of the play. Its JSON is what event.Envelope reads.
type Event struct {
	ID            string    `json:"id"`
	Type          string    `json:"type"`
	Source        string    `json:"source"`
	Key           string    `json:"key,omitempty"`
	Time          time.Time `json:"time"`
	Version       int64     `json:"version,omitempty"`
	CorrelationID string    `json:"correlationId,omitempty"`
	Vector        string    `json:"vector,omitempty"`
	Data          any       `json:"data,omitempty"`

	// Topic is the first of the scene's unless it is set.
	Topic string `json:"-"`
	// Raw is sent instead of all the rest but Topic and Key, for producers that write
	// their events in another form.
	Raw []byte `json:"-"`
}

// Play is a scene under way.
type Play struct {
	DB *gorm.DB
	// Consumer is the first of the Members.
	Consumer *framework.Consumer
	Members  []*framework.Consumer

	brokers    string
	codec      event.Codec
	topics     []string
	partitions int
	producer   *kafka.Producer
	end        []func() error
}

// patience is how long a play waits for its consumer, on a machine that does much besides.
const patience = 3 * time.Minute

var errSlow = errors.New("the consumers have not come this far in time")

// Start starts the scene. The caller calls Close, also after an error.
func Start(ctx context.Context, s Scene) (*Play, error) {
	p := &Play{DB: s.DB, partitions: max(s.Partitions, 1)}
	brokers, err := p.broker(s.Brokers)
	if err != nil {
		return p, err
	}
	if err := p.database(ctx, s.Models); err != nil {
		return p, err
	}
	config := s.Config
	config.Brokers = brokers
	p.brokers, p.codec = brokers, config.Codec
	name := strconv.FormatInt(time.Now().UnixNano(), 36) //nolint:forbidigo // a name
	if config.Group == "" {
		config.Group = "play-" + name
	}
	if len(config.Topics) == 0 {
		config.Topics = []string{"play-" + name}
	}
	if config.DeadLetterTopic == "" {
		config.DeadLetterTopic = config.Topics[0] + ".dlq"
	}
	if config.Logger == nil {
		quiet := logrus.New()
		quiet.SetLevel(logrus.ErrorLevel)
		config.Logger = framework.Logrus(quiet)
	}
	p.topics = config.Topics
	if err := p.makeTopics(ctx, brokers, slices.Concat([]string{config.DeadLetterTopic}, config.Topics, s.Further)); err != nil {
		return p, err
	}
	members := max(s.Members, 1)
	for range members {
		if err := p.join(ctx, &config); err != nil {
			return p, err
		}
	}
	p.Consumer = p.Members[0]
	err = p.Until(ctx, func() bool { return p.shared(members) })
	return p, err
}

// join runs one more member.
func (p *Play) join(ctx context.Context, config *framework.Config) error {
	c, err := framework.New(p.DB, config) //nolint:contextcheck // it takes none
	if err != nil {
		return err
	}
	p.Members = append(p.Members, c)
	running, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- c.Run(running) }()
	p.end = append(p.end, func() error {
		stop()
		return <-done
	})
	return nil
}

// shared reports whether all partitions have members, and as many as can be have some.
func (p *Play) shared(members int) bool {
	all, busy := 0, 0
	for _, c := range p.Members {
		if n := len(c.Stats().Partitions); n > 0 {
			all, busy = all+n, busy+1
		}
	}
	partitions := len(p.topics) * p.partitions
	return all == partitions && busy == min(members, partitions)
}

// Close ends the play.
func (p *Play) Close() error {
	var errs []error
	for i := len(p.end) - 1; i >= 0; i-- {
		errs = append(errs, p.end[i]())
	}
	return errors.Join(errs...)
}

// Send sends events in this order and returns when they are Settled.
func (p *Play) Send(ctx context.Context, events ...Event) error {
	if err := p.Tell(ctx, events...); err != nil {
		return err
	}
	return p.Settled(ctx)
}

// Tell sends events in this order and returns when the broker has them.
func (p *Play) Tell(ctx context.Context, events ...Event) error {
	reports := make(chan kafka.Event, len(events))
	for _, e := range events {
		value := e.Raw
		if value == nil {
			var err error
			if value, err = json.Marshal(e); err != nil {
				return err
			}
		}
		topic := e.Topic
		if topic == "" {
			topic = p.topics[0]
		}
		m := &kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &topic, Partition: kafka.PartitionAny}, Key: []byte(e.Key), Value: value}
		if err := p.producer.Produce(m, reports); err != nil {
			return err
		}
	}
	for range events {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case r := <-reports:
			if m, ok := r.(*kafka.Message); ok && m.TopicPartition.Error != nil {
				return m.TopicPartition.Error
			}
		}
	}
	return nil
}

// Read returns the events of a topic from its beginning, in the form of the scene's codec.
func (p *Play) Read(ctx context.Context, topic string) ([]*event.Event, error) {
	var events []*event.Event
	for r, err := range framework.ReadTopic(ctx, p.brokers, topic, nil) {
		if err != nil {
			return nil, err
		}
		e := &event.Event{Record: r}
		if err := p.codec.Decode(r, e); err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	return events, nil
}

// Settled waits until the consumers have judged all there is, what their handlers emit
// meanwhile too.
func (p *Play) Settled(ctx context.Context) error {
	var failed error
	err := p.Until(ctx, func() bool {
		settled, err := p.settled()
		failed = err
		return settled || err != nil
	})
	return errors.Join(err, failed)
}

func (p *Play) settled() (bool, error) {
	next := p.positions()
	if len(next) < len(p.topics)*p.partitions || p.unpublished() > 0 {
		return false, nil
	}
	// What those positions had led to was on the topics before this, so ends that are no
	// further are the last.
	for at, n := range next {
		_, end, err := p.producer.QueryWatermarkOffsets(at.topic, at.partition, int(patience.Milliseconds()))
		if err != nil || n < end {
			return false, err
		}
	}
	return true, nil
}

type partition struct {
	topic     string
	partition int32
}

// positions are the offsets up to which everything is in the database.
func (p *Play) positions() map[partition]int64 {
	next := map[partition]int64{}
	for _, c := range p.Members {
		for _, at := range c.Stats().Partitions {
			next[partition{at.Topic, at.Partition}] = at.Next
		}
	}
	return next
}

func (p *Play) unpublished() (n int) {
	for _, c := range p.Members {
		for _, at := range c.Stats().Partitions {
			n += at.Unpublished
		}
	}
	return n
}

// Until waits until the condition holds.
func (p *Play) Until(ctx context.Context, holds func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errSlow)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond) //nolint:forbidigo // it plays in real time
	defer tick.Stop()
	for !holds() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
	return nil
}

func (p *Play) broker(brokers string) (string, error) {
	if brokers == "" {
		b, err := testutil.StartKafka()
		if err != nil {
			return "", err
		}
		p.end = append(p.end, func() error { b.Close(); return nil })
		brokers = b.Brokers
	}
	producer, err := kafka.NewProducer(&kafka.ConfigMap{"bootstrap.servers": brokers, "enable.idempotence": true, "log_level": 0})
	if err != nil {
		return "", err
	}
	p.producer = producer
	p.end = append(p.end, func() error { producer.Close(); return nil })
	return brokers, nil
}

func (p *Play) makeTopics(ctx context.Context, brokers string, topics []string) error {
	admin, err := kafka.NewAdminClient(&kafka.ConfigMap{"bootstrap.servers": brokers, "log_level": 0})
	if err != nil {
		return err
	}
	defer admin.Close()
	specs := make([]kafka.TopicSpecification, len(topics))
	for i, t := range topics {
		specs[i] = kafka.TopicSpecification{Topic: t, NumPartitions: p.partitions, ReplicationFactor: 1}
	}
	made, err := admin.CreateTopics(ctx, specs, kafka.SetAdminOperationTimeout(patience))
	for _, m := range made {
		if m.Error.Code() != kafka.ErrNoError {
			err = errors.Join(err, m.Error)
		}
	}
	return err
}

func (p *Play) database(ctx context.Context, models []any) error {
	if p.DB == nil {
		dir, err := os.MkdirTemp("", "evenkeel-play-")
		if err != nil {
			return err
		}
		p.end = append(p.end, func() error { return os.RemoveAll(dir) })
		file := "file:" + filepath.ToSlash(filepath.Join(dir, "play.db")) + "?_journal_mode=WAL&_busy_timeout=20000&_txlock=immediate"
		if p.DB, err = gorm.Open(sqlite.Open(file), &gorm.Config{Logger: logger.Discard}); err != nil {
			return err
		}
		pool, err := p.DB.DB()
		if err != nil {
			return err
		}
		pool.SetMaxIdleConns(20)
		p.end = append(p.end, pool.Close)
	}
	if err := framework.Migrate(ctx, p.DB); err != nil {
		return err
	}
	if err := p.DB.WithContext(ctx).AutoMigrate(models...); err != nil {
		return fmt.Errorf("make the tables of the models: %w", err)
	}
	return nil
}

// Main runs a program's play and exits with its result.
func Main(s Scene, story func(context.Context, *Play) error) {
	ctx := context.Background()
	p, err := Start(ctx, s)
	if err == nil {
		err = story(ctx, p)
	}
	if err = errors.Join(err, p.Close()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
