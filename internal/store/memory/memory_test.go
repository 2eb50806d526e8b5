package memory_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm/schema"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/memory"
	"github.com/evenkeel-go/evenkeel/internal/store/storetest"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.RunWithoutSQL(t, func() store.Store { return memory.New(time.Now) })
}

type tagged struct {
	ID   string   `gorm:"primaryKey"`
	Tags []string `gorm:"serializer:json"`
	guards.Guarded
}

// TestRowsAreTheStoresOwn: what a caller does to an entity that it has loaded or written
// stays its own, and after a reset nothing is left but the claim.
func TestRowsAreTheStoresOwn(t *testing.T) {
	t.Parallel()
	reg := handlers.NewRegistry()
	handlers.Set(reg, "x", func(context.Context, *handlers.Delivery[struct{}, tagged]) error { return nil }, handlers.Writes("Tags"))
	w, err := reg.Wire(schema.NamingStrategy{})
	require.NoError(t, err)
	s := memory.New(time.Now)
	layouts, err := s.Claim(t.Context(), "g", w.Models, false)
	require.NoError(t, err)
	m := w.Models[0]
	entity := m.New("a")
	own := entity.Interface().(*tagged)
	own.Tags = []string{"one"}
	r := &store.Row{Model: m, Layout: layouts[0], Key: "a", Entity: entity, Clocks: layouts[0].New(), State: guards.Alive}
	require.NoError(t, s.Commit(t.Context(), &store.Batch{Group: "g", Now: time.Unix(1, 0), Insert: []*store.Row{r}}))
	load := func() *tagged {
		l, err := s.Load(t.Context(), &store.Want{Group: "g", Rows: []store.WantRows{{Model: m, Layout: layouts[0], Keys: []string{"a"}}}})
		require.NoError(t, err)
		if l.Rows[m.Table]["a"] == nil {
			return nil
		}
		return l.Rows[m.Table]["a"].Entity.Interface().(*tagged)
	}
	own.Tags[0] = "changed by its writer"
	require.Equal(t, []string{"one"}, load().Tags)
	load().Tags[0] = "changed by its reader"
	require.Equal(t, []string{"one"}, load().Tags)
	require.Len(t, s.Content().Rows, 1)

	s.Reset()
	require.Nil(t, load())
	require.Empty(t, s.Content().Rows)
}
