package guards

import (
	"strings"
	"testing"

	"github.com/evenkeel-go/evenkeel/event"
)

func vec(t *testing.T, text string) event.Vector {
	t.Helper()
	v, err := event.ParseVector(text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVectorStamp(t *testing.T) {
	t.Parallel()
	e := at(noon)
	e.Vector = vec(t, "a=2,b=3")
	for _, g := range []Stamper{Vector(), Vector(ConflictLetters()), Vector(Departed("b"))} {
		s, err := g.Stamp(e, true)
		same(t, "error", err, nil)
		same(t, "the sum, whatever the options", s, event.Stamp{Time: 5, Tie: event.Tie(true, "s", "1")})
	}
	e.Vector = nil
	_, err := Vector().Stamp(e, true)
	same(t, "message", err.Error(), "guard vector: vector: expected a vector clock, found none; let the producer send one with every event, tell the codec where it is, or order by guards.Timestamp()")
}

// TestVectorJudges is R14: by the sum, or by what the writers knew where concurrent events
// are to become letters.
func TestVectorJudges(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, event, id string
		bySum, letters  string
	}{
		{"seen by the row's", "a=1,b=1", "9", "discard/superseded", "discard/superseded"},
		{"has seen the row's", "a=2,b=2", "0", "apply/applied", "apply/applied"},
		{"the row's own", "a=2,b=1", "5", "discard/duplicate", "discard/duplicate"},
		{"concurrent, smaller sum", "b=2", "9", "discard/superseded", "dead-letter/conflict"},
		{"concurrent, greater sum", "a=1,b=3", "0", "apply/applied", "dead-letter/conflict"},
		{"concurrent, equal sum", "c=3", "0", "discard/superseded", "dead-letter/conflict"},
		{"another event of the same vector", "a=2,b=1", "9", "apply/applied", "dead-letter/conflict"},
	} {
		seen := vec(t, "a=2,b=1")
		e := at(noon)
		e.ID, e.Vector = c.id, vec(t, c.event)
		stamp, _ := Vector().Stamp(e, true)
		s := &State{Stamp: stamp, Clock: event.Stamp{Time: 3, Tie: event.Tie(true, "s", "5")}, Vector: seen}
		say := func(g Guard) string {
			v := g.Judge(e, s)
			return v.Action.String() + "/" + string(v.Reason)
		}
		same(t, c.name, say(Vector()), c.bySum)
		same(t, c.name+", with letters", say(Vector(ConflictLetters())), c.letters)
		s.Vector = nil
		same(t, c.name+", with letters, but the row was written without", say(Vector(ConflictLetters())), c.bySum)
	}
	e := at(noon)
	e.Vector = vec(t, "b=2")
	stamp, _ := Vector().Stamp(e, true)
	s := &State{Stamp: stamp, Clock: event.Stamp{Time: 3, Tie: "x"}, Vector: vec(t, "a=2,b=1")}
	same(t, "told", Vector(ConflictLetters()).Judge(e, s).String(),
		"dead-letter (conflict): vector: event 2, against 3: b=2, but the row stands at a=2,b=1, and neither writer had seen the other's event")
	s.Vector = vec(t, strings.Repeat("n", 100)+"=1,"+strings.Repeat("é", 60)+"=1")
	if told := Vector(ConflictLetters()).Judge(e, s).String(); len(told) > 400 {
		t.Errorf("%d bytes: %s", len(told), told)
	}
}

// TestDepartedNodesDontCount: what differs elsewhere keeps its order without them.
func TestDepartedNodesDontCount(t *testing.T) {
	t.Parallel()
	g, _ := Vector(Departed("x"), Departed("y")).(*VectorGuard)
	same(t, "departed", g.Departed(), []string{"x", "y"})
	for _, c := range []struct {
		v, o string
		want event.Relation
	}{
		{"a=2", "a=1,x=6", event.After}, // the producer has left x out
		{"a=1,x=6", "a=2", event.Before},
		{"a=2,x=1,y=1", "b=1", event.Concurrent},
		{"a=2,x=5", "a=2,x=6", event.Equal}, // named too early: these two can't be told apart
	} {
		same(t, c.v+" to "+c.o, g.Compare(vec(t, c.v), vec(t, c.o)), c.want)
	}
}
