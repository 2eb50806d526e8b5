package batch

import (
	"context"
	"fmt"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/breaker"
	"github.com/evenkeel-go/evenkeel/internal/clocks"
	"github.com/evenkeel-go/evenkeel/internal/ledger"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// Layouts are the clocks' layouts of all models.
type Layouts map[*handlers.Model]*clocks.Layout

// LayoutsOf are those of the models, as store.Claim returns them.
func LayoutsOf(models []*handlers.Model, layouts []*clocks.Layout) Layouts {
	by := make(Layouts, len(models))
	for i, m := range models {
		by[m] = layouts[i]
	}
	return by
}

// Judge decides what becomes of events. It holds what does not change between batches.
type Judge struct {
	Wiring   *handlers.Wiring
	Group    string
	Classify Classifier
	// Delay returns how long a unit waits after its given failed attempt (from 1), and
	// false when it has been tried as often as the schedule allows.
	Delay           func(attempt int) (time.Duration, bool)
	MissingFor      time.Duration
	MaxParkedPerKey int
	ServiceVersion  string
	// DeadLetterUnhandled makes letters of events that no handler is registered for.
	DeadLetterUnhandled bool
	// KeepOrigins stores the events that write placeholders, so that they can become
	// letters when nothing completes them.
	KeepOrigins bool
	// Prepare prepares what waits in streams.
	Prepare *Preparer
	// Outbox is needed where handlers emit.
	Outbox Outbox
	// Rehearses: handlers with effects outside the database are not called, and count as
	// ones that write what is there already.
	Rehearses bool
	// Breakers stop handlers that fail (R22); nil: none.
	Breakers *breaker.Breakers
}

// Judged is one verdict, for hooks and metrics.
type Judged struct {
	Item    *Item
	Handler string // empty for a record's verdict
	Entity  string
	Verdict guards.Verdict
	// Placeholder is +1 where the unit made a placeholder and -1 where it completed one.
	Placeholder int
	// Uncalled: in a rehearsal the handler was not called, so that the verdict is that of
	// the guards alone.
	Uncalled bool
}

// Outcome is what a batch does.
type Outcome struct {
	Batch    *store.Batch
	Verdicts []Judged
	Gaps     []Gap
	// Incomplete says that a unit parks whose key's queue was not loaded, so that nobody
	// has asked whether too many wait there. The units know, and Gather asks for it: judge
	// the batch again.
	Incomplete bool
	// Taken is how many of a lane's items were judged: the first ones.
	Taken int
}

// When an order-keeping event is looked at again that finds its head still waiting, at the
// earliest, and one that finds a letter before it.
const (
	wakeLater       = 10 * time.Second
	wakeAfterLetter = 5 * time.Minute
)

// work is one run of a batch.
type work struct {
	*Judge
	ctx     context.Context //nolint:containedctx // a work lives for one call
	layouts Layouts
	loaded  *store.Loaded
	fromLog bool // what is judged comes from the log
	enough  func() bool
	// prepared are the units of parked rows that a sweeper has claimed or read, by id.
	prepared map[string]*Unit
	now      time.Time
	rows     map[*handlers.Model]map[string]*rowWork
	vectors  map[store.MemoKey]*versions
	ids      map[store.IDKey]*idWork
	out      *Outcome
	// causal is what the entities have seen whose events wait for their causes, inCause the
	// same in the order in which they came.
	causal  map[store.StreamKey]*causes
	inCause []*causes

	horizons map[*handlers.Model]horizon
	// streams are those of the batch, inTurn in the order in which they came, taken where
	// the numbers of the record under way stood in theirs.
	streams map[store.StreamKey]*streamWork
	inTurn  []*streamWork
	taken   map[store.StreamKey]guards.Standing
	sent    map[string]bool // ids of Batch.Outbox
	more    bool            // Outcome.Incomplete
	first   bool            // the record under way is at first sight
	tx      *ownTx
	blanks  map[*handlers.Model]reflect.Value // see untouched
	replay  bool                              // the records are read again for rows that are being rebuilt (R20)
}

// rowWork is a row as the batch leaves it so far.
type rowWork struct {
	model  *handlers.Model
	key    string
	row    *store.Row // nil while there is none
	loaded bool
	// dirty: its columns or clocks changed. shown: a decision was based on it, so that
	// its revision must be checked and grow (R15).
	dirty, shown bool
	// absent: a unit was parked or judged on the ground that there is no row.
	absent bool
	// early: what parks here is older than what waits already (R20).
	early bool
	queue store.Queue
	// How many are parked, and letters that block, as loaded.
	parked, letters int

	writers []*Unit // see wrote
	// stub is the row as it was made early, for the SQL of a handler (R19).
	stub *store.Row
}

// Live admits and judges the records of one partition, in the order of their offsets, and
// moves the ledger behind them. The error is ctx's, and then nothing may be written.
func (j *Judge) Live(ctx context.Context, items []*Item, layouts Layouts, loaded *store.Loaded, led ledger.State, now time.Time) (*Outcome, error) {
	state := led.Clone()
	for _, it := range items {
		j.Admit(it, &state, min(state.Next, it.Record.Offset), now)
	}
	out, err := j.Admitted(ctx, items, layouts, loaded, now, nil)
	if err != nil {
		return nil, err
	}
	out.Batch.Ledger = &state
	return out, nil
}

// Admitted judges records that were admitted, in the order of their offsets, and leaves the
// ledger to the caller. Once enough, if it is given, reports true, what is left must wait for
// another batch, and so must what a breaker stops: Outcome.Taken says what is not.
func (j *Judge) Admitted(ctx context.Context, items []*Item, layouts Layouts, loaded *store.Loaded, now time.Time, enough func() bool) (*Outcome, error) {
	w := j.start(ctx, layouts, loaded, now, len(items))
	w.fromLog, w.enough = true, enough
	for i, it := range items {
		if i > 0 && w.spent() || w.shut(it) {
			break
		}
		if err := w.numbered(it); err != nil {
			return nil, err
		}
		w.out.Taken++
	}
	return w.finish()
}

// spent reports whether the handlers of this batch have taken long enough.
func (w *work) spent() bool { return w.enough != nil && w.enough() }

// Waiting judges parked units; those of one key follow each other in the order of their
// places. due reports whether a unit's time has come. Once enough, if it is given, reports
// true, the rest is left, due at once.
func (j *Judge) Waiting(ctx context.Context, units []*Unit, layouts Layouts, loaded *store.Loaded, now time.Time, due func(*store.Parked) bool, enough func() bool) (*Outcome, error) {
	w := j.start(ctx, layouts, loaded, now, len(units))
	w.enough = enough
	w.prepared = make(map[string]*Unit, len(units))
	for _, u := range units {
		if u.found == nil {
			u.found = u.Parked
		}
		u.Parked = u.found // not what an earlier call on the same units has made of it
		w.prepared[u.Parked.ID] = u
	}
	for _, u := range units {
		var err error
		switch {
		case !u.whole || !due(u.Parked):
		case u.Parked.Cause == store.CauseSeen:
			w.countSeen(u)
		case !w.replayShut(u):
			err = w.replayWhole(u)
		}
		if err != nil {
			return nil, err
		}
	}
	for i, u := range units {
		if u.whole {
			continue
		}
		if _, ok := u.streamKey(); ok {
			if err := w.open(u.Item); err != nil {
				w.leave(u, due(u.Parked), err)
				continue
			}
			w.streamOf(u).claim(u, due(u.Parked))
			continue
		}
		if c := w.causes(u); c != nil && c.claim(u, due(u.Parked)) {
			continue
		}
		if i > 0 && w.spent() {
			if due(u.Parked) {
				w.repark(u, u.Parked.Cause, 0)
			}
			continue
		}
		if err := w.waiting(u, due(u.Parked)); err != nil {
			return nil, err
		}
	}
	for _, sw := range w.inTurn {
		if err := sw.sweep(); err != nil {
			return nil, err
		}
	}
	for _, c := range w.inCause {
		if err := c.sweep(); err != nil {
			return nil, err
		}
	}
	return w.finish()
}

func (j *Judge) start(ctx context.Context, layouts Layouts, loaded *store.Loaded, now time.Time, n int) *work {
	return &work{
		Judge: j, ctx: ctx, layouts: layouts, loaded: loaded, now: now,
		rows:  make(map[*handlers.Model]map[string]*rowWork, len(layouts)),
		taken: map[store.StreamKey]guards.Standing{},
		out:   &Outcome{Batch: &store.Batch{Group: j.Group, Now: now}, Verdicts: make([]Judged, 0, n)},
	}
}

// finish collects the rows. They go in key order, so that two lanes lock in one order.
func (w *work) finish() (*Outcome, error) {
	w.out.Incomplete = w.more
	b := w.out.Batch
	for _, sw := range w.inTurn {
		sw.flush()
	}
	for _, byKey := range w.rows {
		for _, rw := range byKey {
			switch {
			case rw.row == nil:
				if rw.absent {
					b.Absent = append(b.Absent, store.AbsentKey{Model: rw.model, Key: rw.key, Parked: rw.parked, Letters: rw.letters})
				}
				continue
			case rw.dirty:
				if err := project(rw); err != nil {
					return nil, err
				}
			case !rw.shown:
				continue
			}
			w.overStub(rw)
			w.keepOrigins(rw)
			if rw.loaded {
				b.Update = append(b.Update, rw.row)
				continue
			}
			b.Insert = append(b.Insert, rw.row)
			if rw.model.Awaited || rw.letters > 0 {
				// Who parks because this row is missing holds the key's lock, and who
				// deals with a letter of it; whoever makes the row takes it too, so
				// that neither overlooks the other.
				b.Absent = append(b.Absent, store.AbsentKey{Model: rw.model, Key: rw.key, Parked: rw.parked, Letters: rw.letters})
			}
		}
	}
	if err := w.putVersions(); err != nil {
		return nil, err
	}
	for _, c := range w.inCause {
		c.flush()
	}
	inOrder := func(a, b *store.Row) int {
		if c := strings.Compare(a.Model.Table, b.Model.Table); c != 0 {
			return c
		}
		return strings.Compare(a.Key, b.Key)
	}
	slices.SortFunc(b.Insert, inOrder)
	slices.SortFunc(b.Update, inOrder)
	slices.SortFunc(b.Absent, func(a, b store.AbsentKey) int { return strings.Compare(a.Key, b.Key) })
	b.IDs = append(b.IDs, w.changedIDs()...)
	return w.out, nil
}

// ProjectionError is a panic of a projection. Like a refusal of the database it shows only
// when the row is complete, and is traced to its event in the same way (R18).
type ProjectionError struct {
	Model string
	Value any
	Stack string
}

func (p *ProjectionError) Error() string {
	return fmt.Sprintf("the projection of %s panicked: %v", p.Model, p.Value)
}

func project(rw *rowWork) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &ProjectionError{Model: rw.model.Name, Value: r, Stack: string(debug.Stack())}
		}
	}()
	rw.model.Project(rw.row.Entity.Interface())
	return nil
}

