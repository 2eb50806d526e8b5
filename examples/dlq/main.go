// Command dlq is a service that a bad release has hurt, with Evenkeel's commands mounted in
// it. The script walk.sh tells the story: 20,000 events, of which the release makes 1,000 dead
// letters; people look at them, and replay them under the next release.
//
//	examples/dlq/walk.sh
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/confluentinc/confluent-kafka-go/v2/kafka"
	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"gorm.io/driver/postgres"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/evenkeel-go/evenkeel/cli"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/testutil"
	"github.com/evenkeel-go/evenkeel/testutil/oracle"
)

// patience bounds how long a command waits.
const patience = 2 * time.Minute

var errSlow = errors.New("the service has not come this far in time")

// stage is where the service runs, from the environment.
type stage struct{ brokers, dsn, group, topic string }

func (s stage) deadLetters() string { return s.topic + ".dlq" }

// staged reads the environment.
func staged() stage {
	at := stage{brokers: os.Getenv("SHOP_BROKERS"), dsn: os.Getenv("EVENKEEL_DSN"), topic: os.Getenv("SHOP_TOPIC")}
	if at.topic == "" {
		at.topic = "shop"
	}
	at.group = at.topic
	return at
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	at := staged()
	s := service{release: goodRelease}
	if r := os.Getenv("SHOP_RELEASE"); r != "" {
		s.release = r
	}
	os.Exit(cli.Execute(ctx, command(s, at))) //nolint:gocritic // exitAfterDefer: the process ends
}

func command(s service, at stage) *cobra.Command {
	root := &cobra.Command{Use: "shop", Short: "Keep a shop's rows"}
	config := s.config(at)
	root.AddCommand(cli.Command(cli.WithConfig(&config)))
	var n int
	produce := &cobra.Command{
		Use: "produce", Short: "Make the topics, and send the events to them", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return produce(c.Context(), at, n) },
	}
	produce.Flags().IntVar(&n, "events", 20000, "how many")
	onDB := func(use, short string, do func(*cobra.Command, *gorm.DB) error) *cobra.Command {
		return &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
			db, end, err := at.open()
			if err != nil {
				return err
			}
			return errors.Join(do(c, db), end())
		}}
	}
	root.AddCommand(
		produce,
		&cobra.Command{Use: "broker", Short: "Run a broker in this process until SIGTERM", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
			b, err := testutil.StartKafka()
			if err != nil {
				return err
			}
			defer b.Close()
			fmt.Fprintln(c.OutOrStdout(), b.Brokers)
			<-c.Context().Done()
			return nil
		}},
		onDB("tables", "Make the tables of the service", func(c *cobra.Command, db *gorm.DB) error {
			return db.WithContext(c.Context()).AutoMigrate(&Order{}, &Customer{}, &Parcel{})
		}),
		onDB("serve", "Run the service until SIGTERM", func(c *cobra.Command, db *gorm.DB) error {
			quiet := logrus.New()
			quiet.SetLevel(logrus.ErrorLevel)
			config.Logger = framework.Logrus(quiet)
			consumer, err := framework.New(db, &config)
			if err != nil {
				return err
			}
			return consumer.Run(c.Context())
		}),
		onDB("wait", "Wait until every event has been judged", func(c *cobra.Command, db *gorm.DB) error { return judged(c.Context(), db, at) }),
		onDB("check", "Compare the rows with what the events say", func(c *cobra.Command, db *gorm.DB) error {
			return check(c.Context(), db, at, c.OutOrStdout())
		}),
		onDB("verdicts", "Count what had no effect, by why", func(c *cobra.Command, db *gorm.DB) error {
			return verdicts(c.Context(), db, c.OutOrStdout())
		}),
		&cobra.Command{Use: "rewind", Short: "Set the group back to the beginning of the topic; nobody may run", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
			return rewind(c.Context(), at)
		}},
	)
	var tables []string
	hash := onDB("hash", "Print a hash of tables", func(c *cobra.Command, db *gorm.DB) error {
		return fingerprint(c.Context(), db, tables, c.OutOrStdout())
	})
	hash.Flags().StringSliceVar(&tables, "of", nil, "these `tables` (default all but jobs and audit)")
	root.AddCommand(hash)
	return root
}

