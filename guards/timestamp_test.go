package guards

import (
	"testing"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
)

func TestTimestampStamp(t *testing.T) {
	t.Parallel()
	e := at(noon)
	own, err := Timestamp().Stamp(e, true)
	same(t, "error", err, nil)
	same(t, "stamp", own, event.Stamp{Time: noon.UnixMicro(), Tie: event.Tie(true, "s", "1")})
	derived, _ := Timestamp().Stamp(e, false)
	same(t, "at equal time the entity's own event stands after a derived one", own.After(derived), true)
	old, _ := Timestamp().Stamp(at(time.Unix(-5, 0)), true)
	same(t, "before 1970", old.Time, int64(-5_000_000))
	same(t, "an event is not zero, whenever it occurred", old.IsZero(), false)

	e = at(noon)
	e.ID, e.Record = "", &event.Record{Coordinates: event.Coordinates{Cluster: "c", TopicID: "t", Partition: 1, Offset: 2}}
	anonymous, _ := Timestamp().Stamp(e, true)
	same(t, "an event without id is its coordinates", anonymous.Tie, event.Tie(true, "s", "@c/t/1/2"))
}

// The rule of staleness is one for both stamps; only the word differs.
func TestStaleness(t *testing.T) {
	t.Parallel()
	tie := func(id string) string { return event.Tie(true, "s", id) }
	for _, c := range []struct {
		rule         string
		event, clock event.Stamp
		reason       Reason
		ties         bool
	}{
		{"a column never written takes any event", event.Stamp{Time: -7, Tie: tie("1")}, event.Stamp{}, Applied, false},
		{"newer", event.Stamp{Time: 8, Tie: tie("1")}, event.Stamp{Time: 7, Tie: tie("2")}, Applied, false},
		{"older", event.Stamp{Time: 6, Tie: tie("2")}, event.Stamp{Time: 7, Tie: tie("1")}, Superseded, false},
		{"the same event", event.Stamp{Time: 7, Tie: tie("1")}, event.Stamp{Time: 7, Tie: tie("1")}, Duplicate, false},
		{"equal numbers, later in the tie", event.Stamp{Time: 7, Tie: tie("2")}, event.Stamp{Time: 7, Tie: tie("1")}, Applied, false},
		{"equal numbers, earlier in the tie", event.Stamp{Time: 7, Tie: tie("1")}, event.Stamp{Time: 7, Tie: tie("2")}, Superseded, true},
		{"negative numbers, newer", event.Stamp{Time: -6, Tie: tie("1")}, event.Stamp{Time: -7, Tie: tie("1")}, Applied, false},
		{"negative numbers, older", event.Stamp{Time: -8, Tie: tie("1")}, event.Stamp{Time: -7, Tie: tie("1")}, Superseded, false},
	} {
		for what, g := range map[string]Guard{"timestamp": Timestamp(), "version": Version()} {
			t.Run(what+"/"+c.rule, func(t *testing.T) {
				t.Parallel()
				want := Pass()
				if c.reason != Applied {
					want = Verdict{Action: Discard, Reason: c.reason, Numbers: Comparison{What: what, Event: c.event.Time, Against: c.clock.Time}}
				}
				if c.ties {
					want.Numbers.EventTie, want.Numbers.AgainstTie = c.event.Tie, c.clock.Tie
				}
				got := g.Judge(at(noon), &State{Stamp: c.event, Clock: c.clock, FirstSight: true})
				same(t, "verdict", got, want)
				again := g.Judge(at(noon), &State{Stamp: c.event, Clock: c.clock})
				same(t, "verdict of a redelivered event", again, want)
			})
		}
	}
}
