package conformance

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// Basket is deleted while no version of it that counts holds anything.
type Basket struct {
	ID        string
	Versions  int
	DeletedAt gorm.DeletedAt
	guards.Guarded
}

// TestC11AResolverDeletesAndBringsBack: each order of four versions is a basket of its own;
// all end alike, some after having been deleted in between.
func TestC11AResolverDeletesAndBringsBack(t *testing.T) {
	each(t, "C11 resolver", func(t *testing.T, at combination) {
		w := newWorld(t, at, 1)
		w.tables(&Basket{})
		w.registry = func() *handlers.Registry {
			reg := handlers.NewRegistry()
			handlers.Resolve(reg, "basket.saved", func(b *Basket, siblings []handlers.Sibling[cartOf]) error {
				b.Versions = len(siblings)
				for _, s := range siblings {
					if len(s.Payload.Items) > 0 {
						return nil
					}
				}
				return handlers.Delete()
			}, guards.Vector(), handlers.Creates(), handlers.Writes("Versions"))
			return reg
		}
		edits := []edit{
			{id: "1", vector: map[string]int64{"a": 1}, items: []string{"milk"}},
			{id: "2", vector: map[string]int64{"a": 2}},
			{id: "3", vector: map[string]int64{"a": 1, "b": 1}},
			{id: "4", vector: map[string]int64{"a": 2, "b": 2}, items: []string{"tea"}},
		}
		var records []event.Record
		for seed := range uint64(12) {
			for _, last := range []int{3, 4} { // without the last version all are empty
				for _, i := range newRand(seed).Perm(last) {
					records = append(records, w.cartSaved(0, "basket.saved", fmt.Sprintf("%d-%d", last, seed), edits[i], false))
				}
			}
		}
		w.broker.Produce(t, records...)
		w.start(smallBatches(7))
		w.drain(1)
		var rows []Basket
		require.NoError(t, w.db.Unscoped().Find(&rows).Error)
		require.Len(t, rows, 24)
		for _, b := range rows {
			if b.ID[0] == '3' {
				require.Equal(t, guards.Deleted, b.EkState, b.ID)
				require.True(t, b.DeletedAt.Valid)
				require.Equal(t, 2, b.Versions)
			} else {
				require.Equal(t, guards.Alive, b.EkState, b.ID)
				require.False(t, b.DeletedAt.Valid)
				require.Equal(t, 1, b.Versions)
			}
		}
	})
}
