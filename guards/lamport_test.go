package guards

import (
	"testing"

	"github.com/evenkeel-go/evenkeel/event"
)

func TestLamportStamp(t *testing.T) {
	t.Parallel()
	e := at(noon)
	e.Lamport, e.HasLamport = 0, true
	s, err := Lamport().Stamp(e, true)
	same(t, "error", err, nil)
	same(t, "time 0 counts", s, event.Stamp{Time: 0, Tie: event.Tie(true, "s", "1")})

	e.Lamport, e.HasLamport = 9, false
	_, err = Lamport().Stamp(e, true)
	same(t, "message", err.Error(), "guard lamport: lamport: expected a whole number, found none; let the producer send its Lamport time, tell the codec where it is, or order by guards.Timestamp()")
}

func TestLamportDiscardsWhatIsNotNewer(t *testing.T) {
	t.Parallel()
	stamp := func(n int64, source string) event.Stamp {
		return event.Stamp{Time: n, Tie: event.Tie(true, source, "1")}
	}
	clock := stamp(7, "m")
	for _, c := range []struct {
		stamp event.Stamp
		want  string
	}{
		{stamp(8, "a"), "apply (applied)"},
		{stamp(7, "n"), "apply (applied)"}, // equal times: the producer decides
		{stamp(7, "m"), "discard (duplicate): lamport: event 7, against 7"},
		{stamp(7, "a"), "discard (superseded): lamport: event 7, against 7, equal, so that source and id decided"},
		{stamp(6, "z"), "discard (superseded): lamport: event 6, against 7"},
	} {
		same(t, c.want, Lamport().Judge(at(noon), &State{Stamp: c.stamp, Clock: clock}).String(), c.want)
	}
}
