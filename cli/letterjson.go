package cli

import (
	"encoding/hex"
	"time"
	"unicode/utf8"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
)

// letterJSON is a letter for programs. Names and meanings are stable; new ones may come.
// All are always there; what isn't known is null, or "" for texts. Times are RFC 3339 in
// UTC.
type letterJSON struct {
	ID      string `json:"id"`
	State   string `json:"state"`
	Outcome string `json:"outcome"` // of a resolved letter
	Action  string `json:"action"`
	Reason  string `json:"reason"`
	Verdict string `json:"verdict"` // one line for people
	Detail  string `json:"detail"`

	Compared *comparedJSON `json:"compared"`
	Stamp    *stampJSON    `json:"stamp"`

	Group   string `json:"group"`
	Handler string `json:"handler"`
	Table   string `json:"table"`
	Entity  string `json:"entity"`

	EventType   string  `json:"event_type"`
	EventID     string  `json:"event_id"`
	EventSource string  `json:"event_source"`
	OccurredAt  *string `json:"occurred_at"`

	Attempts       int     `json:"attempts"`
	FirstFailed    *string `json:"first_failed"`
	LastFailed     *string `json:"last_failed"`
	ErrorType      string  `json:"error_type"`
	Error          string  `json:"error"`
	Stack          *string `json:"stack"` // null in lists
	Fingerprint    string  `json:"fingerprint"`
	ServiceVersion string  `json:"service_version"`

	Rev         int64   `json:"rev"`
	Blocking    bool    `json:"blocking"`
	Place       int64   `json:"place"`
	Stream      string  `json:"stream"` // with numbers; "" without
	CreatedAt   *string `json:"created_at"`
	PublishedAt *string `json:"published_at"`

	Cluster     string `json:"cluster"`
	Topic       string `json:"topic"`
	TopicID     string `json:"topic_id"`
	Partition   *int32 `json:"partition"`
	Offset      *int64 `json:"offset"`
	LeaderEpoch *int32 `json:"leader_epoch"`

	Record *recordJSON `json:"record"` // null in lists
	// Edits are the revisions beside the record, the newest last; null in lists.
	Edits []editJSON `json:"edits"`
	// Foreign is what a letter of another library tells; else null, as in lists.
	Foreign *dlq.Reading `json:"foreign"`

	Notes   []noteJSON  `json:"notes"`   // null in lists
	History []auditJSON `json:"history"` // null in lists; newest first
}

// editJSON is a revision: with lost, its bytes are only in the table that it came from.
type editJSON struct {
	N       int          `json:"n"`
	At      string       `json:"at"`
	By      string       `json:"by"`
	Why     string       `json:"why"`
	Lost    bool         `json:"lost"`
	Value   *bytesJSON   `json:"value"`
	Headers []headerJSON `json:"headers"`
}

// noteJSON is a note; with a fingerprint it is about all letters that have it.
type noteJSON struct {
	At          string `json:"at"`
	By          string `json:"by"`
	Fingerprint string `json:"fingerprint"`
	Body        string `json:"body"`
}

// comparedJSON has the numbers as they are stored: times and bounds in microseconds.
type comparedJSON struct {
	What    string `json:"what"`
	Event   int64  `json:"event"`
	Against int64  `json:"against"`
	Bound   int64  `json:"bound"`
	// The ties decide where the numbers are equal; else null.
	EventTie   *bytesJSON `json:"event_tie"`
	AgainstTie *bytesJSON `json:"against_tie"`
}

// stampJSON is the event's place in its entity's history.
type stampJSON struct {
	Time int64     `json:"time"`
	Tie  bytesJSON `json:"tie"`
}

type recordJSON struct {
	Key           *bytesJSON   `json:"key"`
	Value         *bytesJSON   `json:"value"`
	Headers       []headerJSON `json:"headers"`
	Timestamp     *string      `json:"timestamp"`
	TimestampType string       `json:"timestamp_type"`
}

type headerJSON struct {
	Key   bytesJSON  `json:"key"`
	Value *bytesJSON `json:"value"`
}

// bytesJSON has exactly one of the two: bytes that are UTF-8 as text, which no parser
// looks into, so that a payload's numbers stay as they came; all others in hexadecimal.
type bytesJSON struct {
	Text *string `json:"text,omitempty"`
	Hex  *string `json:"hex,omitempty"`
}

