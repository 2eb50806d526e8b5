package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/evenkeel-go/evenkeel/internal/store"
)

// dueClaims: what one sweeper holds the others don't get, until it has changed, its holder
// asks again without it, or the lease ends.
func dueClaims(b *bench) {
	t := b.t
	require.NoError(t, b.commit(t, &store.Batch{Park: []*store.Parked{b.parked("p", "a", 1), b.parked("q", "b", 2)}}))
	at := start.Add(time.Minute)
	due := func(owner string, at time.Time, holding ...store.Mark) (ids []string) {
		got, err := b.s.Due(t.Context(), &store.DueQuery{Group: group, Owner: owner, Holding: holding, Now: at, Lease: 30 * time.Second, Limit: 10, PerKey: 10})
		require.NoError(t, err)
		for _, p := range got {
			require.EqualValues(t, 1, p.Rev)
			require.Equal(t, start.Add(time.Minute), p.Due)
			ids = append(ids, p.ID)
		}
		return ids
	}
	p, q := store.Mark{ID: "p", Rev: 1}, store.Mark{ID: "q", Rev: 1}
	require.Empty(t, due("one", at.Add(-time.Microsecond)))
	require.Equal(t, []string{"p", "q"}, due("one", at))
	require.Empty(t, due("two", at), "the other holds them")
	require.Empty(t, due("one", at, p, q), "it holds them itself")
	require.Equal(t, []string{"q"}, due("one", at, p))
	require.Empty(t, due("two", at.Add(30*time.Second-time.Microsecond)))
	require.NoError(t, b.s.Renew(t.Context(), group, "one", at.Add(40*time.Second)))
	require.NoError(t, b.s.Renew(t.Context(), group, "nobody", at.Add(time.Hour)))
	require.NoError(t, b.s.Renew(t.Context(), "other group", "one", at.Add(time.Hour)))
	require.Empty(t, due("two", at.Add(30*time.Second)), "renewed")
	require.Empty(t, due("one", at.Add(30*time.Second), p, q))
	require.NoError(t, b.s.Renew(t.Context(), group, "one", at))
	require.Equal(t, []string{"p", "q"}, due("two", at), "let go")
	require.Empty(t, due("one", at.Add(time.Second)))
	require.Equal(t, []string{"p", "q"}, due("one", at.Add(30*time.Second)), "the lease has ended")

	require.NoError(t, b.s.Postpone(t.Context(), []store.Mark{{ID: "p", Rev: 2}, q, {ID: "gone", Rev: 1}}, at.Add(time.Hour)))
	require.NoError(t, b.s.Postpone(t.Context(), nil, at))
	require.Equal(t, []string{"p"}, due("one", at.Add(30*time.Second)), "the other is put off")
	got, err := b.s.Due(t.Context(), &store.DueQuery{Group: "other group", Now: at.Add(time.Hour), Lease: time.Second, Limit: 10, PerKey: 10})
	require.NoError(t, err)
	require.Empty(t, got)
	require.NoError(t, b.commit(t, &store.Batch{Release: []store.Mark{p}}), "a claim does not change the row")
}

// dueAgain: a claim ends with the revision.
func dueAgain(b *bench) {
	t := b.t
	at := start.Add(time.Minute)
	row := b.parked("p", "a", 1)
	require.NoError(t, b.commit(t, &store.Batch{Park: []*store.Parked{row}}))
	ask := &store.DueQuery{Group: group, Owner: "one", Now: at, Lease: time.Hour, Limit: 10, PerKey: 10}
	got, err := b.s.Due(t.Context(), ask)
	require.NoError(t, err)
	require.Len(t, got, 1)
	again := *got[0]
	again.Attempts++
	require.NoError(t, b.commit(t, &store.Batch{Repark: []*store.Parked{&again}}))
	ask.Owner = "two"
	got, err = b.s.Due(t.Context(), ask)
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.EqualValues(t, 2, got[0].Rev)
}

