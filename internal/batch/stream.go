package batch

import (
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/sequence"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// membership is a stream that an item's number belongs to.
type membership struct {
	stream *handlers.Stream
	key    store.StreamKey
	// baseline: the event carries the whole state.
	baseline bool
}

// memberships finds the streams of an event: that of its topic, and those of its handlers.
func (p *Preparer) memberships(it *Item) []membership {
	var ms []membership
	add := func(s *handlers.Stream, key string, baseline bool) {
		k := store.StreamKey{Stream: s.NameOn(it.Record.Topic), Entity: key}
		if i := slices.IndexFunc(ms, func(m membership) bool { return m.key == k }); i >= 0 {
			ms[i].baseline = ms[i].baseline || baseline
			return
		}
		ms = append(ms, membership{s, k, baseline})
	}
	if e := it.Event; !e.HasVersion || e.Version == math.MaxInt64 {
		return nil
	}
	if s := p.Wiring.TopicStream; s != nil {
		if key, ok := s.Key(it.Event); ok {
			add(s, key, false)
		}
	}
	for _, u := range it.Units {
		if s := u.Handler.Stream; s != nil && u.Key != "" {
			add(s, u.Key, u.Handler.Baseline)
		}
	}
	return ms
}

// streamKey names the stream that the unit waits for its turn in; ok is false for none.
func (u *Unit) streamKey() (k store.StreamKey, ok bool) {
	entity := u.Key + u.brokenKey // a row that can't be read does not take the number away
	switch {
	case u.Handler == nil || u.Handler.Stream == nil || entity == "":
		return k, false
	case u.Parked != nil:
		return store.StreamKey{Stream: u.Parked.Stream, Entity: entity}, u.Parked.Stream != ""
	case u.Item.Event == nil || !u.Item.Event.HasVersion || u.Item.Event.Version == math.MaxInt64:
		return k, false
	}
	return store.StreamKey{Stream: u.Handler.Stream.NameOn(u.Item.Record.Topic), Entity: entity}, true
}

// number is the unit's place in its stream.
func (u *Unit) number() int64 {
	if u.Parked != nil {
		return u.Parked.Place
	}
	return u.Item.Event.Version
}

// streamWork is a stream of numbers as the batch leaves it so far.
type streamWork struct {
	*work
	spec  *handlers.Stream
	key   store.StreamKey
	rev   int64
	state sequence.State
	// waits are what is parked in the stream, in the order of their numbers, letters the
	// blocking ones.
	waits   []*wait
	letters []store.QueueEntry
	// known are the identities of the numbers that came in this batch.
	known map[int64]string
	// replays are what is parked here to be replayed, and was claimed. The letters are what
	// others wait for, and not these.
	replays  []*wait
	toReplay map[string]bool // all of them, by id
	// alone keeps what waits out of this transaction, but for what was claimed (R18).
	alone bool
}

// wait is a unit that waits in a stream.
type wait struct {
	store.QueueEntry
	unit *Unit // nil for one that was not loaded whole
	// fresh is the row of one that this batch parks, verdict why, and first whether its
	// record is at first sight.
	fresh   *store.Parked
	verdict guards.Verdict
	first   bool
	// claimed: its time has come, and a sweeper has claimed it. done: its row is changed.
	claimed, done bool
	// remembered: the unit has an id that must be known when it is judged.
	remembered bool
}

// waitsForNumbers: it is applied as soon as nothing stands before it.
func (x *wait) waitsForNumbers() bool {
	return x.Cause == store.CauseGap || x.Cause == store.CauseBehind
}

// stream returns the working state of a stream.
func (w *work) stream(spec *handlers.Stream, key store.StreamKey) (*streamWork, error) {
	if sw := w.streams[key]; sw != nil {
		return sw, nil
	}
	sw := &streamWork{work: w, spec: spec, key: key, known: map[int64]string{}, toReplay: map[string]bool{}}
	if !spec.FirstSeen {
		sw.state = sequence.From(spec.From)
	}
	if m := w.loaded.Memos[store.MemoOf(key)]; m != nil {
		var err error
		if sw.state, err = sequence.Parse(m.Body); err != nil {
			return nil, unreadable(m, err)
		}
		sw.rev = m.Rev
	}
	if l := w.loaded.Streams[key]; l != nil {
		sw.waits = w.waitsOf(l, func(e *store.QueueEntry) bool {
			// What is registered no more does not hold anybody up.
			counts := w.Wiring.InStream(e.Handler)
			if counts && e.Cause == store.CauseReplay {
				sw.toReplay[e.ID] = true
				return false
			}
			return counts
		}, func(h *handlers.Handler) bool { return h.Stream != nil })
		for _, e := range l.Letters {
			if w.Wiring.InStream(e.Handler) {
				sw.letters = append(sw.letters, e)
			}
		}
	}
	if w.streams == nil {
		w.streams = map[store.StreamKey]*streamWork{}
	}
	w.streams[key] = sw
	w.inTurn = append(w.inTurn, sw)
	return sw, nil
}

// streamOf is the working state of the unit's stream, nil for a unit without.
func (w *work) streamOf(u *Unit) *streamWork {
	k, ok := u.streamKey()
	if !ok {
		return nil
	}
	return w.streams[k]
}

// standing is where an item's number stands.
func (sw *streamWork) standing(it *Item, baseline bool) guards.Standing {
	n := it.Event.Version
	st := guards.Standing{Next: sw.state.Next, Skipped: sw.state.WasSkipped(n)}
	came, ok := sw.known[n]
	if id := sw.loaded.IDs[numberKey(sw.key, n)]; !ok && id != nil {
		came, ok = id.Value, true
	}
	switch {
	case ok && sw.readAgain(n, came, it):
		// It is the event itself, whose turn comes once more.
	case ok:
		st.Known, st.Same = true, came == identity(it.Event)
	case sw.state.Came(n): // its id is forgotten
		st.Known, st.Same = true, true
	case !sw.state.Begun, baseline && n > st.Next:
		st.Next = n
	}
	return st
}

// numberKey names the id that a number of the stream came with.
func numberKey(k store.StreamKey, n int64) store.IDKey {
	return store.IDKey{Scope: StreamScope(k.Stream), Entity: k.Entity, ID: strconv.FormatInt(n, 10)}
}

// StreamScope is the scope of the ids that tell the duplicate of a number from a conflict.
func StreamScope(stream string) string { return "sequence:" + stream }

// open brings in the streams of an item, before anything is asked about it.
func (w *work) open(it *Item) error {
	for _, m := range it.streams {
		sw, err := w.stream(m.stream, m.key)
		if err != nil {
			return err
		}
		sw.alone = sw.alone || it.Alone
	}
	return nil
}

// take uses up the item's number in its streams, whatever becomes of its units, and notes
// where it stood.
func (w *work) take(it *Item) {
	for _, m := range it.streams {
		sw, n := w.streams[m.key], it.Event.Version
		if sw.untouched() {
			continue // the number has been taken
		}
		st := sw.standing(it, m.baseline)
		w.taken[m.key] = st
		if st.Known || st.Skipped || n < st.Next {
			continue
		}
		sw.known[n] = identity(it.Event)
		if w.loaded.IDs[numberKey(sw.key, n)] == nil {
			w.out.Batch.IDs = append(w.out.Batch.IDs, &store.ID{IDKey: numberKey(sw.key, n), Value: sw.known[n], At: it.Event.OccurredAt})
		}
		if m.baseline {
			sw.state.Rebase(n)
		} else {
			sw.state.Consume(n)
		}
	}
}

// liveNumbered judges a unit under Sequence that came from the log.
func (w *work) liveNumbered(u *Unit, s guards.State) error {
	k, ok := u.streamKey()
	if !ok { // no number, or no key: it has no place in any stream
		err := u.Err
		if err == nil {
			_, err = u.stampOf()
		}
		w.unitLetter(u, nil, poison(err), &failure{err: err})
		return nil
	}
	sw, n := w.streams[k], u.number()
	s.Standing = w.taken[k]
	v := judgeAll([]guards.Guard{u.Handler.Stamper}, u.Item.Event, &s)
	if v.Action == guards.DeadLetter && w.resolvedBefore(w.unitID(u)) {
		// Somebody has said that it counts. Its number is not asked again (R20).
		if v = guards.Pass(); sw.state.Waits(n) {
			v = guards.Verdict{Action: guards.Park, Reason: guards.Gap}
		}
	}
	switch {
	case emitsMasked(u, v) && sw.state.Covered(n) && v.Reason == guards.Superseded:
		return w.modify(u, w.row(u), s, &v)
	case v.Action == guards.Discard:
		w.verdict(u.Item, u, v)
	case v.Action == guards.DeadLetter:
		rw := w.row(u)
		if n < s.Standing.Next {
			rw = nil // a number that is passed holds nothing up
		}
		w.unitLetter(u, rw, v, nil)
	case u.Err != nil:
		w.unitLetter(u, w.row(u), poison(u.Err), &failure{err: u.Err})
	case v.Action == guards.Park && sw.state.Waits(n):
		sw.wait(u, w.row(u), v)
	default:
		if again, held := sw.held(n); held {
			w.park(u, w.row(u), store.CauseBehind, again, nil)
			return nil
		}
		return w.judge(u, w.row(u), s)
	}
	return nil
}

// wait parks a unit until the numbers before it have come.
func (sw *streamWork) wait(u *Unit, rw *rowWork, v guards.Verdict) {
	if again, held := sw.heldInGap(u.number()); held {
		sw.park(u, rw, store.CauseBehind, again, nil) // its time does not run yet
		return
	}
	sw.park(u, rw, store.CauseGap, sw.spec.GapTimeout, nil)
	if x := sw.find(sw.unitID(u)); x != nil {
		x.verdict = v
		x.fresh.Expires = x.fresh.Due
	}
}

// held reports whether something keeps the number n waiting though its turn has come (R9):
// what is parked with a lower one, or a blocking letter.
func (sw *streamWork) held(n int64) (again time.Duration, held bool) { return sw.heldBelow(n, n) }

// heldInGap reports the same of a number whose turn has not come: others that wait for the
// same gap don't count.
func (sw *streamWork) heldInGap(n int64) (again time.Duration, held bool) {
	return sw.heldBelow(sw.state.Next, n)
}

func (sw *streamWork) heldBelow(parked, letters int64) (again time.Duration, held bool) {
	if sw.state.Rebuilding && !sw.replay {
		return wakeAfterRebuild, true
	}
	for _, e := range sw.letters {
		if e.Place < letters && !sw.state.Covered(e.Place) {
			return wakeAfterLetter, true
		}
	}
	for _, x := range sw.waits {
		if x.Place < parked && !sw.state.Covered(x.Place) {
			return max(x.Due.Sub(sw.now), wakeLater), true
		}
	}
	return 0, false
}

func (sw *streamWork) find(id string) *wait { return findWait(sw.waits, id) }

func findWait(waits []*wait, id string) *wait {
	for _, x := range waits {
		if x.ID == id {
			return x
		}
	}
	return nil
}

// waitsOf are the entries of a stream that count, each with its unit if its row was loaded
// whole and its handler is one whose events wait so.
func (w *work) waitsOf(l *store.Stream, counts func(*store.QueueEntry) bool, waits func(*handlers.Handler) bool) (found []*wait) {
	whole := map[string]*store.Parked{}
	for _, p := range l.Rows {
		whole[p.ID] = p
	}
	for _, e := range l.Parked {
		if !counts(&e) {
			continue
		}
		x := &wait{QueueEntry: e}
		if p := whole[e.ID]; p != nil {
			u := w.prepared[e.ID]
			if u == nil || u.Parked.Rev != p.Rev {
				row := *p
				u = w.Prepare.PrepareParked(&row)
			}
			if u.Handler != nil && waits(u.Handler) {
				x.unit = u
			}
		}
		found = append(found, x)
	}
	return found
}

// full is work.full's for a stream.
func (sw *streamWork) full() (head string, full bool) {
	if len(sw.waits) < sw.MaxParkedPerKey {
		return "", false
	}
	return sw.waits[0].ID, true
}

// changed notes what becomes of a row that was loaded.
func (sw *streamWork) changed(p *store.Parked) {
	if x := sw.find(p.ID); x != nil {
		x.Cause, x.Due, x.done = p.Cause, p.Due, true
	}
}

// add lets a unit wait, without writing it yet: what fills the gap may come in this batch.
func (sw *streamWork) add(u *Unit, p *store.Parked, v guards.Verdict) {
	x := &wait{
		QueueEntry: p.Entry(),
		unit:       u, fresh: p, verdict: v, first: sw.first,
	}
	sw.waits = insertWait(sw.waits, x)
}

// insertWait keeps waits in the order of their places, those of one place in that of arrival.
func insertWait(waits []*wait, x *wait) []*wait {
	at, _ := slices.BinarySearchFunc(waits, x.Place, func(x *wait, n int64) int {
		if x.Place <= n {
			return -1
		}
		return 1
	})
	return slices.Insert(waits, at, x)
}

func (sw *streamWork) remove(id string) {
	sw.waits = slices.DeleteFunc(sw.waits, func(x *wait) bool { return x.ID == id })
}

// blockedBy lets the stream wait for a letter.
func (sw *streamWork) blockedBy(id, handler string, number int64) {
	sw.letters = append(sw.letters, store.QueueEntry{ID: id, Handler: handler, Place: number, Stream: sw.key.Stream})
}

// follow applies what has waited for the numbers that came, in their order, and asks the
// policy where more wait than may.
func (sw *streamWork) follow() error {
	for {
		for x := sw.next(); x != nil; x = sw.next() {
			if sw.spent() || sw.stays(x.unit) { // the rest is due at once
				return nil
			}
			if err := sw.run(x); err != nil {
				return err
			}
		}
		if head, full := sw.overfull(); !full || !sw.trip(head, true) {
			return nil
		}
	}
}

// next is the first that can run now.
func (sw *streamWork) next() *wait {
	var before *wait // the first that stays
	for _, x := range sw.waits {
		ready := !x.done && x.unit != nil && (x.claimed || !sw.alone && x.waitsForNumbers())
		if sw.state.Covered(x.Place) {
			if ready {
				return x
			}
			continue
		}
		if sw.state.Waits(x.Place) || before != nil && before.Place < x.Place {
			return nil
		}
		if slices.ContainsFunc(sw.letters, func(e store.QueueEntry) bool { return e.Place < x.Place && !sw.state.Covered(e.Place) }) {
			return nil
		}
		if ready {
			return x
		}
		if before == nil {
			before = x
		}
	}
	return nil
}

func (sw *streamWork) run(x *wait) error {
	u := x.unit
	if x.fresh != nil {
		sw.remove(x.ID)
	} else {
		// The bound was that of the gap. The row that was loaded stays as it is.
		p := *u.Parked
		if x.waitsForNumbers() {
			p.Expires = time.Time{}
		}
		u.Parked = &p
		x.done = true
	}
	return sw.turn(u, guards.State{Now: sw.now, FirstSight: x.first})
}

// turn judges a unit of the stream whose turn has come. What a whole state covers has no
// effect any more, but for what it emits (R11).
func (sw *streamWork) turn(u *Unit, s guards.State) error {
	rw := sw.row(u)
	switch n := u.number(); {
	case sw.state.Covered(n):
		v := sw.covered(n)
		if emitsMasked(u, v) {
			return sw.modify(u, rw, s, &v)
		}
		sw.settle(u, rw, v)
		return nil
	case u.Err != nil:
		sw.unitLetter(u, rw, poison(u.Err), &failure{err: u.Err})
		return nil
	}
	return sw.judge(u, rw, s)
}

// covered is the verdict on a number that a whole state covers.
func (sw *streamWork) covered(n int64) guards.Verdict {
	return guards.Verdict{
		Action: guards.Discard, Reason: guards.Superseded, Detail: "a later event carried the whole state",
		Numbers: guards.Comparison{What: "sequence", Event: n, Against: sw.state.Base},
	}
}

// flush writes what the batch leaves of the stream. Its memo is always among it: what was
// decided depends on it (R15).
func (sw *streamWork) flush() {
	if sw.untouched() {
		return
	}
	b := sw.out.Batch
	b.Memos = append(b.Memos, &store.Memo{
		MemoKey: store.MemoOf(sw.key), Rev: sw.rev, Body: sw.state.String(),
	})
	for _, x := range sw.waits {
		if x.fresh != nil {
			b.Park = append(b.Park, x.fresh)
			sw.verdict(x.unit.Item, x.unit, x.verdict)
		}
	}
	if sw.leavesReady() {
		b.WakeStreams = append(b.WakeStreams, store.WakeStream{StreamKey: sw.key, Next: sw.state.Next})
	}
}

// leavesReady reports whether something could run that did not: what one transaction can't
// take along is due at once.
func (sw *streamWork) leavesReady() bool {
	if sw.state.Rebuilding { // all are woken when that is over
		return false
	}
	for _, x := range sw.waits {
		if sw.state.Waits(x.Place) {
			return false
		}
		if sw.state.Covered(x.Place) && !x.waitsForNumbers() {
			continue
		}
		_, held := sw.held(x.Place)
		return x.waitsForNumbers() && (!held || sw.state.Covered(x.Place))
	}
	return false
}
