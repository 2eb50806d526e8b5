package convergetest_test

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/converge"
)

// pick is one of the choices.
func pick[T any](rng *rand.Rand, choices ...T) T { return choices[rng.IntN(len(choices))] }

// numberedSet makes events with numbers, of which some are missing, and handlers for them.
func numberedSet(rng *rand.Rand) randomised {
	reg := handlers.NewRegistry()
	s, missing := policies(pick(rng, guards.GapDeadLetter, guards.GapSkip), rng.IntN(2) == 0)
	sequence := guards.Sequence(guards.OnGap(s.onGap), guards.MaxGap(1+rng.IntN(2)))
	handlers.Set(reg, "created", order(created), handlers.Creates(), handlers.Writes("Customer"))
	handlers.Set(reg, "deleted", order(deleted), handlers.Writes())
	handlers.Modify(reg, "moved", order(func(d *onOrder) error {
		if d.Payload.Bad && (d.Payload.N == 0 || d.Attempt < 2) {
			return errBusy
		}
		return move(d)
	}), sequence, handlers.Writes("Log"), handlers.OnMissing(missing))
	handlers.Modify(reg, "counted", order(func(d *onOrder) error {
		d.Entity.Log = "="
		return move(d)
	}), sequence, handlers.Writes("Log"), handlers.Baseline())
	var es []*event.Event
	numbers := rng.Perm(6)
	for i := range 1 + rng.IntN(5) {
		e := at(rng.IntN(4), pick(rng, "moved", "moved", "moved", "counted", "created", "deleted"), facts{N: rng.Int64N(4), Bad: rng.IntN(5) == 0})
		e.Version, e.HasVersion = int64(numbers[i]), true // 0 is before the first
		es = append(es, e)
	}
	slices.SortFunc(es, func(a, b *event.Event) int { return int(a.Version - b.Version) })
	return randomised{reg, es, func(t *testing.T, o Order) {
		t.Helper()
		require.Equal(t, logOf(es, said(t), s), o.Log, "%v", es)
	}}
}

// concurrentSet makes events of two writers, and handlers for them.
func concurrentSet(rng *rand.Rand) randomised {
	reg := handlers.NewRegistry(guards.Vector())
	s, missing := policies(0, rng.IntN(2) == 0)
	handlers.Resolve(reg, "changed", cart, guards.Vector(), handlers.Writes("Tags"), handlers.OnMissing(missing))
	handlers.Set(reg, "noted", order(noted), handlers.Writes("Note"))
	handlers.Set(reg, "created", order(created), handlers.Writes("Customer"), handlers.Creates())
	handlers.Set(reg, "deleted", order(deleted), handlers.Writes())
	handlers.Modify(reg, "put", order(put), guards.Vector(), handlers.Writes("Total"))
	es := make([]*event.Event, 1+rng.IntN(5))
	for i := range es {
		f := facts{Tags: []string{pick(rng, "a", "b", "c")}, Customer: pick(rng, "", "ann"), N: rng.Int64N(3)}
		es[i] = seen(rng.Int64N(3), 1+rng.Int64N(2), at(i, pick(rng, "changed", "changed", "changed", "noted", "created", "deleted", "put"), f))
	}
	return randomised{reg, es, func(t *testing.T, o Order) {
		t.Helper()
		require.Equal(t, tagsOf(es, said(t), s), o.Tags, "%v", es)
	}}
}

// said reads an event's payload.
func said(t *testing.T) func(e *event.Event) facts {
	t.Helper()
	return func(e *event.Event) (f facts) {
		t.Helper()
		require.NoError(t, json.Unmarshal(e.Data, &f))
		return f
	}
}

// randomised is a random set: what is registered, what comes, and what must come of it.
type randomised struct {
	reg    *handlers.Registry
	es     []*event.Event
	expect func(t *testing.T, o Order)
}

// causalSet makes a history of two writers, now and then with an event that never comes or
// that its handler refuses, and handlers whose events wait for their causes.
func causalSet(rng *rand.Rand) randomised {
	guard := guards.Vector(guards.Causal(time.Minute), guards.MaxWaiting(1))
	reg := handlers.NewRegistry(guard)
	handlers.Resolve(reg, "changed", cart, guard, handlers.Writes("Tags"))
	handlers.Set(reg, "noted", order(func(d *onOrder) error {
		if d.Payload.Bad {
			return errBusy
		}
		return noted(d)
	}), handlers.Writes("Note"))
	handlers.Set(reg, "created", order(created), handlers.Writes("Customer"), handlers.Creates())
	handlers.Set(reg, "deleted", order(deleted), handlers.Writes())
	handlers.Modify(reg, "put", order(put), guard, handlers.Writes("Total"))
	var es []*event.Event
	knows := map[string][2]int64{}
	for i := range 1 + rng.IntN(5) {
		node := pick(rng, "left", "right")
		v := knows[node]
		if o := knows[pick(rng, "left", "right")]; rng.IntN(2) == 0 {
			v = [2]int64{max(v[0], o[0]), max(v[1], o[1])}
		}
		if node == "left" {
			v[0]++
		} else {
			v[1]++
		}
		knows[node] = v
		e := at(i, pick(rng, "changed", "changed", "noted", "noted", "created", "deleted", "put"), facts{Tags: []string{pick(rng, "a", "b", "c")}, N: rng.Int64N(3), Bad: rng.IntN(4) == 0})
		e.Source = node
		if e = seen(v[0], v[1], e); rng.IntN(6) > 0 {
			es = append(es, e)
		}
	}
	if len(es) == 0 {
		return causalSet(rng)
	}
	return randomised{reg, es, func(*testing.T, Order) {}}
}

// TestEveryOrderOfNumbersAndOfVectorsIsOneResult is for what the oracle does not know.
func TestEveryOrderOfNumbersAndOfVectorsIsOneResult(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(*rand.Rand) randomised{"numbers": numberedSet, "vectors": concurrentSet, "causes": causalSet} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(1, 7))
			for range sets / 3 {
				r := set(rng)
				c, err := converge.New(r.reg, r.es, converge.Options{Seed: rng.Uint64(), Samples: 1})
				require.NoError(t, err)
				story, err := c.Check(t.Context())
				require.NoError(t, err)
				if story != nil {
					t.Fatal(story)
				}
				r.expect(t, theOrder(t, c))
			}
		})
	}
}
