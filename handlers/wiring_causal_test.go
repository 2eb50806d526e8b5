package handlers

import (
	"errors"
	"testing"
	"time"

	"gorm.io/gorm/schema"

	"github.com/evenkeel-go/evenkeel/guards"
)

func TestCausalIsWired(t *testing.T) {
	t.Parallel()
	causal := guards.Vector(guards.Causal(time.Minute), guards.Departed("x"))
	r := NewRegistry(causal)
	Set(r, "set", onOrder, Writes("PlacedAt"))
	Modify(r, "modified", onOrder, causal, Writes("Status"))
	Resolve(r, "merged", merged, causal, Creates(), Writes("Customer", "Total"))
	w := wire(t, r)
	for _, name := range []string{"set", "modified", "merged"} {
		same(t, name, w.Handlers(name)[0].Causal.Wait, time.Minute)
	}
	same(t, "who waits for each other", len(w.Models[0].Causal), 3)
	same(t, "what compaction removes would be waited for", w.WholeLog() != nil, true)
}

func TestCausalMistakes(t *testing.T) {
	t.Parallel()
	const on = `the handler of "e" on Order`
	set := func(opts ...guards.VectorOption) func(*Registry) {
		return func(r *Registry) { Set(r, "e", onOrder, By(guards.Vector(opts...)), Writes("Status")) }
	}
	for _, c := range []struct {
		name string
		do   func(*Registry)
		want string
	}{
		{"no time", set(guards.Causal(0)), on + " waits for causes for 0s (guards.Causal); expected a duration above zero"},
		{"nobody may wait", set(guards.Causal(time.Second), guards.MaxWaiting(0)), on + " has the MaxWaiting 0; expected one or more"},
		{"no policy", set(guards.Causal(time.Second), guards.OnMissingCause(9)), on + ": GapPolicy(9) is not a policy of guards.OnMissingCause; use one of the guards.Gap… constants"},
		{"options in vain", set(guards.MaxWaiting(3)), on + " has options of guards.Causal without it; add guards.Causal, or drop guards.NodeOf, guards.MaxWaiting and guards.OnMissingCause"},
		{"only one waits", func(r *Registry) {
			set(guards.Causal(time.Second))(r)
			Set(r, "f", onOrder, By(guards.Vector()), Writes("Customer"))
		}, `the handler of "f" on Order and that of "e" differ in guards.Causal, but the events of Order wait for each other; let all its handlers under guards.Vector say the same`},
		{"a stream of the name", func(r *Registry) {
			Modify(r, "e", onOrder, guards.Sequence(guards.Stream("causal:orders")), Writes("Status"))
		}, on + ` has the stream "causal:orders"; names that begin with "causal:" are what guards.Causal parks under: choose another`},
	} {
		r := NewRegistry()
		c.do(r)
		_, err := r.Wire(schema.NamingStrategy{})
		var wiring *WiringError
		if !errors.As(err, &wiring) {
			t.Errorf("%s: no mistake, but %v", c.name, err)
			continue
		}
		same(t, c.name, wiring.Mistakes, []string{c.want})
	}
}
