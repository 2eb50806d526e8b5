package dlq

import (
	"context"
	"database/sql"
	"maps"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/guards"
)

// Group is all letters with one fingerprint, and so, most often, with one cause.
type Group struct {
	Fingerprint string
	// Reason, EventType, Handler and ErrorType are the same for all of them.
	Reason                        guards.Reason
	EventType, Handler, ErrorType string
	// Count is how many there are in each state.
	Count map[State]int64
	// First and Last are when the first and the last of them was made; zero if unknown.
	First, Last time.Time
	// Recent are how many were made in each of the last hours, the one that is not over
	// last.
	Recent [GroupHours]int64
	// Example is the newest of them, read as [Filter.Brief] says.
	Example *Letter
	// Notes is how many notes there are on the fingerprint.
	Notes int64
}

// GroupHours is how many hours [Group.Recent] goes back.
const GroupHours = 12

// Total is how many letters there are in all states.
func (g *Group) Total() (n int64) {
	for _, c := range g.Count {
		n += c
	}
	return n
}

// Trend compares the last hour with the hour before it: above 0 is more, below less.
func (g *Group) Trend() int64 { return g.Recent[GroupHours-1] - g.Recent[GroupHours-2] }

// Groups returns the groups of the letters that f chooses, those with most unresolved ones
// first, at most f.Limit of them. now ends the last hour of [Group.Recent]. Errors are the
// driver's.
func Groups(ctx context.Context, db *gorm.DB, f Filter, now time.Time) (groups []*Group, err error) {
	limit := f.Limit
	if limit <= 0 {
		limit = DefaultLimit
	}
	if f.Match != nil {
		return matchGroups(ctx, db, f, now, limit)
	}
	where, args := f.where()
	by := map[string]*Group{}
	states := States()
	sums, ofStates := "", make([]any, len(states))
	for i, state := range states {
		sums += ", sum(CASE WHEN state = ? THEN n ELSE 0 END)"
		ofStates[i] = string(state)
	}
	// The index evenkeel_dead_letters_causes has all that is counted; by its first two columns
	// first, as that is in its order.
	const order = "sum(CASE WHEN state IN ('open', 'replaying') THEN n ELSE 0 END) DESC, max(last) DESC NULLS LAST, fingerprint"
	err = each(ctx, db, "SELECT fingerprint, min(first), max(last)"+sums+
		" FROM (SELECT fingerprint, state, count(*) AS n, min(created_at) AS first, max(created_at) AS last FROM evenkeel_dead_letters"+where+" GROUP BY fingerprint, state) AS l"+
		" GROUP BY fingerprint ORDER BY "+order+" LIMIT ?", slices.Concat(ofStates, args, []any{limit}), func(rows *sql.Rows) error {
		g := &Group{Count: make(map[State]int64)}
		var first, last sql.NullInt64
		counts := make([]int64, len(states))
		into := []any{&g.Fingerprint, &first, &last}
		for i := range counts {
			into = append(into, &counts[i])
		}
		err := rows.Scan(into...)
		for i, n := range counts {
			if n > 0 {
				g.Count[states[i]] = n
			}
		}
		g.First, g.Last = fromMicros(first), fromMicros(last)
		groups, by[g.Fingerprint] = append(groups, g), g
		return err
	})
	if err != nil || len(groups) == 0 {
		return nil, err
	}
	if err := f.countHours(ctx, db, by, now); err != nil {
		return nil, err
	}
	if err := countNotes(ctx, db, groups); err != nil {
		return nil, err
	}
	for _, g := range groups {
		if err := g.example(ctx, db, f); err != nil {
			return nil, err
		}
	}
	return groups, nil
}

// countHours counts what was made in the last hours.
func (f *Filter) countHours(ctx context.Context, db *gorm.DB, by map[string]*Group, now time.Time) error {
	where, args := f.where()
	const hour = int64(time.Hour / time.Microsecond)
	end := now.UnixMicro()
	// Hours back from now; what was made after now counts as made in the last.
	const back = "CASE WHEN created_at > ? THEN 0 ELSE (? - created_at) / ? END"
	all := slices.Concat([]any{end, end, hour}, args, []any{end - GroupHours*hour, slices.Collect(maps.Keys(by))})
	return each(ctx, db, "SELECT fingerprint, back, count(*) FROM (SELECT fingerprint, "+back+" AS back FROM evenkeel_dead_letters"+where+
		" AND created_at > ? AND fingerprint IN ?) AS l GROUP BY fingerprint, back", all, func(rows *sql.Rows) error {
		var fingerprint string
		var back, n int64
		err := rows.Scan(&fingerprint, &back, &n)
		if g := by[fingerprint]; g != nil && back < GroupHours {
			g.Recent[GroupHours-1-back] += n
		}
		return err
	})
}

// example reads the newest letter of the group: by state and time the index finds it among
// any number.
func (g *Group) example(ctx context.Context, db *gorm.DB, f Filter) error {
	f.Fingerprint, f.Brief = g.Fingerprint, true
	where, args := f.where()
	if g.Fingerprint == "" { // which the filter takes for any
		where += " AND fingerprint = ''"
	}
	where += " AND state IN ?"
	args = append(args, slices.Sorted(maps.Keys(g.Count)))
	if g.Last.IsZero() {
		where += " AND created_at IS NULL"
	} else {
		where, args = where+" AND created_at = ?", append(args, g.Last.UnixMicro())
	}
	found, err := query(ctx, db, columns(true), where+" ORDER BY id LIMIT 1", args...)
	if err != nil || len(found) == 0 {
		return err
	}
	g.exemplify(found[0])
	return nil
}

// exemplify takes from a letter what all of the group have.
func (g *Group) exemplify(l *Letter) {
	g.Example, g.Reason, g.EventType, g.Handler, g.ErrorType = l, l.Verdict.Reason, l.EventType, l.Handler, l.ErrorType
}

// countNotes counts the notes on the groups' fingerprints.
func countNotes(ctx context.Context, db *gorm.DB, groups []*Group) error {
	if len(groups) == 0 {
		return nil
	}
	by, prints := map[string]*Group{}, make([]string, len(groups))
	for i, g := range groups {
		by[g.Fingerprint], prints[i] = g, g.Fingerprint
	}
	return each(ctx, db, "SELECT fingerprint, count(*) FROM evenkeel_notes WHERE letter = '' AND fingerprint IN ? GROUP BY fingerprint", []any{prints}, func(rows *sql.Rows) error {
		var fingerprint string
		var n int64
		err := rows.Scan(&fingerprint, &n)
		by[fingerprint].Notes = n
		return err
	})
}
