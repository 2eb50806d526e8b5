package dlq_test

import (
	"strings"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/lettertest"
)

// largestLetter has every text at or above its limit, with bytes that take most room.
func largestLetter() *dlq.Letter {
	l := lettertest.Full()
	long := strings.Repeat("ä\x00", 40<<10)
	for _, s := range []*string{
		&l.Group, &l.Handler, &l.Table, &l.Entity, &l.EventType, &l.EventID, &l.Source,
		&l.ErrorType, &l.Error, &l.Stack, &l.Fingerprint, &l.ServiceVersion,
		&l.Verdict.Detail, &l.Verdict.Numbers.What, &l.Record.Topic, &l.Record.TopicID, &l.Record.Cluster,
	} {
		*s = long
	}
	l.Verdict.Reason = guards.Reason(long)
	l.Stamp.Tie = event.Tie(true, strings.Repeat("\x00", 128), strings.Repeat("\x00", 128))
	l.Verdict.Numbers.EventTie, l.Verdict.Numbers.AgainstTie = l.Stamp.Tie, l.Stamp.Tie
	return l
}

// record is the message as a consumer of the dead-letter topic gets it.
func record(m *dlq.Message) *event.Record {
	return &event.Record{
		Coordinates: event.Coordinates{Topic: m.Topic, Partition: 1, Offset: 99, LeaderEpoch: 5},
		Key:         m.Key, Value: m.Value, Headers: m.Headers,
		// A topic under LogAppendTime, which is the harder case.
		Timestamp: lettertest.At(9e12), TimestampType: event.TimestampLogAppend,
	}
}

func header(m *dlq.Message, name string) string {
	value, ok := record(m).Header(name)
	if !ok {
		return "(none)"
	}
	return string(value)
}