// row returns the working state of a unit's row.
func (w *work) row(u *Unit) *rowWork {
	m := u.Handler.Model
	if u.brokenKey != "" { // nothing is known of it, and nothing may be written
		return &rowWork{model: m, key: u.brokenKey}
	}
	byKey := w.rows[m]
	if byKey == nil {
		byKey = make(map[string]*rowWork, cap(w.out.Verdicts))
		w.rows[m] = byKey
	}
	rw := byKey[u.Key]
	if rw != nil {
		return rw
	}
	rw = &rowWork{model: m, key: u.Key, early: w.replay}
	if loaded := w.loaded.Rows[m.Table][u.Key]; loaded != nil {
		rw.row, rw.loaded = loaded, true
	}
	if q := w.loaded.Queues[m.Table][u.Key]; q != nil {
		rw.queue = store.Queue{Parked: slices.Clone(q.Parked), Letters: slices.Clone(q.Letters), LastPlace: q.LastPlace}
		rw.parked, rw.letters = len(q.Parked), len(q.Letters)
	}
	byKey[u.Key] = rw
	return rw
}

// make makes the row of a unit that found none.
func (w *work) make(rw *rowWork) {
	rw.row, rw.dirty = w.blank(rw), true
}

func (w *work) blank(rw *rowWork) *store.Row {
	key, _, err := rw.model.ParseKey(rw.key)
	if err != nil {
		// The key came from ParseKey.
		panic("evenkeel: " + err.Error())
	}
	layout := w.layouts[rw.model]
	row := &store.Row{
		Model: rw.model, Layout: layout, Key: rw.key, Entity: rw.model.New(key),
		Clocks: layout.New(), State: guards.Placeholder, Born: w.now, Rebuilding: w.replay,
	}
	w.markPurged(row)
	if rw.model.Existence == nil {
		row.State = guards.Alive // nobody creates these rows, so none is early
	}
	return row
}

