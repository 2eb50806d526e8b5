package batch

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// replayed reports whether the unit is that of a letter which is replayed.
func (u *Unit) replayed() bool { return u.Parked != nil && u.Parked.Cause == store.CauseReplay }

// findsAnew reports whether the units of a letter have to be found anew: it was made of a
// whole record, or before its entity was known.
func (p *Preparer) findsAnew(row *store.Parked) bool {
	if row.Handler == "" {
		return true
	}
	return row.Stream == "" && row.Replay != nil && row.Replay.Reason == guards.Poison &&
		row.ID != dlq.UnitID(row.Record.Coordinates, row.Group, row.Handler, row.Entity)
}

// replayed judges the unit of a letter. It waits for what stands before it like any other,
// but for its own letter.
func (w *work) replayed(u *Unit, due bool) error {
	if !due {
		return nil
	}
	if !w.replayID(u) {
		return nil
	}
	if u.Err != nil {
		w.unitLetter(u, w.known(u), poison(u.Err), &failure{err: u.Err})
		return nil
	}
	rw := w.row(u)
	if again, wait := w.mustWait(u, rw, u.Parked.Place); wait {
		w.repark(u, store.CauseReplay, again)
		return nil
	}
	return w.judge(u, rw, guards.State{Now: w.now})
}

var errForgotten = errors.New("the event is older than the memory of ids, so that nobody can tell whether it had its effect; look at the row, and then replay the letter with AcceptForgotten (--accept-forgotten), or discard it")

// replayID asks the memory of ids about a letter's unit, and reports whether it goes on. The
// id is its own, but for a letter that the memory itself has refused: that took none, and
// the same event may have come once more since (R8).
func (w *work) replayID(u *Unit) (goes bool) {
	k, ok := u.onceKey()
	if !ok {
		return true
	}
	r, known := u.Parked.Replay, w.loaded.IDs[k]
	here := w.ids[k] != nil // taken by another in this batch
	tookNone := r != nil && r.Reason == guards.Late && r.Compared == "memory"
	switch {
	case here || known != nil && known.Value != "" && known.Value != w.unitID(u), known != nil && known.Value == "" && tookNone:
		w.settle(u, w.row(u), guards.Verdict{Action: guards.Discard, Reason: guards.Duplicate, Detail: "the same event has come once more, and had its effect then"})
		return false
	case known != nil:
		w.remember(&idWork{ID: *known, was: known.Held})
		return true
	}
	forgotten, err := w.forgotten(u)
	if err == nil && forgotten && (r == nil || !r.AcceptForgotten) {
		err = errForgotten
	}
	if err != nil {
		w.unitLetter(u, nil, forgottenVerdict(u, err), &failure{err: err})
		return false
	}
	w.remember(&idWork{ID: store.ID{IDKey: k, Value: w.unitID(u), At: u.Item.Event.OccurredAt}})
	return true
}

// forgotten reports whether an id that is not known may have been forgotten.
func (w *work) forgotten(u *Unit) (bool, error) {
	memo := w.loaded.Memos[store.HorizonOf(u.idKey.Scope)]
	if memo == nil {
		return false, nil
	}
	horizon, err := memo.Horizon()
	return err == nil && event.Micros(u.Item.Event.OccurredAt) <= horizon, err
}

// forgottenVerdict says that of an event nobody knows whether it had its effect, and why.
func forgottenVerdict(u *Unit, why error) guards.Verdict {
	return guards.Verdict{
		Action: guards.DeadLetter, Reason: guards.Late, Detail: dlq.Text(why.Error(), dlq.MaxErrorBytes),
		Numbers: guards.Comparison{What: "memory", Event: event.Micros(u.Item.Event.OccurredAt)},
	}
}

// outcomeOf is what a verdict that ends a unit makes of its letter.
func outcomeOf(v *guards.Verdict) dlq.Outcome {
	switch {
	case v.Action == guards.Apply:
		return dlq.OutcomeApplied
	case v.Reason == guards.Duplicate:
		return dlq.OutcomeDuplicate
	}
	return dlq.OutcomeObsolete
}

