package dlq

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"gorm.io/gorm"
)

// portionEach is how many letters one statement of [Each] reads.
const portionEach = 1000

var errEnough = errors.New("enough letters")

// Each gives do all letters that f chooses, newest first, whatever its limit. It reads them
// in portions, so that no statement lasts long, and one is in memory; a letter that is made
// or changed meanwhile may be among them or not. do must not use the database. It ends with
// do's error, that of [Filter.Match], or the driver's.
func Each(ctx context.Context, db *gorm.DB, f Filter, do func(*Letter) error) error {
	where, args := f.where()
	// Together they are the order of the index evenkeel_dead_letters_made.
	const order = " ORDER BY created_at DESC NULLS LAST, id LIMIT ?"
	for _, phase := range [...]struct {
		all, behind string
		after       func(*Letter) []any
	}{
		{" AND created_at IS NOT NULL", " AND created_at <= ? AND (created_at < ? OR id > ?)", func(l *Letter) []any {
			return []any{l.CreatedAt.UnixMicro(), l.CreatedAt.UnixMicro(), l.ID}
		}},
		{" AND created_at IS NULL", " AND created_at IS NULL AND id > ?", func(l *Letter) []any { return []any{l.ID} }},
	} {
		for condition, at := phase.all, []any(nil); ; {
			n, last := 0, (*Letter)(nil)
			err := eachLetter(ctx, db, func(l *Letter) error {
				n, last = n+1, l
				return f.each(l, do)
			}, columns(f.Brief && f.Match == nil), where+condition+order, slices.Concat(args, at, []any{portionEach})...)
			if err != nil {
				return err
			}
			if n < portionEach {
				break
			}
			condition, at = phase.behind, phase.after(last)
		}
	}
	return nil
}

// each gives do the letter if it matches.
func (f *Filter) each(l *Letter, do func(*Letter) error) error {
	if f.Match != nil {
		if chosen, err := f.Match(l); err != nil || !chosen {
			return err
		}
		if f.Brief { // it was read whole to be matched
			l.Stack, l.Record.Key, l.Record.Value, l.Record.Headers = "", nil, nil, nil
		}
	}
	return do(l)
}

func matchList(ctx context.Context, db *gorm.DB, f Filter, limit int) (letters []*Letter, err error) {
	err = Each(ctx, db, f, func(l *Letter) error {
		letters = append(letters, l)
		if len(letters) == limit {
			return errEnough
		}
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return letters, err
}

func matchCount(ctx context.Context, db *gorm.DB, f Filter) (n int64, err error) {
	err = Each(ctx, db, f, func(*Letter) error { n++; return nil })
	return n, err
}

func matchRefs(ctx context.Context, db *gorm.DB, f Filter) ([]Ref, error) {
	type placed struct {
		Ref
		made  time.Time
		place int64
	}
	var found []placed
	f.Brief = true
	err := Each(ctx, db, f, func(l *Letter) error {
		found = append(found, placed{l.Ref(), l.CreatedAt, l.Place})
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(a, b placed) int {
		return cmp.Or(a.made.Compare(b.made), cmp.Compare(a.place, b.place), cmp.Compare(a.ID, b.ID))
	})
	refs := make([]Ref, len(found))
	for i := range found {
		refs[i] = found[i].Ref
	}
	return refs, nil
}

func matchStats(ctx context.Context, db *gorm.DB, f Filter) (*Stats, error) {
	s := newStats()
	f.Brief = true
	return s, Each(ctx, db, f, func(l *Letter) error {
		s.add(l.State, 1, l.Verdict.Reason, l.EventType, l.Handler, l.CreatedAt)
		return nil
	})
}

// matchGroups counts in memory, which holds one letter of each group.
func matchGroups(ctx context.Context, db *gorm.DB, f Filter, now time.Time, limit int) (groups []*Group, err error) {
	by := map[string]*Group{}
	f.Brief = true
	err = Each(ctx, db, f, func(l *Letter) error {
		g := by[l.Fingerprint]
		if g == nil {
			g = &Group{Fingerprint: l.Fingerprint, Count: make(map[State]int64), Last: l.CreatedAt}
			g.exemplify(l)
			by[l.Fingerprint] = g
		}
		g.Count[l.State]++
		if l.CreatedAt.IsZero() {
			return nil
		}
		g.First = l.CreatedAt // the newest come first
		if back := max(now.UnixMicro()-l.CreatedAt.UnixMicro(), 0) / time.Hour.Microseconds(); back < GroupHours {
			g.Recent[GroupHours-1-back]++
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	unresolved := func(g *Group) int64 { return g.Count[Open] + g.Count[Replaying] }
	groups = slices.SortedFunc(maps.Values(by), func(a, b *Group) int {
		return cmp.Or(cmp.Compare(unresolved(b), unresolved(a)), b.Last.Compare(a.Last), cmp.Compare(a.Fingerprint, b.Fingerprint))
	})
	groups = groups[:min(limit, len(groups))]
	return groups, countNotes(ctx, db, groups)
}
