package dlq

import (
	"context"
	"database/sql"
	"time"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/guards"
)

// Stats are numbers about letters.
type Stats struct {
	Total int64
	// ByState counts all; the others those that are unresolved.
	ByState   map[State]int64
	ByReason  map[guards.Reason]int64
	ByType    map[string]int64
	ByHandler map[string]int64
	// Edited is how many of the unresolved ones have been edited.
	Edited int64
	// Oldest is when the oldest unresolved letter was made, zero if there is none.
	Oldest time.Time
}

// CountEnded returns how many of the group's resolved and discarded letters ended before a
// time and can be purged. Errors are the driver's.
func CountEnded(ctx context.Context, db *gorm.DB, group string, before time.Time) (n int64, err error) {
	err = each(ctx, db, "SELECT count(*) FROM evenkeel_dead_letters WHERE grp = ? AND state IN ('resolved', 'discarded') AND changed_at < ? AND published_at IS NOT NULL",
		[]any{group, before.UnixMicro()}, func(rows *sql.Rows) error { return rows.Scan(&n) })
	return n, err
}

// ReadStats counts the letters that f chooses, whatever its limit. Errors are the driver's.
func ReadStats(ctx context.Context, db *gorm.DB, f Filter) (*Stats, error) {
	if f.Match != nil {
		return matchStats(ctx, db, f)
	}
	s := newStats()
	where, args := f.where()
	// Counted in the index evenkeel_dead_letters_causes; a fingerprint stands for reason, type
	// and handler, so that one letter of each tells them.
	const text = "SELECT g.state, g.n, g.first, l.reason, l.event_type, l.handler FROM (" +
		"SELECT fingerprint, state, count(*) AS n, min(created_at) AS first FROM evenkeel_dead_letters"
	const one = " GROUP BY fingerprint, state) AS g JOIN evenkeel_dead_letters l ON l.id = " +
		"(SELECT e.id FROM evenkeel_dead_letters e WHERE e.fingerprint = g.fingerprint ORDER BY e.state, e.created_at LIMIT 1)"
	err := each(ctx, db, text+where+one, args, func(rows *sql.Rows) error {
		var state State
		var reason guards.Reason
		var kind, handler string
		var n int64
		var first sql.NullInt64
		if err := rows.Scan(&state, &n, &first, &reason, &kind, &handler); err != nil {
			return err
		}
		s.add(state, n, reason, kind, handler, fromMicros(first))
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = each(ctx, db, "SELECT count(*) FROM evenkeel_dead_letters"+where+" AND edits <> '' AND state IN ('open', 'replaying')", args, func(rows *sql.Rows) error {
		return rows.Scan(&s.Edited)
	})
	return s, err
}

func newStats() *Stats {
	return &Stats{ByState: make(map[State]int64), ByReason: make(map[guards.Reason]int64), ByType: make(map[string]int64), ByHandler: make(map[string]int64)}
}

// add counts n letters of one state and cause, the first of which was made at first.
func (s *Stats) add(state State, n int64, reason guards.Reason, kind, handler string, first time.Time) {
	s.Total += n
	s.ByState[state] += n
	if !state.Unresolved() {
		return
	}
	s.ByReason[reason] += n
	s.ByType[kind] += n
	s.ByHandler[handler] += n
	if !first.IsZero() && (s.Oldest.IsZero() || first.Before(s.Oldest)) {
		s.Oldest = first
	}
}
