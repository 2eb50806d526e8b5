package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

// memory reads ids and then memos, so that the horizon of an id that is gone is read after
// it (R8).
func (s *Store) memory(ctx context.Context, q tables.Querier, want *store.Want, l *store.Loaded) error {
	l.IDs = make(map[store.IDKey]*store.ID, len(want.IDs))
	for _, k := range want.IDs {
		i := &store.ID{IDKey: k, Known: true}
		var at int64
		err := q.QueryRowContext(ctx, "SELECT value, at, held FROM evenkeel_ids WHERE grp = ?1 AND scope = ?2 AND entity = ?3 AND id = ?4",
			want.Group, k.Scope, k.Entity, k.ID).Scan(&i.Value, &at, &i.Held)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return err
		}
		i.At = tables.Time(at)
		l.IDs[k] = i
	}
	l.Memos = make(map[store.MemoKey]*store.Memo, len(want.Memos))
	for _, k := range want.Memos {
		m := &store.Memo{MemoKey: k}
		err := q.QueryRowContext(ctx, "SELECT rev, body FROM evenkeel_memos WHERE grp = ?1 AND kind = ?2 AND scope = ?3 AND entity = ?4",
			want.Group, k.Kind, k.Scope, k.Entity).Scan(&m.Rev, &m.Body)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return err
		}
		l.Memos[k] = m
	}
	return nil
}

func (w *writer) memory(b *store.Batch) error {
	for _, m := range b.Memos {
		var err error
		if m.Rev == 0 {
			err = w.guarded(store.ErrConflict, "INSERT INTO evenkeel_memos (grp, kind, scope, entity, rev, body, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?5) ON CONFLICT (grp, kind, scope, entity) DO NOTHING",
				b.Group, m.Kind, m.Scope, m.Entity, w.now, m.Body)
		} else {
			err = w.guarded(store.ErrConflict, "UPDATE evenkeel_memos SET rev = rev + 1, body = ?6, updated_at = ?7 WHERE grp = ?1 AND kind = ?2 AND scope = ?3 AND entity = ?4 AND rev = ?5",
				b.Group, m.Kind, m.Scope, m.Entity, m.Rev, m.Body, w.now)
		}
		if err != nil {
			return err
		}
	}
	for _, i := range b.IDs {
		var err error
		if i.Known {
			err = w.guarded(store.ErrConflict, "UPDATE evenkeel_ids SET held = ?5 WHERE grp = ?1 AND scope = ?2 AND entity = ?3 AND id = ?4", b.Group, i.Scope, i.Entity, i.ID, i.Held)
		} else {
			err = w.guarded(store.ErrConflict, "INSERT INTO evenkeel_ids (grp, scope, entity, id, value, at, held) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (grp, scope, entity, id) DO NOTHING",
				b.Group, i.Scope, i.Entity, i.ID, i.Value, i.At.UnixMicro(), i.Held)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
