package guards

import (
	"fmt"
	"slices"
	"strings"

	"github.com/evenkeel-go/evenkeel/event"
)

// Vector orders events by their vector clocks (R14). Without options, and with any verb
// but handlers.Resolve, the order is that of the sums of their entries, equal sums by
// source and id: what a writer had seen is older than what it wrote, and of concurrent
// events one wins, the same in every order of arrival. It costs what a plain stamp costs.
// An event without a vector is poison.
//
// handlers.Resolve merges concurrent events by a function of yours;
// [ConflictLetters] makes dead letters of them. [Causal] lets an event wait until what its
// writer had seen has come.
func Vector(opts ...VectorOption) Stamper {
	g := &VectorGuard{settings: CausalSettings{MaxWaiting: DefaultMaxGap, OnMissing: GapDeadLetter}}
	for _, o := range opts {
		o(g)
	}
	return g
}

// VectorOption is an option of [Vector].
type VectorOption func(*VectorGuard)

// ConflictLetters makes a dead letter (conflict) of an event that is concurrent with the
// one that the row took last, for a person to decide. This looks at arrival: of two
// concurrent events the first one counts. It is for handlers.Modify alone, and for all
// Modify handlers of a model or none; the last vector is kept beside the row.
func ConflictLetters() VectorOption { return func(g *VectorGuard) { g.conflicts = true } }

// Departed names nodes that have left for good. Their entries count no more when vectors
// are compared, so that producers may leave them out. Name a node once its last event has
// been read, by this group and by every other node: from then on all new vectors agree
// about it, and without it the others stand to each other as before. Named too early,
// events that differ in nothing else are taken for concurrent.
//
// It is for handlers.Resolve and [ConflictLetters], which keep whole vectors, and for
// [Causal], which waits no more for what such a node wrote. Elsewhere a row keeps only the
// sum, out of which no entry can be taken: there, also under Causal, producers must go on
// sending the entry.
func Departed(nodes ...string) VectorOption {
	return func(g *VectorGuard) { g.departed = append(g.departed, nodes...) }
}

// VectorGuard is what [Vector] makes.
type VectorGuard struct {
	departed  []string
	conflicts bool

	causal, tuned bool
	settings      CausalSettings
	node          func(*event.Event) string
}

// Name is "vector".
func (*VectorGuard) Name() string { return "vector" }

// Kind is KindVector.
func (*VectorGuard) Kind() Kind { return KindVector }

// Departed returns the nodes whose entries don't count.
func (g *VectorGuard) Departed() []string { return slices.Clone(g.departed) }

func (g *VectorGuard) isDeparted(node string) bool { return slices.Contains(g.departed, node) }

// ConflictLetters reports whether concurrent events become dead letters.
func (g *VectorGuard) ConflictLetters() bool { return g.conflicts }

// Compare says how one vector stands to another, departed nodes left out.
func (g *VectorGuard) Compare(v, o event.Vector) event.Relation {
	return v.Without(g.departed...).Compare(o.Without(g.departed...))
}

// Stamp is the sum of all entries, those of departed nodes included: what is stored must
// not depend on options.
func (*VectorGuard) Stamp(e *event.Event, own bool) (event.Stamp, error) {
	if len(e.Vector) == 0 {
		return event.Stamp{}, &event.DecodeError{
			Codec: "guard vector", Field: "vector", Expected: "a vector clock", Found: "none",
			Mend: "let the producer send one with every event, tell the codec where it is, or order by guards.Timestamp()",
		}
	}
	return event.Stamp{Time: e.Vector.Sum(), Tie: e.Tie(own)}, nil
}

// Judge discards what the row has seen. Where the row's last vector is not known, because
// [ConflictLetters] was not said when it was written, the sums decide.
func (g *VectorGuard) Judge(e *event.Event, s *State) Verdict {
	if !g.conflicts || s.Vector == nil || s.Stamp == s.Clock {
		return stale("vector", s)
	}
	v := Verdict{Action: Discard, Reason: Superseded, Numbers: Comparison{What: "vector", Event: s.Stamp.Time, Against: s.Clock.Time}}
	switch g.Compare(e.Vector, s.Vector) {
	case event.After:
		return Pass()
	case event.Before:
	case event.Concurrent, event.Equal:
		v.Action, v.Reason = DeadLetter, Conflict
		v.Detail = fmt.Sprintf("%s, but the row stands at %s, and neither writer had seen the other's event", brief(e.Vector), brief(s.Vector))
	}
	return v
}

// brief writes a vector so that a sentence can bear it.
func brief(v event.Vector) string {
	const most = 200
	if s := v.String(); len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return v.String()
}
