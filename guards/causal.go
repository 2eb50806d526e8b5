package guards

import (
	"time"

	"github.com/evenkeel-go/evenkeel/event"
)

// Causal makes events wait until what their writer had seen has come (R14): causal
// delivery, after Birman, Schiper and Stephenson, Lightweight Causal and Atomic Group
// Multicast (1991). An event of a node waits while its entity lacks an earlier event of
// the node, or an event of another node that its vector counts. So a handler gets an event
// after its causes; concurrent events come in any order, and are judged as without waiting.
//
// What counts is what the handlers of the model were given: each event type that the
// vectors count needs a handler on the model. An event whose handler has not come through,
// because it is tried again or is a dead letter, has not been given, and what its writer
// said later waits, until the letter is replayed or discarded. A conflict is the exception:
// whoever writes after both versions settles it.
//
// The waiting ends after wait, or when more than [MaxWaiting] events of an entity wait;
// [OnMissingCause] says what then. The time begins anew when a member starts or gets a
// partition, and while an event of the entity is tried again. [Departed] nodes are not
// waited for. All handlers of a model that are ordered by vectors say the same.
//
// Which node wrote an event is its source, unless [NodeOf] says otherwise. An event
// without an entry of its own node is poison: nobody could tell what comes before it.
// Compacted topics are refused, since the events that compaction removes would be waited
// for. Rows that were written before begin with whichever event comes first.
func Causal(wait time.Duration) VectorOption {
	return func(g *VectorGuard) { g.causal, g.settings.Wait = true, wait }
}

// MaxWaiting bounds how many events of one entity wait for their causes. Defaults to
// [DefaultMaxGap].
func MaxWaiting(n int) VectorOption {
	return func(g *VectorGuard) { g.tuned, g.settings.MaxWaiting = true, n }
}

// OnMissingCause says what becomes of an event whose causes have not come within the
// bounds. Defaults to [GapDeadLetter]: it becomes a dead letter (gap), and so does later
// what depends on it, until somebody has dealt with it. [GapSkip] applies it all the same,
// and what it waited for counts as seen.
func OnMissingCause(p GapPolicy) VectorOption {
	return func(g *VectorGuard) { g.tuned, g.settings.OnMissing = true, p }
}

// NodeOf says which node wrote an event, by the name under which vectors count it. It must
// be a function of the event alone. Defaults to the event's source.
func NodeOf(node func(e *event.Event) string) VectorOption {
	return func(g *VectorGuard) { g.tuned, g.node = true, node }
}

// CausalSettings is what the options of [Causal] say.
type CausalSettings struct {
	Wait       time.Duration
	MaxWaiting int
	OnMissing  GapPolicy
}

// Causal returns how events wait for their causes, nil if they don't.
func (g *VectorGuard) Causal() *CausalSettings {
	if !g.causal {
		return nil
	}
	s := g.settings
	return &s
}

// TunedInVain reports whether there are options of [Causal] without it.
func (g *VectorGuard) TunedInVain() bool { return g.tuned && !g.causal }

// Sender returns the node that wrote an event. The error, a *event.DecodeError, makes it
// poison: its vector does not count the event itself.
func (g *VectorGuard) Sender(e *event.Event) (string, error) {
	node := e.Source
	if g.node != nil {
		node = g.node(e)
	}
	if e.Vector.Count(node) == 0 && !g.isDeparted(node) {
		return "", &event.DecodeError{
			Codec: "guard vector", Field: "vector", Expected: "an entry of the node that wrote the event, " + brief(event.Vector{{Node: node, Count: 1}}) + " or more", Found: brief(e.Vector),
			Mend: "let each writer count its own events, or name the node of an event with guards.NodeOf",
		}
	}
	return node, nil
}

// Lacks returns an event that must come before one of node with the vector v, where the
// entity has seen what seen says: the first by the node's name. ok is false when nothing
// is missing.
func (g *VectorGuard) Lacks(node string, v, seen event.Vector) (missing event.Component, ok bool) {
	for _, c := range v {
		if c.Node == node {
			c.Count-- // the event itself
		}
		if c.Count > seen.Count(c.Node) && !g.isDeparted(c.Node) {
			return c, true
		}
	}
	return event.Component{}, false
}
