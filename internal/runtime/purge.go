package runtime

import (
	"context"
	"time"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// announceFor is how long a horizon is known before anything is purged: every member looks
// for new ones each minute, and one that did not know of it would take a missing row for
// one that never was.
const announceFor = 5 * time.Minute

// Purges reports whether a model's tombstones can be purged behind a horizon (R13): their
// stamps must be times, of handlers that also say when an entity is gone.
func Purges(m *handlers.Model) bool {
	return m.Existence != nil && m.Existence.Verb == handlers.VerbSet && m.Kind == guards.KindTimestamp
}

// purgeRows removes a page of tombstones.
func (u *upkeep) purgeRows(ctx context.Context, w *walk) (more bool, err error) {
	if w.tomb == nil {
		now := u.m.Clock.Now()
		w.behind = now.Add(-u.m.PurgeAfter)
		ready, err := u.announce(ctx, w, now)
		if err != nil || !ready {
			return false, err
		}
	}
	page, err := u.m.Store.Aged(ctx, store.AgedQuery{Table: w.table, State: guards.Deleted, Before: w.behind, After: w.tomb, Limit: upkeepRows})
	if err != nil || len(page) == 0 {
		return false, err
	}
	w.tomb = &page[len(page)-1]
	var keys []string
	for _, a := range u.canonical(w, page) {
		keys = append(keys, a.Key)
	}
	return len(page) == upkeepRows, halving(u, w, keys, func(keys []string) error {
		purged := 0
		err := u.commit(ctx, w, &store.Want{Memos: []store.MemoKey{store.TombstoneHorizon(w.table.Name)}}, keys, func(loaded *store.Loaded, _ batch.Layouts) (*store.Batch, error) {
			b, err := u.m.Judge.Purge(&batch.Tombstones{Model: w.model, Before: w.behind, Keys: keys}, loaded, u.m.Clock.Now())
			if b != nil {
				purged = len(b.Delete)
			}
			return b, err
		})
		if err == nil && purged > 0 {
			u.m.Observe.Removed(w.table.Name, guards.Deleted, purged)
		}
		return err
	})
}

// announce makes the table's horizon known, and reports whether it has been for long
// enough.
func (u *upkeep) announce(ctx context.Context, w *walk, now time.Time) (ready bool, err error) {
	k := store.TombstoneHorizon(w.table.Name)
	loaded, err := u.m.Store.Load(ctx, &store.Want{Group: u.m.Group, Memos: []store.MemoKey{k}})
	if err != nil {
		return false, err
	}
	memo := loaded.Memos[k]
	if memo == nil {
		h := store.Horizon{Announced: now.UnixMicro()}
		if err := u.m.Store.Commit(ctx, &store.Batch{Group: u.m.Group, Now: now, Memos: []*store.Memo{h.Memo(w.table.Name, nil)}}); err != nil {
			return false, err
		}
		return false, u.m.reloadLayouts(ctx)
	}
	h, err := store.ReadHorizon(memo)
	if err != nil {
		return false, err
	}
	return !time.UnixMicro(h.Announced).Add(min(announceFor, u.m.PurgeAfter)).After(now), nil
}
