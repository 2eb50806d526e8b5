package framework

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm/schema"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/batch"
)

type rebuiltRow struct {
	ID   string `gorm:"primaryKey"`
	Name string
	guards.Guarded
}

type uniqueRow struct {
	ID   string `gorm:"primaryKey"`
	Name string `gorm:"unique"`
	guards.Guarded
}

type otherRow struct {
	ID   string `gorm:"primaryKey"`
	Name string
	guards.Guarded
}

// TestRebuildObjections: what the handlers of a model say against it, and nobody else's.
func TestRebuildObjections(t *testing.T) {
	t.Parallel()
	nothing := func(context.Context, *handlers.Delivery[struct{}, rebuiltRow]) error { return nil }
	other := func(context.Context, *handlers.Delivery[struct{}, otherRow]) error { return nil }
	name := handlers.Writes("Name")
	for want, declare := range map[RebuildObjectionKind]func(*handlers.Registry){ //nolint:exhaustive // the others are about the log and the rows
		"": func(reg *handlers.Registry) { handlers.Set(reg, "e", nothing, handlers.Creates(), name) },
		RebuildUnordered: func(reg *handlers.Registry) {
			handlers.Modify(reg, "e", nothing, guards.None(), name)
		},
		RebuildExternal: func(reg *handlers.Registry) {
			handlers.Set(reg, "e", nothing, handlers.Creates(), name, handlers.External())
		},
		RebuildFirstSeen: func(reg *handlers.Registry) {
			handlers.Modify(reg, "e", nothing, guards.Sequence(guards.FirstSeen()), name)
		},
		RebuildOwnSQL: func(reg *handlers.Registry) {
			handlers.Set(reg, "e", nothing, handlers.Creates(), name, handlers.UsesTx())
		},
		RebuildCausal: func(reg *handlers.Registry) {
			handlers.Modify(reg, "e", nothing, guards.Vector(guards.Causal(time.Minute)), name)
		},
		RebuildBlankRows: func(reg *handlers.Registry) {
			handlers.Set(reg, "e", func(context.Context, *handlers.Delivery[struct{}, uniqueRow]) error { return nil }, handlers.Creates(), name)
		},
	} {
		reg := handlers.NewRegistry(guards.Timestamp())
		declare(reg)
		handlers.Modify(reg, "else", other, guards.None(), name, handlers.External())
		w, err := reg.Wire(schema.NamingStrategy{})
		require.NoError(t, err, "%s", want)
		o := RebuildOptions{Models: []string{"rebuiltRow"}}
		if want == RebuildBlankRows {
			o.Models = []string{"uniqueRow"}
		}
		scope, err := o.scope(w.Models)
		require.NoError(t, err)
		found := objectionsOf(w, scope)
		if want == "" {
			require.Empty(t, found)
			continue
		}
		require.Len(t, found, 1, "%s", want)
		require.Equal(t, want, found[0].Kind)
		require.NotEmpty(t, found[0].Detail)
		require.NotEmpty(t, found[0].Mend)
		require.Equal(t, want == RebuildExternal, want.allowable())
	}
}

// TestRebuildScope: mistakes name the field, what was found and what was expected.
func TestRebuildScope(t *testing.T) {
	t.Parallel()
	reg := handlers.NewRegistry(guards.Timestamp())
	handlers.Set(reg, "e", func(context.Context, *handlers.Delivery[struct{}, rebuiltRow]) error { return nil }, handlers.Creates(), handlers.Writes("Name"))
	handlers.Set(reg, "e", func(context.Context, *handlers.Delivery[struct{}, otherRow]) error { return nil }, handlers.Creates(), handlers.Writes("Name"))
	w, err := reg.Wire(schema.NamingStrategy{})
	require.NoError(t, err)
	for text, o := range map[string]RebuildOptions{
		"RebuildOptions.Models: found none, expected at least one of":                 {},
		`RebuildOptions.Models: found "x", expected a model that has handlers`:        {Models: []string{"x"}},
		"RebuildOptions.Keys: found 1 keys with 2 models":                             {Models: []string{"rebuiltRow", "other_rows"}, Keys: []string{"a"}},
		"RebuildOptions.Keys: found 10001 keys with 1 models, expected at most 10000": {Models: []string{"rebuiltRow"}, Keys: make([]string, 10_001)},
	} {
		_, err := o.scope(w.Models)
		require.ErrorContains(t, err, text)
	}
	o := RebuildOptions{Models: []string{"other_rows", "otherRow"}, Keys: []string{"a", "a", "b"}}
	scope, err := o.scope(w.Models)
	require.NoError(t, err)
	require.Len(t, scope, 1)
	for _, keys := range scope {
		require.Equal(t, map[string]bool{"a": true, "b": true}, keys)
	}
	require.IsType(t, batch.Scope{}, scope)
}
