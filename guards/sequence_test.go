package guards

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
)

// TestSequence reads as R7 does: what a number is to a stream that waits for 5.
func TestSequence(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		number int64
		st     Standing
		want   string
	}{
		{"the number that it waits for", 5, Standing{}, "apply (applied)"},
		{"one ahead of it", 7, Standing{}, "park (gap): sequence: event 7, against 5"},
		{"an old one that nobody remembers", 2, Standing{}, "discard (superseded): sequence: event 2, against 5"},
		{"an old one, the same event", 2, Standing{Known: true, Same: true}, "discard (duplicate): sequence: event 2, against 5"},
		{"an old one, another event", 2, Standing{Known: true}, "dead-letter (conflict): sequence: event 2, against 5"},
		{"one that waits, the same event", 7, Standing{Known: true, Same: true}, "discard (duplicate): sequence: event 7, against 5"},
		{"one that waits, another event", 7, Standing{Known: true}, "dead-letter (conflict): sequence: event 7, against 5"},
		{"one that was skipped", 3, Standing{Skipped: true}, "dead-letter (gap): sequence: event 3, against 5"},
		{"one that was skipped, again", 3, Standing{Skipped: true, Known: true, Same: true}, "discard (duplicate): sequence: event 3, against 5"},
	} {
		c.st.Next = 5
		v := Sequence().Judge(&event.Event{Version: c.number, HasVersion: true}, &State{Standing: c.st})
		if got := v.String(); got != c.want && !strings.HasPrefix(got, c.want+": ") {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestSequenceNeedsANumber(t *testing.T) {
	t.Parallel()
	for found, e := range map[string]*event.Event{
		"found none": {Record: &event.Record{}},
		"no succ":    {Record: &event.Record{}, HasVersion: true, Version: math.MaxInt64},
	} {
		if _, err := Sequence().Stamp(e, true); err == nil || !strings.Contains(err.Error(), found) {
			t.Errorf("%v, want %s", err, found)
		}
	}
	stamp, err := Sequence().Stamp(&event.Event{Record: &event.Record{}, HasVersion: true, Version: -3}, true)
	if err != nil || stamp.Time != -3 {
		t.Errorf("%v %v", stamp, err)
	}
}

func TestSequenceSettings(t *testing.T) {
	t.Parallel()
	settings := func(s Stamper) SequenceSettings { return s.(sequence).Settings() }
	want := SequenceSettings{From: 1, GapTimeout: 30 * time.Second, MaxGap: 100, OnGap: GapDeadLetter}
	if got := settings(Sequence(nil)); got != want {
		t.Errorf("%+v", got)
	}
	want = SequenceSettings{Stream: "s", From: 7, FirstSeen: true, GapTimeout: time.Minute, MaxGap: 3, OnGap: GapSkip}
	if got := settings(Sequence(Stream("s"), From(7), FirstSeen(), GapTimeout(time.Minute), MaxGap(3), OnGap(GapSkip))); got != want {
		t.Errorf("%+v", got)
	}
}
