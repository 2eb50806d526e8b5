package dlq

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
)

// linesVersion is the first field of every line.
const linesVersion = 1

// lineField is one field of a line: how it is written and how it is read. All are always
// there, so that a line which was cut or edited is not taken for a letter with less in it.
type lineField struct {
	name string
	get  func(*Letter) any
	set  func(*Letter, json.RawMessage) error
}

// lineFields are in the order in which they are written. Names are those of `evenkeel dlq
// show -o json`, without its nesting. Times are microseconds since 1970, as they are
// stored; what isn't known is null.
//
//nolint:gochecknoglobals // a table of functions, never written
var lineFields = [...]lineField{
	checked(lineText("id", func(l *Letter) *string { return &l.ID }), func(l *Letter) error { return wrong(!isID(l.ID), idForm) }),
	lineInt("rev", func(l *Letter) *int64 { return &l.Rev }),
	checked(lineText("state", func(l *Letter) *State { return &l.State }), func(l *Letter) error { return wrong(!isState(l.State), stateForm) }),
	lineText("outcome", func(l *Letter) *Outcome { return &l.Outcome }),
	lineBool("blocking", func(l *Letter) *bool { return &l.Blocking }),
	lineInt("place", func(l *Letter) *int64 { return &l.Place }),
	lineText("stream", func(l *Letter) *string { return &l.Stream }),
	lineText("group", func(l *Letter) *string { return &l.Group }),
	lineText("handler", func(l *Letter) *string { return &l.Handler }),
	lineText("table", func(l *Letter) *string { return &l.Table }),
	lineText("entity", func(l *Letter) *string { return &l.Entity }),
	lineAction("action", func(l *Letter) *guards.Action { return &l.Verdict.Action }),
	lineText("reason", func(l *Letter) *guards.Reason { return &l.Verdict.Reason }),
	lineText("detail", func(l *Letter) *string { return &l.Verdict.Detail }),
	lineMasked("masked", func(l *Letter) *[]string { return &l.Verdict.Masked }),
	lineText("compared", func(l *Letter) *string { return &l.Verdict.Numbers.What }),
	lineInt("compared_event", func(l *Letter) *int64 { return &l.Verdict.Numbers.Event }),
	lineInt("compared_against", func(l *Letter) *int64 { return &l.Verdict.Numbers.Against }),
	lineInt("compared_bound", func(l *Letter) *int64 { return &l.Verdict.Numbers.Bound }),
	lineText("compared_event_tie", func(l *Letter) *string { return &l.Verdict.Numbers.EventTie }),
	lineText("compared_against_tie", func(l *Letter) *string { return &l.Verdict.Numbers.AgainstTie }),
	lineText("event_type", func(l *Letter) *string { return &l.EventType }),
	lineText("event_id", func(l *Letter) *string { return &l.EventID }),
	lineText("event_source", func(l *Letter) *string { return &l.Source }),
	lineTime("occurred_at", func(l *Letter) *time.Time { return &l.OccurredAt }),
	lineInt("stamp_time", func(l *Letter) *int64 { return &l.Stamp.Time }),
	lineText("stamp_tie", func(l *Letter) *string { return &l.Stamp.Tie }),
	lineVector("vector", func(l *Letter) *event.Vector { return &l.Vector }),
	lineInt("attempts", func(l *Letter) *int { return &l.Attempts }),
	lineTime("first_failed", func(l *Letter) *time.Time { return &l.FirstFailed }),
	lineTime("last_failed", func(l *Letter) *time.Time { return &l.LastFailed }),
	lineText("error_type", func(l *Letter) *string { return &l.ErrorType }),
	lineText("error", func(l *Letter) *string { return &l.Error }),
	lineText("stack", func(l *Letter) *string { return &l.Stack }),
	lineText("fingerprint", func(l *Letter) *string { return &l.Fingerprint }),
	lineText("service_version", func(l *Letter) *string { return &l.ServiceVersion }),
	lineTime("created_at", func(l *Letter) *time.Time { return &l.CreatedAt }),
	lineTime("published_at", func(l *Letter) *time.Time { return &l.PublishedAt }),
	lineText("cluster", func(l *Letter) *string { return &l.Record.Cluster }),
	lineText("topic", func(l *Letter) *string { return &l.Record.Topic }),
	lineText("topic_id", func(l *Letter) *string { return &l.Record.TopicID }),
	lineInt("partition", func(l *Letter) *int32 { return &l.Record.Partition }),
	lineInt("offset", func(l *Letter) *int64 { return &l.Record.Offset }),
	lineInt("leader_epoch", func(l *Letter) *int32 { return &l.Record.LeaderEpoch }),
	lineTime("timestamp", func(l *Letter) *time.Time { return &l.Record.Timestamp }),
	lineTimestampType("timestamp_type", func(l *Letter) *event.TimestampType { return &l.Record.TimestampType }),
	lineBytes("key", func(l *Letter) *[]byte { return &l.Record.Key }),
	lineBytes("value", func(l *Letter) *[]byte { return &l.Record.Value }),
	lineHeaders("headers", func(l *Letter) *[]event.Header { return &l.Record.Headers }),
}

