package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/clocks"
)

// Upkeep is what looks after rows that have been in one state for long: placeholders that
// nobody completes, and tombstones.
type Upkeep interface {
	// Tables returns the claimed tables in order of names; group may be empty for all.
	Tables(ctx context.Context, group string) ([]Table, error)
	// Aged returns the rows that q asks for. A partial index makes it cheap: see
	// MissingIndex.
	Aged(ctx context.Context, q AgedQuery) ([]Aged, error)
	// RemoveOrphans removes placeholders that Aged has found, with their verdicts, in one
	// transaction, and says which of them are gone. One stays if its revision is another by
	// now, if something is parked under its key, or if a letter of it blocks (R9, R15): somebody
	// else was first, and that is no conflict.
	RemoveOrphans(ctx context.Context, r *OrphanRemoval) (gone []bool, err error)
	// CountAged counts the rows that q asks for, at most q.Limit, and returns the first.
	CountAged(ctx context.Context, q AgedQuery) (int64, *Aged, error)
	// MissingIndex returns the SQL of the index that Aged needs for rows in the state,
	// and "" when the table has one of the kind.
	MissingIndex(ctx context.Context, t Table, state guards.Existence) (string, error)
	// Origins returns at most limit origins of placeholders of the table that were born
	// before, from those after the given one on, in the order of birth, entity and
	// revision. Those of one placeholder may be cut off at the end.
	Origins(ctx context.Context, group, table string, before time.Time, after OriginKey, limit int) ([]*Origin, error)
}

// Table is what Evenkeel's own tables know of a user's.
type Table struct {
	Name, Group string
	// Model is the Go type's name, Key the column of the entity's key, Kind the word of
	// the kind of its stamps.
	Model, Key, Kind string
	// Purged: the table has, or is about to have, a horizon of tombstones.
	Purged bool
}

// AgedQuery asks for a table's placeholders in the order of birth and key, or for its
// tombstones in the order of their newest stamps and keys.
type AgedQuery struct {
	Table Table
	State guards.Existence // Placeholder or Deleted
	// Before bounds the rows' birth and, for tombstones, the time of their newest stamp.
	Before time.Time
	// After is the last row of the page before, nil for the first page.
	After *Aged
	Limit int
}

// Aged is a row as its clock columns tell it.
type Aged struct {
	Key    string
	Born   time.Time
	Newest event.Stamp
	// Rev is the row's revision; Fields and Gen are the rest of its clocks.
	Rev    int64
	Fields string
	Gen    int32
}

// Clocks are what the row remembers (R5).
func (a *Aged) Clocks() clocks.Stored {
	return clocks.Stored{Time: a.Newest.Time, Tie: []byte(a.Newest.Tie), Fields: a.Fields, Gen: a.Gen}
}

// OrphanRemoval removes placeholders of one model.
type OrphanRemoval struct {
	Group string
	Model *handlers.Model
	// Verdict is what the verdicts on all events have in common.
	Verdict Verdict
	Orphans []Orphan
	Now     time.Time
}

// Orphan is a placeholder that nobody has completed.
type Orphan struct {
	Key  string // canonical
	Rev  int64
	Born int64 // microseconds since 1970
	// Events are those whose effect goes with the row, as far as it tells them; one at least,
	// which may be unknown.
	Events []OrphanEvent
}

// OrphanEvent names an event.
type OrphanEvent struct{ Source, ID string }

// Verdicts are those on the events of an orphan that was removed.
func (r *OrphanRemoval) Verdicts(o *Orphan) []Verdict {
	all := make([]Verdict, len(o.Events))
	for i, e := range o.Events {
		v := r.Verdict
		v.Entity, v.Source, v.EventID, v.Verdict.Numbers.Event = o.Key, e.Source, e.ID, o.Born
		all[i] = v
	}
	return all
}

// Origin is an event that wrote a placeholder.
type Origin struct {
	OriginKey
	Group string
	// Rev is the row's revision that the event's batch made; the first one is the time of
	// birth in microseconds.
	Rev     int64
	ID      string // dlq.UnitID
	Handler string
	Record  *event.Record
}

// OriginKey names one life of one placeholder.
type OriginKey struct {
	Table  string
	Born   int64 // microseconds since 1970
	Entity string
}

// Horizon is behind what tombstones of a table have been purged: an event at or below it
// whose row is missing may be about an entity that was deleted (R13). A horizon is stored
// without At some time before the first purge, so that all members know of it by then.
type Horizon struct {
	Announced int64  `json:"announced"` // microseconds since 1970
	At        *int64 `json:"at,omitempty"`
}

// TombstoneHorizon names the memo that holds a table's Horizon.
func TombstoneHorizon(table string) MemoKey {
	return MemoKey{Kind: KindHorizon, Scope: "deleted:" + table}
}

// ReadHorizon reads a memo's body. No memo is a horizon behind everything.
func ReadHorizon(m *Memo) (h Horizon, err error) {
	if m == nil {
		return h, nil
	}
	if err := json.Unmarshal([]byte(m.Body), &h); err != nil {
		return h, fmt.Errorf("evenkeel_memos: the body of %s %q is %.40q, expected a horizon (%w); restore the row", m.Kind, m.Scope, m.Body, err)
	}
	return h, nil
}

// Memo returns the horizon as the next body of its memo, or of a new one.
func (h Horizon) Memo(table string, before *Memo) *Memo {
	b, err := json.Marshal(h)
	if err != nil {
		panic("evenkeel: " + err.Error()) // numbers always marshal
	}
	m := &Memo{MemoKey: TombstoneHorizon(table), Body: string(b)}
	if before != nil {
		m.Rev = before.Rev
	}
	return m
}
