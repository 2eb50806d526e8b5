package framework

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/broker"
	"github.com/evenkeel-go/evenkeel/internal/broker/confluent"
	"github.com/evenkeel-go/evenkeel/internal/classify"
	"github.com/evenkeel-go/evenkeel/internal/clocks"
	"github.com/evenkeel-go/evenkeel/internal/lamport"
	"github.com/evenkeel-go/evenkeel/internal/runtime"
	"github.com/evenkeel-go/evenkeel/internal/seam"
	"github.com/evenkeel-go/evenkeel/internal/store/open"
)

// Consumer is one member of a consumer group. Make as many as there should be members, in
// one process or in many.
type Consumer struct {
	cfg      Config
	member   *runtime.Member
	consumer *confluent.Consumer
	producer *confluent.Producer
	observer *observer
	spawn    *seam.Group
	clock    seam.Clock
	lamport  *LamportClock
	pool     *sql.DB // nil where GORM's handle has none
	ran      atomic.Bool
}

// checkTimeout bounds the checks of New.
const checkTimeout = 30 * time.Second

// New checks everything that can be checked before the first event: the configuration
// and the handlers' wiring (all mistakes together), the schema and the models' columns,
// and that the topics exist. It does not join the group; Run does. A Consumer that is
// never run must be closed with Close.
func New(db *gorm.DB, config *Config) (*Consumer, error) {
	return newConsumer(db, config, false)
}

// newConsumer is New. One that rebuilds takes no tables over, and may have such whose stamps
// are of another kind (R4).
func newConsumer(db *gorm.DB, config *Config, rebuilds bool) (*Consumer, error) {
	cfg, wiring, err := config.wire(db)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
	defer cancel()
	return assemble(ctx, db, cfg, wiring, rebuilds)
}

// wire completes the configuration and wires its handlers, or finds all mistakes in them.
func (c *Config) wire(db *gorm.DB) (cfg Config, wiring *handlers.Wiring, err error) {
	if c == nil {
		c = &Config{}
	}
	cfg = c.WithDefaults()
	errs := []error{cfg.validate()}
	if db == nil {
		errs = append(errs, errors.New("framework.New: the database handle is nil; open one with gorm.Open"))
	} else if cfg.Handlers != nil {
		w, err := cfg.Handlers.Wire(db.NamingStrategy)
		wiring = w
		errs = append(errs, err, cfg.checkWiring(w))
	}
	if err := errors.Join(errs...); err != nil {
		return cfg, nil, fmt.Errorf("evenkeel: the consumer can't be made:\n%w", err)
	}
	return cfg, wiring, nil
}

// judge is what decides about the events of this configuration.
func (c *Config) judge(w *handlers.Wiring, p *batch.Preparer, outbox batch.Outbox) *batch.Judge {
	return &batch.Judge{
		Wiring: w, Group: c.Group, Classify: classify.Handler, Delay: c.Retry.delay,
		MissingFor: c.MissingFor, MaxParkedPerKey: c.MaxParkedPerKey, ServiceVersion: c.ServiceVersion,
		DeadLetterUnhandled: c.DeadLetterUnhandled,
		KeepOrigins:         c.PlaceholderPolicy == PlaceholderDeadLetter,
		Prepare:             p,
		Outbox:              outbox,
	}
}