func newBytesJSON(b []byte) *bytesJSON {
	if b == nil {
		return nil
	}
	if utf8.Valid(b) {
		s := string(b)
		return &bytesJSON{Text: &s}
	}
	return newHexJSON(b)
}

// newHexJSON is for bytes that are none of text's, even if they could be read so.
func newHexJSON(b []byte) *bytesJSON {
	s := hex.EncodeToString(b)
	return &bytesJSON{Hex: &s}
}

// newLetterJSON leaves out what a list doesn't carry unless whole is set.
func newLetterJSON(l *dlq.Letter, whole bool) *letterJSON {
	r, v := l.Record, l.Verdict
	j := &letterJSON{
		ID: l.ID, State: string(l.State), Outcome: string(l.Outcome), Action: v.Action.String(), Reason: string(v.Reason),
		Verdict: v.String(), Detail: v.Detail,
		Group: l.Group, Handler: l.Handler, Table: l.Table, Entity: l.Entity,
		EventType: l.EventType, EventID: l.EventID, EventSource: l.Source, OccurredAt: timeJSON(l.OccurredAt),
		Attempts: l.Attempts, FirstFailed: timeJSON(l.FirstFailed), LastFailed: timeJSON(l.LastFailed),
		ErrorType: l.ErrorType, Error: l.Error, Fingerprint: l.Fingerprint, ServiceVersion: l.ServiceVersion,
		Rev: l.Rev, Blocking: l.Blocking, Place: l.Place, Stream: l.Stream,
		CreatedAt: timeJSON(l.CreatedAt), PublishedAt: timeJSON(l.PublishedAt),
		Cluster: r.Cluster, Topic: r.Topic, TopicID: r.TopicID,
	}
	if r.Partition != dlq.Unknown {
		j.Partition = &r.Partition
	}
	if r.Offset != dlq.Unknown {
		j.Offset = &r.Offset
	}
	if r.LeaderEpoch >= 0 {
		j.LeaderEpoch = &r.LeaderEpoch
	}
	j.Compared = newComparedJSON(v.Numbers)
	if !l.Stamp.IsZero() {
		j.Stamp = &stampJSON{Time: l.Stamp.Time, Tie: *tieJSON(l.Stamp.Tie)}
	}
	if !whole {
		return j
	}
	j.Stack, j.Foreign = &l.Stack, l.Foreign()
	j.Record = &recordJSON{
		Key: newBytesJSON(r.Key), Value: newBytesJSON(r.Value), Headers: []headerJSON{},
		Timestamp: timeJSON(r.Timestamp), TimestampType: timestampType(r.TimestampType),
	}
	j.Record.Headers, j.Edits = headersJSON(r.Headers), []editJSON{}
	for i := range l.Edits {
		e := &l.Edits[i]
		j.Edits = append(j.Edits, editJSON{
			N: e.N, At: instant(e.At), By: e.By.Name, Why: e.Reason, Lost: e.Lost, Value: newBytesJSON(e.Value), Headers: headersJSON(e.Headers),
		})
	}
	return j
}

func newComparedJSON(n guards.Comparison) *comparedJSON {
	if n.IsZero() {
		return nil
	}
	return &comparedJSON{
		What: n.What, Event: n.Event, Against: n.Against, Bound: n.Bound,
		EventTie: tieJSON(n.EventTie), AgainstTie: tieJSON(n.AgainstTie),
	}
}

func headersJSON(headers []event.Header) []headerJSON {
	list := []headerJSON{}
	for _, h := range headers {
		list = append(list, headerJSON{*newBytesJSON([]byte(h.Key)), newBytesJSON(h.Value)})
	}
	return list
}

func tieJSON(s string) *bytesJSON {
	if s == "" {
		return nil
	}
	return newBytesJSON([]byte(s))
}

func timeJSON(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := instant(t)
	return &s
}

func timestampType(t event.TimestampType) string {
	switch t {
	case event.TimestampNone:
	case event.TimestampCreate:
		return "create"
	case event.TimestampLogAppend:
		return "log-append"
	}
	return "none"
}
