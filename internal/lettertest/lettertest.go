// Package lettertest has letters for the tests of those who read them, and writes them to
// the table as its migration's comments say, without the store.
package lettertest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
)

// At is so many microseconds after 2026-10-14T17:46:40Z.
func At(micros int64) time.Time { return time.UnixMicro(1_792_000_000_000_000 + micros).UTC() }

// Full has every field set that a copy carries.
func Full() *dlq.Letter {
	r := &event.Record{
		Coordinates: event.Coordinates{
			Cluster: "MkU3OEVBNTcwNTJENDM2Qg", Topic: "orders", TopicID: "AAAAAAAAAAAAAAAAAAAAAQ",
			Partition: 7, Offset: 4711, LeaderEpoch: 3,
		},
		Key:   []byte("order-17"),
		Value: []byte(`{"total": 1e400, "id": 9007199254740993}`),
		Headers: []event.Header{
			{Key: "traceparent", Value: []byte("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")},
			{Key: "x", Value: nil},
			{Key: "x", Value: []byte{}},
			{Key: "x", Value: []byte{0xff, 0}},
		},
		Timestamp: At(5000), TimestampType: event.TimestampCreate,
	}
	return &dlq.Letter{
		ID: dlq.UnitID(r.Coordinates, "billing", "order.paid", "order-17"), Rev: 2, State: dlq.Open,
		Blocking: true, Place: 12, Stream: "orders",
		Group: "billing", Handler: "order.paid", Table: "orders", Entity: "order-17",
		Verdict: guards.Verdict{
			Action: guards.DeadLetter, Reason: guards.Exhausted,
			Numbers: guards.Comparison{
				What: "timestamp", Event: At(1).UnixMicro(), Against: At(1).UnixMicro(), Bound: 3_600_000_000,
				EventTie: event.Tie(true, "/shop", "e-1"), AgainstTie: event.Tie(false, "/shöp\x00", "e-\xfe"),
			},
			Detail: "tried 8 times in 2h",
		},
		EventType: "order.paid", Source: "/shop", EventID: "e-1", OccurredAt: At(1),
		Stamp:    event.Stamp{Time: At(1).UnixMicro(), Tie: event.Tie(true, "/shop", "e-1")},
		Vector:   event.Vector{{Node: "shop", Count: 3}, {Node: "till", Count: 1}},
		Attempts: 8, FirstFailed: At(7_000_000), LastFailed: At(7_200_000_123),
		ErrorType: "*billing.DeclinedError", Error: "card 4242 declined\nby the bank",
		Stack:       "goroutine 12 [running]:\nmain.paid(0x1)\n\t/app/main.go:12 +0x1d",
		Fingerprint: "0123456789abcdef", ServiceVersion: "v1.4.2", CreatedAt: At(7_200_001_000),
		Record: r,
	}
}

// Edits are revisions of a letter, of text and of bytes.
func Edits() []dlq.Revision {
	return []dlq.Revision{
		{N: 1, At: At(7_300_000_001), By: dlq.Actor{Name: "ann", Via: "cli"}, Reason: "wrong \"total\"", Value: []byte(`{"total": 1e40}`), Headers: []event.Header{{Key: "x", Value: []byte("é")}}},
		{N: 2, At: At(7_300_000_002), By: dlq.Actor{Name: "bob", Via: "api"}, Reason: "gzip", Value: []byte{0x1f, 0x8b, 0xff, 0}, Headers: []event.Header{{Key: "x", Value: nil}, {Key: "x", Value: []byte{}}, {Key: "y", Value: []byte{0xff, 0}}}},
	}
}

// Poison is what is left when bytes could not be decoded.
func Poison() *dlq.Letter {
	r := &event.Record{
		Coordinates:   event.Coordinates{Topic: "orders", Partition: 0, Offset: 0, LeaderEpoch: -1},
		Value:         []byte("\x00\x01not an event\xff"),
		TimestampType: event.TimestampNone,
	}
	return &dlq.Letter{
		ID: dlq.UnitID(r.Coordinates, "billing", "", ""), State: dlq.Open, Group: "billing",
		Verdict: guards.Verdict{Action: guards.DeadLetter, Reason: guards.Poison},
		Error:   "cloudevents: value: expected JSON, found \"\\x00\"",
		Record:  r,
	}
}

// Insert writes l to the table evenkeel_dead_letters of a migrated database.
func Insert(ctx context.Context, db *gorm.DB, l *dlq.Letter) error {
	masked := ""
	if l.Verdict.Masked != nil {
		b, err := json.Marshal(l.Verdict.Masked)
		if err != nil {
			return err
		}
		masked = string(b)
	}
	r, v, n := l.Record, l.Verdict, l.Verdict.Numbers
	row := map[string]any{
		"id": l.ID, "rev": l.Rev, "state": l.State, "outcome": l.Outcome, "blocking": l.Blocking, "place": l.Place,
		"grp": l.Group, "handler": l.Handler, "tbl": l.Table, "entity": l.Entity, "stream": l.Stream,
		"action": v.Action, "reason": v.Reason, "compared": n.What, "cmp_event": n.Event,
		"cmp_against": n.Against, "cmp_bound": n.Bound,
		"cmp_event_tie": []byte(n.EventTie), "cmp_against_tie": []byte(n.AgainstTie),
		"detail": v.Detail, "masked": masked,
		"event_type": l.EventType, "source": l.Source, "event_id": l.EventID,
		"occurred_at": micros(l.OccurredAt), "stamp_time": l.Stamp.Time, "stamp_tie": []byte(l.Stamp.Tie), "vector": l.Vector.String(),
		"attempts": l.Attempts, "first_failed": micros(l.FirstFailed), "last_failed": micros(l.LastFailed),
		"error_type": l.ErrorType, "error": l.Error, "stack": l.Stack, "fingerprint": l.Fingerprint,
		"service_version": l.ServiceVersion,
		"created_at":      micros(l.CreatedAt), "published_at": micros(l.PublishedAt),
		"cluster": r.Cluster, "topic": r.Topic, "topic_id": r.TopicID, "partition": r.Partition,
		"log_offset": r.Offset, "leader_epoch": r.LeaderEpoch,
		"record_key": r.Key, "record_value": r.Value, "headers": dlq.EncodeHeaders(r.Headers),
		"record_time": micros(r.Timestamp), "record_time_type": r.TimestampType, "swept": false, "edits": dlq.EncodeEdits(l.Edits),
	}
	names := make([]string, 0, len(row))
	for name := range row {
		names = append(names, name)
	}
	slices.Sort(names)
	args, marks := make([]any, 0, len(names)), make([]string, 0, len(names))
	for i, name := range names {
		args, marks = append(args, row[name]), append(marks, fmt.Sprintf("$%d", i+1))
	}
	// Not GORM's Exec, for which a nil []byte is an empty one.
	pool, err := db.DB()
	if err != nil {
		return err
	}
	_, err = pool.ExecContext(ctx, "INSERT INTO evenkeel_dead_letters ("+strings.Join(names, ",")+") VALUES ("+strings.Join(marks, ",")+")", args...) //nolint:gosec // the names above
	return err
}

func micros(at time.Time) any {
	if at.IsZero() {
		return nil
	}
	return at.UnixMicro()
}