// open opens the database as the service does.
func (s stage) open() (*gorm.DB, func() error, error) {
	dialector := postgres.Open(s.dsn)
	if file, ok := strings.CutPrefix(s.dsn, "file:"); ok {
		dialector = sqlite.Open("file:" + filepath.ToSlash(file) + "?_journal_mode=WAL&_busy_timeout=20000&_txlock=immediate")
	}
	db, err := gorm.Open(dialector, &gorm.Config{Logger: logger.Discard})
	if err != nil {
		return nil, nil, err
	}
	pool, err := db.DB()
	if err != nil {
		return nil, nil, err
	}
	pool.SetMaxIdleConns(20)
	return db, pool.Close, nil
}

func produce(ctx context.Context, at stage, n int) error {
	events, err := story(n/perOrder, time.Now().Add(-time.Hour)) //nolint:forbidigo // when it happened
	if err != nil {
		return err
	}
	quiet := kafka.ConfigMap{"bootstrap.servers": at.brokers, "log_level": 0}
	admin, err := kafka.NewAdminClient(&quiet)
	if err != nil {
		return err
	}
	defer admin.Close()
	made, err := admin.CreateTopics(ctx, []kafka.TopicSpecification{
		{Topic: at.topic, NumPartitions: partitions, ReplicationFactor: 1},
		{Topic: at.deadLetters(), NumPartitions: partitions, ReplicationFactor: 1},
	})
	if err != nil {
		return err
	}
	for _, m := range made {
		if m.Error.Code() != kafka.ErrNoError {
			return m.Error
		}
	}
	p, err := kafka.NewProducer(&kafka.ConfigMap{"bootstrap.servers": at.brokers, "enable.idempotence": true, "log_level": 0})
	if err != nil {
		return err
	}
	defer p.Close()
	reports := make(chan kafka.Event, len(events))
	for _, e := range events {
		if err := p.Produce(&kafka.Message{TopicPartition: kafka.TopicPartition{Topic: &at.topic, Partition: kafka.PartitionAny}, Key: []byte(e.key), Value: e.value}, reports); err != nil {
			return err
		}
	}
	for range events {
		select {
		case r := <-reports:
			if m, ok := r.(*kafka.Message); ok && m.TopicPartition.Error != nil {
				return m.TopicPartition.Error
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// rewind does as kafka-consumer-groups.sh --reset-offsets --to-earliest.
func rewind(ctx context.Context, at stage) error {
	admin, err := kafka.NewAdminClient(&kafka.ConfigMap{"bootstrap.servers": at.brokers, "log_level": 0})
	if err != nil {
		return err
	}
	defer admin.Close()
	to := kafka.ConsumerGroupTopicPartitions{Group: at.group}
	for p := range int32(partitions) {
		to.Partitions = append(to.Partitions, kafka.TopicPartition{Topic: &at.topic, Partition: p, Offset: 0})
	}
	set, err := admin.AlterConsumerGroupOffsets(ctx, []kafka.ConsumerGroupTopicPartitions{to})
	if err != nil {
		return err
	}
	for _, g := range set.ConsumerGroupsTopicPartitions {
		for _, p := range g.Partitions {
			if p.Error != nil {
				return p.Error
			}
		}
	}
	return nil
}

// judged waits until the group has come to the ends of the topic and has told Kafka so, and nothing
// is parked. Kafka's word is what a rewind changes at once.
func judged(ctx context.Context, db *gorm.DB, at stage) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errSlow)
	defer cancel()
	c, err := kafka.NewConsumer(&kafka.ConfigMap{"bootstrap.servers": at.brokers, "group.id": at.group, "log_level": 0}) // it asks, and never joins
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	end := map[oracle.Partition]int64{}
	var asked []kafka.TopicPartition
	for p := range int32(partitions) {
		_, high, err := c.QueryWatermarkOffsets(at.topic, p, int(patience.Milliseconds()))
		if err != nil {
			return err
		}
		end[oracle.Partition{Topic: at.topic, Partition: p}] = high
		asked = append(asked, kafka.TopicPartition{Topic: &at.topic, Partition: p})
	}
	tick := time.NewTicker(50 * time.Millisecond) //nolint:forbidigo // it waits in real time
	defer tick.Stop()
	for {
		_, parked, positions, err := oracle.ReadGroup(ctx, db, at.group)
		if err != nil {
			return err
		}
		there := len(parked) == 0 && len(positions) == len(end)
		for _, p := range positions {
			there = there && p.Next >= end[p.Partition]
		}
		if there {
			told, err := c.Committed(asked, int(patience.Milliseconds()))
			if err != nil {
				return err
			}
			for _, p := range told {
				there = there && int64(p.Offset) >= end[oracle.Partition{Topic: *p.Topic, Partition: p.Partition}]
			}
		}
		if there {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
