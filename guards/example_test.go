package guards_test

import (
	"fmt"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
)

var noon = time.Date(2026, 5, 28, 12, 0, 0, 0, time.UTC)

func occurred(id string, at time.Time) *event.Event {
	return &event.Event{ID: id, Source: "/shop", OccurredAt: at, Record: &event.Record{}}
}

func ExampleTimestamp() {
	guard := guards.Timestamp()
	clock, _ := guard.Stamp(occurred("e-2", noon), true) // what the row remembers

	for _, e := range []*event.Event{
		occurred("e-3", noon.Add(time.Second)),
		occurred("e-2", noon),
		occurred("e-1", noon), // the same time as e-2: the id decides, everywhere alike
		occurred("e-0", noon.Add(-time.Second)),
	} {
		stamp, _ := guard.Stamp(e, true)
		fmt.Println(e.ID, guard.Judge(e, &guards.State{Stamp: stamp, Clock: clock}))
	}
	// Output:
	// e-3 apply (applied)
	// e-2 discard (duplicate): timestamp: event 2026-05-28T12:00:00Z, against 2026-05-28T12:00:00Z
	// e-1 discard (superseded): timestamp: event 2026-05-28T12:00:00Z, against 2026-05-28T12:00:00Z, equal, so that source and id decided
	// e-0 discard (superseded): timestamp: event 2026-05-28T11:59:59Z, against 2026-05-28T12:00:00Z
}

func ExampleVersion() {
	guard := guards.Version()
	e := occurred("e-1", noon)
	_, err := guard.Stamp(e, true)
	fmt.Println(err)

	e.Version, e.HasVersion = 6, true
	stamp, _ := guard.Stamp(e, true)
	fmt.Println(guard.Judge(e, &guards.State{Stamp: stamp, Clock: event.Stamp{Time: 7, Tie: event.Tie(true, "/shop", "e-2")}}))
	// Output:
	// guard version: version: expected a whole number, found none; let the producer send the entity's version, or order by guards.Timestamp()
	// discard (superseded): version: event 6, against 7
}

func ExampleOnce() {
	guard := guards.Once(guards.Memory(30 * 24 * time.Hour))
	memory := &guards.State{FirstSight: true, HasHorizon: true, Horizon: event.Micros(noon.AddDate(0, 0, -30))}
	fmt.Println(guard.Judge(occurred("e-1", noon), memory))
	fmt.Println(guard.Judge(occurred("e-0", noon.AddDate(0, 0, -7)), memory)) // old, and its id is new

	memory.Seen = true // the runtime has found the id
	fmt.Println(guard.Judge(occurred("e-1", noon), memory))
	// Output:
	// apply (applied)
	// apply (applied)
	// discard (duplicate): the id is known
}

func ExampleNone() {
	guard := guards.None()
	stamp, _ := guard.Stamp(occurred("e-1", noon), true)
	fmt.Println("ordered:", !stamp.IsZero())
	fmt.Println(guard.Judge(occurred("e-1", noon), &guards.State{}))
	// Output:
	// ordered: false
	// apply (applied)
}

func ExampleMaxLateness() {
	guard := guards.MaxLateness(24 * time.Hour)
	stream := &guards.State{FirstSight: true, HasWatermark: true, Watermark: event.Micros(noon)}
	fmt.Println(guard.Judge(occurred("e-1", noon.Add(-24*time.Hour)), stream))
	fmt.Println(guard.Judge(occurred("e-2", noon.Add(-25*time.Hour)), stream))
	// Output:
	// apply (applied)
	// dead-letter (late): watermark: event 2026-05-27T11:00:00Z, against 2026-05-28T12:00:00Z, allowed 24h0m0s
}

func ExampleMaxFuture() {
	guard := guards.MaxFuture(guards.DefaultMaxFuture)
	state := &guards.State{FirstSight: true, Now: noon}
	fmt.Println(guard.Judge(occurred("e-1", noon.Add(time.Minute)), state))
	fmt.Println(guard.Judge(occurred("e-2", noon.AddDate(1, 0, 0)), state))
	// Output:
	// apply (applied)
	// dead-letter (future): now: event 2027-05-28T12:00:00Z, against 2026-05-28T12:00:00Z, allowed 5m0s
}

// noTests is a guard of the user's: it needs a name and an opinion.
type noTests struct{}

func (noTests) Name() string { return "no-tests" }

func (noTests) Judge(e *event.Event, _ *guards.State) guards.Verdict {
	if e.Source == "/load-test" {
		return guards.Verdict{Action: guards.Discard, Reason: guards.Rejected, Detail: "from the load test"}
	}
	return guards.Pass()
}

func ExampleGuard() {
	e := occurred("e-1", noon)
	fmt.Println(noTests{}.Judge(e, &guards.State{}))
	e.Source = "/load-test"
	fmt.Println(noTests{}.Judge(e, &guards.State{}))
	fmt.Println("asked in the phase:", guards.PhaseOf(noTests{}))
	// Output:
	// apply (applied)
	// discard (rejected): from the load test
	// asked in the phase: row
}

func ExampleChain() {
	// A house rule for all services of a company, to be given to handlers.NewRegistry.
	house := guards.Chain(guards.MaxFuture(time.Minute), guards.MaxLateness(7*24*time.Hour))
	fmt.Println(house.Name())
	fmt.Println(house.Judge(occurred("e-1", noon.Add(time.Hour)), &guards.State{FirstSight: true, Now: noon}))
	// Output:
	// chain max-future max-lateness
	// dead-letter (future): now: event 2026-05-28T13:00:00Z, against 2026-05-28T12:00:00Z, allowed 1m0s
}

func ExampleVerdict_String() {
	v := guards.Verdict{Action: guards.DeadLetter, Reason: guards.Exhausted, Detail: "7 attempts in 2h0m0s"}
	fmt.Println(v)
	// Output:
	// dead-letter (exhausted): 7 attempts in 2h0m0s
}

func ExampleGuarded() {
	type Order struct {
		ID     string `gorm:"primaryKey"`
		Status string
		guards.Guarded
	}
	o := Order{ID: "order-1"}
	fmt.Println(o.EkState, o.EkRev) // a row that the framework has not written yet
	// Output:
	// foreign 0
}

func ExampleLamport() {
	guard := guards.Lamport()
	e := occurred("e-1", noon)
	e.Lamport, e.HasLamport = 6, true
	stamp, _ := guard.Stamp(e, true)
	fmt.Println(guard.Judge(e, &guards.State{Stamp: stamp, Clock: event.Stamp{Time: 7, Tie: event.Tie(true, "/shop", "e-2")}}))
	// Output:
	// discard (superseded): lamport: event 6, against 7
}

func ExampleConflictLetters() {
	guard := guards.Vector(guards.ConflictLetters())
	row, _ := event.ParseVector("berlin=2,tokyo=1") // what the row took last
	for id, text := range []string{"berlin=3,tokyo=1", "berlin=1,tokyo=1", "berlin=1,tokyo=2"} {
		e := occurred(fmt.Sprint(id), noon)
		e.Vector, _ = event.ParseVector(text)
		stamp, _ := guard.Stamp(e, true)
		v := guard.Judge(e, &guards.State{Stamp: stamp, Clock: event.Stamp{Time: row.Sum(), Tie: event.Tie(true, "/shop", "e")}, Vector: row})
		fmt.Println(text, v.Action, v.Reason)
	}
	// Output:
	// berlin=3,tokyo=1 apply applied
	// berlin=1,tokyo=1 discard superseded
	// berlin=1,tokyo=2 dead-letter conflict
}
