package dlq

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
)

// Filter chooses letters. Zero fields choose all that are not [Purged]; the others must all
// hold.
type Filter struct {
	Group     string
	State     State
	Reason    guards.Reason
	EventType string
	EventID   string
	Handler   string
	Table     string
	Entity    string
	Topic     string
	// Fingerprint is that of [Letter].
	Fingerprint string
	// Text is looked for in the error, the verdict's detail, the entity, and the event's id
	// and source, also in other case. It reads all letters that the other
	// fields choose.
	Text string
	// Since and Until bound when the letter was made: at or after Since, before Until.
	Since, Until time.Time
	// Limit is the most that [List] returns. Defaults to 100.
	Limit int
	// Brief leaves the record's key, value and headers, and the stack, in the database.
	// A letter that was read so must not be published or replayed. Its edits are read.
	Brief bool
	// Match is asked about each letter that all other fields choose, with its record; nil is
	// asked about none. All of those letters are read for it, in portions as [Each] does. It
	// must not use the database, and an error ends the reading.
	Match func(*Letter) (bool, error)
}

// DefaultLimit is how many letters [List] returns when the filter doesn't say.
const DefaultLimit = 100

// NotFoundError says that no letter has an id that is or begins with ID.
type NotFoundError struct{ ID string }

// Error tells the id.
func (e *NotFoundError) Error() string {
	return fmt.Sprintf("no letter has an id that begins with %q", e.ID)
}

// UnreplayableError says that a letter's event can't be replayed.
type UnreplayableError struct{ ID, Why string }

// Error says why, and what to do.
func (e *UnreplayableError) Error() string {
	return fmt.Sprintf("letter %s: can't replay it: %s", e.ID, e.Why)
}

// AmbiguousError says that several letters have an id that begins with Prefix.
type AmbiguousError struct {
	Prefix string
	IDs    []string // some of them, in order
}

// Error tells the prefix and what it could mean.
func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("%q is the beginning of several letter ids, e.g. %s", e.Prefix, strings.Join(e.IDs, ", "))
}

// List returns the letters of the table evenkeel_dead_letters that f chooses, newest
// first. The database is PostgreSQL or SQLite; errors are the driver's.
func List(ctx context.Context, db *gorm.DB, f Filter) ([]*Letter, error) {
	where, args := f.where()
	limit := f.Limit
	if limit <= 0 {
		limit = DefaultLimit
	}
	if f.Match != nil {
		return matchList(ctx, db, f, limit)
	}
	order := " ORDER BY created_at DESC NULLS LAST, id LIMIT ?"
	return query(ctx, db, columns(f.Brief), where+order, append(args, limit)...)
}

// Count returns how many letters f chooses, whatever its limit.
func Count(ctx context.Context, db *gorm.DB, f Filter) (int64, error) {
	if f.Match != nil {
		return matchCount(ctx, db, f)
	}
	where, args := f.where()
	var n int64
	err := db.WithContext(ctx).Raw("SELECT count(*) FROM evenkeel_dead_letters"+where, args...).Row().Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count letters: %w", err)
	}
	return n, nil
}

// Get returns the letter with the id, or the only one whose id begins with it. Errors are
// [*NotFoundError], [*AmbiguousError], or the driver's.
func Get(ctx context.Context, db *gorm.DB, id string) (*Letter, error) {
	// What isn't hexadecimal is no id, and could hold what LIKE takes for a pattern.
	if id == "" || strings.Trim(id, "0123456789abcdef") != "" {
		return nil, &NotFoundError{ID: id}
	}
	const some = 5
	const which = " WHERE id LIKE ? ORDER BY id LIMIT ?"
	found, err := query(ctx, db, columns(true), which, id+"%", some)
	if err != nil {
		return nil, err
	}
	if len(found) > 1 {
		e := &AmbiguousError{Prefix: id}
		for _, l := range found {
			e.IDs = append(e.IDs, l.ID)
		}
		return nil, e
	}
	if len(found) == 1 {
		found, err = query(ctx, db, columns(false), " WHERE id = ?", found[0].ID)
	}
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, &NotFoundError{ID: id}
	}
	return found[0], nil
}

// where is the condition with its arguments; values never become part of the text.
func (f *Filter) where() (text string, args []any) {
	var conditions []string
	add := func(set bool, condition string, arg any) {
		if set {
			conditions = append(conditions, condition)
			args = append(args, arg)
		}
	}
	for _, c := range [...]struct{ column, value string }{
		{"grp", f.Group},
		{"state", string(f.State)},
		{"reason", string(f.Reason)},
		{"event_type", f.EventType},
		{"event_id", f.EventID},
		{"handler", f.Handler},
		{"tbl", f.Table},
		{"entity", f.Entity},
		{"topic", f.Topic},
		{"fingerprint", f.Fingerprint},
	} {
		add(c.value != "", c.column+" = ?", c.value)
	}
	// As the index says, since an id may be longer than an entry.
	add(f.EventID != "", "substr(event_id, 1, 200) = substr(CAST(? AS text), 1, 200)", f.EventID)
	if f.State == "" {
		add(true, "state <> ?", string(Purged))
	}
	if f.Text != "" {
		const in = "(error || ' ' || detail || ' ' || entity || ' ' || event_id || ' ' || source)"
		// As it is, and without its case: databases differ in what they know of that.
		conditions = append(conditions, "("+in+" LIKE ? ESCAPE '!' OR lower("+in+") LIKE ? ESCAPE '!')")
		args = append(args, "%"+likeLiteral(f.Text)+"%", "%"+likeLiteral(strings.ToLower(f.Text))+"%")
	}
	add(!f.Since.IsZero(), "created_at >= ?", f.Since.UnixMicro())
	add(!f.Until.IsZero(), "created_at < ?", f.Until.UnixMicro())
	return " WHERE " + strings.Join(conditions, " AND "), args
}