// endReplay ends the letter of a unit that has come to its end, and lets go what waited for
// it: at once as far as it is in this batch, the rest by being made due.
func (w *work) endReplay(u *Unit, rw *rowWork, v guards.Verdict) {
	if !u.replayed() {
		return
	}
	w.out.Batch.Resolve = append(w.out.Batch.Resolve, &store.Resolution{ID: u.Parked.ID, Outcome: outcomeOf(&v), Why: v.String(), Failed: dlq.Letter{Attempts: u.Parked.Attempts + 1}})
	own := func(e store.QueueEntry) bool { return e.ID == u.Parked.ID }
	if sw := w.streamOf(u); sw != nil {
		sw.letters = slices.DeleteFunc(sw.letters, own)
		w.out.Batch.WakeStreams = append(w.out.Batch.WakeStreams, store.WakeStream{StreamKey: sw.key, Next: math.MaxInt64})
		return
	}
	if rw != nil && slices.ContainsFunc(rw.queue.Letters, own) {
		rw.queue.Letters = slices.DeleteFunc(rw.queue.Letters, own)
		w.out.Batch.Wake = append(w.out.Batch.Wake, store.QueueKey{Table: rw.model.Table, Entity: rw.key})
	}
}

// failReplay opens a letter again whose replay has failed. It stands where it stood, and
// holds up whom it held up: nobody else has to know.
func (w *work) failReplay(u *Unit, rw *rowWork, v guards.Verdict, f *failure) {
	l := w.letter(u.Item, v, f)
	l.ID, l.Attempts = u.Parked.ID, u.Parked.Attempts+1
	l.Handler, l.Table, l.Entity = u.Parked.Handler, u.Parked.Table, u.Parked.Entity
	l.Fingerprint = dlq.Fingerprint(l)
	w.out.Batch.Resolve = append(w.out.Batch.Resolve, &store.Resolution{ID: l.ID, Why: cmp.Or(l.Error, v.String()), Failed: *l})
	w.verdict(u.Item, u, v)
	w.release(u, rw)
}

// replayWhole judges what is found anew in the record of a letter: never late again, but not
// ahead of its time either, and without moving any position (R6). Units that fail, or wait,
// do so on their own.
func (w *work) replayWhole(u *Unit) error {
	it, handler := u.Item, u.Parked.Handler
	fail := func(v guards.Verdict, err error) error {
		w.failReplay(u, nil, v, &failure{err: err})
		return nil
	}
	switch {
	case it.Err != nil:
		return fail(poison(it.Err), it.Err)
	case u.Refused != nil || u.Err != nil:
		err := u.Refused
		if err == nil {
			err = u.Err
		}
		_, reason := w.Classify(err)
		return fail(guards.Verdict{Action: guards.DeadLetter, Reason: cmp.Or(reason, guards.Exhausted), Detail: dlq.Text(err.Error(), dlq.MaxErrorBytes)}, err)
	}
	units := slices.DeleteFunc(slices.Clone(it.Units), func(one *Unit) bool { return handler != "" && one.Handler.Name != handler })
	if it.Event == nil || len(units) == 0 {
		err := fmt.Errorf("no handler %sis registered for it; register one, or discard the letter", quoted(handler))
		return fail(guards.Verdict{Action: guards.DeadLetter, Reason: guards.Unhandled, Detail: err.Error()}, err)
	}
	if handler != "" {
		if err := w.mended(u, units); err != nil {
			return fail(poison(err), err)
		}
	}
	s := guards.State{FirstSight: true, Now: w.now}
	for _, gs := range [][]guards.Guard{w.Wiring.Decode, w.Wiring.Admission} {
		if handler != "" {
			break // it passed them
		}
		v := judgeAll(gs, it.Event, &s)
		switch v.Action {
		case guards.Apply:
		case guards.Discard:
			w.settle(u, nil, v)
			return nil
		case guards.Park, guards.DeadLetter:
			v.Action = guards.DeadLetter
			w.failReplay(u, nil, v, nil)
			return nil
		}
	}
	if err := w.unforget(u, units); err != nil {
		return fail(forgottenVerdict(u, err), err)
	}
	clear(w.taken)
	if err := w.open(it); err != nil {
		return fail(poison(err), err)
	}
	w.take(it)
	from := len(w.out.Verdicts)
	for _, one := range units {
		if k, ok := one.streamKey(); ok && handler != "" {
			if st := w.taken[k]; st.Known && st.Same { // the number that its record has taken
				w.taken[k] = guards.Standing{Next: one.number()}
			}
		}
		if err := w.live(one, s); err != nil {
			return err
		}
	}
	for _, m := range it.streams {
		if sw := w.streams[m.key]; !sw.alone {
			if err := sw.follow(); err != nil {
				return err
			}
		}
	}
	w.release(u, nil)
	w.endReplay(u, nil, wholeVerdict(it, w.out.Verdicts[from:]))
	return nil
}

