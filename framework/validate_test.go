package framework

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm/schema"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

func good() Config {
	return Config{
		Brokers: "one:9092, two:9092", Group: "orders", Topics: []string{"orders", "payments_2.eu-west"},
		DeadLetterTopic: "orders.dlq", Handlers: handlers.NewRegistry(),
	}
}

// faults returns the mistakes as "field: expected", in their order.
func faults(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	var all []string
	joined, ok := err.(interface{ Unwrap() []error })
	require.True(t, ok, "%T", err)
	for _, e := range joined.Unwrap() {
		var f *FieldError
		require.ErrorAs(t, e, &f)
		require.NotEmpty(t, f.Found)
		require.Contains(t, e.Error(), "Config."+f.Field+": found "+f.Found+", expected "+f.Expected)
		if f.Mend != "" {
			require.True(t, strings.HasSuffix(e.Error(), "; "+f.Mend))
		}
		all = append(all, f.Field+": "+f.Expected)
	}
	return all
}

func TestDefaultsAreValid(t *testing.T) {
	t.Parallel()
	cfg := good().WithDefaults()
	require.NoError(t, cfg.validate())
	require.Equal(t, event.CloudEvents().Name(), cfg.Codec.Name())
	require.Equal(t, Config{}.WithDefaults().Retry, Retry{Initial: time.Second, Max: 5 * time.Minute, Attempts: 10})
	require.NotNil(t, cfg.Logger)

	// WithDefaults fills in and overwrites nothing, and leaves its receiver alone.
	own := good()
	own.BatchSize, own.Protocol, own.Start, own.MaxBytes = 7, ProtocolConsumer, StartLatest, 1<<20
	full := own.WithDefaults()
	require.Zero(t, own.MaxUnpublished)
	require.Equal(t, 7, full.BatchSize)
	require.Equal(t, ProtocolConsumer, full.Protocol)
	require.Equal(t, StartLatest, full.Start)
	require.EqualValues(t, 1<<20, full.MaxBytes)
	require.NoError(t, full.validate())
}

