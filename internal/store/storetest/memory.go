package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/internal/store"
)

func memoryCases() []testCase {
	return []testCase{
		{"memos are made once and change by revision", memos},
		{"ids are remembered once, held or not", ids},
		{"ids are forgotten with their horizon", forget},
		{"sweepers that forget at once agree", forgetTogether},
		{"a locked batch holds up no other's horizon", horizonUnlocked},
		{"what has been reached is what the slowest says", reached},
	}
}

func (b *bench) memory(want *store.Want) *store.Loaded {
	b.t.Helper()
	want.Group = group
	l, err := b.s.Load(b.t.Context(), want)
	require.NoError(b.t, err)
	locked, err := b.s.Lock(b.t.Context(), want)
	require.NoError(b.t, err)
	require.Equal(b.t, l.Memos, locked.Loaded().Memos, "under locks")
	require.Equal(b.t, l.IDs, locked.Loaded().IDs, "under locks")
	require.Equal(b.t, l.Streams, locked.Loaded().Streams, "under locks")
	locked.Rollback()
	return l
}

func memos(b *bench) {
	t := b.t
	k := func(scope, entity string) store.MemoKey {
		return store.MemoKey{Kind: "sequence", Scope: scope, Entity: entity}
	}
	want := &store.Want{Memos: []store.MemoKey{k("s", "b"), k("s", "a"), k("t", "a"), k("none", "a")}}
	require.NoError(t, b.commit(t, &store.Batch{Memos: []*store.Memo{
		{MemoKey: k("s", "b"), Body: `{"next":1}`}, {MemoKey: k("s", "a"), Body: `{"next":2}`}, {MemoKey: k("t", "a"), Body: `{}`},
	}}))
	rev := b.now.UnixMicro()
	require.Equal(t, map[store.MemoKey]*store.Memo{
		k("s", "a"): {MemoKey: k("s", "a"), Rev: rev, Body: `{"next":2}`},
		k("s", "b"): {MemoKey: k("s", "b"), Rev: rev, Body: `{"next":1}`},
		k("t", "a"): {MemoKey: k("t", "a"), Rev: rev, Body: `{}`},
	}, b.memory(want).Memos)

	next := &store.Memo{MemoKey: k("s", "a"), Rev: rev, Body: `{"next":3}`}
	fresh := &store.Memo{MemoKey: k("u", "a"), Body: `{}`}
	require.NoError(t, b.commit(t, &store.Batch{Memos: []*store.Memo{next, fresh}}))
	require.Equal(t, &store.Memo{MemoKey: next.MemoKey, Rev: rev + 1, Body: next.Body}, b.memory(want).Memos[next.MemoKey])

	for name, m := range map[string]*store.Memo{
		"moved on":         next,
		"made already":     {MemoKey: k("s", "a")},
		"gone":             {MemoKey: k("none", "a"), Rev: rev},
		"another revision": {MemoKey: k("s", "b"), Rev: rev - 1},
	} {
		other := &store.Memo{MemoKey: k("s", "other"), Body: name}
		require.ErrorIs(t, b.commit(t, &store.Batch{Memos: []*store.Memo{other, m}}), store.ErrConflict, name)
		require.Nil(t, b.memory(&store.Want{Memos: []store.MemoKey{other.MemoKey}}).Memos[other.MemoKey], name)
	}
	require.Empty(t, b.memory(&store.Want{Memos: []store.MemoKey{{Kind: "horizon", Scope: "s", Entity: "a"}}}).Memos)
}

func ids(b *bench) {
	t := b.t
	k := func(entity, id string) store.IDKey { return store.IDKey{Scope: "s", Entity: entity, ID: id} }
	one := &store.ID{IDKey: k("a", "1"), Value: "v", At: start}
	two := &store.ID{IDKey: k("a", "2"), At: start.Add(-time.Hour), Held: true}
	other := &store.ID{IDKey: k("b", "1"), At: time.UnixMicro(-7).UTC()}
	want := &store.Want{IDs: []store.IDKey{other.IDKey, two.IDKey, k("b", "2"), one.IDKey}}
	require.NoError(t, b.commit(t, &store.Batch{IDs: []*store.ID{one, two, other}}))
	known := func(i *store.ID, held bool) *store.ID {
		c := *i
		c.Known, c.Held = true, held
		return &c
	}
	require.Equal(t, map[store.IDKey]*store.ID{
		one.IDKey: known(one, false), two.IDKey: known(two, true), other.IDKey: known(other, false),
	}, b.memory(want).IDs)

	require.NoError(t, b.commit(t, &store.Batch{IDs: []*store.ID{known(two, false), known(one, true), {IDKey: k("c", "1"), At: start}}}))
	l := b.memory(want)
	require.Equal(t, known(one, true), l.IDs[one.IDKey])
	require.Equal(t, known(two, false), l.IDs[two.IDKey])

	fresh := &store.ID{IDKey: k("c", "2"), At: start}
	for name, i := range map[string]*store.ID{
		"there already": {IDKey: k("a", "1"), At: start},
		"gone":          {IDKey: k("z", "1"), At: start, Known: true},
	} {
		require.ErrorIs(t, b.commit(t, &store.Batch{IDs: []*store.ID{fresh, i}}), store.ErrConflict, name)
		require.Empty(t, b.memory(&store.Want{IDs: []store.IDKey{fresh.IDKey}}).IDs, name)
	}
}
