package letterfilter

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	"github.com/evenkeel-go/evenkeel/dlq"
)

const prefix = "letter."

type kind int

const (
	text kind = iota
	number
	truth
	instant
)

func (k kind) cel() *cel.Type {
	switch k {
	case text:
		return cel.StringType
	case number:
		return cel.IntType
	case truth:
		return cel.BoolType
	case instant:
		return cel.TimestampType
	}
	return cel.DynType
}

// field is what an expression may ask a letter for. Its value is nil where it isn't known.
type field struct {
	name string
	kind kind
	get  func(*dlq.Letter) any
}

// fields have the names of `evenkeel dlq show -o json`.
//
//nolint:gochecknoglobals // a table of functions, never written
var fields = [...]field{
	{"id", text, func(l *dlq.Letter) any { return l.ID }},
	{"rev", number, func(l *dlq.Letter) any { return l.Rev }},
	{"state", text, func(l *dlq.Letter) any { return string(l.State) }},
	{"outcome", text, func(l *dlq.Letter) any { return string(l.Outcome) }},
	{"reason", text, func(l *dlq.Letter) any { return string(l.Verdict.Reason) }},
	{"detail", text, func(l *dlq.Letter) any { return l.Verdict.Detail }},
	{"blocking", truth, func(l *dlq.Letter) any { return l.Blocking }},
	{"place", number, func(l *dlq.Letter) any { return l.Place }},
	{"stream", text, func(l *dlq.Letter) any { return l.Stream }},
	{"group", text, func(l *dlq.Letter) any { return l.Group }},
	{"handler", text, func(l *dlq.Letter) any { return l.Handler }},
	{"table", text, func(l *dlq.Letter) any { return l.Table }},
	{"entity", text, func(l *dlq.Letter) any { return l.Entity }},
	{"event_type", text, func(l *dlq.Letter) any { return l.EventType }},
	{"event_id", text, func(l *dlq.Letter) any { return l.EventID }},
	{"event_source", text, func(l *dlq.Letter) any { return l.Source }},
	{"occurred_at", instant, func(l *dlq.Letter) any { return known(l.OccurredAt) }},
	{"attempts", number, func(l *dlq.Letter) any { return int64(l.Attempts) }},
	{"first_failed", instant, func(l *dlq.Letter) any { return known(l.FirstFailed) }},
	{"last_failed", instant, func(l *dlq.Letter) any { return known(l.LastFailed) }},
	{"error_type", text, func(l *dlq.Letter) any { return l.ErrorType }},
	{"error", text, func(l *dlq.Letter) any { return l.Error }},
	{"stack", text, func(l *dlq.Letter) any { return l.Stack }},
	{"fingerprint", text, func(l *dlq.Letter) any { return l.Fingerprint }},
	{"service_version", text, func(l *dlq.Letter) any { return l.ServiceVersion }},
	{"created_at", instant, func(l *dlq.Letter) any { return known(l.CreatedAt) }},
	{"published_at", instant, func(l *dlq.Letter) any { return known(l.PublishedAt) }},
	{"topic", text, func(l *dlq.Letter) any { return l.Record.Topic }},
	{"partition", number, func(l *dlq.Letter) any { return told(int64(l.Record.Partition)) }},
	{"offset", number, func(l *dlq.Letter) any { return told(l.Record.Offset) }},
	{"key", text, func(l *dlq.Letter) any { return string(l.Record.Key) }},
	{"timestamp", instant, func(l *dlq.Letter) any { return known(l.Record.Timestamp) }},
}

// Fields are the names that an expression may ask a letter for, as letter.id.
func Fields() []string {
	names := make([]string, len(fields))
	for i := range fields {
		names[i] = fields[i].name
	}
	return names
}

func timestamp(t time.Time) types.Timestamp { return types.Timestamp{Time: t} }

func known(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t
}

func told(n int64) any {
	if n == dlq.Unknown {
		return nil
	}
	return n
}

// activation gives an expression what it names, and reads the payload only then.
type activation struct {
	letter  *dlq.Letter
	payload any
	read    bool
}

// ResolveName is called by CEL. What isn't found makes the expression fail for the letter.
func (a *activation) ResolveName(name string) (any, bool) {
	switch name {
	case "payload":
		if !a.read {
			a.read = true
			a.payload = Payload(a.letter.Record.Value)
		}
		return a.payload, a.payload != nil
	case "headers":
		all := make(map[string]string, len(a.letter.Record.Headers))
		for _, h := range a.letter.Record.Headers {
			all[h.Key] = string(h.Value)
		}
		return all, true
	}
	for i := range fields {
		if prefix+fields[i].name == name {
			value := fields[i].get(a.letter)
			return value, value != nil
		}
	}
	return nil, false
}

// Parent is called by CEL.
func (a *activation) Parent() cel.Activation { return nil }

// Payload reads a JSON payload: maps, lists, texts, truths, and numbers as int64 or uint64
// where they are whole and fit, else as float64. Of a CloudEvent in its JSON form it is the
// data. It is nil for what is no JSON, and for null.
func Payload(value []byte) any {
	d := json.NewDecoder(bytes.NewReader(value))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil
	}
	if envelope, ok := v.(map[string]any); ok && envelope["specversion"] != nil {
		if data, ok := envelope["data"]; ok {
			v = data
		}
	}
	return numbers(v)
}

func numbers(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return n
		}
		if n, err := strconv.ParseUint(v.String(), 10, 64); err == nil {
			return n
		}
		n, err := v.Float64()
		if err != nil {
			return v.String() // beyond any number; as a text it compares with none
		}
		return n
	case map[string]any:
		for key := range v {
			v[key] = numbers(v[key])
		}
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	}
	return v
}
