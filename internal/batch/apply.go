package batch

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// attempt numbers the run for the handler.
func (u *Unit) attempt() int {
	if u.Parked != nil {
		return u.Parked.Attempts + 1
	}
	return 1
}

// call runs the handler, and once more at once if it fails in a way that may heal.
func (w *work) call(u *Unit, fresh func() reflect.Value) (*handlers.Call, reflect.Value, *failure) {
	if u.Handler.UsesTx && w.loaded.Tx == nil {
		return nil, reflect.Value{}, &failure{err: ErrNeedsTx, broken: ErrNeedsTx}
	}
	for try := 0; ; try++ {
		entity := fresh()
		t := &ownTx{w: w, u: u, entity: entity, call: handlers.Call{
			Event: u.Item.Event, Payload: u.Payload, Entity: entity.Interface(),
			Group: w.Group, Handler: u.Handler.Name, Key: u.Key, Attempt: u.attempt() + try,
		}}
		if u.uncalled = w.Rehearses && u.Handler.External; u.uncalled {
			w.tx = nil
			return &t.call, entity, nil
		}
		f := w.runIn(t)
		if f == nil || try == 1 || f.final || f.discard || f.ended || f.broken != nil || f.after > 0 {
			return &t.call, entity, f
		}
	}
}

// set runs a blind handler, or takes what it said before, and merges it (R1, R2). SQL of its
// own went with the transaction that it ran in, so that it runs again (R19).
func (w *work) set(u *Unit, rw *rowWork, s guards.State) error {
	if u.blind == nil || u.Handler.UsesTx {
		b := w.blind(u)
		if err := b.failure.stops(w.ctx); err != nil {
			return err
		}
		u.blind = b
	}
	if f := u.blind.failure; f != nil {
		return w.undoTx(u, rw, f)
	}
	w.merge(u, rw, &s)
	return w.endTx()
}

func (w *work) blind(u *Unit) *blindRun {
	h := u.Handler
	key, _, err := h.Model.ParseKey(u.Key)
	if err != nil {
		return &blindRun{failure: &failure{err: err, final: true, reason: guards.Poison}}
	}
	c, view, f := w.call(u, func() reflect.Value { return h.Model.New(key) })
	if f != nil {
		return &blindRun{failure: f}
	}
	if field := stray(h, w.untouched(h.Model, key), view); field != "" {
		return &blindRun{failure: rejected(strayError(h, field))}
	}
	for _, name := range c.Kept {
		if _, ok := h.Model.Column(name); !ok {
			return &blindRun{failure: rejected(fmt.Errorf("handler %s keeps the field %s, which model %s does not manage; name one of its handlers.Writes", h.Name, name, h.Model.Name))}
		}
	}
	if c.Deleted {
		if err := mayDelete(h); err != nil {
			return &blindRun{failure: rejected(err)}
		}
	}
	emitted, err := w.emitted(u, c)
	if err != nil {
		return &blindRun{failure: rejected(err)}
	}
	return &blindRun{view: view, kept: c.Kept, deleted: c.Deleted, emitted: emitted}
}

func rejected(err error) *failure { return &failure{err: err, final: true, reason: guards.Rejected} }

var errNobodyCreates = errors.New("handlers.Creates is declared by no handler of the model, so its rows have no beginning and no end; declare it on the creating event's handler")

func mayDelete(h *handlers.Handler) error {
	switch o := h.Model.Existence; {
	case o == nil:
		return fmt.Errorf("handler %s deletes %s, but %w", h.Name, h.Model.Name, errNobodyCreates)
	case o.Verb != h.Verb || o.Verb == handlers.VerbModify && o.Kind != h.Stamper.Kind() || o.Verb == handlers.VerbResolve && o.Event != h.EventType:
		return fmt.Errorf("handler %s deletes %s, whose rows are created by %s; who creates and who deletes must be of one kind", h.Name, h.Model.Name, o)
	}
	return nil
}