// record judges one record; broken says that one of its streams can't be read.
func (w *work) record(it *Item, broken error) error {
	for _, u := range it.Units {
		u.ran, u.why = breaker.Unknown, ""
	}
	s, first := it.state(w.now), it.admission.firstSight
	w.first = first
	if !first && w.stands(w.recordID(it)) {
		w.verdict(it, nil, guards.Verdict{Action: guards.Discard, Reason: guards.Redelivered})
		return nil
	}
	if it.Err != nil {
		w.recordLetter(it, guards.Verdict{Action: guards.DeadLetter, Reason: guards.Poison, Detail: dlq.Text(it.Err.Error(), dlq.MaxErrorBytes)}, &failure{err: it.Err})
		return nil
	}
	if broken != nil {
		// A letter of the whole record takes its number when it is replayed.
		w.recordLetter(it, poison(broken), &failure{err: broken})
		return nil
	}
	if it.Event == nil {
		w.verdict(it, nil, guards.Verdict{Action: guards.Discard, Reason: guards.CompactionMarker})
		return nil
	}
	if len(it.Units) == 0 { // nobody misses it
		w.take(it)
		w.unhandled(it)
		return nil
	}
	if v := it.admission.refused; v != nil && w.objected(it, *v) {
		return nil
	}
	for _, u := range it.Units {
		s.Duplicate = s.Duplicate || w.isDuplicate(u)
	}
	if first {
		if stop := w.objected(it, judgeAll(w.Wiring.Admission, it.Event, &s)); stop {
			return nil
		}
	}
	w.take(it)
	for _, u := range it.Units {
		if err := w.live(u, s); err != nil {
			return err
		}
	}
	return nil
}

