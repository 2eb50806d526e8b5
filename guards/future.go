package guards

import (
	"time"

	"github.com/evenkeel-go/evenkeel/event"
)

// DefaultMaxFuture is how far ahead of the clock an event may be when the registry does
// not say.
const DefaultMaxFuture = 5 * time.Minute

// MaxFuture dead-letters an event that says it occurred more than d after the reference
// time: the record's timestamp where the broker set it, else the runtime's clock (R6).
// It is always on, with [DefaultMaxFuture]: one timestamp from the future would make
// everything after it stale.
func MaxFuture(d time.Duration) Guard { return maxFuture(d) }

type maxFuture time.Duration

func (maxFuture) Name() string { return "max-future" }
func (maxFuture) Phase() Phase { return PhaseDecode }

// Bound returns d, for the wiring check.
func (m maxFuture) Bound() time.Duration { return time.Duration(m) }

func (m maxFuture) Judge(e *event.Event, s *State) Verdict {
	if !s.FirstSight {
		return Pass()
	}
	at, now, bound := event.Micros(e.OccurredAt), event.Micros(s.Now), time.Duration(m).Microseconds()
	if at <= plus(now, bound) {
		return Pass()
	}
	return Verdict{
		Action: DeadLetter, Reason: Future,
		Numbers: Comparison{What: "now", Event: at, Against: now, Bound: bound},
	}
}
