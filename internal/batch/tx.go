package batch

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// ErrNeedsTx says that a unit's handler has SQL of its own (R19) and that what was loaded
// came without a transaction. Gather says which batches need one.
var ErrNeedsTx = errors.New("a handler with SQL of its own needs an open transaction")

// TxError says that what handlers did has cost the batch its transaction. It is traced to its
// event like data that the database refuses (R18).
type TxError struct{ Err error }

func (t *TxError) Error() string { return "the batch has lost its transaction: " + t.Err.Error() }
func (t *TxError) Unwrap() error { return t.Err }

var errTxOver = errors.New("d.Tx was called after its handler had returned")

// ownTx is one run of a handler, and what it does with Delivery.Tx.
type ownTx struct {
	call   handlers.Call
	w      *work
	u      *Unit
	rw     *rowWork
	entity reflect.Value // as the handler has filled it in so far

	mu    sync.Mutex // a handler may have started goroutines
	over  bool
	point store.Savepoint
	db    *gorm.DB
	stub  *store.Row
	// refused: the handler did not declare it. failed: the entity's row can't be made.
	// lost: the database's failure, or another lane's row.
	refused, lost error
	failed        *failure
}

// runIn runs the handler with the transaction lent to it, and says what became of the run. One
// that failed is undone; what is left then is for keepTx or undoTx.
func (w *work) runIn(t *ownTx) *failure {
	t.rw, w.tx = w.row(t.u), t
	t.call.Tx = t.open
	return t.end(w.run(w.ctx, t.u.Handler, &t.call))
}

// open is Delivery.Tx.
func (t *ownTx) open() (*gorm.DB, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.over:
		return nil, errTxOver
	case !t.u.Handler.UsesTx:
		t.refused = handlers.UndeclaredTx(t.u.Handler.Name)
		return nil, t.refused
	case t.lost != nil:
		return nil, t.lost
	case t.failed != nil:
		return nil, t.failed.err
	case t.db != nil:
		return t.db, nil
	}
	if t.point, t.lost = t.w.loaded.Tx.Savepoint(t.w.ctx); t.lost != nil {
		t.point = nil
		return nil, t.lost
	}
	if err := t.flush(); err != nil {
		return nil, err
	}
	t.db = t.point.DB(t.w.ctx)
	return t.db, nil
}

// flush makes the entity's row, if it is not there, so that foreign keys can point to it. It
// goes with the savepoint; what the batch makes of the row is written over it in the end.
func (t *ownTx) flush() error {
	w, rw := t.w, t.rw
	if rw.loaded || rw.stub != nil {
		return nil
	}
	row := w.blank(rw)
	from := t.entity
	if rw.row != nil { // an event before this one has made it, in this batch
		*row = *rw.row
		from = rw.row.Entity
	}
	row.Entity = copyEntity(rw.model, from)
	if err := project(&rowWork{model: rw.model, row: row}); err != nil {
		t.failed = w.failure(w.ctx, err)
		return err
	}
	b := &store.Batch{Group: w.Group, Now: w.now, Insert: []*store.Row{row}}
	if rw.model.Awaited || rw.letters > 0 { // as in work.finish
		b.Absent = []store.AbsentKey{{Model: rw.model, Key: rw.key, Parked: rw.parked, Letters: rw.letters}}
	}
	err := w.loaded.Tx.Flush(w.ctx, b)
	var data *store.DataError
	switch {
	case errors.As(err, &data):
		err = fmt.Errorf("the row of %s %s has to be there before the handler's own SQL, and its table refuses it as it stands; fill d.Entity in before d.Tx is called: %w", rw.model.Name, rw.key, err)
		t.failed = w.failure(w.ctx, err)
	case err != nil:
		t.lost = err
	default:
		row.Rev = w.now.UnixMicro()
		t.stub = row
	}
	return err
}