// unhandled says what becomes of an event that nobody handles.
func (w *work) unhandled(it *Item) {
	v := guards.Verdict{Action: guards.Discard, Reason: guards.Unhandled}
	if refused := it.admission.refused; refused != nil {
		v.Numbers = refused.Numbers
	}
	if !w.DeadLetterUnhandled {
		w.verdict(it, nil, v)
		return
	}
	v.Action = guards.DeadLetter
	v.Detail = dlq.Text(fmt.Sprintf("no handler is registered for the type %q; register one, or leave Config.DeadLetterUnhandled out", it.Event.Type), dlq.MaxErrorBytes)
	w.recordLetter(it, v, nil)
}

// numbered judges one record, and what it lets go in its streams.
func (w *work) numbered(it *Item) error {
	clear(w.taken)
	broken := w.open(it)
	if broken != nil && w.replay {
		return broken
	}
	if err := w.record(it, broken); err != nil || broken != nil {
		return err
	}
	for _, m := range it.streams {
		if sw := w.streams[m.key]; !sw.alone && !sw.untouched() {
			if err := sw.follow(); err != nil {
				return err
			}
		}
	}
	return nil
}

// judgeAll asks guards one after the other. A verdict that is none, which a guard of the
// user's may return, keeps the event as a letter: it must not vanish. What guards are shown
// is theirs alone; it goes to the heap, so it is made only where there is one to ask.
func judgeAll(gs []guards.Guard, e *event.Event, s *guards.State) guards.Verdict {
	if len(gs) == 0 {
		return guards.Pass()
	}
	shown := *s
	for _, g := range gs {
		v := ask(g, e, &shown)
		switch v.Action {
		case guards.Apply:
			continue
		case guards.Discard, guards.Park, guards.DeadLetter:
			if v.Reason == "" {
				v.Reason = guards.Rejected
			}
			if v.Detail == "" {
				v.Detail = "guard " + g.Name()
			}
		default:
			v = guards.Verdict{
				Action: guards.DeadLetter, Reason: guards.Rejected,
				Detail: fmt.Sprintf("guard %s returned no verdict (%s); let it return guards.Pass() or name an action and a reason", g.Name(), v.Action),
			}
		}
		return v
	}
	return guards.Pass()
}

