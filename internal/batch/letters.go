package batch

import (
	"fmt"
	"slices"
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// verdict records what became of a record (u nil) or unit (R12).
func (w *work) verdict(it *Item, u *Unit, v guards.Verdict) {
	j := Judged{Item: it, Verdict: v}
	line := store.Verdict{Coordinates: it.Record.Coordinates, Verdict: v}
	if it.Event != nil {
		line.EventType, line.Source, line.EventID = it.Event.Type, it.Event.Source, it.Event.ID
		line.Entity = it.Event.Key
	}
	if u != nil {
		j.Entity, line.Entity, j.Uncalled = u.Key, u.Key, u.uncalled
		if u.Handler != nil {
			j.Handler, line.Handler, line.Table = u.Handler.Name, u.Handler.Name, u.Handler.Model.Table
		}
	}
	w.out.Verdicts = append(w.out.Verdicts, j)
	if v.Action != guards.Apply || len(v.Masked) > 0 {
		w.out.Batch.Verdicts = append(w.out.Batch.Verdicts, line)
	}
}

// settle records a verdict that ends the unit, and lets go of its parked row.
func (w *work) settle(u *Unit, rw *rowWork, v guards.Verdict) {
	w.hold(u, false)
	w.verdict(u.Item, u, v)
	w.release(u, rw)
	w.endReplay(u, rw, v)
	w.given(u)
}

func (w *work) release(u *Unit, rw *rowWork) {
	if u.Parked == nil {
		return
	}
	w.out.Batch.Release = append(w.out.Batch.Release, u.Parked.Mark())
	if sw := w.streamOf(u); sw != nil {
		sw.remove(u.Parked.ID)
	}
	if rw == nil {
		return
	}
	rw.queue.Parked = slices.DeleteFunc(rw.queue.Parked, func(e store.QueueEntry) bool { return e.ID == u.Parked.ID })
	w.throughRow(u, rw)
}

// throughRow makes a change of the entity's queue visible to every lane that has loaded
// the old one: it goes through the row's revision, or, where no row is wanted, through
// the key's lock (R9). Set handlers never wait, so their parked rows hold up nobody.
func (w *work) throughRow(u *Unit, rw *rowWork) {
	if !needsQueue(u.Handler) {
		return
	}
	if rw.row == nil {
		rw.absent = true
		return
	}
	rw.shown = true
}

// park lets a unit wait.
func (w *work) park(u *Unit, rw *rowWork, cause store.Cause, delay time.Duration, f *failure) {
	if w.full(u, rw, f) {
		return
	}
	p := &store.Parked{
		ID: w.unitID(u), Group: w.Group, Table: u.Handler.Model.Table, Entity: u.Key, Handler: u.Handler.Name,
		Cause: cause, Rev: 1, Due: w.now.Add(delay),
		EventType: u.Item.Event.Type, Source: u.Item.Event.Source, EventID: u.Item.Event.ID, OccurredAt: u.Item.Event.OccurredAt,
		Codec: u.Item.Codec, Record: u.Item.Record,
	}
	v := guards.Verdict{Action: guards.Park, Reason: guards.Reason(cause)}
	if cause == store.CauseMissing {
		p.Expires = w.now.Add(w.MissingFor)
	}
	if f != nil {
		w.describeFailure(p, f)
		p.Attempts = 1
		v.Detail = p.Error
	}
	if cause == store.CauseGap && u.Handler.Causal != nil {
		w.causes(u).add(u, p, v)
		return
	}
	if rw.row == nil && needsQueue(u.Handler) && w.wantsRow(u) {
		w.make(rw)
	}
	w.throughRow(u, rw)
	w.hold(u, true)
	if sw := w.streamOf(u); sw != nil {
		p.Stream, p.Place = sw.key.Stream, u.number()
		sw.add(u, p, v)
		if cause == store.CauseMissing { // whoever makes the row wakes it
			rw.queue.Parked = append(rw.queue.Parked, p.Entry())
		}
		return
	}
	p.Place = rw.place()
	rw.queue.Parked = append(rw.queue.Parked, p.Entry())
	w.out.Batch.Park = append(w.out.Batch.Park, p)
	w.verdict(u.Item, u, v)
}

// full makes a letter of a newcomer where too many wait already.
func (w *work) full(u *Unit, rw *rowWork, f *failure) bool {
	var head string
	if sw := w.streamOf(u); sw != nil {
		var full bool
		if head, full = sw.full(); !full {
			return false
		}
	} else {
		w.wantQueue(u)
		if len(rw.queue.Parked) < w.MaxParkedPerKey {
			return false
		}
		head = rw.queue.Parked[0].ID
	}
	if f == nil {
		f = &failure{err: fmt.Errorf("%d events wait for %s %s already, the first as %s: mend what holds that one up, then replay this letter", w.MaxParkedPerKey, u.Handler.Model.Name, u.Key, head)}
	}
	w.unitLetter(u, rw, guards.Verdict{Action: guards.DeadLetter, Reason: guards.Behind, Detail: dlq.Text(f.err.Error(), dlq.MaxErrorBytes)}, f)
	return true
}

// wantQueue notes that what is parked under the unit's key has to be known. It is not read
// for handlers that never wait, since few of their events ever park; the batch is judged
// again with it.
func (w *work) wantQueue(u *Unit) {
	if u.queued || u.Parked != nil || loadsQueue(u.Handler) || u.Handler.Model.Awaited {
		return
	}
	u.queued, w.more = true, true
}

// wantsRow reports whether a placeholder may stand for the missing row.
func (w *work) wantsRow(u *Unit) bool {
	// A refused unit must not bring its refusal along once more in a placeholder.
	return u.Refused == nil && (u.Handler.Creates || u.Handler.OnMissing == handlers.MissingPlaceholder)
}

// place gives out the next place under the key.
func (rw *rowWork) place() int64 {
	if rw.early {
		return rw.earlyPlace()
	}
	rw.queue.LastPlace++
	return rw.queue.LastPlace
}

// repark lets a parked unit wait on.
func (w *work) repark(u *Unit, cause store.Cause, delay time.Duration) {
	if u.Parked.Cause == store.CauseReplay {
		cause = store.CauseReplay // whatever it waits for, its letter says so until that is over
	}
	p := *u.Parked
	p.Cause, p.Due = cause, w.now.Add(delay)
	if sw := w.streamOf(u); sw != nil {
		sw.changed(&p)
	}
	if u.Handler != nil && u.Key != "" { // those behind it in this batch are to know
		for i, e := range w.row(u).queue.Parked {
			if e.ID == p.ID {
				w.row(u).queue.Parked[i].Cause, w.row(u).queue.Parked[i].Due = p.Cause, p.Due
			}
		}
	}
	w.out.Batch.Repark = append(w.out.Batch.Repark, &p)
	if cause != u.Parked.Cause {
		w.verdict(u.Item, u, guards.Verdict{Action: guards.Park, Reason: guards.Reason(cause), Detail: p.Error})
	}
}

// recordLetter makes a letter of a whole record.
func (w *work) recordLetter(it *Item, v guards.Verdict, f *failure) {
	l := w.letter(it, v, f)
	l.ID = w.recordID(it)
	l.Fingerprint = dlq.Fingerprint(l)
	w.out.Batch.Letters = append(w.out.Batch.Letters, l)
	w.verdict(it, nil, v)
}

// unitLetter makes a letter of one unit; rw is nil when the unit has no entity.
func (w *work) unitLetter(u *Unit, rw *rowWork, v guards.Verdict, f *failure) {
	if isPoison(u, v) {
		w.fell(u, v.Detail, u.counts())
	}
	w.hold(u, true)
	if u.replayed() {
		w.failReplay(u, rw, v, f)
		return
	}
	l := w.letter(u.Item, v, f)
	l.ID = w.unitID(u)
	if u.Handler != nil {
		l.Handler, l.Table = u.Handler.Name, u.Handler.Model.Table
		if rw != nil {
			if stamp, err := u.stampOf(); err == nil {
				l.Stamp = stamp
			}
		}
	}
	if key := u.Key + u.brokenKey; key != "" {
		l.Entity = key
	}
	if p := u.Parked; p != nil {
		l.Handler, l.Table, l.Attempts = p.Handler, p.Table, p.Attempts
		if !u.ranked() {
			l.Place = p.Place
		}
		if !p.FirstFailed.IsZero() {
			l.FirstFailed = p.FirstFailed
		}
		if f != nil {
			l.Attempts++
		}
	}
	if sw := w.streamOf(u); sw != nil {
		l.Stream, l.Place = sw.key.Stream, u.number()
		if l.Blocking = rw != nil && blocks(v.Reason); l.Blocking {
			sw.blockedBy(l.ID, l.Handler, l.Place)
		}
	}
	if rw != nil && u.Handler.OrderKept() && blocks(v.Reason) {
		l.Blocking = true
		if u.Parked == nil || u.ranked() {
			l.Place = rw.place()
		}
		rw.queue.Letters = append(rw.queue.Letters, store.QueueEntry{ID: l.ID, Handler: l.Handler, Place: l.Place})
		if rw.row == nil && w.wantsRow(u) {
			w.make(rw)
		}
		w.throughRow(u, rw)
	}
	l.Fingerprint = dlq.Fingerprint(l)
	if w.fromLog && u.Parked != nil {
		// Its offset was passed when it was parked.
		w.out.Batch.SweptLetters = append(w.out.Batch.SweptLetters, l)
	} else {
		w.out.Batch.Letters = append(w.out.Batch.Letters, l)
	}
	w.verdict(u.Item, u, v)
	w.release(u, rw)
	if c := w.causes(u); c != nil && v.Reason == guards.Conflict { // c is where a discard will count it as seen
		w.given(u)
	}
}

// blocks reports whether an entity's later events wait for such a letter (R9).
func blocks(r guards.Reason) bool {
	return slices.Contains([]guards.Reason{guards.Exhausted, guards.Poison, guards.Rejected, guards.Constraint, guards.Behind, guards.Gap, guards.Conflict}, r)
}

func (w *work) letter(it *Item, v guards.Verdict, f *failure) *dlq.Letter {
	l := &dlq.Letter{
		Rev: 1, State: dlq.Open, Group: w.Group, Verdict: v, Attempts: 1,
		FirstFailed: w.now, LastFailed: w.now, CreatedAt: w.now,
		ServiceVersion: w.ServiceVersion, Record: it.Record,
	}
	if e := it.Event; e != nil {
		l.EventType, l.Source, l.EventID, l.OccurredAt, l.Entity = e.Type, e.Source, e.ID, e.OccurredAt, e.Key
		l.Vector = e.Vector
		if w.Wiring.Stamper != nil {
			l.Stamp = stampOf(w.Wiring.Stamper, e)
		}
	}
	if f != nil {
		l.ErrorType, l.Error, l.Stack = describe(f)
	}
	return l
}

func stampOf(s guards.Stamper, e *event.Event) event.Stamp {
	stamp, err := s.Stamp(e, true)
	if err != nil {
		return event.Stamp{}
	}
	return stamp
}

// wake makes the events that wait for the row due at once: the due time would find them
// too, only later (R9).
func (w *work) wake(rw *rowWork) {
	for _, e := range rw.queue.Parked {
		if e.Cause == store.CauseMissing || e.Cause == store.CauseReplay {
			w.out.Batch.Wake = append(w.out.Batch.Wake, store.QueueKey{Table: rw.model.Table, Entity: rw.key})
			return
		}
	}
}
