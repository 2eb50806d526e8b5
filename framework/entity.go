package framework

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/clocks"
	"github.com/evenkeel-go/evenkeel/internal/sequence"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/open"
)

// EntityState is what a database knows of one entity.
type EntityState struct {
	Group, Table, Model, Key string
	// Kind is the word of the kind of stamp that orders the model's events, e.g. "timestamp".
	Kind string
	// Existence is guards.Missing where there is no row; Rebuilding says that it is being
	// made anew from the log.
	Existence  guards.Existence
	Rebuilding bool
	// KeyError is why there can be no row under the key, e.g. since the column takes numbers;
	// empty where there can.
	KeyError string
	// Rev is the row's revision, which grows with each write, and Born when Evenkeel made the
	// row; zero for rows that somebody else made.
	Rev  int64
	Born time.Time
	// Columns are those of the table, in its order, without Evenkeel's own.
	Columns []EntityColumn
	// Lived says which event has decided last whether the entity exists; nil where none has,
	// or where its model keeps no clocks.
	Lived *EntityClock

	Parked  []ParkedEvent
	Letters []*dlq.Letter // as dlq.Filter.Brief, newest first
	// Verdicts are the last lines of the journal about it, newest first, and JournalRead is
	// how many lines were looked through for them where these were not all.
	Verdicts    []EventVerdict
	JournalRead int64
	// Streams are its streams of numbers, also those that are in order.
	Streams []NumberStream
	Audit   []dlq.AuditEntry // of its letters, newest first
}

// EntityColumn is one column of an entity's row.
type EntityColumn struct {
	Name string
	// Type is the column's type as the database names it.
	Type string
	// Text is the value as the database writes it, with all digits; Bytes that of a binary
	// column. Null says that there is none.
	Text  string
	Bytes []byte
	Null  bool
	// Clocked columns remember who wrote them: Clock, nil where nobody has yet. Of the others
	// (of a projection, of guards without clocks, or nobody's) that is not kept.
	Clocked bool
	Clock   *EntityClock
}

// EntityClock is the stamp that a column carries: which event wrote it last.
type EntityClock struct {
	// Stamp is the event's place in the entity's history.
	Stamp event.Stamp
	// At is the event's time, zero where stamps are no times.
	At time.Time
	// Source and ID are the event's, or for a derived event its root's; those over 128 bytes
	// are hashes.
	Source, ID string
	// Purged: it is no event's, but the horizon behind which tombstones of the table have
	// gone.
	Purged bool
}

// Known reports whether there is anything at all about the entity.
func (s *EntityState) Known() bool {
	return s.Existence != guards.Missing || len(s.Parked) > 0 || len(s.Letters) > 0 || len(s.Verdicts) > 0 || len(s.Streams) > 0
}

// How much ShowEntity reads of each.
const (
	entityLetters  = 100
	entityParked   = 100
	entityVerdicts = 20
	entityAudit    = 100
)

// ShowEntity reads all that a database knows of the entity with a key, as events write it. The
// table is its name or that of its Go model; it needs neither the model nor handlers. Errors are
// a [*NoTableError], and the driver's; an entity that nothing is known of is none.
func ShowEntity(ctx context.Context, db *gorm.DB, table, key string) (*EntityState, error) {
	t, err := findTable(ctx, db, table)
	if err != nil {
		return nil, err
	}
	s, err := readEntity(ctx, db, t, key)
	if err != nil {
		return nil, err
	}
	if s.Parked, err = Parked(ctx, db, ParkedFilter{Group: t.Group, Table: t.Name, Entity: key, Limit: entityParked}); err != nil {
		return nil, err
	}
	if s.Letters, err = dlq.OfEntity(ctx, db, t.Group, t.Name, key, entityLetters); err != nil {
		return nil, err
	}
	if s.Verdicts, s.JournalRead, err = lastVerdicts(ctx, db, t.Group, t.Name, key, entityVerdicts); err != nil {
		return nil, err
	}
	if s.Streams, err = streamsOf(ctx, db, t.Group, key); err != nil {
		return nil, err
	}
	for _, l := range s.Letters {
		lines, err := dlq.Audit(ctx, db, dlq.AuditFilter{Letter: l.ID, Limit: entityAudit})
		if err != nil {
			return nil, err
		}
		if s.Audit = append(s.Audit, lines...); len(s.Audit) >= entityAudit {
			break
		}
	}
	return s, nil
}

// findTable finds a claimed table by its name, or else by its model's.
func findTable(ctx context.Context, db *gorm.DB, name string) (t store.Table, err error) {
	st, err := open.Open(db)
	if err != nil {
		return t, err
	}
	all, err := st.Tables(ctx, "")
	if err != nil {
		return t, err
	}
	none := &NoTableError{Table: name}
	var of []store.Table
	for _, t := range all {
		if t.Name == name {
			return t, nil
		}
		if t.Model == name {
			of = append(of, t)
		}
		none.Known = append(none.Known, t.Name)
	}
	if len(of) != 1 {
		return t, none
	}
	return of[0], nil
}

