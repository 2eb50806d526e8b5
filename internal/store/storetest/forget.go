package storetest

import (
	"context"
	"fmt"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/evenkeel-go/evenkeel/internal/ledger"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// horizon reads a scope's horizon.
func (b *bench) horizon(scope string) (at int64, ok bool) {
	b.t.Helper()
	memo := b.memory(&store.Want{Memos: []store.MemoKey{store.HorizonOf(scope)}}).Memos[store.HorizonOf(scope)]
	if memo == nil {
		return 0, false
	}
	at, err := memo.Horizon()
	require.NoError(b.t, err)
	return at, true
}

// remember writes ids of a scope, one at each time.
func (b *bench) remember(scope string, held bool, times ...int64) (keys []store.IDKey) {
	b.t.Helper()
	var ids []*store.ID
	for _, at := range times {
		ids = append(ids, &store.ID{IDKey: store.IDKey{Scope: scope, Entity: "e", ID: fmt.Sprintf("%d %v", at, held)}, At: time.UnixMicro(at).UTC(), Held: held})
		keys = append(keys, ids[len(ids)-1].IDKey)
	}
	require.NoError(b.t, b.commit(b.t, &store.Batch{IDs: ids}))
	return keys
}

func forget(b *bench) {
	t := b.t
	drop := func(upTo int64, want int64, horizon int64) {
		t.Helper()
		n, err := b.s.Forget(t.Context(), group, "s", upTo, 2)
		require.NoError(t, err)
		require.Equal(t, want, n)
		at, ok := b.horizon("s")
		require.Equal(t, horizon, at)
		require.Equal(t, horizon != 0, ok)
	}
	all := b.remember("s", false, -5, 1, 2, 3, 4, 5, 9)
	all = append(all, b.remember("s", true, 2, 4)...)
	all = append(all, b.remember("other", false, 1, 2)...)
	drop(-6, 0, 0)
	drop(4, 5, 4)
	require.Len(t, b.memory(&store.Want{IDs: all}).IDs, 2+2+2, "what is held, newer, or of another scope stays")
	drop(4, 0, 4)
	drop(8, 1, 5)

	// An older id that comes after all is forgotten in its turn, and the horizon stays.
	b.remember("s", false, 3)
	drop(8, 1, 5)

	n, err := b.s.Forget(t.Context(), "another group", "s", 100, 2)
	require.NoError(t, err)
	require.Zero(t, n)
	_, ok := b.horizon("other")
	require.False(t, ok)

	// No longer held, it is like any other.
	l := b.memory(&store.Want{IDs: []store.IDKey{{Scope: "s", Entity: "e", ID: "2 true"}}})
	for _, id := range l.IDs {
		id.Held = false
		require.NoError(t, b.commit(t, &store.Batch{IDs: []*store.ID{id}}))
	}
	drop(8, 1, 5)
}

func forgetTogether(b *bench) {
	t := b.t
	var times []int64
	for i := range int64(200) {
		times = append(times, 1000+i)
	}
	all := b.remember("s", false, times...)
	var g errgroup.Group
	for range 4 {
		g.Go(func() error {
			return retry(func() error {
				_, err := b.s.Forget(t.Context(), group, "s", 1150, 7)
				return err
			})
		})
	}
	require.NoError(t, g.Wait())
	// What one skipped because another held it, or rolled back, is left to the next.
	_, err := b.s.Forget(t.Context(), group, "s", 1150, 7)
	require.NoError(t, err)
	require.Len(t, b.memory(&store.Want{IDs: all}).IDs, 49)
	at, _ := b.horizon("s")
	require.Equal(t, int64(1150), at)
}

func horizonUnlocked(b *bench) {
	t := b.t
	if !b.postgres() {
		t.Skip("one writer has the whole database to itself")
	}
	b.remember("s", false, 1, 2)
	_, err := b.s.Forget(t.Context(), group, "s", 1, 10)
	require.NoError(t, err)
	want := &store.Want{Group: group, Memos: []store.MemoKey{store.HorizonOf("s")}}
	l, err := b.s.Lock(t.Context(), want)
	require.NoError(t, err)
	defer l.Rollback()
	require.Len(t, l.Loaded().Memos, 1)
	// Well before the server ends a locked batch that does nothing.
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	n, err := b.s.Forget(ctx, group, "s", 2, 10)
	require.NoError(t, err)
	require.Equal(t, int64(1), n)
}

func reached(b *bench) {
	t := b.t
	ask := func(since time.Time) (int64, bool) {
		at, ok, err := b.s.Reached(t.Context(), group, since)
		require.NoError(t, err)
		return at, ok
	}
	// b.ledger has not moved; a partition without a watermark says nothing.
	_, ok := ask(time.Time{})
	require.False(t, ok)
	move := func(partition int32, watermark int64, at time.Time) {
		s, _, err := b.s.Own(t.Context(), ledger.Key{Cluster: "cluster", TopicID: "other", Group: group, Partition: partition}, "orders", "me")
		require.NoError(t, err)
		s.Next++
		s.High = s.Next
		s.Watermark, s.HasWatermark = watermark, watermark != 0
		require.NoError(t, b.s.Commit(t.Context(), &store.Batch{Group: group, Now: at, Ledger: &s}))
	}
	move(0, 500, start)
	move(1, 300, start)
	move(2, -7, start.Add(-time.Hour))
	move(3, 0, start)
	at, ok := ask(start.Add(-time.Minute))
	require.True(t, ok)
	require.Equal(t, int64(300), at, "partition 2 has not moved for an hour")
	at, _ = ask(start.Add(-time.Hour))
	require.Equal(t, int64(-7), at)
	_, ok = ask(start.Add(time.Microsecond))
	require.False(t, ok)
	_, ok, err := b.s.Reached(t.Context(), "another group", time.Time{})
	require.NoError(t, err)
	require.False(t, ok)
}