// TestEachFault makes one mistake at a time: it is found, and nothing else is.
func TestEachFault(t *testing.T) {
	t.Parallel()
	const (
		number   = "a number from "
		duration = "a duration above zero"
		topic    = "a topic's name"
		owned    = "it left out: the framework owns it"
	)
	for name, c := range map[string]struct {
		change func(*Config)
		field  string
		what   string
	}{
		"no brokers":         {func(c *Config) { c.Brokers = "" }, "Brokers", "bootstrap servers as host:port"},
		"no port":            {func(c *Config) { c.Brokers = "one" }, "Brokers", "host:port"},
		"one of two":         {func(c *Config) { c.Brokers = "one:9092,two" }, "Brokers", "host:port"},
		"a stray comma":      {func(c *Config) { c.Brokers = "one:9092," }, "Brokers", "host:port"},
		"IPv6 bare":          {func(c *Config) { c.Brokers = "::1" }, "Brokers", "host:port"},
		"no group":           {func(c *Config) { c.Group = "" }, "Group", "the consumer group's name"},
		"no topics":          {func(c *Config) { c.Topics = nil }, "Topics", "at least one topic"},
		"a pattern":          {func(c *Config) { c.Topics[1] = "^orders.*" }, "Topics[1]", topic},
		"a dot":              {func(c *Config) { c.Topics[1] = "." }, "Topics[1]", topic},
		"dots":               {func(c *Config) { c.Topics[1] = ".." }, "Topics[1]", topic},
		"too long":           {func(c *Config) { c.Topics[1] = strings.Repeat("x", 250) }, "Topics[1]", topic},
		"twice":              {func(c *Config) { c.Topics[1] = "orders" }, "Topics[1]", "each topic once"},
		"no letters":         {func(c *Config) { c.DeadLetterTopic = "" }, "DeadLetterTopic", "the topic that takes copies"},
		"odd letters":        {func(c *Config) { c.DeadLetterTopic = "ä" }, "DeadLetterTopic", topic},
		"its own letters":    {func(c *Config) { c.DeadLetterTopic = "orders" }, "DeadLetterTopic", "a topic that this consumer does not read"},
		"no handlers":        {func(c *Config) { c.Handlers = nil }, "Handlers", "a registry"},
		"a codec too few":    {func(c *Config) { c.Codecs = map[string]event.Codec{"orders": nil} }, `Codecs["orders"]`, "a codec"},
		"an owned property":  {func(c *Config) { c.Kafka = map[string]any{"acks": "1", "linger.ms": 1} }, `Kafka["acks"]`, owned},
		"the binding's":      {func(c *Config) { c.Kafka = map[string]any{"go.events.channel.enable": true} }, `Kafka["go.events.channel.enable"]`, owned},
		"a duration":         {func(c *Config) { c.Kafka = map[string]any{"session.timeout.ms": time.Minute} }, `Kafka["session.timeout.ms"]`, "a string, number or bool"},
		"a list":             {func(c *Config) { c.Kafka = map[string]any{"debug": []string{"cgrp"}} }, `Kafka["debug"]`, "a string, number or bool"},
		"protocol":           {func(c *Config) { c.Protocol = "Classic" }, "Protocol", "ProtocolClassic or ProtocolConsumer"},
		"start":              {func(c *Config) { c.Start = "end" }, "Start", "StartEarliest or StartLatest"},
		"retry initial":      {func(c *Config) { c.Retry.Initial = -1 }, "Retry.Initial", duration},
		"retry max":          {func(c *Config) { c.Retry.Max = time.Millisecond }, "Retry.Max", "no less than Retry.Initial, 1s"},
		"attempts":           {func(c *Config) { c.Retry.Attempts = 10_001 }, "Retry.Attempts", number + "1 to 10000"},
		"missing for":        {func(c *Config) { c.MissingFor = -1 }, "MissingFor", duration},
		"sweep interval":     {func(c *Config) { c.SweepInterval = -1 }, "SweepInterval", duration},
		"placeholder age":    {func(c *Config) { c.PlaceholderAge = -1 }, "PlaceholderAge", duration},
		"placeholder policy": {func(c *Config) { c.PlaceholderPolicy = "drop" }, "PlaceholderPolicy", "PlaceholderKeep, PlaceholderDelete or PlaceholderDeadLetter"},
		"purge":              {func(c *Config) { c.PurgeDeletedAfter = -1 }, "PurgeDeletedAfter", duration},
		"keep letters":       {func(c *Config) { c.KeepLetters = -1 }, "KeepLetters", duration},
		"keep verdicts":      {func(c *Config) { c.KeepVerdicts = -1 }, "KeepVerdicts", duration},
		"revoke timeout":     {func(c *Config) { c.RevokeTimeout = -1 }, "RevokeTimeout", duration},
		"shutdown timeout":   {func(c *Config) { c.ShutdownTimeout = -1 }, "ShutdownTimeout", duration},
		"parked":             {func(c *Config) { c.MaxParkedPerKey = -1 }, "MaxParkedPerKey", number + "1 to 1000000"},
		"batch":              {func(c *Config) { c.BatchSize = 10_001 }, "BatchSize", number + "1 to 10000"},
		"parallel":           {func(c *Config) { c.Parallel = -1 }, "Parallel", number + "1 to 10000"},
		"bytes":              {func(c *Config) { c.MaxBytes = 1<<20 - 1 }, "MaxBytes", number + "1048576 to "},
		"unpublished":        {func(c *Config) { c.MaxUnpublished = -1 }, "MaxUnpublished", number + "1 to 10000000"},
		"a hook that is not": {func(c *Config) { c.Hooks = []any{new(observer), 7} }, "Hooks[0]", "a type with one of the methods"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := good().WithDefaults()
			c.change(&cfg)
			found := faults(t, cfg.validate())
			if name == "a hook that is not" {
				require.Len(t, found, 2) // both are none
				found = found[:1]
			}
			require.Len(t, found, 1)
			require.Contains(t, found[0], c.field+": ")
			require.Contains(t, found[0], c.what)
		})
	}
}

func TestAllFaultsTogether(t *testing.T) {
	t.Parallel()
	cfg := Config{Protocol: "x", BatchSize: -1}.WithDefaults()
	require.Equal(t, []string{
		"Brokers: bootstrap servers as host:port, separated by commas",
		"Group: the consumer group's name",
		"Topics: at least one topic",
		"DeadLetterTopic: the topic that takes copies of dead letters",
		"Handlers: a registry",
		"Protocol: ProtocolClassic or ProtocolConsumer",
		"BatchSize: a number from 1 to 10000",
	}, faults(t, cfg.validate()))
}

func TestNewWithoutADatabaseStillChecksTheRest(t *testing.T) {
	t.Parallel()
	cfg := good()
	cfg.Group = ""
	_, err := New(nil, &cfg)
	require.ErrorContains(t, err, "the database handle is nil; open one with gorm.Open")
	var f *FieldError
	require.True(t, errors.As(err, &f))
	require.Equal(t, "Group", f.Field)
}

