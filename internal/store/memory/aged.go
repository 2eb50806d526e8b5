package memory

import (
	"cmp"
	"context"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

// writeAged removes rows and keeps what made placeholders.
func (s *Store) writeAged(t *tx, b *store.Batch) error {
	for _, r := range b.Delete {
		of, err := s.table(r.Model)
		if err != nil {
			return err
		}
		if have := of.rows[r.Key]; have == nil || have.guarded.EkRev != r.Rev {
			return store.ErrConflict
		}
		drop(t, of.rows, r.Key)
	}
	for _, k := range b.Forget {
		for have := range s.origins {
			if have.group == b.Group && have.OriginKey == k {
				drop(t, s.origins, have)
			}
		}
	}
	for _, o := range b.Origins {
		next := &store.Origin{}
		if err := tables.Assign(s.originFields, next, o); err != nil {
			return err
		}
		put(t, s.origins, originKey{next.Group, next.OriginKey, next.Rev, next.ID}, next)
	}
	return nil
}

// purged reports whether the table has a horizon of tombstones (R13).
func (s *Store) purged(group, table string) bool {
	return s.memos[memoKey{group, store.TombstoneHorizon(table)}] != nil
}

// Tables is store.Upkeep's.
func (s *Store) Tables(ctx context.Context, group string) (found []store.Table, err error) {
	err = s.transaction(ctx, func(*tx) error {
		for name, of := range s.tables {
			if group != "" && of.group != group {
				continue
			}
			d := tables.Describe(of.model)
			d.Name, d.Group, d.Kind, d.Purged = name, of.group, of.kind, s.purged(of.group, name)
			found = append(found, d)
		}
		slices.SortFunc(found, func(a, b store.Table) int { return cmp.Compare(a.Name, b.Name) })
		return nil
	})
	return found, err
}

// Aged is store.Upkeep's.
func (s *Store) Aged(ctx context.Context, q store.AgedQuery) (found []store.Aged, err error) {
	err = s.transaction(ctx, func(*tx) error {
		found = s.aged(&q)
		return nil
	})
	return found, err
}

func (s *Store) aged(q *store.AgedQuery) (found []store.Aged) {
	of := s.tables[q.Table.Name]
	if of == nil {
		return nil
	}
	order := func(a, b store.Aged) int {
		if q.State == guards.Deleted {
			return cmp.Or(cmp.Compare(a.Newest.Time, b.Newest.Time), of.compareKeys(a.Key, b.Key))
		}
		return cmp.Or(a.Born.Compare(b.Born), of.compareKeys(a.Key, b.Key))
	}
	before := tables.Micros(q.Before)
	for key, r := range of.rows {
		g := &r.guarded
		a := store.Aged{Key: key, Born: tables.Time(g.EkBorn), Newest: event.Stamp{Time: g.EkTime, Tie: string(g.EkTie)}, Rev: g.EkRev, Fields: g.EkFields, Gen: g.EkGen}
		if g.EkState != q.State || !a.Born.Before(before) || q.State == guards.Deleted && a.Newest.Time >= before.UnixMicro() {
			continue
		}
		if q.After == nil || order(a, *q.After) > 0 {
			found = append(found, a)
		}
	}
	slices.SortFunc(found, order)
	return found[:min(q.Limit, len(found))]
}

// RemoveOrphans is store.Upkeep's.
func (s *Store) RemoveOrphans(ctx context.Context, r *store.OrphanRemoval) ([]bool, error) {
	gone := make([]bool, len(r.Orphans))
	err := s.transaction(ctx, func(t *tx) error {
		of, err := s.table(r.Model)
		if err != nil {
			return err
		}
		for i := range r.Orphans {
			o := &r.Orphans[i]
			k := queueKey{group: r.Group, table: r.Model.Table, entity: o.Key}
			blocks := func(x *letter) bool { return x.Blocking && x.State.Unresolved() }
			have := of.rows[o.Key]
			if have == nil || have.guarded.EkRev != o.Rev || len(s.queues[k]) > 0 || slices.ContainsFunc(s.lettersOf[k], blocks) {
				continue
			}
			drop(t, of.rows, o.Key)
			s.journal(t, r.Group, r.Now, r.Verdicts(o))
			gone[i] = true
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return gone, nil
}

// compareKeys orders keys as the key's column does.
func (t *table) compareKeys(a, b string) int {
	if key := reflect.Zero(t.model.Key.Field.FieldType); !key.CanInt() && !key.CanUint() {
		return cmp.Compare(a, b)
	}
	x, _ := strconv.ParseInt(a, 10, 64) // the keys are canonical
	y, _ := strconv.ParseInt(b, 10, 64)
	return cmp.Compare(x, y)
}

// CountAged is store.Upkeep's.
func (s *Store) CountAged(ctx context.Context, q store.AgedQuery) (n int64, first *store.Aged, err error) {
	found, err := s.Aged(ctx, q)
	if err != nil || len(found) == 0 {
		return 0, nil, err
	}
	return int64(len(found)), &found[0], nil
}

// MissingIndex is store.Upkeep's: nothing here would be faster with one.
func (s *Store) MissingIndex(context.Context, store.Table, guards.Existence) (string, error) {
	return "", nil
}

// Origins is store.Upkeep's.
func (s *Store) Origins(ctx context.Context, group, table string, before time.Time, after store.OriginKey, limit int) (found []*store.Origin, err error) {
	err = s.transaction(ctx, func(*tx) error {
		for k, o := range s.origins {
			if k.group == group && k.Table == table && k.Born < before.UnixMicro() && compareLives(k.OriginKey, after) > 0 {
				c := *o
				r := *o.Record
				c.Record = &r
				found = append(found, &c)
			}
		}
		slices.SortFunc(found, func(a, b *store.Origin) int {
			return cmp.Or(compareLives(a.OriginKey, b.OriginKey), cmp.Compare(a.Rev, b.Rev), cmp.Compare(a.ID, b.ID))
		})
		found = found[:min(limit, len(found))]
		return nil
	})
	return found, err
}

func compareLives(a, b store.OriginKey) int {
	return cmp.Or(cmp.Compare(a.Born, b.Born), cmp.Compare(a.Entity, b.Entity))
}

// Forget is store.Store's. Nobody waits here, so it is one portion.
func (s *Store) Forget(ctx context.Context, group, scope string, upTo int64, _ int) (n int64, err error) {
	err = s.transaction(ctx, func(t *tx) error {
		var newest int64
		if s.rebuilding(group) {
			return nil
		}
		for k, i := range s.ids {
			at := i.At.UnixMicro()
			if k.group != group || k.Scope != scope || i.Held || at > upTo {
				continue
			}
			if n++; n == 1 || at > newest {
				newest = at
			}
			drop(t, s.ids, k)
		}
		if n == 0 {
			return nil
		}
		return s.moveHorizon(t, memoKey{group, store.HorizonOf(scope)}, newest)
	})
	return n, err
}

// moveHorizon never moves it back (R8).
func (s *Store) moveHorizon(t *tx, k memoKey, to int64) error {
	next := &store.Memo{MemoKey: k.MemoKey, Rev: s.now().UnixMicro()}
	if have := s.memos[k]; have != nil {
		at, err := have.Horizon()
		if err != nil {
			return err
		}
		to, next.Rev = max(to, at), have.Rev+1
	}
	next.Body = strconv.FormatInt(to, 10)
	put(t, s.memos, k, next)
	return nil
}
