package runtime

import (
	"context"
	"errors"
	"time"

	"github.com/evenkeel-go/evenkeel/internal/batch"
)

const (
	// enough is when a batch is cut because its handlers have taken so long: what was
	// judged is committed, so that a revoke or a crash loses little.
	enough = 2 * time.Second
	// heldPerSlot bounds, for each slow handler that may run at once, how many records a
	// lane takes on before it waits for some to finish. There are never more done ranges
	// in its ledger than that, and a batch.
	heldPerSlot = 16
)

// enough returns what tells a batch that begins now when it has taken long enough.
func (m *Member) enough() func() bool {
	end := m.Clock.Now().Add(enough)
	return func() bool { return m.Clock.Now().After(end) }
}

// slot takes one of the places for slow handlers, which all lanes and the sweeper share. It
// returns false when one of the ends comes first.
func (m *Member) slot(ctx context.Context, soft <-chan struct{}) bool {
	select {
	case m.slots <- struct{}{}:
	case <-soft:
		return false
	case <-ctx.Done():
		return false
	}
	return true
}

func (m *Member) freeSlot() { <-m.slots }

func (l *lane) newTerm() { l.term, l.endTerm = context.WithCancelCause(l.ctx) }

// ended says why what is under way must be abandoned, nil if it need not.
func (l *lane) ended() error {
	if l.ctx.Err() != nil {
		return errAbandoned
	}
	return context.Cause(l.term)
}

// quiesce waits until nothing is under way. Whoever does not want to wait for handlers ends
// their context first.
func (l *lane) quiesce() {
	for {
		_, _, under := l.held.size()
		if under == 0 {
			break
		}
		<-l.queue.signal
	}
	l.m.bytes.Add(-l.held.drop())
}

// room reports whether the lane may take on more records.
func (l *lane) room() bool {
	held, bytes, _ := l.held.size()
	return held < heldPerSlot*cap(l.m.slots) && (held == 0 || bytes <= l.m.MaxBytes/4)
}

// hold takes records on of which some are slow or must wait for such, and gives out what can
// go.
func (l *lane) hold(items []*batch.Item) error {
	for _, it := range items {
		l.held.add(it)
	}
	l.dispatch()
	_, err := l.release()
	return err
}

// release commits what of the held records can go as a batch, and reports whether there was
// any.
func (l *lane) release() (bool, error) {
	ks := l.held.batch()
	if len(ks) == 0 {
		return false, nil
	}
	items := make([]*batch.Item, len(ks))
	for i, k := range ks {
		items[i] = k.item
	}
	if err := l.commitAll(items); err != nil {
		return true, err
	}
	l.finished(ks...)
	return true, nil
}

// finished lets go what waited for the records.
func (l *lane) finished(ks ...*link) {
	l.m.bytes.Add(-l.held.finished(ks...))
	l.dispatch()
	l.queue.wake()
}

// dispatch starts the slow records that wait for nothing but a slot.
func (l *lane) dispatch() {
	for k := l.held.next(); k != nil; k = l.held.next() {
		l.m.Spawn.Go("slow", func() {
			defer l.queue.wake()
			defer l.held.ended()
			if err := l.slowly(k); err != nil && !errors.Is(err, errAbandoned) {
				l.endTerm(err)
			}
		})
	}
}

// slowly commits one slow record, in a transaction of its own.
func (l *lane) slowly(k *link) error {
	for {
		leave, waited, err := l.leave(k.item, nil)
		if err != nil {
			return err
		}
		if !l.m.slot(l.term, l.soft) {
			l.m.giveBack(leave)
			return nil
		}
		if waited {
			k.item.Forget()
		}
		taken := 0
		if l.stopping() {
			l.m.giveBack(leave)
			err = errAbandoned
		} else {
			l.m.running.Add(1)
			taken, _, err = l.attemptWith(leave, []*batch.Item{k.item})
			l.m.running.Add(-1)
		}
		l.m.freeSlot()
		if err != nil {
			return err
		}
		if taken > 0 {
			l.finished(k)
			return nil
		}
	}
}
