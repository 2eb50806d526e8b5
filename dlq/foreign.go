package dlq

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
)

// Foreign is the reason of a letter that another library wrote: why is in its error, and
// its [Reading] is [Letter.Foreign].
const Foreign guards.Reason = "foreign"

// Unknown stands for a partition or an offset that a foreign letter doesn't tell.
const Unknown = -1

// ErrNoDialect says that a record of a dead-letter topic has the headers of no dialect
// that is known.
var ErrNoDialect = errors.New("no dead letter of a known kind: it has the headers of none of dlq.Dialects")

// IncompleteError says that a copy of a letter lacks what the table had.
type IncompleteError struct {
	ID  string
	Fit Fit
}

// Error tells letter and lack.
func (e *IncompleteError) Error() string {
	return fmt.Sprintf("the copy of letter %s lacks parts of the record (%s: it was too large for the topic); take it from an export of the table, or from its source", e.ID, e.Fit)
}

// FromRecord makes a letter of a record of a dead-letter topic.
//
// From one of Evenkeel's it is the letter as [Decode] reads it. Errors are then an
// [*IncompleteError] for a copy without the record's value, headers or key, and the
// [*HeaderError]s of damaged headers: a letter is whole or none.
//
// From another library's it is an open letter with reason [Foreign] whose record has key,
// value and headers as they are on the dead-letter topic, the other library's included, so
// that nothing is lost and [Letter.Foreign] can read them again. Coordinates, timestamp,
// group, handler, attempts, error and times are the source's as far as they are told; what
// isn't is zero, or [Unknown]. It is known by its source, if topic, partition, offset and
// group are told, so that the same record that fails twice is one letter; else by its own
// coordinates on the dead-letter topic.
//
// [ErrNoDialect] says that r is no letter.
func FromRecord(r *event.Record) (*Letter, *Reading, error) {
	reading := ReadRecord(r)
	if reading == nil {
		return nil, nil, ErrNoDialect
	}
	if reading.Dialect != evenkeel.name {
		return foreign(r, reading), reading, nil
	}
	var errs []error
	if l := reading.Letter; l != nil && !isID(l.ID) {
		errs = append(errs, &HeaderError{HeaderPrefix + headerLetter, idForm, found([]byte(l.ID))})
	}
	if l := reading.Letter; l != nil && !isState(l.State) {
		errs = append(errs, &HeaderError{HeaderPrefix + "state", stateForm, found([]byte(l.State))})
	}
	if l := reading.Letter; l != nil && (l.Attempts < 0 || l.Attempts > math.MaxInt32) {
		errs = append(errs, &HeaderError{HeaderPrefix + "attempts", "a number of 0 or more, of 32 bits", decimal(int64(l.Attempts))})
	}
	for i := range reading.Malformed {
		errs = append(errs, &reading.Malformed[i])
	}
	if len(errs) > 0 {
		return nil, reading, errors.Join(errs...)
	}
	if reading.Fit >= FitNoValue {
		return nil, reading, &IncompleteError{reading.Letter.ID, reading.Fit}
	}
	return reading.Letter, reading, nil
}

func foreign(r *event.Record, told *Reading) *Letter {
	l := &Letter{
		Rev: 1, State: Open,
		Verdict: guards.Verdict{
			Action: guards.DeadLetter, Reason: Foreign,
			Detail: Text(fmt.Sprintf("%s: topic %s, partition %d, offset %d", told.Dialect, r.Topic, r.Partition, r.Offset), maxDetail),
		},
		Group: known(told.Group), Handler: known(told.Handler),
		ErrorType: known(told.Exception), Error: known(told.Message), Stack: known(told.Stack),
		FirstFailed: known(told.FirstFailed), LastFailed: known(told.LastFailed),
		Attempts:  known(told.Attempts),
		CreatedAt: known(told.Written),
		Record: &event.Record{
			Coordinates: event.Coordinates{Topic: known(told.Source.Topic), Partition: Unknown, Offset: Unknown, LeaderEpoch: Unknown},
			Key:         r.Key, Value: r.Value, Headers: slices.Clone(r.Headers),
		},
	}
	if told.Cause != nil && *told.Cause != "" {
		l.ErrorType = *told.Cause
	}
	s, at := &told.Source, l.Record
	if s.Partition != nil {
		at.Partition = *s.Partition
	}
	if s.Offset != nil {
		at.Offset = *s.Offset
	}
	if s.Timestamp != nil {
		at.Timestamp, at.TimestampType = *s.Timestamp, max(s.TimestampType, event.TimestampCreate)
	}
	if l.CreatedAt.IsZero() {
		l.CreatedAt = l.LastFailed
	}
	l.ID = foreignID(r, told)
	l.Fingerprint = Fingerprint(l)
	return l
}

// foreignID hashes what stands for a topic's id: the dialect and the kind of coordinates,
// so that no letter of Evenkeel's, nor another dialect's, can have the same.
func foreignID(r *event.Record, told *Reading) string {
	if told.Source.complete() && told.Group != nil {
		return UnitID(event.Coordinates{
			Cluster: r.Cluster, TopicID: told.Dialect + " source " + *told.Source.Topic,
			Partition: *told.Source.Partition, Offset: *told.Source.Offset,
		}, *told.Group, known(told.Handler), "")
	}
	return UnitID(event.Coordinates{
		Cluster: r.Cluster, TopicID: told.Dialect + " letter " + r.Topic,
		Partition: r.Partition, Offset: r.Offset,
	}, "", "", "")
}

// known is the value, or zero when it is not told.
func known[T any](told *T) (value T) {
	if told != nil {
		value = *told
	}
	return value
}

// Foreign reads the letter in the dialect of the library that wrote it; nil for Evenkeel's
// own letters.
func (l *Letter) Foreign() *Reading {
	if l.Verdict.Reason != Foreign || l.Record == nil {
		return nil
	}
	r := *l.Record
	r.Timestamp, r.TimestampType = time.Time{}, event.TimestampNone
	told := ReadRecord(&r)
	if told == nil {
		return nil
	}
	// These may have stood beside the headers.
	if l.Group != "" {
		told.Group = &l.Group
	}
	if !l.Record.Timestamp.IsZero() {
		told.Source.Timestamp, told.Source.TimestampType = &l.Record.Timestamp, l.Record.TimestampType
	}
	if !l.CreatedAt.IsZero() {
		told.Written = &l.CreatedAt
	}
	return told
}
