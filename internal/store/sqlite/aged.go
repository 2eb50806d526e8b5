package sqlite

import (
	"context"
	"fmt"

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

// RemoveOrphans is store.Upkeep's.
func (s *Store) RemoveOrphans(ctx context.Context, r *store.OrphanRemoval) (gone []bool, err error) {
	o, err := s.modelOf(r.Model)
	if err != nil {
		return nil, err
	}
	remove := fmt.Sprintf("DELETE FROM %s WHERE %s = ?1 AND ek_rev = ?2"+
		" AND NOT EXISTS (SELECT 1 FROM evenkeel_parked p WHERE p.grp = ?3 AND p.tbl = ?4 AND p.entity = ?5)"+
		" AND NOT EXISTS (SELECT 1 FROM evenkeel_dead_letters l WHERE l.grp = ?3 AND l.tbl = ?4 AND l.entity = ?5 AND l.stream = '' AND %s)",
		tables.Quote(o.m.Table), tables.QuoteOne(o.m.Key.Name), tables.Blocks("l."))
	err = s.Tx(ctx, func(q tables.Querier) error {
		if _, err := q.ExecContext(ctx, deferForeignKeys); err != nil {
			return err
		}
		w := &writer{ctx: ctx, q: q, now: r.Now.UnixMicro()}
		defer w.close()
		gone = make([]bool, len(r.Orphans))
		for i := range r.Orphans {
			orphan := &r.Orphans[i]
			key, err := o.key(orphan.Key)
			if err != nil {
				return err
			}
			result, err := w.run(remove, []any{key, orphan.Rev, r.Group, r.Model.Table, orphan.Key})
			if err != nil {
				return err
			}
			n, err := result.RowsAffected()
			if err != nil {
				return err
			}
			if gone[i] = n == 1; gone[i] {
				if err := w.verdicts(r.Group, r.Verdicts(orphan)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return gone, nil
}
