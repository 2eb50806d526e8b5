package guards

import (
	"math"
	"testing"
	"time"
)

func TestMaxLateness(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	first := func(watermark time.Time) *State {
		return &State{FirstSight: true, HasWatermark: true, Watermark: watermark.UnixMicro()}
	}
	epoch := time.Unix(0, 0)
	for _, c := range []struct {
		rule  string
		event time.Time
		state *State
		bound time.Duration
		late  bool
	}{
		{"newer than the stream is never late", noon.Add(time.Hour), first(noon), day, false},
		{"as old as allowed", noon.Add(-day), first(noon), day, false},
		{"a microsecond more is late", noon.Add(-day - time.Microsecond), first(noon), day, true},
		{"what is below a microsecond does not count", noon.Add(-day - time.Nanosecond + time.Microsecond), first(noon), day, false},
		{"no lateness allowed: equal times pass", noon, first(noon), 0, false},
		{"no lateness allowed: older is late", noon.Add(-time.Microsecond), first(noon), 0, true},
		{"before 1970, within", epoch.Add(-day), first(epoch), day, false},
		{"before 1970, late", epoch.Add(-day - time.Microsecond), first(epoch), day, true},
		{"a watermark before 1970", epoch.Add(-3 * day), first(epoch.Add(-day)), day, true},
		{"the wall clock does not count: an outage makes nothing late", noon.AddDate(-10, 0, 0), first(noon.AddDate(-10, 0, 0)), day, false},
		{"a partition without history has no late events", noon.AddDate(-10, 0, 0), &State{FirstSight: true}, day, false},
		{"a redelivered event was judged before", noon.AddDate(-10, 0, 0), &State{HasWatermark: true, Watermark: noon.UnixMicro()}, day, false},
		{"an event already absorbed is a duplicate, not late", noon.AddDate(-10, 0, 0), &State{FirstSight: true, Duplicate: true, HasWatermark: true, Watermark: noon.UnixMicro()}, day, false},
		{"the largest bound refuses nothing", time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), &State{FirstSight: true, HasWatermark: true, Watermark: math.MinInt64 + 1}, math.MaxInt64, false},
	} {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			want := Pass()
			if c.late {
				want = Verdict{Action: DeadLetter, Reason: Late, Numbers: Comparison{
					What: "watermark", Event: c.event.UnixMicro(), Against: c.state.Watermark, Bound: c.bound.Microseconds(),
				}}
			}
			same(t, "verdict", MaxLateness(c.bound).Judge(at(c.event), c.state), want)
		})
	}
}

func TestMaxLatenessStandsInItsPhase(t *testing.T) {
	t.Parallel()
	g := MaxLateness(time.Hour)
	same(t, "phase", PhaseOf(g), PhaseAdmission)
	same(t, "name", g.Name(), "max-lateness")
	same(t, "bound", g.(interface{ Bound() time.Duration }).Bound(), time.Hour)
}
