package dlq_test

import (
	"testing"

	"github.com/evenkeel-go/evenkeel/dlq"
)

func TestSpring(t *testing.T) {
	t.Parallel()
	readings(t, "spring", captured(t, "spring"))
}

// From Spring's documentation and source: the topics of @RetryableTopic.
func TestSpringRetry(t *testing.T) {
	t.Parallel()
	failed := []any{
		"kafka_original-topic", "orders", "kafka_original-partition", int4(2), "kafka_original-offset", int8s(4711),
		"kafka_original-timestamp", int8s(1792000000000), "kafka_original-timestamp-type", "CreateTime",
		"retry_topic-original-timestamp",
		[]byte{0x01, 0xa1, 0x3b, 0xa1, 0x10, 0x00},
		"kafka_dlt-original-consumer-group", "billing",
		"kafka_exception-fqcn", "org.springframework.kafka.listener.ListenerExecutionFailedException",
		"kafka_exception-cause-fqcn", "shop.Declined", "kafka_exception-message", "Listener failed; declined",
		"kafka_exception-stacktrace", "shop.Declined: declined\n\tat shop.Pay.run(Pay.java:7)",
		"retry_topic-attempts", int4(2), "retry_topic-backoff-timestamp",
		[]byte{0x01, 0xa1, 0x3b, 0xa1, 0x14, 0x00},
	}
	readings(t, "spring-retry", []sample{
		{"first retry topic", letterOn("orders-retry-0", failed...)},
		{"dead-letter topic, each hop appended", letterOn("orders-dlt", append(append([]any{}, failed...),
			"kafka_dlt-original-consumer-group", "billing", "retry_topic-attempts", int4(4),
			"retry_topic-backoff-timestamp", []byte{0x01, 0xa1, 0x3b, 0xa1, 0x18, 0x00})...)},
		{"one byte, as the first releases wrote", letterOn("orders-dlt", "kafka_original-topic", "orders", "retry_topic-attempts", []byte{3})},
		{"the key can't be read", letterOn("orders-dlt", "kafka_original-topic", "orders", "kafka_key-exception-fqcn", "D", "kafka_key-exception-message", "no key")},
	})
}

// Bytes of minimal length have a sign.
func TestMinimalTimesAreSigned(t *testing.T) {
	t.Parallel()
	got := dlq.ReadRecord(letterOn("dead", "kafka_original-topic", "orders", "retry_topic-backoff-timestamp", []byte{0xff}))
	if len(got.Facts) != 1 || got.Facts[0] != (dlq.Fact{Name: "next try", Value: "1969-12-31T23:59:59.999Z"}) {
		t.Errorf("got %+v, %+v", got.Facts, got.Malformed)
	}
}

func TestSpringCloudStream(t *testing.T) {
	t.Parallel()
	set := func(offset int64) []any {
		return []any{
			"x-original-topic", "orders", "x-original-partition", int4(2), "x-original-offset", int8s(offset),
			"x-original-timestamp", int8s(1792000000000), "x-original-timestamp-type", "LogAppendTime",
			"x-exception-fqcn", "org.springframework.messaging.MessageHandlingException",
			"x-exception-message", "error occurred in message handler [Handler@5f2a]", "x-exception-stacktrace", "E\n\tat x",
		}
	}
	readings(t, "spring-cloud-stream", []sample{
		{"the group is in the topic", letterOn("error.orders.billing", set(5)...)},
		{"another topic tells no group", letterOn("orders.dlq", set(5)...)},
		{"twice", letterOn("error.orders.billing", append(set(5), set(9)...)...)},
	})
}
