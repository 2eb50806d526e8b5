package framework

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/internal/store"
)

// StreamFilter chooses streams of numbers. Zero fields choose all; the others must all hold.
type StreamFilter struct {
	Group string
	// Name is the stream's name: the topic's, unless guards.Stream gave it one.
	Name string
	// Entity is the events' own key.
	Entity string
	// Incomplete chooses those that went on without numbers, Waiting those in which
	// events wait for a number.
	Incomplete, Waiting bool
}

// NumberSpan is a run of numbers, both ends included.
type NumberSpan struct{ From, To int64 }

// NumberStream is a stream of numbers under guards.Sequence that is not in order: events
// wait for a number that has not come, or it went on without some.
type NumberStream struct {
	Group, Name, Entity string
	// Next is the number that comes next; where events wait for it, it is missing. It is 0
	// in a stream that begins with the first number that it sees and has seen none.
	Next int64
	// Parked is how many events wait in the stream, for whatever cause. Since is when the
	// oldest of them happened, by its own time; zero where none waits.
	Parked int64
	Since  time.Time
	// Expires is when the first of them stops to wait for a number; zero where none waits
	// by time.
	Expires time.Time
	// Incomplete says that the stream went on without the numbers Skipped. Of many spans
	// the oldest are one.
	Incomplete bool
	Skipped    []NumberSpan
	// Changed is when the stream has last moved.
	Changed time.Time
}

// streamPage is how many streams are read at a time.
const streamPage = 500

// Streams goes through the streams of numbers that f chooses and that are not in order, by
// group, name and entity. It holds no more than a page of 500 in memory; the database reads
// all streams that f names, those in order too. An error ends it; it is the driver's, or
// says which stream's memo can't be read.
func Streams(ctx context.Context, db *gorm.DB, f StreamFilter) iter.Seq2[NumberStream, error] {
	return func(yield func(NumberStream, error) bool) {
		if err := streams(ctx, db, f, yield); err != nil && !errors.Is(err, errEnough) {
			yield(NumberStream{}, err)
		}
	}
}

func streams(ctx context.Context, db *gorm.DB, f StreamFilter, yield func(NumberStream, error) bool) error {
	var after NumberStream
	for {
		page, err := readStreams(ctx, db, f, after)
		if err != nil {
			return err
		}
		for _, s := range page {
			if !yield(s, nil) {
				return errEnough
			}
		}
		if len(page) < streamPage {
			return nil
		}
		after = page[len(page)-1]
	}
}

// Conditions on a stream m. The memo is JSON as package sequence writes it.
const (
	streamWaits      = "EXISTS (SELECT 1 FROM evenkeel_parked w WHERE w.grp = m.grp AND w.stream <> '' AND w.stream = m.scope AND w.entity = m.entity)"
	streamIncomplete = `m.body LIKE '%"incomplete":true%'`
)

// readStreams reads the page after a stream. What waits is counted for the page alone.
func readStreams(ctx context.Context, db *gorm.DB, f StreamFilter, after NumberStream) (page []NumberStream, err error) {
	where, args := "m.kind = ? AND (m.grp, m.scope, m.entity) > (?, ?, ?)", []any{string(store.KindSequence), after.Group, after.Name, after.Entity}
	for _, c := range [...]struct{ column, value string }{{"m.grp", f.Group}, {"m.scope", f.Name}, {"m.entity", f.Entity}} {
		if c.value != "" {
			where += " AND " + c.column + " = ?"
			args = append(args, c.value)
		}
	}
	switch {
	case f.Waiting && f.Incomplete:
		where += " AND " + streamWaits + " AND " + streamIncomplete
	case f.Waiting:
		where += " AND " + streamWaits
	case f.Incomplete:
		where += " AND " + streamIncomplete
	default:
		where += " AND (" + streamIncomplete + " OR " + streamWaits + ")"
	}
	rows, err := db.WithContext(ctx).Raw(`SELECT m.grp, m.scope, m.entity, m.body, m.updated_at, COUNT(p.id), COALESCE(MIN(p.occurred_at), 0), COALESCE(MIN(p.expires), 0)
FROM (SELECT * FROM evenkeel_memos m WHERE `+where+` ORDER BY m.grp, m.scope, m.entity LIMIT ?) m
LEFT JOIN evenkeel_parked p ON p.grp = m.grp AND p.stream <> '' AND p.stream = m.scope AND p.entity = m.entity
GROUP BY m.grp, m.scope, m.entity, m.body, m.updated_at ORDER BY m.grp, m.scope, m.entity`, append(args, streamPage)...).Rows()
	if err != nil {
		return nil, fmt.Errorf("read streams of numbers: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var s NumberStream
		var body string
		var changed, since, expires int64
		if err := rows.Scan(&s.Group, &s.Name, &s.Entity, &body, &changed, &s.Parked, &since, &expires); err != nil {
			return nil, fmt.Errorf("read stream of numbers: %w", err)
		}
		if err := s.fill(body, changed, since, expires); err != nil {
			return nil, err
		}
		page = append(page, s)
	}
	return page, rows.Err()
}
