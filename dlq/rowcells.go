package dlq

import (
	"encoding/json"
	"strings"
	"time"
)

// importColumns are the table's columns and what they get.
//
//nolint:gochecknoglobals // a table of functions, never written
var importColumns = [...]struct {
	name  string
	value func(*Letter) any
}{
	{"id", func(l *Letter) any { return l.ID }},
	{"rev", func(l *Letter) any { return l.Rev }},
	{"state", func(l *Letter) any {
		if l.State == Replaying { // what would carry that out was not written down with it
			return string(Open)
		}
		return string(l.State)
	}},
	{"outcome", func(l *Letter) any { return string(l.Outcome) }},
	{"blocking", func(l *Letter) any { return l.Blocking }},
	{"place", func(l *Letter) any { return l.Place }},
	{"stream", func(l *Letter) any { return cell(l.Stream) }},
	{"grp", func(l *Letter) any { return cell(l.Group) }},
	{"handler", func(l *Letter) any { return cell(l.Handler) }},
	{"tbl", func(l *Letter) any { return cell(l.Table) }},
	{"entity", func(l *Letter) any { return cell(l.Entity) }},
	{"action", func(l *Letter) any { return int64(l.Verdict.Action) }},
	{"reason", func(l *Letter) any { return cell(string(l.Verdict.Reason)) }},
	{"compared", func(l *Letter) any { return cell(l.Verdict.Numbers.What) }},
	{"cmp_event", func(l *Letter) any { return l.Verdict.Numbers.Event }},
	{"cmp_against", func(l *Letter) any { return l.Verdict.Numbers.Against }},
	{"cmp_bound", func(l *Letter) any { return l.Verdict.Numbers.Bound }},
	{"cmp_event_tie", func(l *Letter) any { return []byte(l.Verdict.Numbers.EventTie) }},
	{"cmp_against_tie", func(l *Letter) any { return []byte(l.Verdict.Numbers.AgainstTie) }},
	{"detail", func(l *Letter) any { return cell(l.Verdict.Detail) }},
	{"masked", maskedCell},
	{"event_type", func(l *Letter) any { return cell(l.EventType) }},
	{"source", func(l *Letter) any { return cell(l.Source) }},
	{"event_id", func(l *Letter) any { return cell(l.EventID) }},
	{"occurred_at", func(l *Letter) any { return microsCell(l.OccurredAt) }},
	{"stamp_time", func(l *Letter) any { return l.Stamp.Time }},
	{"stamp_tie", func(l *Letter) any { return []byte(l.Stamp.Tie) }},
	{"vector", func(l *Letter) any { return l.Vector.String() }},
	{"attempts", func(l *Letter) any { return l.Attempts }},
	{"first_failed", func(l *Letter) any { return microsCell(l.FirstFailed) }},
	{"last_failed", func(l *Letter) any { return microsCell(l.LastFailed) }},
	{"error_type", func(l *Letter) any { return cell(l.ErrorType) }},
	{"error", func(l *Letter) any { return cell(l.Error) }},
	{"stack", func(l *Letter) any { return cell(l.Stack) }},
	{"fingerprint", func(l *Letter) any { return cell(l.Fingerprint) }},
	{"service_version", func(l *Letter) any { return cell(l.ServiceVersion) }},
	{"created_at", func(l *Letter) any { return microsCell(l.CreatedAt) }},
	{"published_at", func(l *Letter) any { return microsCell(l.PublishedAt) }},
	{"cluster", func(l *Letter) any { return cell(l.Record.Cluster) }},
	{"topic", func(l *Letter) any { return cell(l.Record.Topic) }},
	{"topic_id", func(l *Letter) any { return cell(l.Record.TopicID) }},
	{"partition", func(l *Letter) any { return int64(l.Record.Partition) }},
	{"log_offset", func(l *Letter) any { return l.Record.Offset }},
	{"leader_epoch", func(l *Letter) any { return int64(l.Record.LeaderEpoch) }},
	{"record_key", func(l *Letter) any { return bytesCell(l.Record.Key) }},
	{"record_value", func(l *Letter) any { return bytesCell(l.Record.Value) }},
	{"headers", func(l *Letter) any { return EncodeHeaders(l.Record.Headers) }},
	{"record_time", func(l *Letter) any { return microsCell(l.Record.Timestamp) }},
	{"record_time_type", func(l *Letter) any { return int64(l.Record.TimestampType) }},
	{"edits", func(l *Letter) any { return EncodeEdits(l.Edits) }},
	// No lane has it in its queue, so no offset may wait for it.
	{"swept", func(*Letter) any { return true }},
}

// cell makes a text fit for a column, as the store does: Postgres takes neither NUL nor
// bytes that are no UTF-8.
func cell(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// bytesCell is an untyped nil for null: GORM takes a nil []byte for an empty one.
func bytesCell(b []byte) any {
	if b == nil {
		return nil
	}
	return b
}

func microsCell(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UnixMicro()
}

func maskedCell(l *Letter) any {
	if l.Verdict.Masked == nil {
		return ""
	}
	b, err := json.Marshal(l.Verdict.Masked)
	if err != nil { // a list of strings always can
		return ""
	}
	return cell(string(b))
}