func TestFieldErrorWithoutAMend(t *testing.T) {
	t.Parallel()
	require.Equal(t, "Config.Start: found \"x\", expected y", (&FieldError{Field: "Start", Found: `"x"`, Expected: "y"}).Error())
}

// TestRetryDelay: doubled up to Max, each with a jitter of half, and bounded by Attempts.
func TestRetryDelay(t *testing.T) {
	t.Parallel()
	r := Retry{Initial: time.Second, Max: 5 * time.Second, Attempts: 6}
	means := []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 5 * time.Second, 5 * time.Second}
	for i, mean := range means {
		least, most := time.Hour, time.Duration(0)
		for range 400 {
			d, more := r.delay(i + 1)
			require.True(t, more)
			least, most = min(least, d), max(most, d)
		}
		require.GreaterOrEqual(t, least, mean/2, "attempt %d", i+1)
		require.LessOrEqual(t, most, mean+mean/2, "attempt %d", i+1)
		require.Greater(t, most-least, mean/2, "attempt %d has a jitter", i+1)
	}
	d, more := r.delay(6)
	require.False(t, more)
	require.Zero(t, d)
	_, more = Retry{Attempts: 1}.delay(1)
	require.False(t, more)
}

func TestTombstonesOfTopicsThatAreNotRead(t *testing.T) {
	t.Parallel()
	type thing struct {
		ID string `gorm:"primaryKey"`
		guards.Guarded
	}
	cfg := good()
	for _, topic := range []string{"orders", "order"} {
		handlers.Set(cfg.Handlers, event.TombstoneType(topic), func(context.Context, *handlers.Delivery[struct{}, thing]) error { return nil }, handlers.Name(topic), handlers.Writes())
	}
	w, err := cfg.Handlers.Wire(schema.NamingStrategy{})
	require.NoError(t, err)
	require.NoError(t, cfg.checkWiring(nil))
	err = cfg.checkWiring(w)
	require.Equal(t, []string{"Handlers: a topic that this consumer reads"}, faults(t, err))
	require.ErrorContains(t, err, `tombstones of the topic "order"`)
}

func TestPurgingOutlastsLateness(t *testing.T) {
	t.Parallel()
	type thing struct {
		ID string `gorm:"primaryKey"`
		guards.Guarded
	}
	cfg := good()
	cfg.Handlers = handlers.NewRegistry(guards.MaxLateness(24 * time.Hour))
	handlers.Set(cfg.Handlers, "made", func(context.Context, *handlers.Delivery[struct{}, thing]) error { return nil }, handlers.Creates(), handlers.Writes())
	w, err := cfg.Handlers.Wire(schema.NamingStrategy{})
	require.NoError(t, err)
	require.NoError(t, cfg.checkWiring(w), "off")
	cfg.PurgeDeletedAfter = 24 * time.Hour
	require.Equal(t, []string{"PurgeDeletedAfter: more than max-lateness(24h0m0s)"}, faults(t, cfg.checkWiring(w)))
	cfg.PurgeDeletedAfter++
	require.NoError(t, cfg.checkWiring(w))
}

// Two streams of one name would share one memo under two settings.
func TestStreamsAreNotNamedLikeTopics(t *testing.T) {
	t.Parallel()
	type thing struct {
		ID   string `gorm:"primaryKey"`
		A, B string
		guards.Guarded
	}
	nothing := func(context.Context, *handlers.Delivery[struct{}, thing]) error { return nil }
	for name, want := range map[string][]string{"orders": {"Handlers: streams of different names"}, "moves": {}} {
		cfg := good()
		cfg.Handlers = handlers.NewRegistry()
		named := guards.Sequence(guards.Stream(name))
		handlers.Modify(cfg.Handlers, "one", nothing, named, handlers.Writes("A"))
		handlers.Modify(cfg.Handlers, "two", nothing, named, handlers.Writes("A"))
		w, err := cfg.Handlers.Wire(schema.NamingStrategy{})
		require.NoError(t, err)
		require.NoError(t, cfg.checkWiring(w), "it is the only one")
		handlers.Modify(cfg.Handlers, "three", nothing, guards.Sequence(), handlers.Writes("B"))
		w, err = cfg.Handlers.Wire(schema.NamingStrategy{})
		require.NoError(t, err)
		require.ElementsMatch(t, want, faults(t, cfg.checkWiring(w)))
	}
}
