package dlq

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"
)

// Tail finds letters in the table as they come, each once.
//
// A letter's id is a hash, and its time is that of the batch that made it, which may commit long
// after one with a later time: nothing in the row grows with the commits. So a tail looks again at
// what was made in the last minute each time, and in the last quarter of an hour each minute, and
// remembers what it has seen of these. What commits later than that after its time, as does what
// an import brings, is not found.
type Tail struct {
	filter Filter
	// seen has the times of the letters that were returned, or were there before.
	seen   map[string]int64
	begun  bool
	newest int64
	wide   time.Time // when all of overlap was looked at last
}

const (
	tailOverlap = 15 * time.Minute
	tailClose   = time.Minute
)

// NewTail makes a tail of the letters that f chooses. It begins with those since f.Since, or
// without that with the last f.Limit of those that are there; below 0 with none.
func NewTail(f Filter) *Tail { return &Tail{filter: f, seen: make(map[string]int64)} }

// Next returns what has come since it was last called, the oldest first. now is the present time,
// by about the same clock as that of the services. Errors are the driver's, after which it can be
// called again.
func (t *Tail) Next(ctx context.Context, db *gorm.DB, now time.Time) ([]*Letter, error) {
	f := t.filter
	wide := now.Sub(t.wide) >= tailClose || now.Before(t.wide)
	since := now.Add(-tailOverlap)
	switch {
	case !t.begun && !f.Since.IsZero() && f.Since.Before(since):
		since = f.Since
	case !wide:
		if last := time.UnixMicro(min(t.newest, now.UnixMicro())).Add(-tailClose); last.After(since) {
			since = last
		}
	}
	if f.Since.Before(since) {
		f.Since = since
	}
	found, err := made(ctx, db, f)
	if err != nil {
		return nil, err
	}
	var fresh []string
	for _, m := range found {
		if at, ok := t.seen[m.id]; !ok || at != m.at {
			fresh = append(fresh, m.id)
		}
	}
	var letters []*Letter
	if !t.begun && t.filter.Since.IsZero() {
		if letters, err = t.first(ctx, db); err != nil {
			return nil, err
		}
	} else if letters, err = t.fresh(ctx, db, fresh); err != nil {
		return nil, err
	}
	for _, m := range found {
		t.see(m.id, m.at)
	}
	for _, l := range letters {
		if !l.CreatedAt.IsZero() {
			t.see(l.ID, l.CreatedAt.UnixMicro())
		}
	}
	if t.begun = true; wide {
		t.wide = now
		old := now.Add(-2 * tailOverlap).UnixMicro()
		for id, at := range t.seen {
			if at < old {
				delete(t.seen, id)
			}
		}
	}
	return letters, nil
}

func (t *Tail) see(id string, at int64) {
	t.seen[id] = at
	t.newest = max(t.newest, at)
}

// first are the last of those that are there.
func (t *Tail) first(ctx context.Context, db *gorm.DB) ([]*Letter, error) {
	if t.filter.Limit < 0 {
		return nil, nil
	}
	letters, err := List(ctx, db, t.filter)
	slices.Reverse(letters)
	return letters, err
}

// fresh are those of the letters with these ids that Match chooses, too.
func (t *Tail) fresh(ctx context.Context, db *gorm.DB, ids []string) (chosen []*Letter, err error) {
	match := t.filter.Match
	if match == nil {
		return pick(ctx, db, ids, t.filter.Brief)
	}
	letters, err := pick(ctx, db, ids, false) // it is asked with the record
	if err != nil {
		return nil, err
	}
	for _, l := range letters {
		ok, err := match(l)
		if err != nil {
			return nil, err
		}
		if ok {
			chosen = append(chosen, l)
		}
	}
	return chosen, nil
}

type madeAt struct {
	id string
	at int64
}

// made are the ids and times of all letters that f chooses, the oldest first.
func made(ctx context.Context, db *gorm.DB, f Filter) (found []madeAt, err error) {
	where, args := f.where()
	err = each(ctx, db, "SELECT id, created_at FROM evenkeel_dead_letters"+where+" ORDER BY created_at, id", args, func(rows *sql.Rows) error {
		var m madeAt
		err := rows.Scan(&m.id, &m.at)
		found = append(found, m)
		return err
	})
	return found, err
}

// pickPortion is how many letters are read with one statement.
const pickPortion = 100

// pick reads letters by id, the oldest first.
func pick(ctx context.Context, db *gorm.DB, ids []string, brief bool) (letters []*Letter, err error) {
	for portion := range slices.Chunk(ids, pickPortion) {
		found, err := query(ctx, db, columns(brief), " WHERE id IN ? ORDER BY created_at, id", portion)
		if err != nil {
			return nil, err
		}
		letters = append(letters, found...)
	}
	slices.SortStableFunc(letters, func(a, b *Letter) int {
		return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), strings.Compare(a.ID, b.ID))
	})
	return letters, nil
}

// Matches reports whether f chooses the letter, as the database would tell: for letters that come
// from elsewhere. Errors are those of Match.
func (f *Filter) Matches(l *Letter) (bool, error) {
	for _, c := range [...]struct{ want, have string }{
		{f.Group, l.Group},
		{string(f.State), string(l.State)},
		{string(f.Reason), string(l.Verdict.Reason)},
		{f.EventType, l.EventType},
		{f.EventID, l.EventID},
		{f.Handler, l.Handler},
		{f.Table, l.Table},
		{f.Entity, l.Entity},
		{f.Topic, l.Record.Topic},
		{f.Fingerprint, l.Fingerprint},
	} {
		if c.want != "" && c.want != c.have {
			return false, nil
		}
	}
	if f.State == "" && l.State == Purged {
		return false, nil
	}
	if f.Text != "" {
		in := strings.ToLower(l.Error + " " + l.Verdict.Detail + " " + l.Entity + " " + l.EventID + " " + l.Source)
		if !strings.Contains(in, strings.ToLower(f.Text)) {
			return false, nil
		}
	}
	if l.CreatedAt.Before(f.Since) || !f.Until.IsZero() && !l.CreatedAt.Before(f.Until) {
		return false, nil
	}
	if f.Match == nil {
		return true, nil
	}
	return f.Match(l)
}
