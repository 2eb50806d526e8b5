package memory

import (
	"cmp"
	"reflect"
	"slices"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// Content is all that a store holds, each list in an order that does not depend on how it
// came to be. It is the store's own, so don't change it; the store does not either.
type Content struct {
	Rows    []Row
	Parked  []*store.Parked
	Letters []*dlq.Letter
	IDs     []*store.ID
	Memos   []*store.Memo
	Outbox  []*store.Outbound // in its own order
}

// Row is one stored row.
type Row struct {
	Model  *handlers.Model
	Key    string        // canonical
	Entity reflect.Value // a pointer
	guards.Guarded
}

// Row returns one row; ok is false when there is none.
func (s *Store) Row(m *handlers.Model, key string) (r Row, ok bool) {
	s.turn <- struct{}{}
	defer s.leave()
	t := s.tables[m.Table]
	if t == nil || t.rows[key] == nil {
		return Row{}, false
	}
	have := t.rows[key]
	return Row{Model: m, Key: key, Entity: have.entity, Guarded: have.guarded}, true
}

// Content returns what the store holds.
func (s *Store) Content() *Content {
	s.turn <- struct{}{}
	defer s.leave()
	c := &Content{}
	for _, t := range s.tables {
		for key, r := range t.rows {
			c.Rows = append(c.Rows, Row{Model: t.model, Key: key, Entity: r.entity, Guarded: r.guarded})
		}
	}
	slices.SortFunc(c.Rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(a.Model.Table, b.Model.Table), cmp.Compare(a.Key, b.Key))
	})
	for _, p := range s.parked {
		c.Parked = append(c.Parked, p)
	}
	slices.SortFunc(c.Parked, func(a, b *store.Parked) int { return cmp.Compare(a.ID, b.ID) })
	for _, l := range s.letters {
		c.Letters = append(c.Letters, l.Letter)
	}
	slices.SortFunc(c.Letters, func(a, b *dlq.Letter) int { return cmp.Compare(a.ID, b.ID) })
	for _, i := range s.ids {
		c.IDs = append(c.IDs, i)
	}
	slices.SortFunc(c.IDs, func(a, b *store.ID) int {
		return cmp.Or(cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Entity, b.Entity), cmp.Compare(a.ID, b.ID))
	})
	for _, m := range s.memos {
		c.Memos = append(c.Memos, m)
	}
	slices.SortFunc(c.Memos, func(a, b *store.Memo) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Entity, b.Entity))
	})
	for _, o := range s.outbox {
		c.Outbox = append(c.Outbox, o.shown())
	}
	return c
}