// readEntity reads an entity's row with its clocks, and nothing else.
func readEntity(ctx context.Context, db *gorm.DB, t store.Table, key string) (*EntityState, error) {
	s := &EntityState{Group: t.Group, Table: t.Name, Model: t.Model, Key: key, Kind: t.Kind, Existence: guards.Missing}
	if t.Key == "" {
		s.KeyError = "its service has not run under a release that tells the column of the key"
		return s, nil
	}
	cells, err := readRow(ctx, db, t, key)
	var wrong *keyError
	switch {
	case errors.As(err, &wrong):
		s.KeyError = wrong.Error()
		return s, nil
	case err != nil:
		return nil, fmt.Errorf("read %s %s: %w", t.Name, key, err)
	case cells == nil:
		return s, nil
	}
	err = s.fill(ctx, db, cells)
	return s, err
}

// fill takes a row's cells.
func (s *EntityState) fill(ctx context.Context, db *gorm.DB, cells *rawRow) error {
	s.Existence, s.Rev = cells.state, cells.rev
	if bare, rebuilding := cells.state.Rebuilding(); rebuilding {
		s.Existence, s.Rebuilding = bare, true
	}
	if cells.born != 0 {
		s.Born = time.UnixMicro(cells.born).UTC()
	}
	s.Columns = cells.columns
	var text string
	var current int32
	err := db.WithContext(ctx).Raw("SELECT columns, generation FROM evenkeel_models WHERE tbl = ?", s.Table).Row().Scan(&text, &current)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the columns of table %s: %w", s.Table, err)
	}
	gens := map[string]int32{}
	if err := json.Unmarshal([]byte(text), &gens); err != nil {
		return fmt.Errorf("evenkeel_models.columns of table %s is not what Evenkeel wrote there (%w); restore the row", s.Table, err)
	}
	layout := clocks.LayoutOf(gens, current)
	row, err := layout.Decode(cells.clocks, s.Existence)
	if err != nil {
		return fmt.Errorf("table %s, row %s: %w", s.Table, s.Key, err)
	}
	for i, name := range layout.Names {
		if name == clocks.Existence {
			s.Lived = clockOf(row.Stamps[i], s.Kind)
			continue
		}
		for j := range s.Columns {
			if c := &s.Columns[j]; c.Name == name {
				c.Clocked, c.Clock = true, clockOf(row.Stamps[i], s.Kind)
			}
		}
	}
	return nil
}

func clockOf(stamp event.Stamp, kind string) *EntityClock {
	if stamp.IsZero() {
		return nil
	}
	c := &EntityClock{Stamp: stamp, Purged: stamp.Tie == clocks.PurgedTie}
	c.Source, c.ID = stamp.Identity()
	if kind == guards.KindTimestamp.String() || c.Purged {
		c.At = time.UnixMicro(stamp.Time).UTC()
	}
	return c
}

// streamsOf reads all streams of numbers that are the entity's.
func streamsOf(ctx context.Context, db *gorm.DB, group, key string) (found []NumberStream, err error) {
	names, err := scopes(ctx, db, "SELECT min(scope) FROM evenkeel_memos WHERE grp = ? AND kind = ? AND scope > ?", group, string(store.KindSequence))
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		s := NumberStream{Group: group, Name: name, Entity: key}
		var body string
		var changed, since, expires int64
		err := db.WithContext(ctx).Raw("SELECT body, updated_at FROM evenkeel_memos WHERE grp = ? AND kind = ? AND scope = ? AND entity = ?", group, string(store.KindSequence), name, key).Row().Scan(&body, &changed)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read stream of numbers: %w", err)
		}
		if err := db.WithContext(ctx).Raw("SELECT count(*), coalesce(min(occurred_at), 0), coalesce(min(expires), 0) FROM evenkeel_parked WHERE grp = ? AND stream = ? AND stream <> '' AND entity = ?", group, name, key).Row().Scan(&s.Parked, &since, &expires); err != nil {
			return nil, fmt.Errorf("read stream of numbers: %w", err)
		}
		if err := s.fill(body, changed, since, expires); err != nil {
			return nil, err
		}
		found = append(found, s)
	}
	return found, nil
}

// fill takes what the database has of a stream.
func (s *NumberStream) fill(body string, changed, since, expires int64) error {
	state, err := sequence.Parse(body)
	if err != nil {
		return fmt.Errorf("stream %s of %s: %w", s.Name, s.Entity, err)
	}
	s.Next, s.Incomplete, s.Changed = state.Next, state.Incomplete, time.UnixMicro(changed).UTC()
	for _, span := range state.Skipped {
		s.Skipped = append(s.Skipped, NumberSpan{From: span[0], To: span[1]})
	}
	for micros, to := range map[*int64]*time.Time{&since: &s.Since, &expires: &s.Expires} {
		if *micros != 0 {
			*to = time.UnixMicro(*micros).UTC()
		}
	}
	return nil
}

// scopes are the different scopes under an index that begins with what args say and goes on
// with the scope: one look for each, however many rows they have.
func scopes(ctx context.Context, db *gorm.DB, next string, args ...any) (found []string, err error) {
	after := ""
	for {
		var scope sql.NullString
		if err := db.WithContext(ctx).Raw(next, append(args[:len(args):len(args)], after)...).Row().Scan(&scope); err != nil {
			return nil, fmt.Errorf("read scopes: %w", err)
		}
		if !scope.Valid {
			return found, nil
		}
		after = scope.String
		found = append(found, after)
	}
}
