package guards

import (
	"time"

	"github.com/evenkeel-go/evenkeel/event"
)

// MaxLateness dead-letters an event that is older than the newest admitted event before
// it in its partition by more than d (R6). It compares event times with event times and
// never with the wall clock, so an outage of hours makes nothing late. An event that the
// row has absorbed already is not late but a duplicate, and a derived event, which has its
// root's time, is never late. d must be greater than MaxFuture.
func MaxLateness(d time.Duration) Guard { return maxLateness(d) }

type maxLateness time.Duration

func (maxLateness) Name() string { return "max-lateness" }
func (maxLateness) Phase() Phase { return PhaseAdmission }

// Bound returns d, for the wiring check.
func (m maxLateness) Bound() time.Duration { return time.Duration(m) }

func (m maxLateness) Judge(e *event.Event, s *State) Verdict {
	if !s.FirstSight || s.Duplicate || !s.HasWatermark || e.Lineage != nil {
		return Pass()
	}
	at, bound := event.Micros(e.OccurredAt), time.Duration(m).Microseconds()
	if at >= minus(s.Watermark, bound) {
		return Pass()
	}
	return Verdict{
		Action: DeadLetter, Reason: Late,
		Numbers: Comparison{What: "watermark", Event: at, Against: s.Watermark, Bound: bound},
	}
}
