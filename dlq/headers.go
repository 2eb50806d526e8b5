package dlq

import (
	"errors"
	"strconv"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
)

// tier says what is given up first when a message is too large.
type tier uint8

const (
	tierCore  tier = iota // what finds the row in the table
	tierFacts             // what identifies the event and groups letters
	tierError             // free text
	tierStack
)

// field is one header of Evenkeel's own set: how it is written and how it is read back.
// A field whose text is empty is not written, and a header that is not there leaves the
// field zero.
type field struct {
	name string // after HeaderPrefix
	tier tier
	get  func(*Letter) string
	set  func(*Letter, string) error
}

// Limits of identifying texts, in bytes. Topic and group are bounded by Kafka at 249 and
// by usage; the rest by event's own limits.
const (
	maxName   = 512
	maxDetail = 1 << 10
	// maxOwnBytes bounds all headers that Evenkeel adds, Kafka's overhead included.
	maxOwnBytes = 32 << 10
	// maxTie bounds a quoted tie. What event.Tie makes stays below, whatever ids hold.
	maxTie = 4 << 10
)

const (
	headerLetter = "letter"
	headerFit    = "fit"
	headerHops   = "hops"
	headerEdits  = "edits"
	headerPrev   = "previous"
	inTable      = "in-table"
)

// fields is the own set in the order in which it is written: what people look for first
// comes first, because some tools show only the first few.
//
//nolint:gochecknoglobals // a table of functions, never written
var fields = [...]field{
	text(headerLetter, tierCore, maxName, func(l *Letter) *string { return &l.ID }),
	text("reason", tierCore, maxName, func(l *Letter) *string { return (*string)(&l.Verdict.Reason) }),
	{
		"action", tierCore,
		func(l *Letter) string {
			if _, err := parseAction(l.Verdict.Action.String()); err != nil {
				return ""
			}
			return l.Verdict.Action.String()
		},
		func(l *Letter, s string) (err error) { l.Verdict.Action, err = parseAction(s); return err },
	},
	text("group", tierCore, maxName, func(l *Letter) *string { return &l.Group }),
	text("topic", tierCore, maxName, func(l *Letter) *string { return &l.Record.Topic }),
	{
		"partition", tierCore,
		func(l *Letter) string { return decimal(int64(l.Record.Partition)) },
		func(l *Letter, s string) (err error) { l.Record.Partition, err = parse32(s); return err },
	},
	{
		"offset", tierCore,
		func(l *Letter) string { return decimal(l.Record.Offset) },
		func(l *Letter, s string) (err error) { l.Record.Offset, err = parse64(s); return err },
	},
	text("topic-id", tierCore, maxName, func(l *Letter) *string { return &l.Record.TopicID }),
	text("cluster", tierCore, maxName, func(l *Letter) *string { return &l.Record.Cluster }),
	{
		"leader-epoch", tierCore,
		func(l *Letter) string { return decimal(int64(l.Record.LeaderEpoch)) },
		func(l *Letter, s string) (err error) { l.Record.LeaderEpoch, err = parse32(s); return err },
	},
	text("handler", tierFacts, maxName, func(l *Letter) *string { return &l.Handler }),
	text("table", tierFacts, maxName, func(l *Letter) *string { return &l.Table }),
	text("entity", tierFacts, event.MaxKeyBytes, func(l *Letter) *string { return &l.Entity }),
	text("event-type", tierFacts, event.MaxTypeBytes, func(l *Letter) *string { return &l.EventType }),
	text("event-id", tierFacts, event.MaxIDBytes, func(l *Letter) *string { return &l.EventID }),
	text("event-source", tierFacts, event.MaxSourceBytes, func(l *Letter) *string { return &l.Source }),
	instant("event-time", func(l *Letter) *time.Time { return &l.OccurredAt }),
	number("stamp-time", func(l *Letter) *int64 { return &l.Stamp.Time }),
	tie("stamp-tie", func(l *Letter) *string { return &l.Stamp.Tie }),
	{
		"vector", tierFacts,
		func(l *Letter) string {
			if s := l.Vector.String(); len(s) <= maxTie { // cut, it would say something else
				return s
			}
			return ""
		},
		func(l *Letter, s string) (err error) { l.Vector, err = event.ParseVector(s); return err },
	},
	text("compared", tierFacts, maxName, func(l *Letter) *string { return &l.Verdict.Numbers.What }),
	number("compared-event", func(l *Letter) *int64 { return &l.Verdict.Numbers.Event }),
	number("compared-against", func(l *Letter) *int64 { return &l.Verdict.Numbers.Against }),
	number("compared-bound", func(l *Letter) *int64 { return &l.Verdict.Numbers.Bound }),
	tie("compared-event-tie", func(l *Letter) *string { return &l.Verdict.Numbers.EventTie }),
	tie("compared-against-tie", func(l *Letter) *string { return &l.Verdict.Numbers.AgainstTie }),
	{
		"attempts", tierFacts,
		func(l *Letter) string { return nonZero(int64(l.Attempts)) },
		func(l *Letter, s string) (err error) { l.Attempts, err = strconv.Atoi(s); return err },
	},
	instant("first-failed", func(l *Letter) *time.Time { return &l.FirstFailed }),
	instant("last-failed", func(l *Letter) *time.Time { return &l.LastFailed }),
	text("error-type", tierFacts, maxName, func(l *Letter) *string { return &l.ErrorType }),
	text("fingerprint", tierFacts, maxName, func(l *Letter) *string { return &l.Fingerprint }),
	text("service-version", tierFacts, maxName, func(l *Letter) *string { return &l.ServiceVersion }),
	text("state", tierCore, maxName, func(l *Letter) *string { return (*string)(&l.State) }),
	text("outcome", tierFacts, maxName, func(l *Letter) *string { return (*string)(&l.Outcome) }),
	number("rev", func(l *Letter) *int64 { return &l.Rev }),
	{
		"blocking", tierFacts,
		func(l *Letter) string {
			if l.Blocking {
				return "true"
			}
			return ""
		},
		func(l *Letter, s string) (err error) { l.Blocking, err = strconv.ParseBool(s); return err },
	},
	number("place", func(l *Letter) *int64 { return &l.Place }),
	text("stream", tierFacts, maxName, func(l *Letter) *string { return &l.Stream }),
	instant("created", func(l *Letter) *time.Time { return &l.CreatedAt }),
	// A dead-letter topic under LogAppendTime overwrites the record's own timestamp.
	instant("timestamp", func(l *Letter) *time.Time { return &l.Record.Timestamp }),
	{
		"timestamp-type", tierFacts,
		func(l *Letter) string { return timestampTypes()[min(l.Record.TimestampType, event.TimestampLogAppend)] },
		func(l *Letter, s string) error {
			for i, word := range timestampTypes() {
				if s == word {
					l.Record.TimestampType = event.TimestampType(i)
					return nil
				}
			}
			return errors.New("none, create or log-append")
		},
	},
	text("detail", tierError, maxDetail, func(l *Letter) *string { return &l.Verdict.Detail }),
	text("error", tierError, MaxErrorBytes, func(l *Letter) *string { return &l.Error }),
	text("stack", tierStack, MaxStackBytes, func(l *Letter) *string { return &l.Stack }),
}