const (
	idForm    = "a letter's id, 1 to 64 lower-case hexadecimal digits"
	stateForm = "a state of a letter, one of open, replaying, resolved, discarded, purged; a newer Evenkeel may have others"
)

func isID(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "0123456789abcdef") == ""
}

func isState(s State) bool { return slices.Contains(States(), s) }

func wrong(is bool, expected string) error {
	if is {
		return errors.New(expected)
	}
	return nil
}

// checked refuses values of the right type that mean nothing.
func checked(f lineField, check func(*Letter) error) lineField {
	set := f.set
	f.set = func(l *Letter, raw json.RawMessage) error {
		if err := set(l, raw); err != nil {
			return err
		}
		return check(l)
	}
	return f
}

// bytesJSON are bytes in a line: text where they are UTF-8, which JSON carries without a
// change, else {"base64": …}.
func bytesJSON(b []byte) any {
	switch {
	case b == nil:
		return nil
	case utf8.Valid(b):
		return string(b)
	}
	return map[string]string{"base64": base64.StdEncoding.EncodeToString(b)}
}

var errBytes = errors.New(`text, {"base64": "…"} or null`)

func parseBytes(raw json.RawMessage) ([]byte, error) {
	switch raw[0] {
	case 'n':
		return nil, nil
	case '"':
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return nil, errBytes
		}
		return []byte(s), nil
	case '{':
		var o map[string]*string
		if err := json.Unmarshal(raw, &o); err != nil || len(o) != 1 || o["base64"] == nil {
			return nil, errBytes
		}
		b, err := base64.StdEncoding.Strict().DecodeString(*o["base64"])
		if err != nil {
			return nil, errors.New("base64 with its padding")
		}
		return b, nil
	}
	return nil, errBytes
}

func lineBytes(name string, at func(*Letter) *[]byte) lineField {
	return lineField{
		name,
		func(l *Letter) any { return bytesJSON(*at(l)) },
		func(l *Letter, raw json.RawMessage) (err error) { *at(l), err = parseBytes(raw); return err },
	}
}

func lineText[S ~string](name string, at func(*Letter) *S) lineField {
	return lineField{
		name,
		func(l *Letter) any { return bytesJSON([]byte(*at(l))) },
		func(l *Letter, raw json.RawMessage) error {
			b, err := parseBytes(raw)
			if err != nil || b == nil {
				return errors.New(`text, or {"base64": "…"}`)
			}
			*at(l) = S(b)
			return nil
		},
	}
}

func lineInt[I ~int | ~int32 | ~int64](name string, at func(*Letter) *I) lineField {
	return lineField{
		name,
		func(l *Letter) any { return int64(*at(l)) },
		func(l *Letter, raw json.RawMessage) error {
			n, err := strconv.ParseInt(string(raw), 10, 64)
			if err != nil || int64(I(n)) != n {
				return fmt.Errorf("a whole number that fits into %T", *at(l))
			}
			*at(l) = I(n)
			return nil
		},
	}
}

func lineBool(name string, at func(*Letter) *bool) lineField {
	return lineField{
		name,
		func(l *Letter) any { return *at(l) },
		func(l *Letter, raw json.RawMessage) error {
			*at(l) = string(raw) == "true"
			return wrong(string(raw) != "true" && string(raw) != "false", "true or false")
		},
	}
}

