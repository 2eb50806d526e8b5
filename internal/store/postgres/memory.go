package postgres

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

// loadMemory asks for ids and memos. Both are seen at one moment, so that an id which is
// gone has a horizon that says so (R8), and a number that a stream has taken has its id (R7).
// Under locks the memos come first: nothing moves while they are held.
func (s *Store) loadMemory(ctx context.Context, p *pipe, want *store.Want, l *store.Loaded, lock bool) {
	ids, memos := want.IDs, want.Memos
	if len(ids) == 0 && len(memos) == 0 {
		return
	}
	l.IDs = make(map[store.IDKey]*store.ID, len(ids))
	l.Memos = make(map[store.MemoKey]*store.Memo, len(memos))
	if lock {
		// A horizon is no batch's to change, and shared by all entities of its scope: to lock
		// it would make lanes wait for each other.
		horizons, others := []store.MemoKey{}, []store.MemoKey{}
		for _, k := range memos {
			if k.Kind == store.KindHorizon {
				horizons = append(horizons, k)
			} else {
				others = append(others, k)
			}
		}
		slices.SortFunc(others, compareMemos)
		if len(others) > 0 {
			a := memoTexts(others)
			p.add(ctx, s.fixed.lockMemos, remembered(l, others, nil), []byte(want.Group), a[0].bytes(), a[1].bytes(), a[2].bytes())
		}
		memos = horizons
	}
	if len(ids) == 0 && len(memos) == 0 {
		return
	}
	m := memoTexts(memos)
	var i [3]array
	texts(&i, len(ids), func(n int) [3]string { return [3]string{ids[n].Scope, ids[n].Entity, ids[n].ID} })
	p.add(ctx, s.fixed.memory, remembered(l, memos, ids), []byte(want.Group), m[0].bytes(), m[1].bytes(), m[2].bytes(), i[0].bytes(), i[1].bytes(), i[2].bytes())
}

func memoTexts(memos []store.MemoKey) *[3]array {
	var a [3]array
	texts(&a, len(memos), func(n int) [3]string { return [3]string{string(memos[n].Kind), memos[n].Scope, memos[n].Entity} })
	return &a
}

// remembered reads the rows of the answer: what they are, and the place of their key.
func remembered(l *store.Loaded, memos []store.MemoKey, ids []store.IDKey) func(cells [][]byte) error {
	return func(cells [][]byte) error {
		n := int(readInt(cells[1])) - 1
		if readInt(cells[0]) == 0 {
			k := ids[n]
			l.IDs[k] = &store.ID{IDKey: k, Value: string(cells[2]), At: time.UnixMicro(readInt(cells[3])).UTC(), Held: cells[4][0] != 0, Known: true}
			return nil
		}
		k := memos[n]
		l.Memos[k] = &store.Memo{MemoKey: k, Body: string(cells[2]), Rev: readInt(cells[3])}
		return nil
	}
}

// memory are the parameters of memoryPiece.
func (w *writer) memory() [][]byte {
	memos := sorted(w.b.Memos, func(x, y *store.Memo) int { return compareMemos(x.MemoKey, y.MemoKey) })
	ids := sorted(w.b.IDs, func(x, y *store.ID) int {
		return cmp.Or(strings.Compare(x.Scope, y.Scope), strings.Compare(x.Entity, y.Entity), strings.Compare(x.ID, y.ID))
	})
	params := [][]byte{int8Param(int64(len(memos) + len(ids))), []byte(w.b.Group), w.now}
	params = fieldArrays(params, tables.Memos(), memos)
	return fieldArrays(params, tables.IDs(), ids)
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
