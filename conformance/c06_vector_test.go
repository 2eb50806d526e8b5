package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// Cart is written on several devices at once and merged; Ranked is what wins by the sum;
// Decided is what a person decides about.
type (
	Cart struct {
		ID, Items string
		Versions  int
		guards.Guarded
	}
	Ranked struct {
		ID, Word string
		guards.Guarded
	}
	Decided struct {
		ID, Word string
		guards.Guarded
	}
)

type cartOf struct {
	Items []string `json:"items"`
}

// carts merges by union. That the items stand in the order of the siblings shows that
// they come in one.
func carts() *handlers.Registry {
	reg := handlers.NewRegistry(guards.Vector())
	handlers.Resolve(reg, "cart.saved", func(c *Cart, siblings []handlers.Sibling[cartOf]) error {
		var items []string
		for _, s := range siblings {
			for _, item := range s.Payload.Items {
				if !slices.Contains(items, item) {
					items = append(items, item)
				}
			}
		}
		c.Items, c.Versions = strings.Join(items, " "), len(siblings)
		return nil
	}, guards.Vector(), handlers.Creates(), handlers.Writes("Items", "Versions"))
	handlers.Set(reg, "cart.saved", func(_ context.Context, d *handlers.Delivery[cartOf, Ranked]) error {
		d.Entity.Word = strings.Join(d.Payload.Items, " ")
		return nil
	}, handlers.Writes("Word"))
	return reg
}

// edit is one version of a cart.
type edit struct {
	id     string
	vector map[string]int64
	items  []string
}

func (e edit) sum() (n int64) {
	for _, c := range e.vector {
		n += c
	}
	return n
}

// sees reports whether e's writer had seen o.
func (e edit) sees(o edit) bool {
	for node, n := range o.vector {
		if e.vector[node] < n {
			return false
		}
	}
	return e.id != o.id
}

// shopping lets three devices change one cart. Each knows its own version and now and then
// takes in another's.
func shopping(rng *rand.Rand, n int) []edit {
	devices := []string{"phone", "laptop", "watch"}
	have := map[string]edit{}
	var edits []edit
	for i := range n {
		d := devices[rng.IntN(len(devices))]
		e := edit{id: fmt.Sprintf("e%02d", i), vector: map[string]int64{}}
		from := []edit{have[d]}
		if rng.IntN(3) == 0 {
			from = append(from, have[devices[rng.IntN(len(devices))]])
		}
		for _, f := range from {
			for node, n := range f.vector {
				e.vector[node] = max(e.vector[node], n)
			}
			for _, item := range f.items {
				if !slices.Contains(e.items, item) {
					e.items = append(e.items, item)
				}
			}
		}
		e.vector[d]++
		if len(e.items) > 2 && rng.IntN(2) == 0 {
			e.items = e.items[1:] // taken out of the cart again
		}
		e.items = append(e.items, fmt.Sprint("item", i))
		have[d] = e
		edits = append(edits, e)
	}
	return edits
}

// merged is what carts must make of the edits, computed from all of them at once.
func merged(edits []edit) (items string, versions int, newest edit) {
	inOrder := slices.Clone(edits)
	slices.SortFunc(inOrder, func(a, b edit) int {
		if d := a.sum() - b.sum(); d != 0 {
			return int(d)
		}
		return strings.Compare(a.id, b.id)
	})
	var all []string
	for _, e := range inOrder {
		if slices.ContainsFunc(edits, func(o edit) bool { return o.sees(e) }) {
			continue
		}
		versions++
		for _, item := range e.items {
			if !slices.Contains(all, item) {
				all = append(all, item)
			}
		}
	}
	return strings.Join(all, " "), versions, inOrder[len(inOrder)-1]
}

// cartSaved is an edit as a record, its vector as an object or as a text.
func (w *world) cartSaved(partition int32, typ, key string, e edit, asText bool) event.Record {
	data, err := json.Marshal(cartOf{e.items})
	require.NoError(w.t, err)
	s := said{id: e.id, source: "shop", typ: typ, key: key, at: time.Now(), data: string(data)}
	var vector any = e.vector
	if asText {
		var parts []string
		for node, n := range e.vector {
			parts = append(parts, fmt.Sprintf("%s=%d", node, n))
		}
		vector = strings.Join(parts, ",")
	}
	return w.record(partition, key, s.more(map[string]any{"vector": vector}))
}

