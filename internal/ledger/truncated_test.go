package ledger

import "testing"

// A rewound group (next 50, high 100) whose log is then cut to 80: what is written at 80
// and above now is new, and must be at first sight.
func TestTruncationLowersHighAfterARewind(t *testing.T) {
	t.Parallel()
	d := Decide(Found{Ledger: State{Next: 50, High: 100}, HasLedger: true, LogStart: 0, LogEnd: 80})
	if first, _, _ := d.State.FirstSight(80); !first {
		t.Fatalf("the new record at 80 counts as redelivered: high is %d, the log's end 80", d.State.High)
	}
}
