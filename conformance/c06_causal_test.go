package conformance

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// deliveries notes in which order a handler got the events of each entity, and whether one
// came before an event that its writer had seen.
type deliveries struct {
	mu    sync.Mutex
	edits map[string]map[string]edit // by entity and id
	given map[string]map[string]bool
	early []string
}

func (d *deliveries) got(key, id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.edits[key][id]
	for cause, c := range d.edits[key] {
		if e.sees(c) && !d.given[key][cause] {
			d.early = append(d.early, fmt.Sprintf("%s: %s before %s", key, id, cause))
		}
	}
	d.given[key][id] = true
}

// decided wires a Set and a Resolve on one model, whose events wait for each other's.
func (d *deliveries) decided(opts ...guards.VectorOption) func() *handlers.Registry {
	causal := guards.Vector(append(opts, guards.Causal(30*time.Second))...)
	return func() *handlers.Registry {
		reg := handlers.NewRegistry(causal)
		handlers.Set(reg, "decided", func(_ context.Context, x *handlers.Delivery[cartOf, Cart]) error {
			d.got(x.Event.Key, x.Event.ID)
			x.Entity.Items = strings.Join(x.Payload.Items, " ")
			return nil
		}, handlers.Writes("Items"), handlers.Creates())
		handlers.Resolve(reg, "counted", func(c *Cart, siblings []handlers.Sibling[cartOf]) error {
			for _, s := range siblings {
				d.got(c.ID, s.ID)
			}
			c.Versions = len(siblings)
			return nil
		}, causal, handlers.Writes("Versions"))
		return reg
	}
}

// causalSaved is an edit whose source is the node that wrote it, whose entry grew.
func (w *world) causalSaved(partition int32, typ, key, node string, e edit) {
	w.t.Helper()
	r := w.cartSaved(partition, typ, key, e, false)
	r.Value = []byte(strings.Replace(string(r.Value), `"shop"`, `"`+node+`"`, 1))
	w.broker.Produce(w.t, r)
}

// TestC06CausesComeFirst: carts with up to ten events of two types each, shuffled over two
// partitions with duplicates, so that two lanes hold what waits for each other; the member
// is stopped half-way.
func TestC06CausesComeFirst(t *testing.T) {
	each(t, "C06 causal", func(t *testing.T, at combination) {
		const partitions, carts = 2, 25
		w := newWorld(t, at, partitions)
		w.tables(&Cart{})
		d := &deliveries{edits: map[string]map[string]edit{}, given: map[string]map[string]bool{}}
		w.registry = d.decided()
		type one struct {
			key, typ, node string
			e              edit
		}
		var told []one
		want := map[string]string{}
		rng := newRand(611)
		for k := range carts {
			key := fmt.Sprintf("c-%d", k)
			d.edits[key], d.given[key] = map[string]edit{}, map[string]bool{}
			var sets []edit
			known := map[string]int64{}
			for i, e := range shopping(rng, 4+rng.IntN(7)) {
				o := one{key: key, typ: "decided", e: e}
				for node, n := range e.vector {
					if n > known[node] {
						o.node = node
					}
				}
				for node, n := range e.vector {
					known[node] = max(known[node], n)
				}
				if i > 0 && rng.IntN(2) == 0 {
					o.typ = "counted"
				} else {
					sets = append(sets, e)
				}
				d.edits[key][e.id] = e
				told = append(told, o)
				if rng.IntN(4) == 0 {
					told = append(told, o)
				}
			}
			newest := sets[0]
			for _, e := range sets {
				if e.sum() > newest.sum() {
					newest = e
				}
			}
			ties := 0
			for _, e := range sets {
				if e.sum() == newest.sum() {
					ties++
				}
			}
			if ties == 1 { // the tie is the source's, which R3's own tests are about
				want[key] = strings.Join(newest.items, " ")
			}
		}
		rng.Shuffle(len(told), func(i, j int) { told[i], told[j] = told[j], told[i] })
		say := func(told []one) {
			for _, o := range told {
				w.causalSaved(int32(rng.IntN(partitions)), o.typ, o.key, o.node, o.e)
			}
		}
		say(told[:len(told)/2])
		m := w.start(smallBatches(61))
		w.atEnd(partitions)
		waiting := len(w.waiting())
		require.NotZero(t, waiting)
		m.stop()
		say(told[len(told)/2:])
		w.start(smallBatches(61))
		w.drain(partitions)
		require.Empty(t, w.letters())
		require.Empty(t, d.early)
		for key := range d.edits {
			require.Len(t, d.given[key], len(d.edits[key]), key)
		}
		rows := all(w, func(c *Cart) string { return c.ID })
		require.Greater(t, len(want), carts/2)
		for key, items := range want {
			require.Equal(t, items, rows[key].Items, key)
		}
	})
}

// TestC06WhatNeverComes: an event whose cause is lost becomes a letter in the end, or goes
// on without it, as the policy says; those of other entities don't wait.
func TestC06WhatNeverComesIsNotWaitedForForEver(t *testing.T) {
	each(t, "C06 causal bound", func(t *testing.T, at combination) {
		for _, policy := range []guards.GapPolicy{guards.GapDeadLetter, guards.GapSkip} {
			t.Run(policy.String(), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, at, 1)
				w.tables(&Cart{})
				d := &deliveries{edits: map[string]map[string]edit{}, given: map[string]map[string]bool{"a": {}, "b": {}}}
				causal := []guards.VectorOption{guards.OnMissingCause(policy)}
				w.registry = d.decided(append(causal, guards.MaxWaiting(1))...)
				w.start(func(c *framework.Config) { c.SweepInterval = 50 * time.Millisecond })
				say := func(key, id, node string, vector map[string]int64) {
					t.Helper()
					w.causalSaved(0, "decided", key, node, edit{id, vector, []string{id}})
				}
				say("a", "a2", "x", map[string]int64{"x": 2})
				say("b", "b1", "x", map[string]int64{"x": 1})
				w.atEnd(1)
				require.Equal(t, map[string]string{"a2": "gap"}, w.waiting())
				require.Equal(t, "b1", all(w, func(c *Cart) string { return c.ID })["b"].Items)
				say("a", "a3", "y", map[string]int64{"x": 2, "y": 1}) // one too many
				if policy == guards.GapSkip {
					w.drain(1)
					require.Equal(t, "a3", all(w, func(c *Cart) string { return c.ID })["a"].Items)
					require.Empty(t, w.letters())
					return
				}
				w.atEnd(1)
				ls := w.letters()
				require.Len(t, ls, 1)
				require.Equal(t, "a2", ls[0].EventID)
				require.Equal(t, guards.Gap, ls[0].Verdict.Reason)
				require.Equal(t, "its writer had seen x=1, of which Cart a has seen 0; that has not come, and 2 events wait", ls[0].Verdict.Detail)
				require.Equal(t, map[string]string{"a3": "gap"}, w.waiting())
			})
		}
	})
}
