package framework

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"
)

// ParkedFilter chooses parked events. Zero fields choose all; the others must all hold.
type ParkedFilter struct {
	Group string
	// Cause is why the event waits: gap, retry, behind, missing, replay or seen.
	Cause   string
	Table   string
	Entity  string
	Handler string
	// Limit is the most that [Parked] returns. Defaults to 100.
	Limit int
}

// ParkedEvent is an event that waits in the database, under one handler for one entity.
type ParkedEvent struct {
	ID    string
	Group string
	// Cause is why it waits: for a number before its own or what its writer had seen (gap),
	// for its next try (retry), for what stands before it (behind), for its entity's row
	// (missing), to be judged once more since its dead letter is replaying (replay), or to
	// count as seen by those that wait for it under guards.Causal (seen).
	Cause string
	// Place is its place among the events of its entity, in Stream its number there.
	Place  int64
	Stream string // empty without guards.Sequence

	Handler, Table, Entity     string
	EventType, EventID, Source string
	OccurredAt                 time.Time

	// Due is when it is looked at again, Expires when it stops to wait for a number or a
	// row; zero where it does not wait by time.
	Due, Expires            time.Time
	Attempts                int
	FirstFailed, LastFailed time.Time // zero for one that has not run
	ErrorType, Error        string

	Topic     string
	Partition int32
	Offset    int64
}

const defaultParked = 100

// Parked returns what waits in the database, each entity's events in their order. Errors
// are the driver's.
func Parked(ctx context.Context, db *gorm.DB, f ParkedFilter) (events []ParkedEvent, err error) {
	where, args := f.where()
	limit := f.Limit
	if limit <= 0 {
		limit = defaultParked
	}
	tx := db.WithContext(ctx)
	if tx.Name() == "postgres" {
		// While statistics are older than the rows it would read and sort all of them.
		tx = tx.Begin().Exec("SET LOCAL enable_sort = off")
		if tx.Error != nil {
			return nil, fmt.Errorf("read parked events: %w", tx.Error)
		}
		tx = tx.Session(&gorm.Session{NewDB: true})
		defer tx.Rollback() // it has only read
	}
	return readParked(tx, where+" ORDER BY grp, tbl, entity, place, id LIMIT ?", append(args, limit)...)
}

// readParked reads parked events, given what comes after FROM.
func readParked(tx *gorm.DB, rest string, args ...any) (events []ParkedEvent, err error) {
	rows, err := tx.Raw(`SELECT id, grp, cause, place, stream, handler, tbl, entity, event_type, event_id, source, occurred_at,
		due, expires, attempts, first_failed, last_failed, error_type, error, topic, partition, log_offset
		FROM evenkeel_parked`+rest, args...).Rows()
	if err != nil {
		return nil, fmt.Errorf("read parked events: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var p ParkedEvent
		var occurred, due, expires, first, last sql.NullInt64
		if err := rows.Scan(&p.ID, &p.Group, &p.Cause, &p.Place, &p.Stream, &p.Handler, &p.Table, &p.Entity, &p.EventType, &p.EventID, &p.Source, &occurred,
			&due, &expires, &p.Attempts, &first, &last, &p.ErrorType, &p.Error, &p.Topic, &p.Partition, &p.Offset); err != nil {
			return nil, fmt.Errorf("read parked event: %w", err)
		}
		for from, to := range map[*sql.NullInt64]*time.Time{&occurred: &p.OccurredAt, &due: &p.Due, &expires: &p.Expires, &first: &p.FirstFailed, &last: &p.LastFailed} {
			if from.Valid {
				*to = time.UnixMicro(from.Int64).UTC()
			}
		}
		events = append(events, p)
	}
	return events, rows.Err()
}

// MaxParkedCount is where CountParked ends.
const MaxParkedCount = 100_000

// CountParked returns how many parked events f chooses, whatever its limit; MaxParkedCount means
// so many or more, since a look must not take the longer the more there is.
func CountParked(ctx context.Context, db *gorm.DB, f ParkedFilter) (n int64, err error) {
	where, args := f.where()
	if err := db.WithContext(ctx).Raw("SELECT count(*) FROM (SELECT 1 FROM evenkeel_parked"+where+" LIMIT ?) AS p", append(args, MaxParkedCount)...).Row().Scan(&n); err != nil {
		return 0, fmt.Errorf("count parked events: %w", err)
	}
	return n, nil
}

// where is the condition with its arguments; values never become part of the text.
func (f *ParkedFilter) where() (text string, args []any) {
	var conditions []string
	for _, c := range [...]struct{ column, value string }{
		{"grp", f.Group}, {"cause", f.Cause}, {"tbl", f.Table}, {"entity", f.Entity}, {"handler", f.Handler},
	} {
		if c.value != "" {
			conditions = append(conditions, c.column+" = ?")
			args = append(args, c.value)
		}
	}
	if len(conditions) == 0 {
		return "", nil
	}
	return " WHERE " + strings.Join(conditions, " AND "), args
}
