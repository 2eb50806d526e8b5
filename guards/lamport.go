package guards

import "github.com/evenkeel-go/evenkeel/event"

// Lamport orders events by the Lamport time at which their producers sent them, equal
// times by source and id (R3): a total order of all producers' events that never
// contradicts what a producer had seen (Lamport, Time, Clocks, and the Ordering of Events
// in a Distributed System, 1978). An event without a Lamport time is poison. What your
// service sends itself takes its times from framework.LamportClock.
func Lamport() Stamper { return lamport{} }

type lamport struct{}

func (lamport) Name() string { return "lamport" }
func (lamport) Kind() Kind   { return KindLamport }

func (lamport) Stamp(e *event.Event, own bool) (event.Stamp, error) {
	if !e.HasLamport {
		return event.Stamp{}, &event.DecodeError{
			Codec: "guard lamport", Field: "lamport", Expected: "a whole number", Found: "none",
			Mend: "let the producer send its Lamport time, tell the codec where it is, or order by guards.Timestamp()",
		}
	}
	return event.Stamp{Time: e.Lamport, Tie: e.Tie(own)}, nil
}

func (lamport) Judge(_ *event.Event, s *State) Verdict { return stale("lamport", s) }
