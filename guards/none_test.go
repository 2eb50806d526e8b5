package guards

import (
	"testing"

	"github.com/evenkeel-go/evenkeel/event"
)

func TestNone(t *testing.T) {
	t.Parallel()
	s, err := None().Stamp(at(noon), true)
	same(t, "error", err, nil)
	same(t, "stamp", s, event.Stamp{})
	clock := event.Stamp{Time: 1 << 60, Tie: event.Tie(true, "s", "9")}
	same(t, "verdict on an overtaken event", None().Judge(at(noon), &State{Clock: clock}), Pass())
	same(t, "verdict on a duplicate", None().Judge(at(noon), &State{Duplicate: true, FirstSight: true}), Pass())
}
