// Package stage is what the demo builds around the orders service: a broker and a
// database, a stream in which everything goes wrong, members that are processes and die,
// a naive consumer on the same stream, and an oracle that says who is right.
package stage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/examples/orders/service"
	"github.com/evenkeel-go/evenkeel/testutil"
)

// stallTimeout is how long nothing may move before the demo gives up. It is longer than a
// dead member is waited for, and than a broker takes to load its coordinators.
const stallTimeout = time.Minute

// Main runs the demo with the arguments of the command line and returns the exit code: 0
// when Evenkeel is right and the naive consumer wrong, 1 when not, 2 for wrong flags.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintln(stderr, "demo:", err)
		return 1
	}
	return Run(args, []string{self}, stdin, stdout, stderr)
}

// Run is Main for a program that has the demo among other commands: self is the command
// that calls Run in a process of its own, to which members append their argument.
func Run(args, self []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) > 0 && args[0] == memberCommand {
		return member(stdin, stdout, stderr)
	}
	o, err := parseOptions(args)
	switch {
	case err != nil:
		fmt.Fprintf(stderr, "demo: %s\n", strings.ReplaceAll(err.Error(), "\n", "\ndemo: "))
		return 2
	case o.helped:
		fmt.Fprint(stdout, usage)
		return 0
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second Ctrl-C ends the process at once; the members see that their input ends.
	context.AfterFunc(ctx, stop)

	show := newProgress(o, stdout, stderr)
	s := &performance{options: o, self: self, progress: show}
	r, err := s.run(ctx)
	if ctx.Err() != nil {
		fmt.Fprintln(stderr, "demo: interrupted; the members have ended and everything that was made is removed")
		return 1
	}
	if err != nil {
		fmt.Fprintf(stderr, "demo: %v\n", err)
		return 1
	}
	return r.print(o, stdout, stderr)
}

// performance is one run of the demo.
type performance struct {
	*options
	*progress
	self []string

	dir     string
	broker  *testutil.KafkaBroker // nil with real Kafka
	cluster *cluster
	db      *database
	group   *group
	made    []string // the topics
	ends    places   // of what is consumed
	waits   waits
	began   time.Time
}

// run sets the stage, plays, and clears everything away whatever happens.
func (s *performance) run(ctx context.Context) (r *result, err error) {
	defer func() { err = errors.Join(err, s.clear(ctx, err == nil)) }()
	if err := s.set(ctx); err != nil {
		return nil, err
	}
	return s.play(ctx)
}

// set makes the parts: broker, topics, database, group.
func (s *performance) set(ctx context.Context) (err error) {
	if s.dir, err = os.MkdirTemp("", "evenkeel-orders-"); err != nil {
		return err
	}
	if s.embeddedBroker {
		if s.broker, err = testutil.StartKafka(); err != nil {
			return err
		}
		s.brokers = s.broker.Brokers
	}
	if s.topic == "" {
		s.topic = "orders-demo-" + strings.ToLower(rand.Text()[:10])
	}
	s.options.group = s.topic
	if s.cluster, err = connect(ctx, s.brokers); err != nil {
		return err
	}
	if s.made, err = s.cluster.create(ctx, s.partitions, s.topic, s.shipmentsTopic(), service.DeadLetterTopic(s.topic)); err != nil {
		return err
	}
	if s.db, err = openDatabase(ctx, s.options, s.dir); err != nil {
		return err
	}
	s.group, err = newGroup(s.self, memberConfig{DSN: s.db.dsn, Settings: service.Settings{
		Brokers: s.brokers, Group: s.options.group, Orders: s.topic, Shipments: s.shipmentsTopic(), BatchSize: s.batch,
	}}, s.dir)
	return err
}

func (s *performance) naiveGroup() string { return s.options.group + "-naive" }
func (s *performance) handGroup() string  { return s.options.group + "-hand" }

// play runs the consumers over the stream and compares.
func (s *performance) play(ctx context.Context) (*result, error) {
	s.began = now()
	messages := generate(s.options, s.began)
	rate, err := s.consume(ctx, messages)
	if err != nil {
		return nil, err
	}
	log, err := s.cluster.read(ctx, s.ends)
	if err != nil {
		return nil, err
	}
	s.say("naive consumer: one process, nobody kills it")
	took, err := naive(ctx, s.db.DB, s.cluster, s.naiveGroup(), s.ends, func(n int64) { s.step("naive", n, int64(len(log)), "") })
	if err != nil {
		return nil, fmt.Errorf("the naive consumer: %w", err)
	}
	var hand *handRun
	if s.arms {
		orders := s.ends.of(s.topic)
		most := min(handRecords, orders.sum())
		s.say("by hand: the orders alone, one transaction and one commit per event,\nfor the first %d records or %s", most, handTime)
		hand = &handRun{}
		hand.records, hand.took, err = byHand(ctx, s.db.DB, s.cluster, s.topic, s.handGroup(), orders, func(n int64) { s.step("by hand", n, most, "") })
		if err != nil {
			return nil, fmt.Errorf("the consumer by hand: %w", err)
		}
	}
	s.say("comparing with the oracle")
	return s.judge(ctx, log, rate, float64(len(log))/took.Seconds(), hand)
}

// handRun is what the arm by hand has read.
type handRun struct {
	records []event.Record
	took    time.Duration
}

// clear ends and removes what the run has made. What is on real parts stays, unless the
// run was interrupted or --clean asks.
func (s *performance) clear(ctx context.Context, done bool) error {
	s.end()
	if s.group != nil {
		s.group.kill()
	}
	var errs []error
	// ctx may have ended.
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), kafkaTimeout)
	defer cancel()
	remove := s.clean || ctx.Err() != nil
	if remove && s.db != nil && s.db.DB != nil {
		errs = append(errs, s.db.drop(clean))
	}
	// What was there before the run is somebody else's.
	if remove && len(s.made) > 0 && !s.embeddedBroker {
		var groups []string
		if len(s.made) == len(s.topics())+1 {
			groups = []string{s.options.group, s.naiveGroup(), s.handGroup()}
		}
		errs = append(errs, s.cluster.remove(clean, s.made, groups))
	}
	if !remove && done {
		s.leftBehind()
	}
	s.db.close()
	if s.cluster != nil {
		s.cluster.close()
	}
	if s.broker != nil {
		s.broker.Close()
	}
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}

// leftBehind says what stays on real parts.
func (s *performance) leftBehind() {
	if !s.embeddedBroker {
		s.say("left in Kafka: topics %s, %s\nand %s, group %s; --clean removes them", s.topic, s.shipmentsTopic(), service.DeadLetterTopic(s.topic), s.options.group)
	}
	if !s.embeddedStorage {
		s.say("left in PostgreSQL: schema %s; --clean removes it", s.db.schema)
	}
}
