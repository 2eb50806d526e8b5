package sqlite

import (
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

// aged removes rows and keeps what made placeholders.
func (w *writer) aged(s *Store, b *store.Batch) error {
	for _, r := range b.Delete {
		o, err := s.modelOf(r.Model)
		if err != nil {
			return err
		}
		key, err := o.key(r.Key)
		if err != nil {
			return err
		}
		if err := w.guarded(store.ErrConflict, "DELETE FROM "+tables.Quote(o.m.Table)+" WHERE "+tables.QuoteOne(o.m.Key.Name)+" = ?1 AND ek_rev = ?2", key, r.Rev); err != nil {
			return err
		}
	}
	for _, k := range b.Forget {
		if err := w.exec("DELETE FROM evenkeel_origins WHERE grp = ?1 AND tbl = ?2 AND born = ?3 AND entity = ?4", b.Group, k.Table, k.Born, k.Entity); err != nil {
			return err
		}
	}
	fields := tables.Origins()
	for _, o := range b.Origins {
		if err := w.exec(insertOne("evenkeel_origins", fields), values(fields, o)...); err != nil {
			return err
		}
	}
	return nil
}
