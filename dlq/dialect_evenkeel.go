package dlq

import (
	"errors"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
)

// evenkeel is our own: what [Encode] writes and [Decode] reads.
//
//nolint:gochecknoglobals // a table, never written
var evenkeel = Dialect{
	name: "evenkeel", library: "Evenkeel",
	marks: [][]string{{HeaderPrefix + headerLetter}},
	key:   Original, value: Original,
	finish: readOwn,
}

func readOwn(r *Reading, record *event.Record) {
	l, fit, err := Decode(record)
	damaged := map[string]bool{}
	for _, e := range unjoin(err) {
		var h *HeaderError
		if errors.As(e, &h) {
			r.Malformed = append(r.Malformed, HeaderError{h.Header, h.Expected, found([]byte(h.Found))})
			damaged[h.Header] = true
		}
	}
	if l == nil {
		id, _ := record.Header(HeaderPrefix + headerLetter)
		r.Malformed = append(r.Malformed, HeaderError{HeaderPrefix + headerLetter, "a letter's id", found(id)})
		return
	}
	told := func(name string) bool {
		_, there := record.Header(HeaderPrefix + name)
		return there && !damaged[HeaderPrefix+name]
	}
	if told("topic") {
		r.apply(aTopic(HeaderPrefix+"topic"), []byte(l.Record.Topic), &r.Source)
	}
	if told("partition") {
		r.Source.Partition = &l.Record.Partition
	}
	if told("offset") {
		r.Source.Offset = &l.Record.Offset
	}
	// The copy has the original's timestamp, and the header where a broker overwrote it.
	if at := instantOf(l.Record.Timestamp); at != nil {
		r.Source.Timestamp, r.Source.TimestampType = at, l.Record.TimestampType
	}
	if record.TimestampType != event.TimestampLogAppend {
		r.Written = nil
	}
	hops := Hops(record)
	r.Hops = &hops
	text := func(s string, limit int) *string {
		if s == "" {
			return nil
		}
		s = Text(s, limit)
		return &s
	}
	r.Group, r.Handler, r.Exception = text(l.Group, maxName), text(l.Handler, maxName), text(l.ErrorType, maxName)
	r.Message, r.Stack = text(l.Error, MaxErrorBytes), text(l.Stack, MaxStackBytes)
	if l.Attempts > 0 {
		r.Attempts = &l.Attempts
	}
	r.FirstFailed, r.LastFailed = instantOf(l.FirstFailed), instantOf(l.LastFailed)
	r.fact("verdict", Text(l.Verdict.String(), maxDetail))
	if fit >= FitNoValue && l.Record.Value == nil {
		r.Value = Absent
	}
	if fit >= FitNoKey && l.Record.Key == nil {
		r.Key = Absent
	}
	r.Letter, r.Fit = l, fit
}

// unjoin is what errors.Join has joined.
func unjoin(err error) []error {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		return joined.Unwrap()
	}
	return nil
}

// instantOf is nil for the zero time, which is not known.
func instantOf(t time.Time) *time.Time {
	if t.IsZero() || !inYears(t) {
		return nil
	}
	return &t
}
