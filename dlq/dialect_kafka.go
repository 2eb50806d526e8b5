package dlq

import "github.com/evenkeel-go/evenkeel/event"

const (
	connectPrefix = "__connect.errors."
	streamsPrefix = "__streams.errors."
)

// connect is written by Kafka Connect's sink connectors.
//
//nolint:gochecknoglobals // a table, never written
var connect = Dialect{
	name: "kafka-connect", library: "Kafka Connect",
	marks: [][]string{{connectPrefix + "topic"}, {connectPrefix + "stage"}, {connectPrefix + "exception.class.name"}},
	key:   Original, value: Original, keepsTimestamp: true,
	tells: []tell{
		aTopic(connectPrefix + "topic"),
		aPartition(connectPrefix+"partition", parseDecimal),
		anOffset(connectPrefix+"offset", parseDecimal),
		aName(connectPrefix+"connector.name", func(r *Reading) **string { return &r.Handler }),
		aFact(connectPrefix+"task.id", "task"),
		aFact(connectPrefix+"stage", "stage"),
		aFact(connectPrefix+"class.name", "class"),
		aText(connectPrefix+"exception.class.name", maxName, func(r *Reading) **string { return &r.Exception }),
		aText(connectPrefix+"exception.message", MaxErrorBytes, func(r *Reading) **string { return &r.Message }),
		aText(connectPrefix+"exception.stacktrace", MaxStackBytes, func(r *Reading) **string { return &r.Stack }),
	},
	finish: func(r *Reading, _ *event.Record) {
		if r.Handler != nil {
			group := "connect-" + *r.Handler
			r.Group = &group
		}
	},
}

// streams is written by Kafka Streams' exception handlers. One failure can write two
// letters with the same coordinates.
//
//nolint:gochecknoglobals // a table, never written
var streams = Dialect{
	name: "kafka-streams", library: "Kafka Streams",
	marks: [][]string{{streamsPrefix + "topic"}, {streamsPrefix + "exception"}},
	key:   Original, value: Original, keepsTimestamp: true,
	tells: []tell{
		aTopic(streamsPrefix + "topic"),
		aPartition(streamsPrefix+"partition", parseDecimal),
		anOffset(streamsPrefix+"offset", parseDecimal),
		aText(streamsPrefix+"exception", maxName, func(r *Reading) **string { return &r.Exception }),
		aText(streamsPrefix+"message", MaxErrorBytes, func(r *Reading) **string { return &r.Message }),
		aText(streamsPrefix+"stacktrace", MaxStackBytes, func(r *Reading) **string { return &r.Stack }),
	},
}

// shareGroup is written by brokers for share groups (KIP-1191), by default without key and
// value: a pointer to the source record.
//
//nolint:gochecknoglobals // a table, never written
var shareGroup = Dialect{
	name: "share-group", library: "Kafka share groups (KIP-1191)",
	marks: [][]string{{StandardPrefix + "topic", StandardPrefix + "offset"}, {StandardPrefix + "message"}},
	order: alone,
	key:   Original, value: Original,
	tells: []tell{
		aTopic(StandardPrefix + "topic"),
		aPartition(StandardPrefix+"partition", parseDecimal),
		anOffset(StandardPrefix+"offset", parseDecimal),
		aName(StandardPrefix+"group", func(r *Reading) **string { return &r.Group }),
		aCount(StandardPrefix+"delivery.count", func(r *Reading) **int { return &r.Attempts }),
		// The broker's sentence, not the application's error.
		aFact(StandardPrefix+"message", "broker's message"),
	},
	finish: func(r *Reading, record *event.Record) {
		if record.Key == nil && record.Value == nil {
			r.Key, r.Value = Absent, Absent
		}
	},
}
