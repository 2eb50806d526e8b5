package sqlite

import (
	"fmt"
	"slices"

	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

// resolve ends replays, each with its line in the audit.
func (w *writer) resolve(b *store.Batch) error {
	if len(b.Resolve) == 0 {
		return nil
	}
	fields := tables.Resolutions()
	value := func(column string) string {
		return fmt.Sprintf("?%d", 2+slices.IndexFunc(fields, func(f tables.Field[store.Resolution]) bool { return f.Name == column }))
	}
	update := "UPDATE evenkeel_dead_letters SET " + tables.ResolveSet("?1", "", value) + " WHERE id = ?2 AND state = 'replaying'"
	entry := tables.ResolveEntry("?1", "?2", "evenkeel_dead_letters r WHERE id = ?3")
	for _, r := range b.Resolve {
		if err := w.guarded(store.ErrConflict, update, append([]any{w.now}, values(fields, r)...)...); err != nil {
			return err
		}
		if err := w.exec(entry, w.now, r.Why, r.ID); err != nil {
			return err
		}
	}
	return nil
}
