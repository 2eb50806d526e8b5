package framework

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

// EventVerdict is a line of the journal of verdicts: what became of an event under a handler
// for an entity, other than a plain apply, which has none.
type EventVerdict struct {
	At    time.Time
	Group string
	// Handler and Table are empty where no handler was asked.
	Handler, Table, Entity string
	EventType, Source, ID  string
	Verdict                guards.Verdict
	// Coordinates are those of the record.
	Coordinates event.Coordinates
}

// readVerdicts reads lines of the journal, given what comes after FROM.
func readVerdicts(ctx context.Context, db *gorm.DB, rest string, args ...any) (found []EventVerdict, err error) {
	fields := tables.Verdicts()
	rows, err := db.WithContext(ctx).Raw("SELECT "+tables.Names(fields)+", at, grp FROM evenkeel_verdicts "+rest, args...).Rows()
	if err != nil {
		return nil, fmt.Errorf("read the journal of verdicts: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var at int64
		var group string
		v, err := tables.Scan(rows, fields, &at, &group)
		if err != nil {
			return nil, fmt.Errorf("read the journal of verdicts: %w", err)
		}
		found = append(found, lineOf(v, group, at))
	}
	return found, rows.Err()
}

func lineOf(v *store.Verdict, group string, at int64) EventVerdict {
	return EventVerdict{
		At: time.UnixMicro(at).UTC(), Group: group, Handler: v.Handler, Table: v.Table, Entity: v.Entity,
		EventType: v.EventType, Source: v.Source, ID: v.EventID, Verdict: v.Verdict, Coordinates: v.Coordinates,
	}
}

// The journal has no index by entity, which each batch would pay for: it is looked through
// from its end, so many lines at a time and so many at most.
const (
	journalPortion = 50_000
	journalLooks   = 20
)

// lastVerdicts returns the last lines about an entity, newest first; read is how many lines
// were looked through where these were not all.
func lastVerdicts(ctx context.Context, db *gorm.DB, group, table, key string, limit int) (found []EventVerdict, read int64, err error) {
	var first, last sql.NullInt64
	if err := db.WithContext(ctx).Raw("SELECT min(id), max(id) FROM evenkeel_verdicts").Row().Scan(&first, &last); err != nil {
		return nil, 0, fmt.Errorf("read the journal of verdicts: %w", err)
	}
	for end := last.Int64; last.Valid && end >= first.Int64; end -= journalPortion {
		if read >= journalPortion*journalLooks {
			return found, read, nil
		}
		read += journalPortion
		more, err := readVerdicts(ctx, db, "WHERE id <= ? AND id > ? AND grp = ? AND tbl IN (?, '') AND entity = ? ORDER BY id DESC LIMIT ?",
			end, end-journalPortion, group, table, key, limit-len(found))
		if err != nil {
			return nil, 0, err
		}
		if found = append(found, more...); len(found) == limit {
			break
		}
	}
	return found, 0, nil
}

// verdictsOf returns up to limit lines about an event, in the order in which they were
// written; an empty source or group is any.
func verdictsOf(ctx context.Context, db *gorm.DB, id, source, group string, limit int) ([]EventVerdict, error) {
	where, args := "WHERE substr(event_id, 1, 200) = substr(CAST(? AS text), 1, 200) AND event_id = ?", []any{id, id}
	for _, c := range [...]struct{ column, value string }{{"source", source}, {"grp", group}} {
		if c.value != "" {
			where, args = where+" AND "+c.column+" = ?", append(args, c.value)
		}
	}
	return readVerdicts(ctx, db, where+" ORDER BY id LIMIT ?", append(args, limit)...)
}
