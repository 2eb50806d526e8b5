package memory

import (
	"cmp"
	"context"
	"slices"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/internal/ledger"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// unremember drops ids.
func (s *Store) unremember(t *tx, b *store.Batch) error {
	for _, k := range b.Unremember {
		for id, have := range s.ids {
			if id.group == b.Group && id.Scope == k.Scope && id.Entity == k.Entity && !have.Held {
				drop(t, s.ids, id)
			}
		}
	}
	return nil
}

// rebuilding reports whether the group rebuilds something.
func (s *Store) rebuilding(group string) bool {
	m := s.memos[memoKey{group, store.RebuildKey()}]
	return m != nil && m.Body != ""
}

// Ledgers is store.Rebuilds'.
func (s *Store) Ledgers(ctx context.Context, group string) (found []ledger.State, err error) {
	err = s.transaction(ctx, func(*tx) error {
		for k, row := range s.ledgers {
			if k.Group == group {
				found = append(found, row.Clone())
			}
		}
		slices.SortFunc(found, func(a, b ledger.State) int {
			return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.TopicID, b.TopicID), cmp.Compare(a.Partition, b.Partition))
		})
		return nil
	})
	return found, err
}

// Keys is store.Rebuilds'.
func (s *Store) Keys(ctx context.Context, q store.KeysQuery) (found []string, err error) {
	err = s.transaction(ctx, func(*tx) error {
		t, err := s.table(q.Model)
		if err != nil {
			return err
		}
		for key, r := range t.rows {
			_, rebuilding := r.guarded.EkState.Rebuilding()
			if r.guarded.EkRev > 0 && (rebuilding || !q.Rebuilding) && (!q.HasAfter || t.compareKeys(key, q.After) > 0) {
				found = append(found, key)
			}
		}
		slices.SortFunc(found, t.compareKeys)
		found = found[:min(q.Limit, len(found))]
		return nil
	})
	return found, err
}

// Edited is store.Rebuilds'.
func (s *Store) Edited(ctx context.Context, group string, at []event.Coordinates) (found []*store.EditedLetter, err error) {
	err = s.transaction(ctx, func(*tx) error {
		for _, c := range at {
			for _, l := range s.letters {
				r := l.Record.Coordinates
				if len(l.Edits) == 0 || !store.HadEffect(l.Outcome) || l.Group != group || r.Cluster != c.Cluster || r.TopicID != c.TopicID || r.Partition != c.Partition || r.Offset != c.Offset {
					continue
				}
				if last := l.Edits[len(l.Edits)-1]; !last.Lost {
					found = append(found, &store.EditedLetter{
						ID: l.ID, Handler: l.Handler, Entity: l.Entity, Revision: last,
						Coordinates: event.Coordinates{Cluster: c.Cluster, TopicID: c.TopicID, Partition: c.Partition, Offset: c.Offset},
					})
				}
			}
		}
		return nil
	})
	return found, err
}
