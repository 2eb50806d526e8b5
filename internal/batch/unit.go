package batch

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// live judges a unit of a record that came from the log.
func (w *work) live(u *Unit, s guards.State) error {
	if !s.FirstSight && (w.stands(w.unitID(u)) || u.Handler.Stamper.Kind() == guards.KindNone) {
		// It has a letter or a parked row, or nothing but the ledger tells that it ran
		// before: its outcome stands (R6).
		w.verdict(u.Item, u, guards.Verdict{Action: guards.Discard, Reason: guards.Redelivered})
		return nil
	}
	if u.nobody {
		w.verdict(u.Item, u, guards.Verdict{Action: guards.Discard, Reason: guards.NoEntity, Detail: "the payload names no entity of " + u.Handler.Model.Name})
		return nil
	}
	if w.replay && w.elsewhere(u) {
		w.verdict(u.Item, u, guards.Verdict{Action: guards.Discard, Reason: guards.Redelivered})
		return nil
	}
	if u.Handler.Stream != nil {
		return w.liveNumbered(u, s)
	}
	if !w.once(u, s) {
		return nil
	}
	if u.Err != nil {
		w.unitLetter(u, w.known(u), poison(u.Err), &failure{err: u.Err})
		return nil
	}
	rw := w.row(u)
	if c := w.causes(u); c != nil {
		return c.live(u, rw, s)
	}
	if again, wait := w.mustWait(u, rw, w.lastPlace()); wait {
		w.park(u, rw, store.CauseBehind, again, nil)
		return nil
	}
	return w.judge(u, rw, s)
}

// waiting judges a parked unit.
func (w *work) waiting(u *Unit, due bool) error {
	if u.replayed() {
		return w.replayed(u, due)
	}
	w.ownID(u)
	if u.Err != nil {
		w.unitLetter(u, w.known(u), poison(u.Err), &failure{err: u.Err})
		return nil
	}
	rw := w.row(u)
	if again, wait := w.mustWait(u, rw, u.Parked.Place); wait {
		if due && w.heldByRebuild(u, rw) {
			w.repark(u, store.CauseBehind, again)
		} else if due {
			w.repark(u, u.Parked.Cause, again)
		}
		return nil
	}
	if !due && u.Parked.Cause != store.CauseBehind {
		return nil
	}
	return w.judge(u, rw, guards.State{Now: w.now})
}

// known is the working row of a broken unit whose entity is known all the same, else nil.
func (w *work) known(u *Unit) *rowWork {
	if u.Key == "" || u.Handler == nil {
		return nil
	}
	return w.row(u)
}

func poison(err error) guards.Verdict {
	return guards.Verdict{Action: guards.DeadLetter, Reason: guards.Poison, Detail: dlq.Text(err.Error(), dlq.MaxErrorBytes)}
}

// mustWait reports whether something that stands before place keeps the unit waiting
// (R9), and when to look again: when that is due, or much later where it is a letter that
// somebody has to deal with.
func (w *work) mustWait(u *Unit, rw *rowWork, place int64) (again time.Duration, wait bool) {
	if w.heldByRebuild(u, rw) {
		u.held = hold{detail: rebuilding}
		return wakeAfterRebuild, true
	}
	if !u.Handler.OrderKept() {
		return 0, false
	}
	none := u.Handler.Stamper.Kind() == guards.KindNone
	for _, e := range rw.queue.Parked {
		if !inStream(&e) && e.Cause != store.CauseReplay && e.Place < place && w.keepsOrder(e.Handler) && (none || e.Cause != store.CauseMissing) {
			u.held = hold{id: e.ID, cause: e.Cause}
			return max(e.Due.Sub(w.now), wakeLater), true
		}
	}
	if none {
		for _, e := range rw.queue.Letters {
			if e.Place < place {
				u.held = hold{id: e.ID}
				return wakeAfterLetter, true
			}
		}
	}
	return 0, false
}

// inStream reports whether an entry waits for others of a stream alone. What waited for its
// causes, and is tried again, stands before its entity's later events like any other.
func inStream(e *store.QueueEntry) bool {
	return e.Stream != "" && (e.Cause == store.CauseGap || !strings.HasPrefix(e.Stream, handlers.CausalStreams))
}

// keepsOrder reports whether a handler, known by its name, is one whose events wait for
// each other. One that is registered no more does not hold anybody up.
func (w *work) keepsOrder(name string) bool { return w.Wiring.KeepsOrder(name) }

