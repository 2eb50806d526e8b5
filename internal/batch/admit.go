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
	firstSight, hasWatermark bool
	watermark                int64
	// refused is the verdict of the guards of the Decode phase, nil if they let it pass.
	refused *guards.Verdict
	// from is the first offset that the record covers: those before its own, down to the
	// record before it, have none.
	from int64
}

// Admit looks at a record against the log's prefix, where led stands, and moves led behind
// it. Records must be admitted in the order of their offsets, before they are judged; from is
// the first offset that no record before it covers.
func (j *Judge) Admit(it *Item, led *ledger.State, from int64, now time.Time) {
	a := &it.admission
	*a = admission{from: from}
	a.firstSight, a.watermark, a.hasWatermark = led.FirstSight(it.Record.Offset)
	if it.Event != nil {
		s := it.state(now)
		if v := judgeAll(j.Wiring.Decode, it.Event, &s); !v.Passed() {
			refused := v
			a.refused = &refused
		}
	}
	it.Finish(led)
}

// state is what admission has found, for guards.
func (it *Item) state(now time.Time) guards.State {
	a := &it.admission
	return guards.State{Now: reference(it.Record, now), FirstSight: a.firstSight, Watermark: a.watermark, HasWatermark: a.hasWatermark}
}

// readmit is Admit for a record that is not at first sight and moves no position.
func (j *Judge) readmit(it *Item, now time.Time) {
	past := ledger.State{Next: it.Record.Offset, High: math.MaxInt64}
	j.Admit(it, &past, it.Record.Offset, now)
}

// Finish notes in a ledger that an admitted record is finished.
func (it *Item) Finish(led *ledger.State) {
	admitted := it.Event != nil && it.admission.refused == nil
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