// likeLiteral is a text that LIKE takes as it is, with ! as the escape.
func likeLiteral(s string) string {
	return strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(s)
}

// columns are those that scan expects, in its order.
func columns(brief bool) string {
	const facts = `id, rev, state, outcome, blocking, place, stream, grp, handler, tbl, entity,
		action, reason, compared, cmp_event, cmp_against, cmp_bound, cmp_event_tie, cmp_against_tie,
		detail, masked, event_type, source, event_id, occurred_at, stamp_time, stamp_tie, vector,
		attempts, first_failed, last_failed, error_type, error, fingerprint, service_version,
		created_at, published_at, cluster, topic, topic_id, partition, log_offset, leader_epoch,
		record_time, record_time_type, edits`
	if brief {
		return facts + ", '', NULL, NULL, NULL"
	}
	return facts + ", stack, record_key, record_value, headers"
}

func query(ctx context.Context, db *gorm.DB, columns, rest string, args ...any) (letters []*Letter, err error) {
	err = eachLetter(ctx, db, func(l *Letter) error { letters = append(letters, l); return nil }, columns, rest, args...)
	if err != nil {
		return nil, err
	}
	return letters, nil
}

// eachLetter calls do for one letter after the other while they are read.
func eachLetter(ctx context.Context, db *gorm.DB, do func(*Letter) error, columns, rest string, args ...any) error {
	return each(ctx, db, "SELECT "+columns+" FROM evenkeel_dead_letters"+rest, args, func(rows *sql.Rows) error {
		l, err := scan(rows)
		if err != nil {
			return fmt.Errorf("read letter: %w", err)
		}
		return do(l)
	})
}

// each calls row for each row of an answer while it is read.
func each(ctx context.Context, db *gorm.DB, text string, args []any, row func(*sql.Rows) error) (err error) {
	rows, err := db.WithContext(ctx).Raw(text, args...).Rows()
	if err != nil {
		return fmt.Errorf("read letters: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read letters: %w", err)
	}
	return nil
}

func scan(rows *sql.Rows) (*Letter, error) {
	l := &Letter{Record: &event.Record{}}
	r, v, n := l.Record, &l.Verdict, &l.Verdict.Numbers
	var occurred, first, last, created, published, recorded sql.NullInt64
	var eventTie, againstTie, stampTie, headers []byte
	var masked, vector, edits string
	err := rows.Scan(
		&l.ID, &l.Rev, &l.State, &l.Outcome, &l.Blocking, &l.Place, &l.Stream, &l.Group, &l.Handler, &l.Table, &l.Entity,
		&v.Action, &v.Reason, &n.What, &n.Event, &n.Against, &n.Bound, &eventTie, &againstTie,
		&v.Detail, &masked, &l.EventType, &l.Source, &l.EventID, &occurred, &l.Stamp.Time, &stampTie, &vector,
		&l.Attempts, &first, &last, &l.ErrorType, &l.Error, &l.Fingerprint, &l.ServiceVersion,
		&created, &published, &r.Cluster, &r.Topic, &r.TopicID, &r.Partition, &r.Offset, &r.LeaderEpoch,
		&recorded, &r.TimestampType, &edits, &l.Stack, &r.Key, &r.Value, &headers,
	)
	if err != nil {
		return nil, err
	}
	n.EventTie, n.AgainstTie, l.Stamp.Tie = string(eventTie), string(againstTie), string(stampTie)
	l.OccurredAt, l.FirstFailed, l.LastFailed = fromMicros(occurred), fromMicros(first), fromMicros(last)
	l.CreatedAt, l.PublishedAt, r.Timestamp = fromMicros(created), fromMicros(published), fromMicros(recorded)
	if masked != "" {
		if err := json.Unmarshal([]byte(masked), &v.Masked); err != nil {
			return nil, fmt.Errorf("%s: column masked: %w", l.ID, err)
		}
	}
	if l.Vector, err = parseVector(vector); err != nil {
		return nil, fmt.Errorf("%s: column vector: %w", l.ID, err)
	}
	if r.Headers, err = DecodeHeaders(headers); err != nil {
		return nil, fmt.Errorf("%s: column headers: %w", l.ID, err)
	}
	if l.Edits, err = DecodeEdits(edits); err != nil {
		return nil, fmt.Errorf("%s: column edits: expected %w", l.ID, err)
	}
	return l, nil
}

// fromMicros reads a time column: microseconds since 1970, NULL where it isn't known.
func fromMicros(n sql.NullInt64) time.Time {
	if !n.Valid {
		return time.Time{}
	}
	return time.UnixMicro(n.Int64).UTC()
}
