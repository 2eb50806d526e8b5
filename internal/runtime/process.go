package runtime

import (
	"errors"
	"slices"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// process commits the records, in one batch if the database takes it, else in halves
// until the culprit stands alone (R18).
func (l *lane) process(records []*event.Record) error {
	at := l.position()
	items := make([]*batch.Item, 0, len(records))
	for _, r := range records {
		r.Cluster, r.TopicID = at.Cluster, at.TopicID
		items = append(items, l.m.Prepare.Prepare(r))
	}
	stack := cut(items)
	for len(stack) > 0 {
		segment := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		split, err := l.attempt(segment)
		if err != nil {
			return err
		}
		if split {
			half := len(segment) / 2
			stack = append(stack, segment[half:], segment[:half])
			// Halves that were not begun can wait for the next owner.
			if l.stopping() {
				return errAbandoned
			}
		}
	}
	return nil
}

// passHole moves the position over offsets at the end of the log that hold no records:
// markers of transactions, or what compaction took away.
func (l *lane) passHole(end int64) error {
	state := l.position()
	from := state.Next
	state = state.Clone()
	state.Advance(end)
	now := l.m.Clock.Now()
	b := &store.Batch{Group: l.m.Group, Ledger: &state, Now: now}
	_, err := l.settle(func() error { return l.m.Store.Commit(l.ctx, b) }, &outcome{Outcome: &batch.Outcome{Batch: b}, began: now, tries: 1})
	if err == nil {
		l.m.log(Debug, "passed offsets without records", "topic", l.p.Topic, "partition", l.p.Number, "from", from, "to", end)
	}
	return err
}

// outcome is an attempt on its way.
type outcome struct {
	*batch.Outcome
	records int
	began   time.Time
	tries   int
	// refusal is the database's, when the batch must be split.
	refusal error
}

// attempt runs a segment until it has committed, and reports whether it must be split.
func (l *lane) attempt(items []*batch.Item) (split bool, err error) {
	began := l.m.Clock.Now()
	suspects := newSuspects(items)
	for try := 1; ; try++ {
		o := &outcome{records: len(items), began: began, tries: try}
		s, err := l.settle(func() error { return l.once(items, o, locks(try)) }, o)
		if err != nil || s == 0 {
			return false, err
		}
		if s != stepSplit {
			continue
		}
		if len(items) > 1 {
			return true, nil
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
				return false, err
			}
		}
	}
}

// settle runs a commit once and does what its error asks for. It returns 0 once the
// batch has committed, and otherwise the step that is left to the caller; the waiting is
// done.
func (l *lane) settle(commit func() error, o *outcome) (step, error) {
	err := commit()
	for err != nil {
		if l.ctx.Err() != nil {
			return 0, errAbandoned
		}
		s, wait := next(err, o.tries)
		switch s {
		case stepAbandon:
			return 0, err
		case stepSplit:
			o.refusal = err
			return s, nil
		case stepLayout:
			if err := l.m.reloadLayouts(l.ctx); err != nil {
				l.m.health.down(partDatabase, err)
			}
			return stepAgain, l.wait(wait)
		case stepSettle:
			err = l.learn()
			continue
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
		at := l.position()
		layouts := l.m.layouts()
		want := batch.Gather(l.m.Group, items, layouts, func(offset int64) bool {
			first, _, _ := at.FirstSight(offset)
			return first
		})
		more := false
		var marks []store.Mark
		err := l.m.transact(l.ctx, want, lock, func(loaded *store.Loaded) (_ *store.Batch, err error) {
			if o.Outcome, err = l.m.Judge.Live(l.ctx, items, layouts, loaded, at, l.m.Clock.Now()); err != nil {
				return nil, err
			}
			if more = o.Incomplete && !again; more {
				return nil, nil //nolint:nilnil // nothing is written yet
			}
			marks = l.out.takeMarks()
			o.Batch.Marks = marks
			return o.Batch, nil
		})
		if err != nil {
			l.out.giveBack(marks)
		}
		if err != nil || !more {
			return err
		}
	}
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
	state := *o.Batch.Ledger
	state.Rev++
	l.out.add(o.Batch.Letters)
	l.setPosition(state)
	for _, letter := range slices.Concat(o.Batch.Letters, o.Batch.SweptLetters) {
		l.m.Observe.Letter(letter)
	}
	l.m.relay.enqueue(l, o.Batch.Letters)
	l.m.relay.enqueue(nil, o.Batch.SweptLetters)
	l.m.gaps(o.Gaps)
	l.m.Observe.Batch(Batch{
		Partition: l.p, Records: o.records, Verdicts: o.Verdicts, Next: state.Next,
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