// ask asks one guard, which may be the user's and panic.
func ask(g guards.Guard, e *event.Event, s *guards.State) (v guards.Verdict) {
	defer func() {
		if r := recover(); r != nil {
			v = guards.Verdict{
				Action: guards.DeadLetter, Reason: guards.Rejected,
				Detail: dlq.Text(fmt.Sprintf("guard %s panicked: %v\n%s", g.Name(), r, debug.Stack()), dlq.MaxErrorBytes),
			}
		}
	}()
	return g.Judge(e, s)
}

// objected does what a phase's guards say about a record, and reports whether one objected.
func (w *work) objected(it *Item, v guards.Verdict) bool {
	switch v.Action {
	case guards.Apply:
		return false
	case guards.Discard:
		w.take(it)
		w.verdict(it, nil, v)
	case guards.Park, guards.DeadLetter:
		// A record can't wait, only its units can; so what a guard would park here
		// is kept as a letter rather than lost.
		v.Action = guards.DeadLetter
		w.recordLetter(it, v, nil)
	}
	return true
}

// isDuplicate reports whether the unit's row carries the event's own stamp, or its id is
// known.
func (w *work) isDuplicate(u *Unit) bool {
	if k, once := u.onceKey(); once && (w.knows(k) || u.Handler.Verb != handlers.VerbSet) {
		return w.knows(k)
	}
	if u.Err != nil || u.Handler.Stamper.Kind() == guards.KindNone {
		return false
	}
	stamp, err := u.stampOf()
	if err != nil {
		return false
	}
	if u.Handler.Stream != nil {
		sw := w.streamOf(u)
		if sw == nil {
			return false
		}
		st := sw.standing(u.Item, false)
		return st.Known && st.Same
	}
	rw := w.row(u)
	if rw.row == nil {
		return false
	}
	if u.Handler.Verb == handlers.VerbResolve {
		return w.holds(u, rw)
	}
	if u.Handler.Verb == handlers.VerbModify {
		return rw.row.Clocks.NewestOf(rw.model.ModifyColumns) == stamp
	}
	// A delete leaves its stamp on all of them, whatever its handler declares (R13).
	for _, c := range rw.model.SetColumns {
		if rw.row.Clocks.Stamps[c.Index] == stamp {
			return true
		}
	}
	return rw.row.Clocks.Stamps[rw.row.Layout.Exists] == stamp
}

func (w *work) recordID(it *Item) string {
	return dlq.UnitID(it.Record.Coordinates, w.Group, "", "")
}

func (w *work) unitID(u *Unit) string { return u.idIn(w.Group) }

// idIn is the unit's id (dlq.UnitID) in a group.
func (u *Unit) idIn(group string) string {
	if u.id == "" {
		name := ""
		if u.Handler != nil {
			name = u.Handler.Name
		}
		u.id = dlq.UnitID(u.Item.Record.Coordinates, group, name, u.Key+u.brokenKey+u.misnamed)
	}
	return u.id
}
