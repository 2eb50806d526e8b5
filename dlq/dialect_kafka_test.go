package dlq_test

import (
	"testing"

	"github.com/evenkeel-go/evenkeel/event"
)

func TestKafkaConnect(t *testing.T) {
	t.Parallel()
	samples := captured(t, "kafka-connect")
	overwritten := *samples[0].record
	overwritten.TimestampType = event.TimestampLogAppend
	readings(t, "kafka-connect", append(samples, sample{"on a topic that sets its own timestamps", &overwritten}))
}

func TestKafkaStreams(t *testing.T) {
	t.Parallel()
	set := []any{
		"__streams.errors.exception", "org.apache.kafka.streams.errors.StreamsException", "__streams.errors.message", nil,
		"__streams.errors.stacktrace", "E\n\tat x", "__streams.errors.topic", "orders", "__streams.errors.partition", "1", "__streams.errors.offset", "12",
	}
	readings(t, "kafka-streams", []sample{
		{"without a message", letterOn("dead", set...)},
		{"twice", letterOn("dead", append(append([]any{}, set...), "__streams.errors.topic", "orders", "__streams.errors.partition", "1", "__streams.errors.offset", "30")...)},
	})
}

func TestShareGroup(t *testing.T) {
	t.Parallel()
	set := []any{
		"__dlq.errors.topic", "orders", "__dlq.errors.partition", "3", "__dlq.errors.offset", "12",
		"__dlq.errors.group", "billing", "__dlq.errors.delivery.count", "5", "__dlq.errors.message", "The record was rejected",
	}
	pointer := letterOn("dlq.orders", set...)
	pointer.Key, pointer.Value = nil, nil
	readings(t, "share-group", []sample{
		{"a pointer, which is no tombstone", pointer},
		{"with copying on", letterOn("dlq.orders", set...)},
	})
}
