package batch

import (
	"math"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/ledger"
)

// admission is what the log's prefix says of a record (R6). It is found in the order of the
// offsets, when the record is taken, and is what counts whenever the record is judged:
// nothing in it depends on rows, or on what has been finished meanwhile.
type admission struct {
	guards.State
	// decode is the verdict of the guards of the Decode phase.
	decode guards.Verdict
	// from is the first offset that the record covers: those before its own, down to the
	// record before it, have none.
	from int64
}

// Admit looks at a record against the log's prefix, where led stands, and moves led behind
// it. Records must be admitted in the order of their offsets, before they are judged; from is
// the first offset that no record before it covers.
func (j *Judge) Admit(it *Item, led *ledger.State, from int64, now time.Time) {
	a := &it.admission
	*a = admission{from: from, decode: guards.Pass()}
	a.FirstSight, a.Watermark, a.HasWatermark = led.FirstSight(it.Record.Offset)
	a.Now = reference(it.Record, now)
	if it.Event != nil {
		s := a.State
		a.decode = judgeAll(j.Wiring.Decode, it.Event, &s)
	}
	it.Finish(led)
}

// readmit is Admit for a record that is not at first sight and moves no position.
func (j *Judge) readmit(it *Item, now time.Time) {
	past := ledger.State{Next: it.Record.Offset, High: math.MaxInt64}
	j.Admit(it, &past, it.Record.Offset, now)
}

// Finish notes in a ledger that an admitted record is finished.
func (it *Item) Finish(led *ledger.State) {
	admitted := it.Event != nil && it.admission.decode.Passed()
	var at int64
	if admitted {
		at = event.Micros(it.Event.OccurredAt)
		if it.Event.HasLamport {
			led.Witness(it.Event.Lamport)
		}
	}
	// A child has its root's time, which says nothing of this log.
	led.Finish(it.admission.from, it.Record.Offset+1, at, admitted && it.Event.Lineage == nil)
}

// reference is what MaxFuture compares with (R6).
func reference(r *event.Record, now time.Time) time.Time {
	if r.TimestampType == event.TimestampLogAppend {
		return r.Timestamp
	}
	return now
}