// dueBeside: of a key of which another sweeper holds a row the others come first, and that one
// is due when its claim ends.
func dueBeside(b *bench) {
	t := b.t
	at := start.Add(time.Minute)
	require.NoError(t, b.commit(t, &store.Batch{Park: []*store.Parked{b.parked("p", "a", 1), b.parked("q", "a", 2)}}))
	ask := &store.DueQuery{Group: group, Owner: "one", Now: at, Lease: 20 * time.Second, Limit: 10, PerKey: 1}
	got, err := b.s.Due(t.Context(), ask)
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Equal(t, "p", got[0].ID)
	ask.Owner = "two"
	got, err = b.s.Due(t.Context(), ask)
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Equal(t, "q", got[0].ID)
	ask.PerKey = 10
	got, err = b.s.Due(t.Context(), ask)
	require.NoError(t, err)
	require.Len(t, got, 2)
	require.Equal(t, []time.Time{at.Add(20 * time.Second), at}, []time.Time{got[0].Due, got[1].Due})
}

// dueRace: of many sweepers that ask at once each gets what no other gets.
func dueRace(b *bench) {
	t := b.t
	const sweepers, rows = 8, 400
	var all []*store.Parked
	for i := range rows {
		all = append(all, b.parked(fmt.Sprintf("p%03d", i), fmt.Sprintf("key-%03d", i), 1))
	}
	require.NoError(t, b.commit(t, &store.Batch{Park: all}))
	found := make([][]string, sweepers)
	var g errgroup.Group
	for i := range sweepers {
		g.Go(func() error {
			got, err := b.s.Due(t.Context(), &store.DueQuery{Group: group, Owner: fmt.Sprint(i), Now: start.Add(time.Hour), Lease: time.Hour, Limit: rows / sweepers, PerKey: 10})
			for _, p := range got {
				found[i] = append(found[i], p.ID)
			}
			return err
		})
	}
	require.NoError(t, g.Wait())
	ids := slices.Concat(found...)
	slices.Sort(ids)
	require.Len(t, slices.Compact(ids), rows)
}

func dueBehind(b *bench) {
	t := b.t
	var all []*store.Parked
	for i := range 20 {
		p := b.parked(fmt.Sprintf("p%02d", i), "a", int64(i))
		if i == 17 {
			p.Due = start
		}
		all = append(all, p)
	}
	require.NoError(t, b.commit(t, &store.Batch{Park: all}))
	got, err := b.s.Due(t.Context(), &store.DueQuery{Group: group, Now: start, Lease: time.Second, Limit: 1, PerKey: 3})
	require.NoError(t, err)
	require.Len(t, got, 3)
	require.Equal(t, []string{"p00", "p01", "p17"}, []string{got[0].ID, got[1].ID, got[2].ID})
	got, err = b.s.Due(t.Context(), &store.DueQuery{Group: group, Owner: "another", Now: start, Lease: time.Second, Limit: 1, PerKey: 3})
	require.NoError(t, err)
	require.Empty(t, got)
}

// dueTogether: keys in the order of their due times, each with what waits behind, and what
// is more than DueRows is neither returned nor claimed.
func dueTogether(b *bench) {
	t := b.t
	const keys, each, due = 60, 50, 2
	var all []*store.Parked
	for k := range keys {
		for i := range each {
			p := b.parked(fmt.Sprintf("p%02d-%02d", k, i), fmt.Sprintf("key-%02d", k), int64(i))
			if i >= each-due {
				p.Due = start.Add(-time.Duration(k) * time.Second)
			}
			all = append(all, p)
		}
	}
	require.NoError(t, b.commit(t, &store.Batch{Park: all}))
	got, err := b.s.Due(t.Context(), &store.DueQuery{Group: group, Now: start, Lease: time.Hour, Limit: keys*due - 1, PerKey: each - 1})
	require.NoError(t, err)
	require.Len(t, got, store.DueRows)
	claimed := 0
	for i, p := range got {
		k, nth := i/(each-1), i%(each-1)
		require.Equal(t, fmt.Sprintf("key-%02d", keys-1-k), p.Entity)
		if last := store.DueRows / (each - 1); k < last && nth < each-1-due {
			require.EqualValues(t, nth, p.Place)
		}
		if !p.Due.After(start) {
			claimed++
		}
	}
	// The last key has one row in the answer, the first that is due.
	require.Equal(t, "p08-48", got[store.DueRows-1].ID)
	require.Equal(t, store.DueRows/(each-1)*due+1, claimed)
	rest, err := b.s.Due(t.Context(), &store.DueQuery{Group: group, Owner: "another", Now: start, Lease: time.Hour, Limit: keys * due, PerKey: 1})
	require.NoError(t, err)
	require.Len(t, rest, keys-store.DueRows/(each-1))
	require.Equal(t, "p08-49", rest[0].ID)
}
