package dlq

import (
	"errors"
	"fmt"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
)

// ErrNotLetter says that a record has no letter id in a header evenkeel-letter: it is no
// copy of a letter of Evenkeel's, whatever else it may be.
var ErrNotLetter = errors.New("not a letter of Evenkeel's: no header " + HeaderPrefix + headerLetter)

// HeaderError says that a header of the own set doesn't hold what it must.
type HeaderError struct {
	Header   string
	Expected string
	Found    string // cut to 64 bytes
}

// Error tells header, expectation and finding.
func (e *HeaderError) Error() string {
	return fmt.Sprintf("header %s: expected %s, found %q", e.Header, e.Expected, e.Found)
}

// Decode reads a letter back from its copy on the dead-letter topic, as [Encode] wrote it:
// r's own coordinates are those on the dead-letter topic, the returned letter's record has
// the original's. Where a header repeats, the last counts. The fit tells what isn't in the
// copy; see there for what a null value means. What a copy never has: Verdict.Masked and
// PublishedAt, and those headers of the original that Encode replaces.
//
// Decode takes any record and never panics. A record that isn't a letter gives
// [ErrNotLetter] and no letter. If headers of a letter are damaged the letter is returned
// with these fields zero, beside an error that joins one [*HeaderError] for each.
func Decode(r *event.Record) (*Letter, Fit, error) {
	if id, _ := r.Header(HeaderPrefix + headerLetter); len(id) == 0 {
		return nil, FitWhole, ErrNotLetter
	}
	l := &Letter{Record: &event.Record{
		Key: r.Key, Value: r.Value, Headers: stripOwn(r.Headers),
		Timestamp: r.Timestamp, TimestampType: r.TimestampType,
	}}
	l.Record.LeaderEpoch = -1
	values := make(map[string][]byte, len(fields))
	for i := range r.Headers {
		values[r.Headers[i].Key] = r.Headers[i].Value
	}
	var errs []error
	damaged := func(name, expected string, found []byte) {
		errs = append(errs, &HeaderError{HeaderPrefix + name, expected, clip(string(found), 64)})
	}
	for i := range fields {
		f := &fields[i]
		value, ok := values[HeaderPrefix+f.name]
		if !ok {
			continue
		}
		if err := f.set(l, string(value)); err != nil {
			damaged(f.name, err.Error(), value)
		}
	}
	if value, ok := values[HeaderPrefix+headerEdits]; ok {
		var err error
		if l.Edits, err = DecodeEdits(string(value)); err != nil {
			damaged(headerEdits, err.Error(), value)
		}
	}
	// The copy of a record without a timestamp got the producer's.
	if l.Record.TimestampType == event.TimestampNone {
		l.Record.Timestamp = time.Time{}
	}
	fit := FitWhole
	if value, ok := values[HeaderPrefix+headerFit]; ok {
		found := false
		for i, word := range fitWords() {
			if string(value) == word {
				fit, found = Fit(i), true
			}
		}
		if !found {
			damaged(headerFit, "one of the words of dlq.Fit", value)
		}
	}
	return l, fit, errors.Join(errs...)
}