func text(name string, t tier, limit int, at func(*Letter) *string) field {
	return field{
		name, t,
		func(l *Letter) string {
			if t >= tierError {
				return Text(*at(l), limit)
			}
			return clip(*at(l), limit)
		},
		func(l *Letter, s string) error { *at(l) = s; return nil },
	}
}

func number(name string, at func(*Letter) *int64) field {
	return field{
		name, tierFacts,
		func(l *Letter) string { return nonZero(*at(l)) },
		func(l *Letter, s string) (err error) { *at(l), err = parse64(s); return err },
	}
}

func instant(name string, at func(*Letter) *time.Time) field {
	return field{
		name, tierFacts,
		func(l *Letter) string {
			if at(l).IsZero() {
				return ""
			}
			return at(l).UTC().Format(time.RFC3339Nano)
		},
		func(l *Letter, s string) error {
			t, err := time.Parse(time.RFC3339Nano, s)
			if err != nil {
				return errors.New("an RFC 3339 time")
			}
			*at(l) = t.UTC()
			return nil
		},
	}
}

// tie writes the tie of a stamp, which holds control bytes between its parts, as a Go
// string literal without its quotes. One that is too long is left out: cut, it would
// compare wrongly.
func tie(name string, at func(*Letter) *string) field {
	return field{
		name, tierFacts,
		func(l *Letter) string {
			q := strconv.Quote(*at(l))
			if len(q)-2 > maxTie {
				return ""
			}
			return q[1 : len(q)-1]
		},
		func(l *Letter, s string) error {
			t, err := strconv.Unquote(`"` + s + `"`)
			if err != nil {
				return errors.New("the inside of a Go string literal")
			}
			*at(l) = t
			return nil
		},
	}
}

func timestampTypes() [3]string { return [...]string{"none", "create", "log-append"} }

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

func nonZero(n int64) string {
	if n == 0 {
		return ""
	}
	return decimal(n)
}

func parse64(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, errors.New("a whole number of 64 bits")
	}
	return n, nil
}

func parse32(s string) (int32, error) {
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		return 0, errors.New("a whole number of 32 bits")
	}
	return int32(n), nil
}

func parseAction(s string) (guards.Action, error) {
	for a := guards.Apply; a <= guards.DeadLetter; a++ {
		if a.String() == s {
			return a, nil
		}
	}
	return 0, errors.New("apply, discard, park or dead-letter")
}
