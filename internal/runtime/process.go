package runtime

import (
	"errors"
	"slices"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/ledger"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// process admits the records and commits them, or holds them where they must wait for slow
// ones.
func (l *lane) process(records []*event.Record) error {
	at, now := l.position(), l.m.Clock.Now()
	items := make([]*batch.Item, 0, len(records))
	slow, bytes := false, int64(0)
	for _, r := range records {
		if l.ahead.Reach(r.Offset) {
			l.m.bytes.Add(-size(r))
			continue
		}
		bytes += size(r)
		r.Cluster, r.TopicID = at.Cluster, at.TopicID
		it := l.m.Prepare.Prepare(r)
		l.m.Judge.Admit(it, &l.ahead, l.reached, now)
		l.reached = r.Offset + 1
		items = append(items, it)
		slow = slow || l.m.Judge.Wiring.Slow() && it.Slow()
	}
	if held, _, _ := l.held.size(); slow || held > 0 {
		return l.hold(items)
	}
	err := l.commitAll(items)
	l.m.bytes.Add(-bytes)
	return err
}

// commitAll commits admitted records, in one batch if the database takes it, else in halves
// until the culprit stands alone (R18), and in parts where their handlers take long.
func (l *lane) commitAll(items []*batch.Item) error {
	if len(items) == 0 {
		return nil
	}
	stack := cut(items)
	for len(stack) > 0 {
		segment := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		leave, waited, err := l.leave(segment[0], l.still)
		if err != nil {
			return err
		}
		if waited || len(leave.Probe) > 0 { // what was said before is of another time
			forget(append(stack, segment))
		}
		taken, split, err := l.attemptWith(leave, segment)
		switch {
		case err != nil:
			return err
		case split:
			half := len(segment) / 2
			stack = append(stack, segment[half:], segment[:half])
		case taken < len(segment):
			stack = append(stack, segment[taken:])
		}
		// Parts that were not begun can wait for the next owner.
		if len(stack) > 0 && l.stopping() {
			return errAbandoned
		}
	}
	return nil
}

// passHole moves the position over offsets at the end of the log that hold no records:
// markers of transactions, or what compaction took away.
func (l *lane) passHole(end int64) error {
	from := l.position().Next
	now := l.m.Clock.Now()
	b := &store.Batch{Group: l.m.Group, Now: now}
	_, err := l.settle(func() error {
		bound := bound{lane: l}
		bound.to(b, func(s *ledger.State) { s.Advance(end) })
		return bound.settle(b, l.m.Store.Commit(l.term, b))
	}, &outcome{Outcome: &batch.Outcome{Batch: b}, began: now, tries: 1})
	if err == nil {
		l.ahead.Reach(end)
		l.reached = end
		l.m.log(Debug, "passed offsets without records", "topic", l.p.Topic, "partition", l.p.Number, "from", from, "to", end)
	}
	return err
}

// outcome is an attempt on its way.
type outcome struct {
	*batch.Outcome
	began time.Time
	tries int
	// refusal is the database's, when the batch must be split.
	refusal error
}

// attempt runs a segment until it has committed, and returns how much of it was, or reports
// that it must be split.
func (l *lane) attempt(items []*batch.Item) (taken int, split bool, err error) {
	began := l.m.Clock.Now()
	suspects := newSuspects(items)
	for try := 1; ; try++ {
		o := &outcome{began: began, tries: try}
		s, err := l.settle(func() error { return l.once(items, o, locks(try)) }, o)
		if err != nil {
			return 0, false, err
		}
		if s == 0 {
			return o.Taken, false, nil
		}
		if s != stepSplit {
			continue
		}
		if len(items) > 1 {
			return 0, true, nil
		}
		if !items[0].Alone {
			// What has waited for the event may be what is refused, and is judged for
			// itself then.
			items[0].Alone = true
			continue
		}
		if !suspects.accuse(o.refusal) {
			l.m.log(Error, "the database refuses the record even without its effects; the partition waits", "topic", l.p.Topic, "partition", l.p.Number, "offset", items[0].Record.Offset, "error", o.refusal)
			if err := l.wait(backoff(time.Second, time.Minute, try)); err != nil {
				return 0, false, err
			}
		}
	}
}

// settle runs a commit once and does what its error asks for. It returns 0 once the
// batch has committed, and otherwise the step that is left to the caller; the waiting is
// done.
func (l *lane) settle(commit func() error, o *outcome) (step, error) {
	if err := commit(); err != nil {
		if ended := l.ended(); ended != nil {
			return 0, ended
		}
		s, wait := next(err, o.tries)
		switch s {
		case stepAbandon, stepSettle: // the ledger was asked
			return 0, err
		case stepSplit:
			o.refusal = err
			return s, nil
		case stepLayout:
			if err := l.m.reloadLayouts(l.ctx); err != nil {
				l.m.health.down(partDatabase, err)
			}
			return stepAgain, l.wait(wait)
		case stepAgain:
			if errors.Is(err, store.ErrConflict) {
				l.m.Observe.Conflict(l.p)
			} else {
				l.m.health.down(partDatabase, err)
			}
			return s, l.wait(wait)
		}
	}
	l.m.health.up(partDatabase)
	l.committedBatch(o)
	return 0, nil
}

// once loads, judges and commits. Where judging shows that more must be loaded, it does so
// a second time.
func (l *lane) once(items []*batch.Item, o *outcome, lock bool) error {
	for again := false; ; again = true {
		more, err := l.judge(items, o, lock, again)
		if err != nil || !more {
			return err
		}
	}
}

func (l *lane) judge(items []*batch.Item, o *outcome, lock, again bool) (more bool, err error) {
	layouts := l.m.layouts()
	want := batch.GatherAdmitted(l.m.Group, items, layouts)
	bound := bound{lane: l}
	if lock || want.Tx {
		bound.lock()
	}
	err = l.m.transact(l.term, want, lock, func(loaded *store.Loaded) (_ *store.Batch, err error) {
		if o.Outcome, err = l.m.Judge.Admitted(l.term, items, layouts, loaded, l.m.Clock.Now(), l.m.enough()); err != nil {
			return nil, err
		}
		if more = o.Incomplete && !again; more {
			return nil, nil //nolint:nilnil // nothing is written yet
		}
		if o.Taken == 0 || items[0].Probe && l.m.fell(items[0]) {
			return nil, errShut
		}
		bound.to(o.Batch, func(s *ledger.State) {
			for _, it := range items[:o.Taken] {
				it.Finish(s)
			}
		})
		bound.marks = l.out.takeMarks()
		o.Batch.Marks, o.Batch.Sent = bound.marks.letters, bound.marks.events
		return o.Batch, nil
	})
	if more || o.Outcome == nil {
		bound.unlock()
		return more, err
	}
	return false, bound.settle(o.Batch, err)
}

// bound is a batch that is bound to the ledger as it stands, one at a time: what is under
// way in a lane commits in any order. Whoever locks rows binds first: on SQLite a row's lock
// is the database's, and one that holds it would wait for one that waits for it.
type bound struct {
	lane  *lane
	held  bool
	marks published
}

func (b *bound) lock() {
	if !b.held {
		b.lane.committing.Lock()
		b.held = true
	}
}

func (b *bound) unlock() {
	if b.held {
		b.lane.committing.Unlock()
		b.held = false
	}
}

// to gives the batch the ledger with what it finishes.
func (b *bound) to(w *store.Batch, finish func(*ledger.State)) {
	b.lock()
	state := b.lane.position().Clone()
	finish(&state)
	w.Ledger = &state
}

// settle takes COMMIT's answer, asks the ledger where it was lost (R16), and lets the next
// one go. It returns nil when the batch has committed.
func (b *bound) settle(w *store.Batch, err error) error {
	defer b.unlock()
	var unknown *store.UnknownError
	if errors.As(err, &unknown) {
		if err = b.lane.learn(); errors.Is(err, errUnsettled) {
			// It may still take effect. Whoever is bound next would take the ledger's
			// move for that of a batch of its own.
			b.lane.endTerm(err)
		}
	}
	if err != nil {
		b.lane.out.giveBack(b.marks)
		return err
	}
	state := *w.Ledger
	state.Rev++
	b.lane.out.add(w.Letters)
	b.lane.m.emitted(b.lane, w.Outbox) // in the order of the commits
	b.lane.setPosition(state)
	return nil
}

// learn asks the ledger what became of a COMMIT whose answer was lost (R16). It returns
// nil when the batch has committed, and else an error that makes the lane own its partition
// again and read on from the ledger.
func (l *lane) learn() error {
	at := l.position()
	for try := 1; ; try++ {
		now, err := l.m.Store.Settle(l.ctx, at.Key)
		switch {
		case err != nil:
			if l.ctx.Err() != nil {
				return errAbandoned
			}
			l.m.health.down(partDatabase, err)
			// The answer matters more than a soft stop: only the hard one ends this.
			if err := l.m.Clock.Sleep(l.ctx, backoff(20*time.Millisecond, 2*time.Second, try)); err != nil {
				return errAbandoned
			}
		case now.Epoch != at.Epoch:
			return store.ErrFenced
		case now.Rev == at.Rev+1:
			l.m.log(Info, "a COMMIT whose answer was lost had taken effect", "topic", l.p.Topic, "partition", l.p.Number, "next", now.Next)
			return nil
		default:
			// The transaction may still be on its way. Owning the partition again
			// raises the epoch, which ends it.
			return errUnsettled
		}
	}
}

var errUnsettled = errors.New("the answer to a COMMIT was lost, and it has not taken effect so far")

// committedBatch notes what a committed batch leaves to do.
func (l *lane) committedBatch(o *outcome) {
	for _, letter := range slices.Concat(o.Batch.Letters, o.Batch.SweptLetters) {
		l.m.Observe.Letter(letter)
	}
	l.m.relay.enqueue(letterParcels(l, o.Batch.Letters))
	l.m.relay.enqueue(letterParcels(nil, o.Batch.SweptLetters))
	l.m.gaps(o.Gaps)
	l.m.Observe.Batch(Batch{
		Partition: l.p, Records: o.Taken, Verdicts: o.Verdicts, Next: o.Batch.Ledger.Next,
		Took: l.m.Clock.Now().Sub(o.began), Attempts: o.tries,
	})
}

// suspects finds which unit of a single record the database refuses: one after the other
// is taken out; if that does not help, all are (R18).
type suspects struct {
	units []*batch.Unit
	next  int
}

func newSuspects(items []*batch.Item) *suspects {
	s := &suspects{}
	if len(items) == 1 {
		for _, u := range items[0].Units {
			if u.Err == nil {
				s.units = append(s.units, u)
			}
		}
	}
	return s
}

// accuse marks the next suspects and reports whether there were any left.
func (s *suspects) accuse(refusal error) bool {
	switch {
	case s.next > len(s.units) || len(s.units) == 0:
		return false
	case s.next == len(s.units):
		if len(s.units) == 1 {
			return false
		}
		for _, u := range s.units {
			accuse(u, refusal)
		}
	default:
		for i, u := range s.units {
			u.Clear()
			if i == s.next {
				accuse(u, refusal)
			}
		}
	}
	s.next++
	return true
}
