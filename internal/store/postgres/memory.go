package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/evenkeel-go/evenkeel/internal/store"
)

// loadMemory asks for ids and then for memos, so that the horizon of an id that is gone is
// read after it (R8).
func (s *Store) loadMemory(ctx context.Context, p *pipe, want *store.Want, l *store.Loaded, lock bool) {
	if ids := want.IDs; len(ids) > 0 {
		l.IDs = make(map[store.IDKey]*store.ID, len(ids))
		var a [3]array
		texts(&a, len(ids), func(i int) [3]string { return [3]string{ids[i].Scope, ids[i].Entity, ids[i].ID} })
		p.add(ctx, s.fixed.ids, func(cells [][]byte) error {
			k := ids[int(readInt(cells[0]))-1]
			l.IDs[k] = &store.ID{IDKey: k, Value: string(cells[1]), At: time.UnixMicro(readInt(cells[2])).UTC(), Held: cells[3][0] != 0, Known: true}
			return nil
		}, []byte(want.Group), a[0].bytes(), a[1].bytes(), a[2].bytes())
	}
	l.Memos = make(map[store.MemoKey]*store.Memo, len(want.Memos))
	if !lock {
		s.loadMemos(ctx, p, s.fixed.memos, want.Group, want.Memos, l)
		return
	}
	// A horizon is no batch's to change, and shared by all entities of its scope: to lock it
	// would make lanes wait for each other.
	horizons, others := []store.MemoKey{}, []store.MemoKey{}
	for _, k := range want.Memos {
		if k.Kind == store.KindHorizon {
			horizons = append(horizons, k)
		} else {
			others = append(others, k)
		}
	}
	slices.SortFunc(others, compareMemos)
	s.loadMemos(ctx, p, s.fixed.lockMemos, want.Group, others, l)
	s.loadMemos(ctx, p, s.fixed.memos, want.Group, horizons, l)
}

func (s *Store) loadMemos(ctx context.Context, p *pipe, st *statement, group string, memos []store.MemoKey, l *store.Loaded) {
	if len(memos) == 0 {
		return
	}
	var a [3]array
	texts(&a, len(memos), func(i int) [3]string { return [3]string{string(memos[i].Kind), memos[i].Scope, memos[i].Entity} })
	p.add(ctx, st, func(cells [][]byte) error {
		k := memos[int(readInt(cells[0]))-1]
		l.Memos[k] = &store.Memo{MemoKey: k, Rev: readInt(cells[1]), Body: string(cells[2])}
		return nil
	}, []byte(group), a[0].bytes(), a[1].bytes(), a[2].bytes())
}

// texts fills three arrays of n texts each.
func texts(a *[3]array, n int, at func(i int) [3]string) {
	for i := range a {
		a[i].reset(wireText)
	}
	for i := range n {
		for j, s := range at(i) {
			a[j].addString(s)
		}
	}
}