func assemble(ctx context.Context, db *gorm.DB, cfg Config, wiring *handlers.Wiring, rebuilds bool) (_ *Consumer, err error) {
	c := &Consumer{cfg: cfg, clock: seam.System(), spawn: &seam.Group{}, observer: newObserver(cfg.Metrics, cfg.Hooks, cfg.Logger)}
	st, err := open.Open(db)
	if err != nil {
		return nil, err
	}
	if pool, err := db.DB(); err == nil {
		c.pool = pool
	}
	c.lamport = &LamportClock{lamport.New(st, cfg.Group, c.clock)}
	claim := func() ([]*clocks.Layout, error) { return st.Claim(ctx, cfg.Group, wiring.Models, cfg.TakeTables) }
	if rebuilds {
		claim = func() ([]*clocks.Layout, error) { return st.ClaimToRebuild(ctx, cfg.Group, wiring.Models) }
	}
	layouts, err := claim()
	if err != nil {
		return nil, err
	}
	settings := confluent.Settings{Brokers: cfg.Brokers, Group: cfg.Group, Protocol: string(cfg.Protocol), User: cfg.Kafka}
	if c.producer, err = confluent.NewProducer(settings, c.clock, c.spawn, c.clientLog); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.producer.Close(runtimeClose))
		}
	}()
	if err := c.checkTopics(ctx, wiring.Emits()); err != nil {
		return nil, err
	}
	if err := st.LetterTopic(ctx, cfg.Group, cfg.DeadLetterTopic); err != nil {
		return nil, err
	}
	outbox := c.outbox(ctx, wiring)
	if err := c.checkPolicies(ctx, wiring.WholeLog()); err != nil {
		return nil, err
	}
	if c.consumer, err = confluent.NewConsumer(settings, c.clock, c.spawn, c.clientLog); err != nil {
		return nil, err
	}
	notes, err := cfg.upkeepNotes(ctx, st, wiring.Models)
	if err != nil {
		return nil, err
	}
	for _, note := range append(slices.Clone(wiring.Notes), notes...) {
		c.log(runtime.Info, note)
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	prepare := &batch.Preparer{Wiring: wiring, Codec: cfg.codecOf, Witness: c.lamport.Witness}
	c.member = runtime.New(runtime.Options{
		Group: cfg.Group, Topics: cfg.Topics, Owner: fmt.Sprintf("%s pid %d", host, os.Getpid()),
		Store: st, Consumer: c.consumer, Clock: c.clock, Spawn: c.spawn,
		Sender:    c.producer,
		Publisher: dlq.NewPublisher(c.producer, cfg.DeadLetterTopic, confluent.MaxMessageBytes),
		Judge:     cfg.judge(wiring, prepare, outbox),
		Prepare:   prepare,
		Models:    wiring.Models, Layouts: batch.LayoutsOf(wiring.Models, layouts),
		StartLatest: cfg.Start == StartLatest, BatchSize: cfg.BatchSize, Breaker: cfg.Breaker.settings(), Parallel: cfg.Parallel, MaxBytes: cfg.MaxBytes,
		MaxUnpublished: cfg.MaxUnpublished, SweepInterval: cfg.SweepInterval, KeepVerdicts: cfg.KeepVerdicts, KeepLetters: cfg.KeepLetters,
		PlaceholderAge: cfg.PlaceholderAge, PlaceholderPolicy: placeholderPolicies[cfg.PlaceholderPolicy], PurgeAfter: cfg.PurgeDeletedAfter,
		RevokeTimeout: cfg.RevokeTimeout, ShutdownTimeout: cfg.ShutdownTimeout, HardStop: HardStop - closing,
		Log: c.log, Observe: c.observer,
	})
	return c, nil
}

const (
	// closing is the part of HardStop that is kept for the producer's end.
	closing = 2 * time.Second
	// runtimeClose bounds the end of clients that have not worked yet.
	runtimeClose = 5 * time.Second
)

// MissingTopicError says that a topic does not exist.
type MissingTopicError struct {
	Topic      string
	DeadLetter bool
	Brokers    string
}

// Error gives the command that makes the topic.
func (m *MissingTopicError) Error() string {
	what := "the topic " + m.Topic
	if m.DeadLetter {
		what = "the dead-letter topic " + m.Topic
	}
	return fmt.Sprintf("evenkeel: %s does not exist; make it with: kafka-topics.sh --bootstrap-server %s --create --topic %s --partitions 3", what, m.Brokers, m.Topic)
}

// checkTopics finds topics that do not exist: a missing dead-letter topic would else show
// only with the first letter.
func (c *Consumer) checkTopics(ctx context.Context, emits []string) error {
	var errs []error
	topics := slices.Concat([]string{c.cfg.DeadLetterTopic}, c.cfg.Topics, emits)
	for i, t := range topics {
		if slices.Contains(topics[:i], t) {
			continue
		}
		_, err := c.producer.Describe(ctx, t)
		var none *broker.NoTopicError
		switch {
		case errors.As(err, &none):
			errs = append(errs, &MissingTopicError{Topic: t, DeadLetter: t == c.cfg.DeadLetterTopic, Brokers: c.cfg.Brokers})
		case err != nil:
			return fmt.Errorf("evenkeel: Kafka at %s does not answer: %w; check Config.Brokers and, with SASL or TLS, Config.Kafka", c.cfg.Brokers, err)
		}
	}
	return errors.Join(errs...)
}

