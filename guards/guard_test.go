package guards

import (
	"testing"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
)

func TestStampers(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		g    Stamper
		kind Kind
	}{"timestamp": {Timestamp(), KindTimestamp}, "version": {Version(), KindVersion}, "none": {None(), KindNone}, "lamport": {Lamport(), KindLamport}, "vector": {Vector(), KindVector}} {
		same(t, "name", want.g.Name(), name)
		same(t, name+": kind", want.g.Kind(), want.kind)
		same(t, name+": phase", PhaseOf(want.g), PhaseRow)
	}
}

// says is a guard that answers always the same.
type says struct {
	name  string
	asked *[]string
	v     Verdict
}

func (s says) Name() string { return s.name }
func (s says) Judge(*event.Event, *State) Verdict {
	*s.asked = append(*s.asked, s.name)
	return s.v
}

func TestChain(t *testing.T) {
	t.Parallel()
	var asked []string
	no := Verdict{Action: Discard, Reason: Rejected, Detail: "no"}
	a, b, c := says{"a", &asked, Pass()}, says{"b", &asked, no}, says{"c", &asked, Verdict{Action: Park, Reason: Retry}}

	g := Chain(a, b, c)
	same(t, "name", g.Name(), "chain a b c")
	same(t, "the first objection counts", g.Judge(at(noon), &State{}), no)
	same(t, "nobody is asked after it", asked, []string{"a", "b"})
	same(t, "without objection", Chain(a, a).Judge(at(noon), &State{}), Pass())
	same(t, "empty", Chain().Judge(at(noon), &State{}), Pass())
	same(t, "the members", g.(interface{ Guards() []Guard }).Guards(), []Guard{a, b, c})

	same(t, "phase of a guard that says none", PhaseOf(a), PhaseRow)
	same(t, "phase of an empty chain", PhaseOf(Chain()), PhaseRow)
	same(t, "phase of a chain", PhaseOf(Chain(MaxFuture(time.Minute))), PhaseDecode)
}