// merge writes each field where nothing newer has written it: R2, one rule and no
// special cases.
func (w *work) merge(u *Unit, rw *rowWork, s *guards.State) {
	h, b, stamp := u.Handler, u.blind, s.Stamp
	fields := h.Writes
	if b.deleted {
		fields = union(h.Writes, h.Model.SetColumns)
	}
	made := rw.row == nil
	if made {
		w.make(rw)
	}
	row := rw.row
	won, equal := 0, 0
	var masked []string
	var beatenBy event.Stamp
	var behind event.Stamp // a horizon, and no event, that stands above it
	for _, c := range fields {
		if slices.Contains(b.kept, c.GoName()) && !b.deleted {
			continue
		}
		have := row.Clocks.Stamps[c.Index]
		switch order := stamp.Compare(have); {
		case order > 0:
			switch {
			case u.uncalled: // what the handler would write nobody knows
			case h.MayWrite(c) && !slices.Contains(b.kept, c.GoName()):
				c.Value(row.Entity).Set(c.Value(b.view))
			default:
				c.Value(row.Entity).SetZero()
			}
			row.Clocks.Stamps[c.Index] = stamp
			won++
		case order == 0:
			equal++
		default:
			masked = append(masked, c.GoName())
			if isPurged(have) {
				behind = have
			}
			if have.After(beatenBy) {
				beatenBy = have
			}
		}
	}
	completed := 0
	if h.Creates || b.deleted {
		exists := row.Layout.Exists
		switch order := stamp.Compare(row.Clocks.Stamps[exists]); {
		case order > 0:
			if row.State == guards.Placeholder && !made {
				completed = -1
			}
			row.Clocks.Stamps[exists] = stamp
			w.wake(rw)
			setExistence(row, u.Item.Event.OccurredAt, b.deleted)
			won++
		case order == 0:
			equal++
		default:
			have := row.Clocks.Stamps[exists]
			if isPurged(have) {
				behind = have
			}
			if have.After(beatenBy) {
				beatenBy = have
			}
		}
	}
	v := guards.Verdict{Action: guards.Apply, Reason: guards.Applied, Masked: masked}
	switch {
	case won > 0:
		rw.dirty = true
		w.wrote(u, rw)
	case equal > 0:
		v = guards.Verdict{Action: guards.Discard, Reason: guards.Duplicate, Numbers: compared(h, stamp, stamp)}
	case !behind.IsZero():
		v = purged(u, s, stamp.Time, behind.Time)
	case len(masked) > 0 || !beatenBy.IsZero():
		v = guards.Verdict{Action: guards.Discard, Reason: guards.Superseded, Numbers: compared(h, stamp, beatenBy)}
	}
	if v.Action == guards.DeadLetter {
		w.unitLetter(u, rw, v, nil)
	} else {
		w.send(u, b.emitted)
		w.settle(u, rw, v)
	}
	if made && row.State == guards.Placeholder {
		completed = 1
	}
	w.out.Verdicts[len(w.out.Verdicts)-1].Placeholder = completed
}

func compared(h *handlers.Handler, stamp, against event.Stamp) guards.Comparison {
	c := guards.Comparison{What: h.Stamper.Name(), Event: stamp.Time, Against: against.Time}
	if stamp.Time == against.Time && stamp.Tie != against.Tie {
		c.EventTie, c.AgainstTie = stamp.Tie, against.Tie
	}
	return c
}

func union(a, b []*handlers.Column) []*handlers.Column {
	out := slices.Clone(a)
	for _, c := range b {
		if !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	return out
}

// setExistence brings a row to life or ends it (R13).
func setExistence(row *store.Row, at time.Time, deleted bool) {
	row.State = guards.Alive
	if deleted {
		row.State = guards.Deleted
	}
	if soft := row.Model.SoftDelete; soft != nil {
		soft.Value(row.Entity).Set(reflect.ValueOf(gorm.DeletedAt{Time: at, Valid: deleted}))
		if !deleted {
			soft.Value(row.Entity).SetZero()
		}
	}
}

// modify runs a handler that gets the row. With a verdict that masks what it writes it runs
// for what it emits (R11).
func (w *work) modify(u *Unit, rw *rowWork, s guards.State, masked *guards.Verdict) error {
	h := u.Handler
	// What the handler does depends on this row, so the row is in the guarded
	// statement whatever comes out of it (R15).
	rw.shown = true
	if rw.row != nil && rw.dirty {
		if err := project(rw); err != nil {
			return err
		}
	}
	base := rw.row
	made := base == nil
	if made {
		w.make(rw)
		base, rw.row, rw.dirty = rw.row, nil, false
	}
	c, entity, f := w.call(u, func() reflect.Value { return copyEntity(h.Model, base.Entity) })
	if f == nil {
		if field := stray(h, base.Entity, entity); field != "" {
			f = rejected(strayError(h, field))
		} else if c.Deleted {
			if err := mayDelete(h); err != nil {
				f = rejected(err)
			}
		}
	}
	var emitted []*store.Outbound
	if f == nil {
		var err error
		if emitted, err = w.emitted(u, c); err != nil {
			f = rejected(err)
		}
	}
	if f != nil {
		if err := f.stops(w.ctx); err != nil {
			return err
		}
		return w.undoTx(u, rw, f)
	}
	if masked != nil {
		if err := w.tx.undo(); err != nil { // its SQL is masked like its fields
			return err
		}
		w.send(u, emitted)
		w.settle(u, rw, *masked)
		return nil
	}
	if err := w.keepTx(); err != nil {
		return err
	}
	w.send(u, emitted)
	rw.row, rw.dirty = base, true
	w.wrote(u, rw)
	for _, col := range h.Writes {
		if !slices.Contains(c.Kept, col.GoName()) {
			col.Value(base.Entity).Set(col.Value(entity))
		}
	}
	if h.Stamper.Kind().Clocked() {
		for _, col := range h.Model.ModifyColumns {
			base.Clocks.Stamps[col.Index] = s.Stamp
		}
	}
	if h.Vectors() != nil {
		w.took(u)
	}
	placeholder := 0
	if h.Creates || c.Deleted {
		if !made && base.State == guards.Placeholder {
			placeholder = -1
		}
		w.wake(rw)
		setExistence(base, u.Item.Event.OccurredAt, c.Deleted)
	} else if made && base.State == guards.Placeholder {
		placeholder = 1
	}
	w.settle(u, rw, guards.Pass())
	w.out.Verdicts[len(w.out.Verdicts)-1].Placeholder = placeholder
	return nil
}
