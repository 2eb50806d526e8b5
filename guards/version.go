package guards

import "github.com/evenkeel-go/evenkeel/event"

// Version orders events by the version of the entity that they make; equal versions
// are ordered by source and id (R3). An event without a version is poison.
func Version() Stamper { return version{} }

type version struct{}

func (version) Name() string { return "version" }
func (version) Kind() Kind   { return KindVersion }

func (version) Stamp(e *event.Event, own bool) (event.Stamp, error) {
	if !e.HasVersion {
		return event.Stamp{}, &event.DecodeError{
			Codec: "guard version", Field: "version", Expected: "a whole number", Found: "none",
			Mend: "let the producer send the entity's version, or order by guards.Timestamp()",
		}
	}
	return event.Stamp{Time: e.Version, Tie: e.Tie(own)}, nil
}

func (version) Judge(_ *event.Event, s *State) Verdict { return stale("version", s) }