var errRan = errors.New("evenkeel: Run was called before; make a new Consumer")

// Run joins the group and works until ctx ends, then lets what is under way finish
// (Config.ShutdownTimeout), leaves the group and returns nil. It returns an error when the
// Kafka client can't go on. It can be called once.
func (c *Consumer) Run(ctx context.Context) error {
	if !c.ran.CompareAndSwap(false, true) {
		return errRan
	}
	stopWatching := make(chan struct{})
	if c.cfg.Metrics != nil {
		c.spawn.Go("gauges", func() { c.gauges(stopWatching) })
	}
	if c.pool != nil {
		c.spawn.Go("pool", func() { c.watchPool(c.pool, stopWatching) })
	}
	c.log(runtime.Info, "consumer started; waiting for partitions", "group", c.cfg.Group, "topics", strings.Join(c.cfg.Topics, ","))
	unwatch := context.AfterFunc(ctx, func() {
		c.log(runtime.Info, "consumer is stopping; work under way may finish", "group", c.cfg.Group, "within", c.cfg.ShutdownTimeout)
	})
	err := c.member.Run(ctx)
	unwatch()
	close(stopWatching)
	if hangs := c.end(); hangs != nil {
		// Everything is committed or abandoned by now; that a client hangs is no
		// reason to call the stop a failure.
		c.log(runtime.Warn, "closing the Kafka producer failed", "error", hangs)
	}
	c.log(runtime.Info, "consumer stopped", "group", c.cfg.Group)
	return err
}

// Close frees a Consumer that was never run. After Run it does nothing.
func (c *Consumer) Close() error {
	if !c.ran.CompareAndSwap(false, true) {
		return nil
	}
	return errors.Join(c.consumer.Close(runtimeClose), c.end())
}

// end closes what Run leaves open and waits for the goroutines, within a bound: those of
// handlers that ignore their contexts, and a client that hangs, stay behind.
func (c *Consumer) end() error {
	late, stop := c.clock.After(closing)
	defer stop()
	err := c.producer.Close(closing / 2)
	select {
	case <-c.spawn.Done():
	case <-late:
	}
	return err
}

const gaugeEvery = 5 * time.Second

func (c *Consumer) gauges(stop <-chan struct{}) {
	slow := c.member.Judge.Wiring.Slow()
	c.every(gaugeEvery, stop, func() bool {
		for _, p := range c.Stats().Partitions {
			at := labels(broker.Partition{Topic: p.Topic, Number: p.Partition})
			if p.Lag >= 0 {
				c.cfg.Metrics.Gauge("evenkeel_lag", float64(p.Lag), at...)
			}
			c.cfg.Metrics.Gauge("evenkeel_queued_bytes", float64(p.QueuedBytes), at...)
			paused := 0.0
			if p.Paused {
				paused = 1
			}
			c.cfg.Metrics.Gauge("evenkeel_paused", paused, at...)
			if slow {
				c.cfg.Metrics.Gauge("evenkeel_held", float64(p.Held), at...)
			}
		}
		if slow {
			c.cfg.Metrics.Gauge("evenkeel_slow_running", float64(c.member.Running()))
		}
		return true
	})
}

// every does something again and again, until it is told to stop or there is no more to do.
func (c *Consumer) every(d time.Duration, stop <-chan struct{}, do func() (more bool)) {
	for {
		tick, free := c.clock.After(d)
		select {
		case <-stop:
			free()
			return
		case <-tick:
		}
		if !do() {
			return
		}
	}
}

func (c *Consumer) log(level runtime.Level, text string, fields ...any) {
	to := LevelDebug
	switch level {
	case runtime.Debug:
	case runtime.Info:
		to = LevelInfo
	case runtime.Warn:
		to = LevelWarn
	case runtime.Error:
		to = LevelError
	}
	c.cfg.Logger.Log(to, text, append([]any{"group", c.cfg.Group}, fields...)...)
}

// clientLog takes librdkafka's own lines. It repeats itself with each try, so all but
// what ends the client is for debugging; the runtime says once when a part goes away.
func (c *Consumer) clientLog(level int, client, facility, text string) {
	to := LevelDebug
	if level <= 2 {
		to = LevelError
	}
	c.cfg.Logger.Log(to, "librdkafka: "+text, "group", c.cfg.Group, "client", client, "facility", facility)
}
