package guards

import (
	"testing"
	"time"
)

func TestVerdictString(t *testing.T) {
	t.Parallel()
	micros := noon.UnixMicro()
	for _, c := range []struct {
		v    Verdict
		want string
	}{
		{Pass(), "apply (applied)"},
		{Verdict{Action: Park, Reason: Retry, Detail: "attempt 2"}, "park (retry): attempt 2"},
		{
			Verdict{Action: DeadLetter, Reason: Late, Numbers: Comparison{What: "watermark", Event: micros - 90_000_000, Against: micros, Bound: time.Minute.Microseconds()}},
			"dead-letter (late): watermark: event 2026-05-28T11:58:30Z, against 2026-05-28T12:00:00Z, allowed 1m0s",
		},
		{
			Verdict{Action: Discard, Reason: Superseded, Numbers: Comparison{What: "version", Event: 3, Against: 4}, Detail: "x"},
			"discard (superseded): version: event 3, against 4: x",
		},
		{
			Verdict{Action: Discard, Reason: Superseded, Numbers: Comparison{What: "timestamp", Event: -1, Against: -1, EventTie: "1a", AgainstTie: "1b"}},
			"discard (superseded): timestamp: event 1969-12-31T23:59:59.999999Z, against 1969-12-31T23:59:59.999999Z, equal, so that source and id decided",
		},
	} {
		same(t, "line", c.v.String(), c.want)
	}
}

func TestVerdictPassed(t *testing.T) {
	t.Parallel()
	for a, want := range map[Action]bool{Apply: true, Discard: false, Park: false, DeadLetter: false, 0: false} {
		same(t, a.String(), Verdict{Action: a}.Passed(), want)
	}
	same(t, "nothing compared", Comparison{Event: 5}.String(), "")
}
