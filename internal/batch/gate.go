package batch

import (
	"fmt"
	"slices"
	"time"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/breaker"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// Handlers names those that the record's event is for.
func (it *Item) Handlers() []string {
	var names []string
	for _, u := range it.Units {
		if u.Handler != nil && !slices.Contains(names, u.Handler.Name) {
			names = append(names, u.Handler.Name)
		}
	}
	return names
}

// Forget lets go of what handlers have said of the event, and the database: by now they may
// say something else.
func (it *Item) Forget() {
	for _, u := range it.Units {
		u.Clear()
		u.blind = nil
	}
	it.Alone = false
}

// Ran reports what the last run says of a handler: whether it was called for the event, and
// whether it failed.
func (it *Item) Ran(handler string) breaker.Result {
	r := breaker.Unknown
	for _, u := range it.Units {
		if u.Handler != nil && u.Handler.Name == handler && u.ran > r {
			r = u.ran
		}
		if u.Handler != nil && u.Handler.Name == handler && u.ran == breaker.Failed {
			return breaker.Failed
		}
	}
	return r
}

// Ran is what the last run says of the handler of a parked unit, and what it failed with;
// probe says that it was a probe.
func (u *Unit) Ran() (r breaker.Result, why string, probe bool) { return u.ran, u.why, u.probe }

// Why is the text of an error of the last run, empty if there was none.
func (it *Item) Why() string {
	for _, u := range it.Units {
		if u.why != "" {
			return u.why
		}
	}
	return ""
}

// wakeAfterBreaker is when a parked event is looked at again whose handler does not run.
const wakeAfterBreaker = 10 * time.Second

// shut reports whether a record must stay in the log because the breaker of a handler is open
// (R22).
func (w *work) shut(it *Item) bool {
	return w.Breakers != nil && !it.Probe && slices.ContainsFunc(it.Units, func(u *Unit) bool {
		return u.Handler != nil && w.Breakers.Open(u.Handler.Name)
	})
}

// stays reports whether what has waited may not follow: whoever claims it waits for its
// handler.
func (w *work) stays(u *Unit) bool {
	return w.fromLog && w.Breakers != nil && u.Handler != nil && w.Breakers.Open(u.Handler.Name)
}

// mayRun asks whether the handler of a parked unit may run, as a probe perhaps. If not, the
// unit waits on and uses up no attempt.
func (w *work) mayRun(u *Unit) bool {
	if u.Parked == nil || w.fromLog || u.probe {
		return true
	}
	leave := w.Breakers.Ask([]string{u.Handler.Name}, w.now)
	if leave.Go {
		return true
	}
	if len(leave.Probe) > 0 {
		u.probe = true
		return true
	}
	w.repark(u, store.CauseRetry, max(leave.Again, wakeAfterBreaker))
	return false
}

// replayShut is shut for a letter's event that is replayed whole.
func (w *work) replayShut(u *Unit) bool {
	if !w.Breakers.Open(u.Item.Handlers()...) {
		return false
	}
	w.repark(u, store.CauseReplay, wakeAfterBreaker)
	return true
}

// counts reports whether an outcome of the unit is an event's first: what is tried again would
// count one broken event many times.
func (u *Unit) counts() bool {
	return u.Parked == nil || u.Parked.Attempts == 0 && u.Parked.Cause != store.CauseReplay
}

// passed notes that a unit's handler ran and did not fail.
func (w *work) passed(u *Unit) {
	if u.ran != breaker.Failed {
		u.ran = breaker.Passed
		w.note(u, u.counts())
	}
}

// fell notes that a unit's handler failed, or that its event is none for it.
func (w *work) fell(u *Unit, why string, counts bool) {
	u.ran, u.why = breaker.Failed, why
	w.note(u, counts)
}

func (w *work) note(u *Unit, counts bool) {
	if w.Breakers != nil && counts {
		u.mark = w.Breakers.Note(u.mark, u.Handler.Name, u.about(), u.ran == breaker.Failed, u.why, w.now)
	}
}

// about is the key that a failure of the unit is counted under: an event that touches many
// rows has one.
func (u *Unit) about() string {
	for _, first := range u.Item.Units {
		if first.Handler == u.Handler && first.Key+first.brokenKey != "" {
			return first.Key + first.brokenKey
		}
	}
	if e := u.Item.Event; e != nil && e.Key != "" {
		return e.Key
	}
	return fmt.Sprint(u.Item.Record.Partition, "@", u.Item.Record.Offset)
}

// isPoison reports whether a letter says that the event is none for its handler.
func isPoison(u *Unit, v guards.Verdict) bool { return u.Handler != nil && v.Reason == guards.Poison }