// TestC06ConcurrentVersions: several histories, each about many carts, every cart in an
// order of its own, with duplicates, over two partitions at once.
func TestC06ConcurrentVersionsAreMergedAlikeInEveryOrder(t *testing.T) {
	each(t, "C06", func(t *testing.T, at combination) {
		const partitions, seeds, orders = 2, 8, 12
		w := newWorld(t, at, partitions)
		w.registry = carts
		w.tables(&Cart{}, &Ranked{})
		var records []event.Record
		histories := map[string][]edit{}
		most := 0
		for seed := range uint64(seeds) {
			rng := newRand(600 + seed)
			edits := shopping(rng, 4+rng.IntN(9))
			_, versions, _ := merged(edits)
			most = max(most, versions)
			for n := range orders {
				key := fmt.Sprintf("c-%d-%d", seed, n)
				histories[key] = edits
				for _, i := range append(rng.Perm(len(edits)), rng.Perm(len(edits))[:2]...) {
					records = append(records, w.cartSaved(int32(rng.IntN(partitions)), "cart.saved", key, edits[i], rng.IntN(2) == 0))
				}
			}
		}
		require.Equal(t, 3, most, "some history ends with three versions")
		w.broker.Produce(t, records...)
		w.start(smallBatches(61))
		w.drain(partitions)

		rows := all(w, func(c *Cart) string { return c.ID })
		ranked := all(w, func(r *Ranked) string { return r.ID })
		require.Len(t, rows, len(histories))
		for key, edits := range histories {
			items, versions, newest := merged(edits)
			row := rows[key]
			require.Equal(t, items, row.Items, key)
			require.Equal(t, versions, row.Versions, key)
			require.Equal(t, guards.Alive, row.EkState, key)
			require.Equal(t, newest.sum(), row.EkTime, key)
			require.Equal(t, event.Tie(true, "shop", newest.id), string(row.EkTie), key)
			require.Equal(t, strings.Join(newest.items, " "), ranked[key].Word, key+" by the sum")
		}
		var memos int
		require.NoError(t, w.db.Raw("SELECT count(*) FROM evenkeel_memos WHERE grp = ? AND kind = 'siblings'", w.group).Scan(&memos).Error)
		require.Equal(t, len(histories), memos, "one for each cart, none for what goes by the sum")
		require.Empty(t, w.letters())
	})
}

// TestC06ConflictLetters: a concurrent version is kept for a person, and a writer that has
// seen both goes on.
func TestC06AConcurrentVersionBecomesALetterWhenAsked(t *testing.T) {
	each(t, "C06 letters", func(t *testing.T, at combination) {
		w := newWorld(t, at, 1)
		w.tables(&Decided{})
		w.registry = func() *handlers.Registry {
			reg := handlers.NewRegistry()
			handlers.Modify(reg, "saved", func(_ context.Context, d *handlers.Delivery[cartOf, Decided]) error {
				d.Entity.Word += strings.Join(d.Payload.Items, "")
				return nil
			}, guards.Vector(guards.ConflictLetters()), handlers.Writes("Word"))
			return reg
		}
		w.start()
		say := func(id string, vector map[string]int64) {
			t.Helper()
			w.broker.Produce(t, w.cartSaved(0, "saved", "d", edit{id, vector, []string{id}}, false))
			w.drain(1)
		}
		say("a", map[string]int64{"x": 1})
		say("b", map[string]int64{"y": 1})         // had not seen a
		say("c", map[string]int64{"x": 2})         // had seen a
		say("a", map[string]int64{"x": 1})         // again
		say("d", map[string]int64{"x": 2, "y": 1}) // had seen b and c
		require.Equal(t, "acd", all(w, func(d *Decided) string { return d.ID })["d"].Word)
		letters := w.letters()
		require.Len(t, letters, 1)
		require.Equal(t, "b", letters[0].EventID)
		require.Equal(t, guards.Conflict, letters[0].Verdict.Reason)
		require.Equal(t, "y=1, but the row stands at x=1, and neither writer had seen the other's event", letters[0].Verdict.Detail)
		_, copies := w.copies(1)
		require.Equal(t, guards.Conflict, copies[0].Verdict.Reason)
		require.Equal(t, map[string]int{"superseded": 1}, w.judgements("a"))
	})
}
