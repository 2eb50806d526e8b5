package dlq

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"
)

// Ref names a letter as it was looked at. A change that names it is refused if the letter
// has changed since.
type Ref struct {
	ID string
	// Rev is the revision that was seen; 0 for whatever it has.
	Rev int64
}

// Ref names the letter as it is.
func (l *Letter) Ref() Ref { return Ref{ID: l.ID, Rev: l.Rev} }

// Refs returns all letters that f chooses, whatever its limit, oldest first: what is chosen
// once stays chosen, whatever fails meanwhile. Errors are the driver's.
func Refs(ctx context.Context, db *gorm.DB, f Filter) (refs []Ref, err error) {
	if f.Match != nil {
		return matchRefs(ctx, db, f)
	}
	where, args := f.where()
	rows, err := db.WithContext(ctx).Raw("SELECT id, rev FROM evenkeel_dead_letters"+where+" ORDER BY created_at, place, id", args...).Rows()
	if err != nil {
		return nil, fmt.Errorf("choose letters: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var r Ref
		if err := rows.Scan(&r.ID, &r.Rev); err != nil {
			return nil, fmt.Errorf("choose letters: %w", err)
		}
		refs = append(refs, r)
	}
	return refs, rows.Err()
}
