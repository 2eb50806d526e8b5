package dlq

import "github.com/evenkeel-go/evenkeel/event"

const springPrefix = "kafka_dlt-"

// spring is written by Spring for Apache Kafka's DeadLetterPublishingRecoverer.
//
//nolint:gochecknoglobals // a table, never written
var spring = Dialect{
	name: "spring", library: "Spring for Apache Kafka",
	marks: [][]string{{springPrefix + "original-topic"}, {springPrefix + "exception-fqcn"}, {springPrefix + "exception-cause-fqcn"}},
	// Serializers may have written key and value anew.
	key: Uncertain, value: Uncertain,
	tells: append(springTells(springPrefix+"original-", springPrefix), springGroup()),
}

// springRetry is written by the topics of @RetryableTopic, whose records keep naming the
// first source while they go from topic to topic.
//
//nolint:gochecknoglobals // a table, never written
var springRetry = Dialect{
	name: "spring-retry", library: "Spring for Apache Kafka, @RetryableTopic",
	marks: [][]string{{"kafka_original-topic"}, {"kafka_exception-fqcn"}, {"retry_topic-attempts"}},
	key:   Uncertain, value: Uncertain,
	tells: append(
		springTells("kafka_original-", "kafka_"),
		springGroup(),
		tell{name: "retry_topic-attempts", set: func(r *Reading, value []byte) string {
			// It is the number of the next attempt. The first releases wrote one byte.
			n, ok := parseMinimal(value)
			if !ok || n < 1 || len(value) != 1 && len(value) != 4 {
				return "the number of the next attempt, 1 or more, as 4 bytes big-endian"
			}
			attempts := int(n - 1)
			r.Attempts = &attempts
			return ""
		}},
		aMinimalTime("retry_topic-original-timestamp", "first tried from"),
		aMinimalTime("retry_topic-backoff-timestamp", "next try"),
	),
}

// springGroup is under this name in both.
func springGroup() tell {
	return aName(springPrefix+"original-consumer-group", func(r *Reading) **string { return &r.Group })
}

// springTells are the headers that both have under their own prefixes.
func springTells(original, prefix string) []tell {
	return []tell{
		aTopic(original + "topic"),
		aPartition(original+"partition", parseBinary),
		anOffset(original+"offset", parseBinary),
		aTimestamp(original+"timestamp", parseBinary),
		aTimestampType(original + "timestamp-type"),
		aText(prefix+"exception-fqcn", maxName, func(r *Reading) **string { return &r.Exception }),
		aText(prefix+"exception-cause-fqcn", maxName, func(r *Reading) **string { return &r.Cause }),
		aText(prefix+"exception-message", MaxErrorBytes, func(r *Reading) **string { return &r.Message }),
		aText(prefix+"exception-stacktrace", MaxStackBytes, func(r *Reading) **string { return &r.Stack }),
		// A failure to read the key has these in place of those above, or beside them.
		orElse(prefix+"key-exception-fqcn", "key exception", maxName, func(r *Reading) **string { return &r.Exception }),
		orElse(prefix+"key-exception-message", "key exception message", MaxErrorBytes, func(r *Reading) **string { return &r.Message }),
		orElse(prefix+"key-exception-stacktrace", "key exception stack", MaxStackBytes, func(r *Reading) **string { return &r.Stack }),
	}
}

// orElse tells a field that no header before it has told, else a fact.
func orElse(name, fact string, limit int, at func(*Reading) **string) tell {
	field := aText(name, limit, at)
	return tell{name: name, set: func(r *Reading, value []byte) string {
		if *at(r) == nil {
			return field.set(r, value)
		}
		return aFact(name, fact).set(r, value)
	}}
}

// aMinimalTime tells a time in milliseconds as bytes of minimal length.
func aMinimalTime(name, fact string) tell {
	return tell{name: name, set: func(r *Reading, value []byte) string {
		n, ok := parseMinimal(value)
		at := aTime(n, milliseconds)
		if !ok || at == nil {
			return "a time in milliseconds since 1970, as 1 to 8 bytes big-endian"
		}
		r.fact(fact, written(*at))
		return ""
	}}
}

// springCloud is written by Spring Cloud Stream's Kafka binder.
//
//nolint:gochecknoglobals // a table, never written
var springCloud = Dialect{
	name: "spring-cloud-stream", library: "Spring Cloud Stream",
	marks: [][]string{{"x-original-topic"}, {"x-exception-fqcn"}, {"x-exception-stacktrace"}},
	key:   Uncertain, value: Uncertain,
	tells: []tell{
		aTopic("x-original-topic"),
		aPartition("x-original-partition", parseBinary),
		anOffset("x-original-offset", parseBinary),
		aTimestamp("x-original-timestamp", parseBinary),
		aTimestampType("x-original-timestamp-type"),
		aText("x-exception-fqcn", maxName, func(r *Reading) **string { return &r.Exception }),
		aText("x-exception-message", MaxErrorBytes, func(r *Reading) **string { return &r.Message }),
		aText("x-exception-stacktrace", MaxStackBytes, func(r *Reading) **string { return &r.Stack }),
	},
	finish: func(r *Reading, record *event.Record) {
		// The letter's topic, error.<destination>.<group>, is the only place of the group.
		if r.Source.Topic == nil {
			return
		}
		before := "error." + *r.Source.Topic + "."
		if group := record.Topic; len(group) > len(before) && group[:len(before)] == before {
			group = group[len(before):]
			r.Group = &group
		}
	},
}
