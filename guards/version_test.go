package guards

import (
	"errors"
	"testing"

	"github.com/evenkeel-go/evenkeel/event"
)

func TestVersionStamp(t *testing.T) {
	t.Parallel()
	e := at(noon)
	e.Version, e.HasVersion = 0, true
	s, err := Version().Stamp(e, true)
	same(t, "error", err, nil)
	same(t, "version 0 counts", s, event.Stamp{Time: 0, Tie: event.Tie(true, "s", "1")})

	e.Version, e.HasVersion = 9, false
	_, err = Version().Stamp(e, true)
	var d *event.DecodeError
	if !errors.As(err, &d) {
		t.Fatalf("%T is no *event.DecodeError", err)
	}
	same(t, "message", err.Error(), "guard version: version: expected a whole number, found none; let the producer send the entity's version, or order by guards.Timestamp()")
}
