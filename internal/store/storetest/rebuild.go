package storetest

import (
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/ledger"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// rebuildCases are what making rows anew from the log asks for (R20).
func rebuildCases() []testCase {
	return []testCase{
		{"a row's mark stays beside its state", rebuildMark},
		{"keys come in pages, all or those of marked rows", rebuildKeys},
		{"ids are dropped by entity, but for held ones", unremember},
		{"nothing is forgotten while a rebuild is open", forgetDuringRebuild},
		{"ledgers of the group, in order", ledgers},
	}
}

func rebuildMark(b *bench) {
	t := b.t
	for _, state := range []guards.Existence{guards.Foreign, guards.Placeholder, guards.Alive, guards.Deleted} {
		key := state.String()
		r := b.order(t, &Order{ID: key}, 1)
		r.State, r.Rebuilding = state, true
		require.NoError(t, b.commit(t, &store.Batch{Insert: []*store.Row{r}}))
		got := b.one(t, "orders", key)
		require.Equal(t, state, got.State)
		require.True(t, got.Rebuilding)
		for _, aged := range []guards.Existence{guards.Placeholder, guards.Deleted} {
			found, err := b.s.Aged(t.Context(), store.AgedQuery{Table: store.Table{Name: "orders", Key: "id"}, State: aged, Before: b.now.Add(time.Hour), Limit: 10})
			require.NoError(t, err)
			require.Empty(t, found, "it is neither swept nor purged")
		}
		got.Rebuilding = false
		require.NoError(t, b.commit(t, &store.Batch{Update: []*store.Row{got}}))
		got = b.one(t, "orders", key)
		require.Equal(t, state, got.State)
		require.False(t, got.Rebuilding)
		require.NoError(t, b.commit(t, &store.Batch{Delete: []*store.Row{got}}))
	}
}

func rebuildKeys(b *bench) {
	t := b.t
	var rows []*store.Row
	for i, key := range []string{"e", "b", "d", "a", "c"} {
		r := b.order(t, &Order{ID: key}, 1)
		r.Rebuilding = i < 2
		rows = append(rows, r)
	}
	require.NoError(t, b.commit(t, &store.Batch{Insert: rows}))
	pages := func(marked bool) string {
		var all []string
		q := store.KeysQuery{Model: b.model("orders"), Rebuilding: marked, Limit: 2}
		for {
			page, err := b.s.Keys(t.Context(), q)
			require.NoError(t, err)
			require.LessOrEqual(t, len(page), 2)
			if len(page) == 0 {
				return strings.Join(all, "")
			}
			all = append(all, page...)
			q.After, q.HasAfter = page[len(page)-1], true
		}
	}
	require.Equal(t, "abcde", pages(false))
	require.Equal(t, "be", pages(true))
	require.NoError(t, b.sql().Exec("INSERT INTO orders (id, status) VALUES ('z', '')").Error)
	require.Equal(t, "abcde", pages(false), "a row that no event has written is none of them")
}

func unremember(b *bench) {
	t := b.t
	all := b.remember("s", false, 1, 2)
	held := b.remember("s", true, 3)
	other := b.remember("other", false, 1)
	require.NoError(t, b.commit(t, &store.Batch{Unremember: []store.IDScope{{Scope: "s", Entity: "another"}}}))
	require.Len(t, b.memory(&store.Want{IDs: all}).IDs, 2)
	fresh := &store.ID{IDKey: all[0], At: b.now}
	require.NoError(t, b.commit(t, &store.Batch{Unremember: []store.IDScope{{Scope: "s", Entity: "e"}}, IDs: []*store.ID{fresh}}), "before new ids")
	require.Len(t, b.memory(&store.Want{IDs: all}).IDs, 1)
	require.Len(t, b.memory(&store.Want{IDs: append(held, other...)}).IDs, 2)
}

func forgetDuringRebuild(b *bench) {
	t := b.t
	b.remember("s", false, 1, 2)
	drop := func() int64 {
		n, err := b.s.Forget(t.Context(), group, "s", 100, 10)
		require.NoError(t, err)
		return n
	}
	head := &store.Memo{MemoKey: store.RebuildKey(), Body: "{}"}
	require.NoError(t, b.commit(t, &store.Batch{Memos: []*store.Memo{head}}))
	require.Zero(t, drop())
	_, ok := b.horizon("s")
	require.False(t, ok)
	head = b.memory(&store.Want{Memos: []store.MemoKey{store.RebuildKey()}}).Memos[store.RebuildKey()]
	head.Body = ""
	require.NoError(t, b.commit(t, &store.Batch{Memos: []*store.Memo{head}}))
	require.EqualValues(t, 2, drop())
}

func ledgers(b *bench) {
	t := b.t
	_, _, err := b.s.Own(t.Context(), key(2), "orders", "me")
	require.NoError(t, err)
	other := key(0)
	other.Group = "another"
	_, _, err = b.s.Own(t.Context(), other, "orders", "me")
	require.NoError(t, err)
	b.ledger.Next, b.ledger.High = 8, 9
	b.ledger.Gaps = ledger.Gaps{{From: 3, To: 5}}
	b.ledger, err = b.s.Position(t.Context(), b.ledger)
	require.NoError(t, err)
	found, err := b.s.Ledgers(t.Context(), group)
	require.NoError(t, err)
	require.Len(t, found, 2)
	require.Equal(t, b.ledger, found[0])
	require.Equal(t, key(2), found[1].Key)
	require.Equal(t, "orders", found[1].Topic)
	require.EqualValues(t, -1, found[1].High)
}
