package sqlite

import "github.com/evenkeel-go/evenkeel/internal/store"

// unremember drops ids.
func (w *writer) unremember(b *store.Batch) error {
	for _, k := range b.Unremember {
		if err := w.exec("DELETE FROM evenkeel_ids WHERE grp = ?1 AND scope = ?2 AND entity = ?3 AND NOT held", b.Group, k.Scope, k.Entity); err != nil {
			return err
		}
	}
	return nil
}
