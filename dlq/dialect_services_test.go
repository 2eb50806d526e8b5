package dlq_test

import (
	"testing"
)

func TestWatermill(t *testing.T) {
	t.Parallel()
	readings(t, "watermill", captured(t, "watermill"))
}

func TestTrendyol(t *testing.T) {
	t.Parallel()
	readings(t, "trendyol", append(captured(t, "trendyol"),
		sample{"an attempt's number", letterOn("dead", "x-error-message", nil, "x-retry-attempt-count", "2")}))
}

func TestKarafka(t *testing.T) {
	t.Parallel()
	readings(t, "karafka", []sample{
		{"2.5 and later", letterOn("dead", "source_topic", "orders", "source_partition", "2", "source_offset", "7",
			"source_consumer_group", "billing", "source_attempts", "3", "source_trace_id", "4bf92f35")},
		{"before 2.5", letterOn("dead", "original_topic", "orders", "original_partition", "2", "original_offset", "7",
			"original_consumer_group", "billing", "original_attempts", "3")},
	})
}

func TestWolverine(t *testing.T) {
	t.Parallel()
	readings(t, "wolverine", []sample{
		{"all headers", letterOn("dead", "exception-type", "System.InvalidOperationException", "exception-message", "no such order",
			"exception-stack", "at Shop.Pay()", "failed-at", "1792000000123", "original-destination", "kafka://topic/orders",
			"original-partition", "2", "original-offset", "7", "attempts", "3")},
	})
}

func TestSmallRye(t *testing.T) {
	t.Parallel()
	set := func(offset string) []any {
		return []any{
			"dead-letter-exception-class-name", "java.lang.IllegalStateException", "dead-letter-reason", "no such order",
			"dead-letter-cause-class-name", "java.io.IOException", "dead-letter-cause", "closed",
			"dead-letter-topic", "orders", "dead-letter-partition", "2", "dead-letter-offset", offset,
		}
	}
	readings(t, "smallrye", []sample{
		{"with a cause", letterOn("dead", set("7")...)},
		{"twice: the newest set is in front", letterOn("dead", append(set("30"), set("7")...)...)},
		{"undecodable", letterOn("dead", append(set("7"), "deserialization-failure-deserializer", "D", "deserialization-failure-topic", "orders",
			"deserialization-failure-reason", "no JSON", "deserialization-failure-value-data", []byte("\xff\x00{"), "deserialization-failure-data", nil)...)},
	})
}

func TestKafkaJS(t *testing.T) {
	t.Parallel()
	readings(t, "kafkajs-async-retry", []sample{
		{"the group is in the topic", letterOn("billing-dlq", "asyncRetry", `{"ttl":1792000000000,"top":"orders","att":3}`)},
		{"what is missing is unknown", letterOn("dead", "asyncRetry", `{}`)},
	})
}