// mended says why the letter of a unit that named no entity can't be replayed with those that
// its handler names now, nil if it can.
func (w *work) mended(u *Unit, units []*Unit) error {
	for _, one := range units {
		if one.Err != nil && w.unitID(one) == u.Parked.ID {
			return one.Err // as before: it is the same letter
		}
	}
	unread := dlq.UnitID(u.Item.Record.Coordinates, w.Group, u.Parked.Handler, "") == u.Parked.ID
	if h := units[0].Handler; !unread && len(units) > 1 && h.Stamper.Kind() == guards.KindNone {
		return fmt.Errorf("handler %s names %d entities for this event, and under guards.None nobody can tell which of them have had it; apply what is missing by hand, and discard the letter", h.Name, len(units))
	}
	return nil
}

func quoted(handler string) string {
	if handler == "" {
		return ""
	}
	return fmt.Sprintf("%q ", handler)
}

// unforget asks of a letter's units whether their ids may have been forgotten, and takes
// those ids where somebody has said that it does not matter.
func (w *work) unforget(u *Unit, units []*Unit) error {
	for _, one := range units {
		k, ok := one.onceKey()
		if !ok || w.knows(k) {
			continue
		}
		forgotten, err := w.forgotten(one)
		switch {
		case err != nil:
			return err
		case !forgotten:
		case u.Parked.Replay == nil || !u.Parked.Replay.AcceptForgotten:
			return errForgotten
		default:
			one.accepted = true
		}
	}
	return nil
}

// wholeVerdict is what the verdicts on a record's units come to: it is applied unless none
// of them has anything more to do.
func wholeVerdict(it *Item, verdicts []Judged) guards.Verdict {
	var last guards.Verdict
	for _, j := range verdicts {
		if j.Item != it {
			continue
		}
		if j.Verdict.Action != guards.Discard {
			return guards.Pass()
		}
		if last.Reason == "" || last.Reason == guards.Duplicate {
			last = j.Verdict
		}
	}
	if last.Reason == "" {
		return guards.Pass() // all of its units wait
	}
	return last
}

// replayLetters judges the letters of the stream that are to be replayed, in the order of
// their numbers. Who replays a letter for a gap goes on without what is missing (R7).
func (sw *streamWork) replayLetters() error {
	for _, x := range sw.replays {
		u := x.unit
		if x.Place < sw.state.Next || sw.state.Covered(x.Place) || u.Parked.Replay == nil || u.Parked.Replay.Reason != guards.Gap {
			// Its turn has come, or will.
		} else if _, held := sw.heldInGap(x.Place); !held {
			sw.state.Skip(x.Place)
			if err := sw.follow(); err != nil {
				return err
			}
		}
		if err := sw.replayOne(x); err != nil {
			return err
		}
		if err := sw.follow(); err != nil {
			return err
		}
	}
	return nil
}

func (sw *streamWork) replayOne(x *wait) error {
	again, held := sw.held(x.Place)
	if !held && sw.state.Waits(x.Place) {
		if !sw.bounded(x.Place) {
			sw.unitLetter(x.unit, sw.row(x.unit), guards.Verdict{
				Action: guards.DeadLetter, Reason: guards.Gap,
				Detail:  fmt.Sprintf("number %d has not come, and nothing but this letter waits for it; replay the letter once more to go on without that", sw.state.Next),
				Numbers: guards.Comparison{What: "sequence", Event: x.Place, Against: sw.state.Next},
			}, nil)
			return nil
		}
		again, held = time.Minute, true
	}
	if held {
		x.unit.held = sw.holder(x.Place)
		sw.repark(x.unit, store.CauseReplay, again)
		return nil
	}
	return sw.turn(x.unit, guards.State{Now: sw.now})
}

// bounded reports whether the gap before the number n comes to an end even if what is missing
// never comes: it was asked for, or something is parked for it, whose time runs. That of what
// stands behind a letter does not.
func (sw *streamWork) bounded(n int64) bool {
	return sw.now.Before(sw.answerable()) || slices.ContainsFunc(sw.waits, func(x *wait) bool {
		return !x.done && sw.state.Waits(x.Place) && (x.Cause == store.CauseGap || x.Place < n)
	})
}
