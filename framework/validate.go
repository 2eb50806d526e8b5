package framework

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/internal/broker/confluent"
)

// FieldError is one mistake in a Config.
type FieldError struct {
	Field    string // e.g. "Topics[1]"
	Found    string
	Expected string
	Mend     string
}

// Error names the field, what was found, what was expected and the mend.
func (f *FieldError) Error() string {
	s := fmt.Sprintf("Config.%s: found %s, expected %s", f.Field, f.Found, f.Expected)
	if f.Mend != "" {
		s += "; " + f.Mend
	}
	return s
}

// WithDefaults returns a copy in which every field that was left out has its default.
func (c Config) WithDefaults() Config {
	set(&c.Protocol, ProtocolClassic)
	set(&c.Start, StartEarliest)
	set(&c.Retry.Initial, time.Second)
	set(&c.Retry.Max, 5*time.Minute)
	set(&c.Retry.Attempts, 10)
	set(&c.Breaker.Share, 0.5)
	set(&c.Breaker.Window, 200)
	set(&c.Breaker.Keys, 20)
	set(&c.MissingFor, 24*time.Hour)
	set(&c.MaxParkedPerKey, 1000)
	set(&c.BatchSize, 1000)
	set(&c.Parallel, 16)
	set(&c.MaxBytes, 256<<20)
	set(&c.MaxUnpublished, 10_000)
	set(&c.SweepInterval, time.Second)
	set(&c.PlaceholderAge, time.Hour)
	set(&c.PlaceholderPolicy, PlaceholderKeep)
	set(&c.KeepVerdicts, 7*24*time.Hour)
	set(&c.KeepLetters, 90*24*time.Hour)
	set(&c.RevokeTimeout, 3*time.Second)
	set(&c.ShutdownTimeout, 20*time.Second)
	if c.Codec == nil {
		c.Codec = event.CloudEvents()
	}
	if c.Logger == nil {
		c.Logger = Logrus(logrus.StandardLogger())
	}
	if c.ServiceVersion == "" {
		if info, ok := debug.ReadBuildInfo(); ok {
			c.ServiceVersion = info.Main.Version
		}
	}
	return c
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// validate returns all mistakes.
func (c *Config) validate() error {
	var errs []error
	bad := func(field, found, expected, mend string) {
		errs = append(errs, &FieldError{Field: field, Found: found, Expected: expected, Mend: mend})
	}
	quote := func(s string) string {
		if s == "" {
			return "nothing"
		}
		return fmt.Sprintf("%q", s)
	}
	if c.Brokers == "" {
		bad("Brokers", "nothing", "bootstrap servers as host:port, separated by commas", "e.g. \"localhost:9092\"")
	} else {
		for b := range strings.SplitSeq(c.Brokers, ",") {
			if _, _, err := net.SplitHostPort(strings.TrimSpace(b)); err != nil {
				mend := "add the port, e.g. \"localhost:9092\""
				if strings.Contains(b, "://") {
					mend = "leave the scheme out, e.g. \"localhost:9092\"; TLS and SASL are properties of Config.Kafka"
				}
				bad("Brokers", quote(b), "host:port", mend)
			}
		}
	}
	if c.Group == "" {
		bad("Group", "nothing", "the consumer group's name", "give all members of one service the same")
	}
	if len(c.Topics) == 0 {
		bad("Topics", "nothing", "at least one topic", "")
	}
	for i, t := range c.Topics {
		field := fmt.Sprintf("Topics[%d]", i)
		switch {
		case !isTopic(t):
			bad(field, quote(t), "a topic's name: 1 to 249 letters, digits, dots, underscores and hyphens", "patterns are not supported; name each topic")
		case slices.Contains(c.Topics[:i], t):
			bad(field, quote(t), "each topic once", "remove one of the two")
		}
	}
	switch {
	case c.DeadLetterTopic == "":
		bad("DeadLetterTopic", "nothing", "the topic that takes copies of dead letters", "e.g. \"orders.dlq\"; it must exist")
	case !isTopic(c.DeadLetterTopic):
		bad("DeadLetterTopic", quote(c.DeadLetterTopic), "a topic's name", "")
	case slices.Contains(c.Topics, c.DeadLetterTopic):
		bad("DeadLetterTopic", quote(c.DeadLetterTopic), "a topic that this consumer does not read", "letters would be consumed as events; name another one")
	}
	if c.Handlers == nil {
		bad("Handlers", "nil", "a registry", "make it with handlers.NewRegistry")
	}
	for t, codec := range c.Codecs {
		if codec == nil {
			bad("Codecs["+quote(t)+"]", "nil", "a codec", "leave it out to use Config.Codec")
		}
	}
	for _, key := range confluent.OwnedIn(c.Kafka) {
		bad("Kafka["+quote(key)+"]", "a value", "it left out: the framework owns it", confluent.Owned(key))
	}
	for _, key := range slices.Sorted(maps.Keys(c.Kafka)) {
		switch v := c.Kafka[key].(type) {
		case string, bool, int, int32, int64, uint, uint32, uint64, float64:
		case time.Duration:
			bad("Kafka["+quote(key)+"]", v.String()+" as a time.Duration", "a string, number or bool", "librdkafka's times are numbers, most of them of milliseconds; see the property's name")
		default:
			bad("Kafka["+quote(key)+"]", fmt.Sprintf("a %T", v), "a string, number or bool", "")
		}
	}
	if c.Protocol != ProtocolClassic && c.Protocol != ProtocolConsumer {
		bad("Protocol", quote(string(c.Protocol)), "ProtocolClassic or ProtocolConsumer", "")
	}
	if c.Start != StartEarliest && c.Start != StartLatest {
		bad("Start", quote(string(c.Start)), "StartEarliest or StartLatest", "")
	}
	if _, ok := placeholderPolicies[c.PlaceholderPolicy]; !ok {
		bad("PlaceholderPolicy", quote(string(c.PlaceholderPolicy)), "PlaceholderKeep, PlaceholderDelete or PlaceholderDeadLetter", "")
	}
	c.Breaker.validate(bad)
	for _, d := range []struct {
		field string
		value time.Duration
	}{
		{"Retry.Initial", c.Retry.Initial},
		{"Retry.Max", c.Retry.Max},
		{"MissingFor", c.MissingFor},
		{"SweepInterval", c.SweepInterval},
		{"PlaceholderAge", c.PlaceholderAge},
		{"PurgeDeletedAfter", c.PurgeDeletedAfter},
		{"KeepVerdicts", c.KeepVerdicts},
		{"KeepLetters", c.KeepLetters},
		{"RevokeTimeout", c.RevokeTimeout},
		{"ShutdownTimeout", c.ShutdownTimeout},
	} {
		if d.value < 0 {
			bad(d.field, d.value.String(), "a duration above zero", "leave it out for the default")
		}
	}
	if c.Retry.Max < c.Retry.Initial {
		bad("Retry.Max", c.Retry.Max.String(), "no less than Retry.Initial, "+c.Retry.Initial.String(), "give both; left out it is 5 minutes")
	}
	for _, n := range []struct {
		field      string
		value      int64
		least, top int64
	}{
		{"Retry.Attempts", int64(c.Retry.Attempts), 1, 10_000},
		{"MaxParkedPerKey", int64(c.MaxParkedPerKey), 1, 1_000_000},
		{"BatchSize", int64(c.BatchSize), 1, 10_000},
		{"Parallel", int64(c.Parallel), 1, 10_000},
		{"MaxBytes", c.MaxBytes, 1 << 20, 1 << 40},
		{"MaxUnpublished", int64(c.MaxUnpublished), 1, 10_000_000},
	} {
		if n.value < n.least || n.value > n.top {
			bad(n.field, fmt.Sprint(n.value), fmt.Sprintf("a number from %d to %d", n.least, n.top), "leave it out for the default")
		}
	}
	for i, h := range c.Hooks {
		switch h.(type) {
		case VerdictHook, BatchHook, LetterHook, PartitionHook, AlarmHook, PlaceholderHook, GapHook, BreakerHook:
		default:
			bad(fmt.Sprintf("Hooks[%d]", i), fmt.Sprintf("%T", h), "a type with one of the methods OnVerdict, OnBatch, OnLetter, OnPartition, OnAlarm, OnPlaceholders, OnGap, OnBreaker", "check the method's parameter type")
		}
	}
	return errors.Join(errs...)
}

func isTopic(s string) bool {
	if s == "" || len(s) > 249 || s == "." || s == ".." {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune(topicRunes, r)
	})
}

const topicRunes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