func lineTime(name string, at func(*Letter) *time.Time) lineField {
	return lineField{
		name,
		func(l *Letter) any {
			if at(l).IsZero() {
				return nil
			}
			return at(l).UnixMicro()
		},
		func(l *Letter, raw json.RawMessage) error {
			if string(raw) == "null" {
				*at(l) = time.Time{}
				return nil
			}
			n, err := strconv.ParseInt(string(raw), 10, 64)
			*at(l) = time.UnixMicro(n).UTC()
			return wrong(err != nil, "microseconds since 1970, or null")
		},
	}
}

func lineMasked(name string, at func(*Letter) *[]string) lineField {
	return lineField{
		name,
		func(l *Letter) any { return *at(l) },
		func(l *Letter, raw json.RawMessage) error {
			return wrong(json.Unmarshal(raw, at(l)) != nil, "a list of columns, or null")
		},
	}
}

func lineVector(name string, at func(*Letter) *event.Vector) lineField {
	return lineField{
		name,
		func(l *Letter) any { return at(l).String() },
		func(l *Letter, raw json.RawMessage) (err error) {
			var s string
			if err = json.Unmarshal(raw, &s); err == nil {
				*at(l), err = parseVector(s)
			}
			return wrong(err != nil, "a vector like a=1,b=2, or an empty text")
		},
	}
}

// parseVector reads what [event.Vector.String] has written.
func parseVector(s string) (event.Vector, error) {
	if s == "" {
		return nil, nil
	}
	return event.ParseVector(s)
}

func lineAction(name string, at func(*Letter) *guards.Action) lineField {
	return lineField{
		name,
		func(l *Letter) any { return at(l).String() },
		func(l *Letter, raw json.RawMessage) (err error) {
			var word string
			_ = json.Unmarshal(raw, &word)
			*at(l), err = parseAction(word)
			return err
		},
	}
}

func lineTimestampType(name string, at func(*Letter) *event.TimestampType) lineField {
	return lineField{
		name,
		func(l *Letter) any { return timestampTypes()[min(*at(l), event.TimestampLogAppend)] },
		func(l *Letter, raw json.RawMessage) error {
			var word string
			_ = json.Unmarshal(raw, &word)
			for i, known := range timestampTypes() {
				if word == known {
					*at(l) = event.TimestampType(i)
					return nil
				}
			}
			return errors.New("none, create or log-append")
		},
	}
}

type headerJSON struct {
	Key   any `json:"key"`
	Value any `json:"value"`
}

func lineHeaders(name string, at func(*Letter) *[]event.Header) lineField {
	return lineField{
		name,
		func(l *Letter) any { return headersJSON(*at(l)) },
		func(l *Letter, raw json.RawMessage) (err error) { *at(l), err = parseHeaders(raw); return err },
	}
}

func headersJSON(headers []event.Header) any {
	list := make([]headerJSON, 0, len(headers))
	for _, h := range headers {
		list = append(list, headerJSON{bytesJSON([]byte(h.Key)), bytesJSON(h.Value)})
	}
	return list
}

func parseHeaders(raw json.RawMessage) (headers []event.Header, err error) {
	var list []map[string]json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil || list == nil {
		return nil, errors.New(`a list of {"key": …, "value": …}`)
	}
	for i, h := range list {
		if len(h) != 2 || h["key"] == nil || h["value"] == nil {
			return nil, fmt.Errorf(`at %d: an object with "key" and "value"`, i)
		}
		key, err := parseBytes(h["key"])
		if err != nil || key == nil {
			return nil, fmt.Errorf(`at %d: key: text, or {"base64": "…"}`, i)
		}
		value, err := parseBytes(h["value"])
		if err != nil {
			return nil, fmt.Errorf("at %d: value: %w", i, err)
		}
		headers = append(headers, event.Header{Key: string(key), Value: value})
	}
	return headers, nil
}

// lineEdits is the one field that is there only if there is something in it: a letter that
// nobody has edited is written as it was before there were edits.
const lineEdits = "edits"