// end takes the transaction back from the handler.
func (t *ownTx) end(f *failure) *failure {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	var ended store.Ended
	if t.point != nil {
		ended = t.point.Close()
	}
	switch {
	case t.lost != nil:
		return &failure{err: t.lost, broken: t.lost}
	case errors.Is(ended.Class, store.ErrConflict): // a deadlock is nobody's fault
		return &failure{err: ended.Class, broken: ended.Class}
	case f != nil && f.ended:
		return f
	case t.refused != nil:
		f = rejected(t.refused)
	case ended.Refused != nil:
		f = rejected(ended.Refused)
	case t.failed != nil:
		f = t.failed
	case f == nil && ended.Spoiled:
		f = t.w.failure(t.w.ctx, fmt.Errorf("handler %s went on although a statement of its own had failed, after which the transaction can't; return the error, or run what may fail inside d.Tx().Transaction: %w", t.u.Handler.Name, ended.Failed))
	}
	if f == nil {
		return nil
	}
	if err := t.undo(); err != nil {
		if given := ended.Failed; t.w.ctx.Err() == nil && (errors.Is(given, context.DeadlineExceeded) || errors.Is(given, context.Canceled)) {
			// The handler's own deadline has cut a statement off, and with it the
			// connection. The database would be asked in vain for ever.
			err = &TxError{fmt.Errorf("a statement of handler %s was cut off by a deadline of its own: %w", t.u.Handler.Name, given)}
		}
		return &failure{err: err, broken: err}
	}
	return f
}

func (t *ownTx) undo() error {
	if t == nil || t.point == nil {
		return nil
	}
	point := t.point
	t.point = nil
	return point.Undo(t.w.ctx)
}

// undoTx takes back what the handler of a unit that has failed has written.
func (w *work) undoTx(u *Unit, rw *rowWork, f *failure) error {
	if err := w.tx.undo(); err != nil {
		return err
	}
	w.failed(u, rw, f)
	return nil
}

// keepTx makes what the handler has written part of the batch.
func (w *work) keepTx() error {
	t := w.tx
	if t == nil || t.point == nil {
		return nil
	}
	w.tx = nil
	if err := t.point.Keep(w.ctx); err != nil {
		return err
	}
	if t.stub != nil {
		t.rw.stub = t.stub
	}
	return nil
}

// endTx keeps what a Set handler has written unless its event has become a letter.
func (w *work) endTx() error {
	if vs := w.out.Verdicts; vs[len(vs)-1].Verdict.Action == guards.DeadLetter {
		return w.tx.undo()
	}
	return w.keepTx()
}

// overStub makes the row an update of what was made early.
func (w *work) overStub(rw *rowWork) {
	if rw.stub == nil {
		return
	}
	rw.row.Rev, rw.loaded = rw.stub.Rev, true
	if w.KeepOrigins && rw.row.State == guards.Placeholder { // that revision has an origin, too
		w.out.Batch.Origins = append(w.out.Batch.Origins, &store.Origin{
			OriginKey: store.OriginKey{Table: rw.model.Table, Born: rw.row.Born.UnixMicro(), Entity: rw.key},
			Group:     w.Group, Rev: rw.stub.Rev, Record: &event.Record{},
		})
	}
}

// memory is the guard that asks the unit's memory of ids.
func (u *Unit) memory() guards.Guard {
	if u.Handler.Verb == handlers.VerbSet {
		return setMemory{}
	}
	return u.Handler.Stamper
}

// setMemory lets each event of a Set handler through once. Where the ids are forgotten, the
// ledger tells of a record at first sight that it was never run; about the others nobody
// knows.
type setMemory struct{}

func (setMemory) Name() string { return "once, for SQL of its own" }

func (setMemory) Judge(e *event.Event, s *guards.State) guards.Verdict {
	at := event.Micros(e.OccurredAt)
	switch {
	case s.Seen:
		return guards.Verdict{Action: guards.Discard, Reason: guards.Duplicate, Detail: "the id is known"}
	case !s.FirstSight && s.HasHorizon && at <= s.Horizon:
		return guards.Verdict{Action: guards.Discard, Reason: guards.Redelivered, Numbers: guards.Comparison{What: "horizon", Event: at, Against: s.Horizon}}
	}
	return guards.Pass()
}
