package guards

import (
	"time"

	"github.com/evenkeel-go/evenkeel/event"
)

// Guard compares an event with what is remembered. Judge must be a pure function of
// its arguments: no I/O, no clock, no memory. It is called again whenever a batch is
// run again. A guard that has no objection returns [Pass].
type Guard interface {
	// Name is a short word for verdicts and error messages, e.g. "max-lateness".
	Name() string
	Judge(e *event.Event, s *State) Verdict
}

// State is what the row and the stream remember, as far as guards may see it.
type State struct {
	// Now is the reference for MaxFuture: the record's own timestamp where the
	// broker set it, else the runtime's clock.
	Now time.Time
	// Watermark is the highest event time among the records before this one in its
	// partition that were admitted (R6), in microseconds; it counts only when
	// HasWatermark is set.
	Watermark    int64
	HasWatermark bool
	// FirstSight is false for redelivered, parked and replayed events: admission is
	// judged once.
	FirstSight bool
	// Duplicate reports that one of the event's units finds its own stamp on the row, or
	// its id in the memory of Once.
	Duplicate bool
	// Seen reports, under Once, that the entity has seen the event's id (R8). Up to
	// Horizon, in microseconds, ids are forgotten, when HasHorizon is set. Neither is set
	// for an event that holds its own id, as one that was parked does.
	Seen       bool
	Horizon    int64
	HasHorizon bool
	// Existence is what the row is, Missing when there is none.
	Existence Existence
	// Standing is where the event's number stands in its stream, under [Sequence].
	Standing Standing
	// Stamp is the event's; Clock the newest stamp on the columns that its handler
	// writes, zero when they were never written.
	Stamp, Clock event.Stamp
	// Vector is that of the event which the Modify columns took last; it is kept only
	// under [ConflictLetters].
	Vector event.Vector
}

// Phase says when a guard is asked. A guard that has no Phase method is asked in
// PhaseRow.
type Phase uint8

// The phases, in their order.
const (
	// PhaseDecode comes right after decoding. Only Now and FirstSight are known. An
	// event that is refused here does not move the watermark.
	PhaseDecode Phase = iota + 1
	// PhaseAdmission comes once per record at first sight, after its rows are loaded.
	PhaseAdmission
	// PhaseRow comes once per unit, each time that the unit is judged.
	PhaseRow
)

// String returns the phase's word.
func (p Phase) String() string {
	switch p {
	case PhaseDecode:
		return "decode"
	case PhaseAdmission:
		return "admission"
	case PhaseRow:
		return "row"
	}
	return "unknown"
}

// PhaseOf returns the phase in which g is asked.
func PhaseOf(g Guard) Phase {
	if p, ok := g.(interface{ Phase() Phase }); ok {
		return p.Phase()
	}
	return PhaseRow
}

// Kind is a kind of stamp.
type Kind uint8

// The kinds of stamp.
const (
	// KindNone orders nothing.
	KindNone Kind = iota + 1
	// KindTimestamp orders by when the event occurred.
	KindTimestamp
	// KindVersion orders by the entity's version.
	KindVersion
	// KindSequence orders by a number without gaps.
	KindSequence
	// KindOnce orders nothing, but lets each id pass once.
	KindOnce
	// KindLamport orders by a Lamport clock.
	KindLamport
	// KindVector orders by a vector clock.
	KindVector
)

// String returns the kind's word.
func (k Kind) String() string {
	switch k {
	case KindNone:
		return "none"
	case KindTimestamp:
		return "timestamp"
	case KindVersion:
		return "version"
	case KindSequence:
		return "sequence"
	case KindOnce:
		return "once"
	case KindLamport:
		return "lamport"
	case KindVector:
		return "vector"
	}
	return "unknown"
}

// Clocked reports whether events under this kind leave their stamp on the columns that
// they write. Where they don't, something else remembers them: the ledger, or the stream.
func (k Kind) Clocked() bool { return k != KindNone && k != KindSequence && k != KindOnce }

// Stamper is a guard that also says which stamp orders the events.
type Stamper interface {
	Guard
	Kind() Kind
	// Stamp returns the event's stamp for an entity, own being whether the event's
	// root is the entity's own event (R3). An error makes the event poison.
	Stamp(e *event.Event, own bool) (event.Stamp, error)
}

// Chain joins guards under one name, to be passed around as one. handlers.NewRegistry
// takes a chain apart, so that each guard is asked in its own phase and an ordering
// among them counts. Asked by itself, a chain asks its guards one after the other,
// returns the first objection, and belongs to the phase of its first guard.
func Chain(guards ...Guard) Guard { return chain(guards) }

type chain []Guard

// Guards returns the chain's members, for the wiring.
func (c chain) Guards() []Guard { return c }

func (c chain) Name() string {
	name := "chain"
	for _, g := range c {
		name += " " + g.Name()
	}
	return name
}

func (c chain) Phase() Phase {
	if len(c) == 0 {
		return PhaseRow
	}
	return PhaseOf(c[0])
}

func (c chain) Judge(e *event.Event, s *State) Verdict {
	for _, g := range c {
		if v := g.Judge(e, s); !v.Passed() {
			return v
		}
	}
	return Pass()
}