// judge asks the guards, runs the handler and merges what it wrote.
func (w *work) judge(u *Unit, rw *rowWork, s guards.State) error {
	h := u.Handler
	stamp, err := u.stampOf()
	if err != nil {
		w.unitLetter(u, rw, poison(err), &failure{err: err})
		return nil
	}
	s.Stamp, s.Existence, s.Duplicate = stamp, guards.Missing, false
	if rw.row != nil {
		s.Existence = rw.row.State
		columns := h.Writes
		if h.Verb == handlers.VerbModify {
			columns = h.Model.ModifyColumns
		}
		s.Clock = rw.row.Clocks.NewestOf(columns)
	}
	if h.Verb == handlers.VerbModify && h.Vectors() != nil {
		if s.Vector, err = w.seen(u, rw); err != nil {
			w.failed(u, rw, &failure{err: err})
			return nil
		}
	}
	v := w.behindHorizon(u, rw, &s)
	if v.Passed() {
		v = judgeAll(h.Guards, u.Item.Event, &s)
	}
	if v.Passed() && h.Verb == handlers.VerbModify && h.Stream == nil { // numbers were asked for before
		if v = judgeAll([]guards.Guard{h.Stamper}, u.Item.Event, &s); !v.Passed() && isPurged(s.Clock) {
			v = purged(u, &s, stamp.Time, s.Clock.Time)
		}
	}
	switch v.Action {
	case guards.Apply:
	case guards.Discard:
		if emitsMasked(u, v) {
			return w.modify(u, rw, s, &v)
		}
		w.settle(u, rw, v)
		return nil
	case guards.DeadLetter:
		w.unitLetter(u, rw, v, nil)
		return nil
	case guards.Park:
		w.failed(u, rw, &failure{err: &guardWaitError{v}})
		return nil
	}
	if missing := rw.row == nil || rw.row.State == guards.Placeholder; missing && !h.Creates && h.OnMissing != handlers.MissingPlaceholder {
		w.missing(u, rw)
		return nil
	}
	if !w.mayRun(u) {
		return nil
	}
	if u.Refused != nil {
		f := &failure{err: u.Refused}
		f.final, f.reason = w.Classify(u.Refused)
		var p *ProjectionError
		var column *store.PanicError
		if errors.As(u.Refused, &p) {
			f.stack = p.Stack
		} else if errors.As(u.Refused, &column) {
			f.stack = column.Stack
		}
		w.failed(u, rw, f)
		return nil
	}
	switch h.Verb {
	case handlers.VerbSet:
		err = w.set(u, rw, s)
	case handlers.VerbResolve:
		err = w.resolve(u, rw)
	case handlers.VerbModify, handlers.VerbProject:
		err = w.modify(u, rw, s, nil)
	}
	if err == nil {
		w.passed(u)
	}
	return err
}

// guardWaitError is a user's guard that says Park.
type guardWaitError struct{ verdict guards.Verdict }

func (g *guardWaitError) Error() string { return "a guard asks to wait: " + g.verdict.String() }

var errMissing = errors.New("the entity's row is not there")

// missing does what the handler says about a missing row.
func (w *work) missing(u *Unit, rw *rowWork) {
	detail := fmt.Sprintf("%s %s is not there yet", u.Handler.Model.Name, u.Key)
	switch u.Handler.OnMissing {
	case handlers.MissingDiscard:
		w.settle(u, rw, guards.Verdict{Action: guards.Discard, Reason: guards.MissingRow, Detail: detail})
	case handlers.MissingDeadLetter:
		w.unitLetter(u, rw, guards.Verdict{Action: guards.DeadLetter, Reason: guards.MissingRow, Detail: detail}, &failure{err: errMissing})
	case handlers.MissingPark, handlers.MissingPlaceholder:
		if u.Parked == nil {
			w.park(u, rw, store.CauseMissing, time.Second, nil)
			return
		}
		if u.Parked.Expires.IsZero() { // it waited for something else until now
			u.Parked.Expires = w.now.Add(w.MissingFor)
		}
		if !w.now.Before(u.Parked.Expires) {
			w.unitLetter(u, rw, guards.Verdict{Action: guards.DeadLetter, Reason: guards.MissingRow, Detail: detail + ", and the time that it may wait is over"}, &failure{err: errMissing})
			return
		}
		u.held = hold{detail: detail}
		// Look less often the longer it waits: a tenth of the time waited so far.
		waited := w.now.Sub(u.Parked.Expires.Add(-w.MissingFor))
		w.repark(u, store.CauseMissing, min(max(waited/10, time.Second), 5*time.Minute))
	}
}

// failed parks a unit whose run failed, or makes a letter of it.
func (w *work) failed(u *Unit, rw *rowWork, f *failure) {
	_, text, _ := describe(f)
	if asked := (*guardWaitError)(nil); !f.discard && !errors.As(f.err, &asked) {
		w.fell(u, text, u.counts())
		if u.probe { // it uses up no attempt
			w.repark(u, store.CauseRetry, wakeAfterBreaker)
			return
		}
	}
	switch {
	case f.discard:
		var c *handlers.ControlError
		errors.As(f.err, &c)
		w.settle(u, rw, guards.Verdict{Action: guards.Discard, Reason: guards.Refused, Detail: dlq.Text(c.Reason, dlq.MaxErrorBytes)})
		return
	case f.final:
		w.unitLetter(u, rw, guards.Verdict{Action: guards.DeadLetter, Reason: f.reason, Detail: text}, f)
		return
	}
	attempt := 1
	if u.Parked != nil {
		attempt = u.Parked.Attempts + 1
	}
	delay, more := w.Delay(attempt)
	if !more {
		w.unitLetter(u, rw, guards.Verdict{Action: guards.DeadLetter, Reason: guards.Exhausted, Detail: text}, f)
		return
	}
	delay = max(delay, f.after)
	if u.Parked == nil {
		w.park(u, rw, store.CauseRetry, delay, f)
		return
	}
	// The row that was claimed stays as it is: a run whose transaction is refused is
	// repeated from it, and must not count twice.
	p := *u.Parked
	u.Parked = &p
	w.describeFailure(u.Parked, f)
	u.Parked.Attempts = attempt
	w.repark(u, store.CauseRetry, delay)
}

func (w *work) describeFailure(p *store.Parked, f *failure) {
	p.ErrorType, p.Error, p.Stack = describe(f)
	if p.FirstFailed.IsZero() {
		p.FirstFailed = w.now
	}
	p.LastFailed = w.now
}
