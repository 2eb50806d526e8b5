package guards

import (
	"math"
	"testing"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
)

func TestMaxFuture(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rule   string
		event  time.Time
		now    time.Time
		again  bool
		bound  time.Duration
		future bool
	}{
		{"the past is no future", noon.AddDate(-10, 0, 0), noon, false, time.Minute, false},
		{"as far ahead as allowed", noon.Add(time.Minute), noon, false, time.Minute, false},
		{"a microsecond more", noon.Add(time.Minute + time.Microsecond), noon, false, time.Minute, true},
		{"nothing allowed: now passes", noon, noon, false, 0, false},
		{"nothing allowed: a microsecond ahead", noon.Add(time.Microsecond), noon, false, 0, true},
		{"before 1970, within", time.Unix(-60, 0), time.Unix(-120, 0), false, time.Minute, false},
		{"before 1970, ahead", time.Unix(-59, 0), time.Unix(-120, 0), false, time.Minute, true},
		{"across 1970", time.Unix(1, 0), time.Unix(-60, 0), false, time.Minute, true},
		{"a redelivered event was judged before", noon.AddDate(10, 0, 0), noon, true, time.Minute, false},
		{"the largest bound refuses nothing, whatever the clock says", event.MaxTime, time.Unix(1<<60, 0), false, math.MaxInt64, false},
	} {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			want := Pass()
			if c.future {
				want = Verdict{Action: DeadLetter, Reason: Future, Numbers: Comparison{
					What: "now", Event: c.event.UnixMicro(), Against: c.now.UnixMicro(), Bound: c.bound.Microseconds(),
				}}
			}
			same(t, "verdict", MaxFuture(c.bound).Judge(at(c.event), &State{Now: c.now, FirstSight: !c.again}), want)
		})
	}
}

func TestMaxFutureStandsInItsPhase(t *testing.T) {
	t.Parallel()
	g := MaxFuture(time.Hour)
	same(t, "phase", PhaseOf(g), PhaseDecode)
	same(t, "name", g.Name(), "max-future")
	same(t, "bound", g.(interface{ Bound() time.Duration }).Bound(), time.Hour)
}
