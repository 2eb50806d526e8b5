package guards

import (
	"testing"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
)

func TestOnce(t *testing.T) {
	t.Parallel()
	refused := func(a Action, r Reason) Verdict {
		return Verdict{Action: a, Reason: r, Numbers: Comparison{What: "memory", Event: noon.UnixMicro(), Against: noon.UnixMicro()}}
	}
	early := noon.UnixMicro() - 1
	for _, c := range []struct {
		rule  string
		state State
		want  Verdict
	}{
		{"nothing is remembered", State{FirstSight: true}, Pass()},
		{"a known id", State{FirstSight: true, Seen: true}, Verdict{Action: Discard, Reason: Duplicate}},
		{"a known id behind the horizon", State{FirstSight: true, Seen: true, Horizon: noon.UnixMicro(), HasHorizon: true}, Verdict{Action: Discard, Reason: Duplicate}},
		{"newer than the horizon", State{FirstSight: true, Horizon: early, HasHorizon: true}, Pass()},
		{"at the horizon", State{FirstSight: true, Horizon: noon.UnixMicro(), HasHorizon: true}, refused(DeadLetter, Late)},
		{"at the horizon, and seen before", State{Horizon: noon.UnixMicro(), HasHorizon: true}, refused(Discard, Redelivered)},
		{"no horizon", State{FirstSight: true, Horizon: noon.UnixMicro()}, Pass()},
	} {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			v := Once().Judge(at(noon), &c.state)
			same(t, "explained", v.Detail != "", v.Action != Apply)
			v.Detail = ""
			same(t, "verdict", v, c.want)
		})
	}
}

func TestOnceRemembersAsLongAsItIsTold(t *testing.T) {
	t.Parallel()
	memory := func(g Stamper) time.Duration { return g.(interface{ Memory() time.Duration }).Memory() }
	same(t, "by default", memory(Once()), DefaultMemory)
	same(t, "told", memory(Once(Memory(time.Hour))), time.Hour)
	stamp, err := Once().Stamp(at(noon), true)
	same(t, "stamp", stamp, event.Stamp{})
	same(t, "error", err, nil)
	same(t, "kind", Once().Kind(), KindOnce)
	same(t, "name", Once().Name(), "once")
}

func TestClockedKinds(t *testing.T) {
	t.Parallel()
	for k, want := range map[Kind]bool{
		KindNone: false, KindOnce: false, KindSequence: false, KindTimestamp: true, KindVersion: true, KindLamport: true, KindVector: true,
	} {
		same(t, k.String(), k.Clocked(), want)
	}
}
