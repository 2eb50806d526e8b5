package guards

import "github.com/evenkeel-go/evenkeel/event"

// Timestamp orders events by when they occurred; equal times are ordered by source and
// id, the same in every process (R3). With handlers.Set it stamps each column; with
// handlers.Modify it is the classic staleness check: what is not newer than the newest
// event seen is discarded.
func Timestamp() Stamper { return timestamp{} }

type timestamp struct{}

func (timestamp) Name() string { return "timestamp" }
func (timestamp) Kind() Kind   { return KindTimestamp }

func (timestamp) Stamp(e *event.Event, own bool) (event.Stamp, error) {
	return event.Stamp{Time: event.Micros(e.OccurredAt), Tie: e.Tie(own)}, nil
}

func (timestamp) Judge(_ *event.Event, s *State) Verdict { return stale("timestamp", s) }

// stale refuses what is not newer than the clock.
func stale(what string, s *State) Verdict {
	c := s.Stamp.Compare(s.Clock)
	if c > 0 {
		return Pass()
	}
	v := Verdict{
		Action: Discard, Reason: Superseded,
		Numbers: Comparison{What: what, Event: s.Stamp.Time, Against: s.Clock.Time},
	}
	if c == 0 {
		v.Reason = Duplicate
	} else if s.Stamp.Time == s.Clock.Time {
		v.Numbers.EventTie, v.Numbers.AgainstTie = s.Stamp.Tie, s.Clock.Tie
	}
	return v
}
