package guards

import "github.com/evenkeel-go/evenkeel/event"

// None orders nothing and remembers nothing: the handler runs for each record at first
// sight, in the order of arrival, also for a producer's duplicates. Redelivered records
// are still absorbed by the ledger. It is the loud way out for handlers.Modify; the
// rows then depend on the order in which events came.
func None() Stamper { return none{} }

type none struct{}

func (none) Name() string { return "none" }
func (none) Kind() Kind   { return KindNone }

func (none) Stamp(*event.Event, bool) (event.Stamp, error) { return event.Stamp{}, nil }

func (none) Judge(*event.Event, *State) Verdict { return Pass() }
