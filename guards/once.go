package guards

import (
	"time"

	"github.com/evenkeel-go/evenkeel/event"
)

// DefaultMemory is how long Once remembers ids when it is not told: as long as Kafka keeps
// records by default.
const DefaultMemory = 7 * 24 * time.Hour

// OnceOption says more about [Once].
type OnceOption func(*once)

// Memory is for how much event time Once remembers ids. It defaults to [DefaultMemory] and
// must be above zero and not below MaxLateness. Ids are forgotten when the slowest of the
// partitions that are being read has come so far beyond them; an event that is as old as
// what is forgotten, and whose id is not known, becomes a dead letter (Late): nobody can
// tell whether it had its effect.
func Memory(d time.Duration) OnceOption { return func(o *once) { o.memory = d } }

// Once is for handlers.Modify whose changes commute, like counters and totals: it orders
// nothing, and lets each event through once per handler and entity, known by its source and
// id, or by its coordinates where it has no id (R8). Early and old events are applied alike,
// and none waits for another. An event that is parked or became a dead letter has its id
// already, so that a duplicate of it can't overtake it. A redelivered record needs no
// memory: the ledger knows it.
func Once(options ...OnceOption) Stamper {
	o := once{memory: DefaultMemory}
	for _, option := range options {
		option(&o)
	}
	return o
}

type once struct{ memory time.Duration }

func (once) Name() string { return "once" }
func (once) Kind() Kind   { return KindOnce }

// Memory returns the time for which ids are remembered, for the wiring.
func (o once) Memory() time.Duration { return o.memory }

func (once) Stamp(*event.Event, bool) (event.Stamp, error) { return event.Stamp{}, nil }

func (once) Judge(e *event.Event, s *State) Verdict {
	at := event.Micros(e.OccurredAt)
	switch {
	case s.Seen:
		return Verdict{Action: Discard, Reason: Duplicate, Detail: "the id is known"}
	case !s.HasHorizon || at > s.Horizon:
		return Pass()
	}
	v := Verdict{
		Action: DeadLetter, Reason: Late, Numbers: Comparison{What: "memory", Event: at, Against: s.Horizon},
		Detail: "older than the memory of ids, so that nobody can tell whether it had its effect; raise guards.Memory if such events are to be expected",
	}
	if !s.FirstSight {
		v.Action, v.Reason = Discard, Redelivered
	}
	return v
}
