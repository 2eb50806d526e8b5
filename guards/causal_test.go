package guards

import (
	"testing"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
)

// TestLacks is the rule of causal delivery (R14).
func TestLacks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, node, vector, seen, want string }{
		{"the first event of all", "a", "a=1", "", ""},
		{"the sender's next", "a", "a=3,b=1", "a=2,b=1", ""},
		{"the sender's next but one", "a", "a=4,b=1", "a=2,b=1", "a=3"},
		{"what another node wrote is missing", "a", "a=3,b=2", "a=2,b=1", "b=2"},
		{"a node that nobody has heard of", "a", "a=3,z=1", "a=2", "z=1"},
		{"both are missing: the first by name", "b", "a=1,b=2", "", "a=1"},
		{"concurrent: less is known than here", "b", "b=1", "a=5", ""},
		{"seen before", "a", "a=2,b=1", "a=2,b=1", ""},
		{"the sender used its number twice", "a", "a=2", "a=2", ""},
		{"older than what was seen", "a", "a=1", "a=7,b=2", ""},
		{"a departed node's events", "a", "a=1,x=9", "", ""},
		{"a departed sender", "x", "a=1,x=9", "a=1", ""},
		{"a departed sender that had seen others", "x", "a=1,x=9", "", "a=1"},
	} {
		var seen event.Vector
		if c.seen != "" {
			seen = vec(t, c.seen)
		}
		g := Vector(Causal(time.Second), Departed("x")).(*VectorGuard)
		v := vec(t, c.vector)
		missing, lacks := g.Lacks(c.node, v, seen)
		got := ""
		if lacks {
			got = event.Vector{missing}.String()
		}
		same(t, c.name, got, c.want)
		same(t, c.name+": the vector is left alone", v.String(), c.vector)
	}
}

func TestSender(t *testing.T) {
	t.Parallel()
	e := at(noon)
	e.Source, e.ID, e.Vector = "a", "b-7", vec(t, "a=2,b=3")
	ask := func(opts ...VectorOption) string {
		node, err := Vector(append(opts, Causal(time.Second))...).(*VectorGuard).Sender(e)
		if err != nil {
			return err.Error()
		}
		return node
	}
	same(t, "the source", ask(), "a")
	first := NodeOf(func(e *event.Event) string { return e.ID[:1] })
	same(t, "as the option says", ask(first), "b")
	e.Vector = vec(t, "a=2")
	same(t, "not in its own vector", ask(first), "guard vector: vector: expected an entry of the node that wrote the event, b=1 or more, found a=2; let each writer count its own events, or name the node of an event with guards.NodeOf")
	same(t, "a departed node left itself out", ask(first, Departed("b")), "b")
}

func TestCausalSettings(t *testing.T) {
	t.Parallel()
	g := Vector(Causal(time.Minute)).(*VectorGuard)
	same(t, "defaults", *g.Causal(), CausalSettings{Wait: time.Minute, MaxWaiting: DefaultMaxGap, OnMissing: GapDeadLetter})
	g = Vector(MaxWaiting(3), Causal(time.Minute), OnMissingCause(GapSkip)).(*VectorGuard)
	same(t, "all", *g.Causal(), CausalSettings{Wait: time.Minute, MaxWaiting: 3, OnMissing: GapSkip})
	same(t, "used", g.TunedInVain(), false)
	g = Vector(MaxWaiting(3)).(*VectorGuard)
	same(t, "nothing waits", g.Causal(), (*CausalSettings)(nil))
	same(t, "in vain", g.TunedInVain(), true)
}
