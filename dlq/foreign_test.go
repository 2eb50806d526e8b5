package dlq_test

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
)

func foreignLetter(t *testing.T, r *event.Record) *dlq.Letter {
	t.Helper()
	l, told, err := dlq.FromRecord(r)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(told, dlq.ReadRecord(r)) {
		t.Errorf("the reading is %+v", told)
	}
	return l
}

func TestForeignLetterHasWhatIsTold(t *testing.T) {
	t.Parallel()
	r := captured(t, "spring")[0].record
	l := foreignLetter(t, r)
	want := &dlq.Letter{
		ID: l.ID, Rev: 1, State: dlq.Open, Group: "billing-grüße",
		Verdict:   guards.Verdict{Action: guards.DeadLetter, Reason: dlq.Foreign, Detail: "spring: topic sb.orders-dlt, partition 0, offset 0"},
		ErrorType: "Fail$PaymentRefused", Error: l.Error, Stack: l.Stack, Fingerprint: dlq.Fingerprint(l),
		CreatedAt: time.UnixMilli(1795255421892).UTC(),
		Record: &event.Record{
			Coordinates: event.Coordinates{Topic: "sb.orders", Partition: 0, Offset: 1, LeaderEpoch: -1},
			Key:         r.Key, Value: r.Value, Headers: r.Headers,
			Timestamp: time.UnixMilli(1780000003126).UTC(), TimestampType: event.TimestampCreate,
		},
	}
	if !reflect.DeepEqual(l, want) || l.Error == "" || l.Stack == "" {
		t.Errorf("got  %+v\n     %+v\nwant %+v\n     %+v", l, l.Record, want, want.Record)
	}
}

func TestWhatIsNotToldIsUnknown(t *testing.T) {
	t.Parallel()
	r := captured(t, "trendyol")[0].record
	l := foreignLetter(t, r)
	if at := l.Record.Coordinates; at != (event.Coordinates{Partition: dlq.Unknown, Offset: dlq.Unknown, LeaderEpoch: -1}) {
		t.Errorf("coordinates %+v", at)
	}
	if l.Group != "" || l.Attempts != 0 || !l.FirstFailed.IsZero() || !l.Record.Timestamp.IsZero() || l.Record.TimestampType != event.TimestampNone {
		t.Errorf("invented: %+v", l)
	}
	// Connect's letter has the original's timestamp, so that nobody knows when it was written.
	if l = foreignLetter(t, captured(t, "kafka-connect")[0].record); !l.CreatedAt.IsZero() || l.Record.Timestamp != time.UnixMilli(1780000010133).UTC() {
		t.Errorf("made %v, timestamp %v", l.CreatedAt, l.Record.Timestamp)
	}
}

// A letter is known by its source where that is told, else by where it lies.
func TestForeignIDs(t *testing.T) {
	t.Parallel()
	told := func(offset int64, group any) *event.Record {
		return letterOn("dead", "kafka_dlt-original-topic", "orders", "kafka_dlt-original-partition", int4(1),
			"kafka_dlt-original-offset", int8s(offset), "kafka_dlt-original-consumer-group", group)
	}
	elsewhere := func(r *event.Record) *event.Record { r.Offset++; return r }
	id := func(r *event.Record) string { return foreignLetter(t, r).ID }
	if id(told(5, "g")) != id(elsewhere(told(5, "g"))) {
		t.Error("the same failure twice is two letters")
	}
	ids := map[string]bool{}
	for _, r := range []*event.Record{
		told(5, "g"), told(6, "g"), told(5, "h"),
		told(5, nil), elsewhere(told(5, nil)), // without a group nobody knows whose failure it is
		letterOn("dead", "__streams.errors.topic", "orders", "__streams.errors.partition", "1", "__streams.errors.offset", "99"),
		letterOn("dead", "x-error-message", "m"), elsewhere(letterOn("dead", "x-error-message", "m")), letterOn("dead2", "x-error-message", "m"),
	} {
		ids[id(r)] = true
	}
	if len(ids) != 9 {
		t.Errorf("%d ids", len(ids))
	}
}

// What came from beside the headers is there when the letter is read from the table.
func TestForeignReadsTheLetterAgain(t *testing.T) {
	t.Parallel()
	for _, r := range []*event.Record{
		captured(t, "kafka-connect")[2].record, captured(t, "spring")[4].record, captured(t, "watermill")[0].record,
		letterOn("error.orders.billing", "x-original-topic", "orders", "x-original-partition", int4(1), "x-original-offset", "x"),
		letterOn("billing-dlq", "asyncRetry", `{"top":"orders"}`),
	} {
		want := dlq.ReadRecord(r)
		got := foreignLetter(t, r).Foreign()
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
	own := everything(t)
	own.Record.Headers = captured(t, "spring")[0].record.Headers
	if got := own.Foreign(); got != nil {
		t.Errorf("our own letter of a record that was Spring's reads as %+v", got)
	}
}

// The bytes on the topic are all kept, whatever they are.
func TestForeignLetterKeepsTheRecord(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"spring", "kafka-connect", "trendyol", "watermill"} {
		for _, s := range captured(t, name) {
			l := foreignLetter(t, s.record)
			if !same(l.Record.Key, s.record.Key) || !same(l.Record.Value, s.record.Value) ||
				!bytes.Equal(dlq.EncodeHeaders(l.Record.Headers), dlq.EncodeHeaders(s.record.Headers)) {
				t.Errorf("%s: %s", name, s.what)
			}
		}
	}
}
