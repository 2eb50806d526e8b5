package storetest

import (
	"context"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm/schema"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/clocks"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// kindCases are about the kind of a table's stamps (R4).
func kindCases() []testCase {
	return []testCase{
		{"rows with stamps keep their kind", claimKinds},
		{"a model without stamps leaves the kind of those that are there", claimUnclocked},
		{"a rebuild takes a table to another kind", claimToRebuild},
	}
}

// by wires the suite's models under a guard.
func (b *bench) by(stamper guards.Stamper) []*handlers.Model {
	b.t.Helper()
	models, err := wireBy(schema.NamingStrategy{}, stamper)
	require.NoError(b.t, err)
	return models
}

// kinds are the stored kinds by table.
func (b *bench) kinds() map[string]string {
	b.t.Helper()
	all, err := b.s.Tables(b.t.Context(), group)
	require.NoError(b.t, err)
	kinds := map[string]string{}
	for _, t := range all {
		kinds[t.Name] = t.Kind
	}
	return kinds
}

// layoutOf is the layout of orders among those of a claim.
func layoutOf(models []*handlers.Model, layouts []*clocks.Layout) *clocks.Layout {
	for i, m := range models {
		if m.Table == "orders" {
			return layouts[i]
		}
	}
	return nil
}

func (b *bench) refusedKind(stamper guards.Stamper, was, is string) {
	b.t.Helper()
	_, err := b.s.Claim(b.t.Context(), group, b.by(stamper), false)
	var setup *store.SetupError
	require.ErrorAs(b.t, err, &setup)
	require.Len(b.t, setup.Problems, 1, "of the other tables no row has a stamp")
	require.Contains(b.t, setup.Problems[0], "the rows of table orders (model Order) have stamps of the kind "+was+" and the handlers order by "+is)
	require.Contains(b.t, setup.Problems[0], "`evenkeel rebuild Order`")
}

func claimKinds(b *bench) {
	t := b.t
	for i, guard := range []guards.Stamper{guards.Version(), guards.Lamport(), guards.Timestamp()} {
		models := b.by(guard)
		layouts, err := b.s.Claim(t.Context(), group, models, false)
		require.NoError(t, err, "no row has a stamp")
		require.Equal(t, guard.Kind().String(), b.kinds()["orders"])
		l := layoutOf(models, layouts)
		require.Equal(t, int32(2+i), l.Current, "and what another release may still write counts as never written")
		b.lay["orders"] = l
	}
	// A stamp whose number is 0, the lowest of versions.
	require.NoError(t, b.commit(t, &store.Batch{Insert: []*store.Row{b.order(t, &Order{ID: "a"}, 0)}}))
	b.refusedKind(guards.Version(), "timestamp", "version")
	for table, kind := range b.kinds() {
		require.Equal(t, "timestamp", kind, "with a problem nothing is claimed: %s", table)
	}
	_, err := b.s.Claim(t.Context(), "other", b.by(guards.Version()), true)
	require.ErrorContains(t, err, "stamps of the kind timestamp", "whoever takes the table over")
	_, err = b.s.Claim(t.Context(), group, b.by(guards.Timestamp()), false)
	require.NoError(t, err)
}

func claimUnclocked(b *bench) {
	t := b.t
	require.NoError(t, b.commit(t, &store.Batch{Insert: []*store.Row{b.order(t, &Order{ID: "a"}, 7)}}))
	reg := handlers.NewRegistry()
	handlers.Modify(reg, "order", func(context.Context, *handlers.Delivery[struct{}, Order]) error { return nil }, guards.Once(), handlers.Writes("Total"))
	w, err := reg.Wire(schema.NamingStrategy{})
	require.NoError(t, err)
	_, err = b.s.Claim(t.Context(), group, w.Models, false)
	require.NoError(t, err)
	require.Equal(t, "timestamp", b.kinds()["orders"])
	b.refusedKind(guards.Version(), "timestamp", "version")
}

func claimToRebuild(b *bench) {
	t := b.t
	old := b.lay["orders"]
	older := b.order(t, &Order{ID: "a"}, 7)
	older.Clocks.Stamps[old.Exists] = stampAt(3) // stands in ek_fields
	require.NoError(t, b.commit(t, &store.Batch{Insert: []*store.Row{older, b.order(t, &Order{ID: "b"}, 7)}}))
	models := b.by(guards.Version())
	claim := func() *clocks.Layout {
		layouts, err := b.s.ClaimToRebuild(t.Context(), group, models)
		require.NoError(t, err)
		return layoutOf(models, layouts)
	}
	forget := func(key string) {
		r := b.one(t, "orders", key)
		clear(r.Clocks.Stamps)
		require.NoError(t, b.commit(t, &store.Batch{Update: []*store.Row{r}}))
	}
	for range 2 {
		l := claim()
		require.Equal(t, "timestamp", l.Other)
		require.Equal(t, old.Current, l.Current)
		require.Equal(t, "timestamp", b.kinds()["orders"])
		require.Equal(t, "version", b.kinds()["a_lines"])
		b.refusedKind(guards.Version(), "timestamp", "version")
		forget("a")
	}
	forget("b")
	l := claim()
	require.Empty(t, l.Other)
	require.Equal(t, old.Current+1, l.Current)
	require.Equal(t, "version", b.kinds()["orders"])
	_, err := b.s.Claim(t.Context(), group, models, false)
	require.NoError(t, err)

	// A member of the old release, which has heard of nothing.
	older = b.order(t, &Order{ID: "c"}, 7)
	older.Clocks.Stamps[old.Exists] = stampAt(3)
	require.NoError(t, b.commit(t, &store.Batch{Insert: []*store.Row{older}}))
	b.lay["orders"] = l
	for i, s := range b.one(t, "orders", "c").Clocks.Stamps {
		require.True(t, s.IsZero(), "its stamp of %s is of another kind", l.Names[i])
	}
	require.NoError(t, b.commit(t, &store.Batch{Insert: []*store.Row{b.order(t, &Order{ID: "d"}, 7)}}))
	b.lay["orders"] = old
	_, err = b.s.Load(t.Context(), b.want("orders", false, "d"))
	require.ErrorIs(t, err, clocks.ErrNewerGeneration)
	_, err = b.s.Claim(t.Context(), group, b.by(guards.Timestamp()), false)
	require.ErrorContains(t, err, "have stamps of the kind version and the handlers order by timestamp", "and then it can't go on")
}
