package batch

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// causes is what an entity has seen under guards.Causal, and what waits there for the
// events that it has not (R14). It is the model's: whatever handler got an event, its
// writer's later ones go to any.
type causes struct {
	*work
	model *handlers.Model
	key   store.StreamKey
	rw    *rowWork
	memo  *store.Memo // as loaded
	seen  event.Vector
	// begins: the row was written before anybody noted what it had seen, so that whichever
	// event comes first begins.
	begins bool
	// grew: events that wait may go.
	grew bool
	// waits are in the order of the sums, which is one in which causes come first.
	waits []*wait
	// alone keeps what waits out of this transaction, but for what was claimed (R18).
	alone bool
	err   error // the memo can't be read
}

// causesKey names what an entity has seen. What waits is parked under it, in the place of
// its sum.
func causesKey(h *handlers.Handler, entity string) store.StreamKey {
	return store.StreamKey{Stream: handlers.CausalStreams + h.Model.Table, Entity: entity}
}

// ranked reports whether the unit's place is a sum, and no place among what waits for the
// entity.
func (u *Unit) ranked() bool {
	return u.Parked != nil && strings.HasPrefix(u.Parked.Stream, handlers.CausalStreams)
}

// gatherCauses asks for what the items' entities have seen, for what waits there, and for
// what is needed to judge it along.
func gatherCauses(w *store.Want, items []*Item, memos map[store.MemoKey]bool) {
	asked := map[store.StreamKey]bool{}
	for _, it := range items {
		for _, u := range it.Units {
			if u.Key == "" || u.Handler == nil || u.Handler.Causal == nil {
				continue
			}
			k := causesKey(u.Handler, u.Key)
			if asked[k] {
				continue
			}
			w.Streams = appendNew(w.Streams, asked, k)
			w.Memos = appendNew(w.Memos, memos, store.MemoOf(k))
			for _, h := range u.Handler.Model.Causal {
				if versions, ok := versionsUnder(h, u.Key); ok {
					w.Memos = appendNew(w.Memos, memos, versions)
				}
			}
		}
	}
}

// causes returns the working state of a unit's entity, nil for a unit that does not wait
// for causes.
func (w *work) causes(u *Unit) *causes {
	if u.Handler == nil || u.Handler.Causal == nil || u.Key == "" {
		return nil
	}
	key := causesKey(u.Handler, u.Key)
	if c := w.causal[key]; c != nil {
		return c
	}
	c := &causes{work: w, model: u.Handler.Model, key: key, rw: w.row(u), memo: w.loaded.Memos[store.MemoOf(key)]}
	if w.causal == nil {
		w.causal = map[store.StreamKey]*causes{}
	}
	w.causal[key] = c
	w.inCause = append(w.inCause, c)
	if c.begins = c.memo == nil && !c.clock().IsZero(); c.memo != nil {
		c.recall()
	}
	if l := w.loaded.Streams[key]; l != nil && c.err == nil {
		c.load(l)
	}
	return c
}

// recall reads the memo. It counts while the row's clock is not behind what it was then:
// of a row that was removed or cleared since, nothing has been seen.
func (c *causes) recall() {
	seen, err := store.ParseSeen(c.memo.Body)
	switch {
	case err != nil:
		c.err = fmt.Errorf("what %s %s has seen can't be read in evenkeel_memos (kind %s, scope %s): %w", c.model.Name, c.key.Entity, store.KindCausal, c.key.Stream, err)
	case !seen.At.After(c.clock()):
		c.seen = seen.Vector
	}
}

// clock is the newest stamp that the model's handlers under guards.Causal have left.
func (c *causes) clock() (newest event.Stamp) {
	if c.rw.row == nil {
		return newest
	}
	for _, h := range c.model.Causal {
		if s := c.rw.row.Clocks.NewestOf(h.Writes); s.After(newest) {
			newest = s
		}
	}
	return newest
}

func (c *causes) load(l *store.Stream) {
	c.waits = c.waitsOf(l, func(e *store.QueueEntry) bool {
		return e.Cause == store.CauseGap // others were let go, and are tried again
	}, func(h *handlers.Handler) bool { return h.Causal != nil })
	for _, x := range c.waits {
		if x.unit != nil {
			_, x.remembered = x.unit.onceKey()
		}
	}
}

// live judges a unit that came from the log.
func (c *causes) live(u *Unit, rw *rowWork, s guards.State) error {
	c.alone = c.alone || u.Item.Alone
	missing, lacks, err := c.lacks(u)
	again, held := c.mustWait(u, rw, math.MaxInt64)
	switch {
	case c.err != nil:
		c.failed(u, rw, &failure{err: c.err})
		return nil
	case err != nil:
		c.unitLetter(u, rw, poison(err), &failure{err: err})
	case lacks:
		c.park(u, rw, store.CauseGap, u.Handler.Causal.Wait, nil)
		if x := c.find(c.unitID(u)); x != nil {
			x.verdict.Detail, x.first = c.tell(missing), s.FirstSight
		}
	case held:
		c.park(u, rw, store.CauseBehind, again, nil)
	default:
		if err := c.judge(u, rw, s); err != nil {
			return err
		}
	}
	return c.follow()
}

// tell says what is missing.
func (c *causes) tell(missing event.Component) string {
	return fmt.Sprintf("its writer had seen %s=%d, of which %s %s has seen %d", missing.Node, missing.Count, c.model.Name, c.key.Entity, c.seen.Count(missing.Node))
}

// lacks returns what has to come before a unit; the error makes it poison.
func (c *causes) lacks(u *Unit) (missing event.Component, lacks bool, err error) {
	if _, err := u.stampOf(); err != nil {
		return missing, false, err
	}
	g, e := u.Handler.Stamper.(*guards.VectorGuard), u.Item.Event
	var node string
	if err := caught(func() (err error) { node, err = g.Sender(e); return err }); err != nil {
		return missing, false, err
	}
	if c.begins {
		return missing, false, nil
	}
	missing, lacks = g.Lacks(node, e.Vector, c.seen)
	return missing, lacks, nil
}

// given notes that a unit's handler had its event, or that the event can have no effect any
// more. A conflict counts, too: whoever writes next has seen both versions.
func (w *work) given(u *Unit) {
	c := w.causes(u)
	if c == nil || c.err != nil {
		return
	}
	c.begins, c.grew = false, true
	c.seen = c.seen.Merge(u.Item.Event.Vector)
}

// countSeen counts the event of a whole record's letter that somebody has given up as seen, by
// each entity whose it would have been. What waits there for it follows when these are swept.
func (w *work) countSeen(u *Unit) {
	for _, one := range u.Item.Units {
		c := w.causes(one)
		if c == nil {
			continue
		}
		if c.err != nil {
			w.repark(u, store.CauseSeen, wakeLater)
			return
		}
		c.alone, c.grew = c.alone || u.Item.Alone, true
		c.seen = c.seen.Merge(u.Item.Event.Vector)
	}
	w.release(u, nil)
}

// add lets a unit wait, without writing it yet: its causes may come in this batch.
func (c *causes) add(u *Unit, p *store.Parked, v guards.Verdict) {
	p.Stream, p.Place, p.Expires = c.key.Stream, u.Item.Event.Vector.Sum(), p.Due
	x := &wait{
		QueueEntry: p.Entry(),
		unit:       u, fresh: p, verdict: v,
	}
	c.hold(u, true)
	c.waits = insertWait(c.waits, x)
	c.rw.queue.Parked = append(c.rw.queue.Parked, x.QueueEntry)
}

func (c *causes) find(id string) *wait { return findWait(c.waits, id) }

// drop lets a unit wait no more.
func (c *causes) drop(x *wait) {
	c.waits = slices.DeleteFunc(c.waits, func(o *wait) bool { return o == x })
	if x.fresh != nil {
		c.rw.queue.Parked = slices.DeleteFunc(c.rw.queue.Parked, func(e store.QueueEntry) bool { return e.ID == x.ID })
	}
}

// follow judges what has waited for what came, and asks the policy where more wait than
// may.
func (c *causes) follow() error {
	for {
		for x := c.next(); x != nil; x = c.next() {
			if c.spent() || c.stays(x.unit) { // the rest is due at once
				return nil
			}
			if err := c.run(x); err != nil {
				return err
			}
		}
		if full, err := c.overfull(); !full || err != nil {
			return err
		}
	}
}

// free reports whether a wait may be judged in this transaction. The id of one that is
// remembered is read only for who claims it.
func (c *causes) free(x *wait) bool {
	return x.unit != nil && (x.claimed || !c.alone && !x.remembered)
}

// next is the first whose causes have been seen.
func (c *causes) next() *wait {
	for _, x := range c.waits {
		if !c.free(x) {
			continue
		}
		_, lacks, err := c.lacks(x.unit)
		if _, held := c.mustWait(x.unit, c.rw, math.MaxInt64); err != nil || !lacks && !held {
			return x
		}
	}
	return nil
}

// run judges a unit that has waited.
func (c *causes) run(x *wait) error {
	c.drop(x)
	u := x.unit
	if x.fresh == nil { // the bound was that of the waiting; the row that was loaded stays as it is
		p := *u.Parked
		p.Expires = time.Time{}
		u.Parked = &p
	}
	if _, _, err := c.lacks(u); err != nil || u.Err != nil {
		if u.Err != nil {
			err = u.Err
		}
		c.unitLetter(u, c.rw, poison(err), &failure{err: err})
		return nil
	}
	return c.judge(u, c.rw, guards.State{Now: c.now, FirstSight: x.first})
}

// tried reports whether an event of the entity is tried again, or stands behind one that
// is: it may be what others wait for, and is no gap.
func (c *causes) tried() bool {
	return slices.ContainsFunc(c.rw.queue.Parked, func(e store.QueueEntry) bool {
		return (e.Cause == store.CauseRetry || e.Cause == store.CauseBehind) &&
			slices.ContainsFunc(c.model.Causal, func(h *handlers.Handler) bool { return h.Name == e.Handler })
	})
}

// overfull asks the policy where more wait than may, and reports whether it did anything.
func (c *causes) overfull() (full bool, err error) {
	if len(c.waits) <= c.model.Causal[0].Causal.MaxWaiting || c.tried() {
		return false, nil
	}
	for _, x := range c.waits {
		if c.free(x) {
			return true, c.trip(x, true)
		}
	}
	return false, nil // their own due time comes
}

// trip does what the policy says about an event that has waited to a bound.
func (c *causes) trip(x *wait, full bool) error {
	u := x.unit
	missing, _, _ := c.lacks(u)
	policy := u.Handler.Causal.OnMissing
	c.out.Gaps = append(c.out.Gaps, Gap{Stream: c.key.Stream, Entity: c.key.Entity, Node: missing.Node, Missing: missing.Count, Waiting: x.Place, Policy: policy, Full: full})
	if policy == guards.GapSkip {
		return c.run(x)
	}
	why := fmt.Sprintf("%s; that has not come within %s", c.tell(missing), u.Handler.Causal.Wait)
	if full {
		why = fmt.Sprintf("%s; that has not come, and %d events wait", c.tell(missing), len(c.waits))
	}
	c.drop(x)
	c.unitLetter(u, c.rw, guards.Verdict{Action: guards.DeadLetter, Reason: guards.Gap, Detail: why}, nil)
	return nil
}

// claim takes a unit that a sweeper has found; ok is false for one that does not wait for
// causes any more, and is judged like others.
func (c *causes) claim(u *Unit, due bool) (ok bool) {
	c.alone = c.alone || u.Item.Alone
	if u.Parked.Cause != store.CauseGap {
		return false
	}
	if c.err != nil {
		if due {
			c.failed(u, c.rw, &failure{err: c.err})
		}
		return true
	}
	x := c.find(u.Parked.ID)
	if x != nil && (x.unit == nil || x.unit.Parked.Rev == u.Parked.Rev) {
		x.unit, x.claimed = u, due
		c.ownID(u)
	}
	return true // a lane that was quicker has taken it along
}

// sweep judges what was claimed, and what can follow.
func (c *causes) sweep() error {
	if c.err != nil {
		return nil
	}
	if err := c.follow(); err != nil {
		return err
	}
	for x := c.expired(); x != nil; x = c.expired() {
		if err := c.trip(x, false); err != nil {
			return err
		}
		if err := c.follow(); err != nil {
			return err
		}
	}
	for _, x := range c.waits {
		if x.claimed {
			c.waitOn(x)
		}
	}
	return nil
}

// expired is the first that has waited long enough.
func (c *causes) expired() *wait {
	if c.tried() || c.next() != nil { // which may be what others wait for
		return nil
	}
	for _, x := range c.waits {
		if x.claimed {
			if e := x.unit.Parked.Expires; !e.IsZero() && !c.now.Before(e) {
				return x
			}
		}
	}
	return nil
}

// waitOn gives a claimed unit its next due time.
func (c *causes) waitOn(x *wait) {
	p := *x.unit.Parked
	x.unit.Parked = &p
	again := wakeLater
	if c.tried() || p.Expires.IsZero() {
		p.Expires = c.now.Add(x.unit.Handler.Causal.Wait)
	}
	if left := p.Expires.Sub(c.now); !c.tried() {
		again = max(left, time.Second)
	}
	c.repark(x.unit, store.CauseGap, again)
}

// flush writes what the batch leaves. The memo is always among it: whatever was decided
// depends on it (R15).
func (c *causes) flush() {
	if c.err != nil {
		return
	}
	if c.memo == nil && c.begins {
		return // whichever event is given first still begins
	}
	b := c.out.Batch
	m := &store.Memo{MemoKey: store.MemoOf(c.key), Body: store.Seen{Vector: c.seen, At: c.clock()}.String()}
	if c.memo != nil {
		m.Rev = c.memo.Rev
	}
	b.Memos = append(b.Memos, m)
	ready, left := c.next() != nil, false
	for _, x := range c.waits {
		if x.fresh != nil {
			b.Park = append(b.Park, x.fresh)
			c.verdict(x.unit.Item, x.unit, x.verdict)
		} else if !c.free(x) {
			left = true
		}
	}
	if ready || left && c.grew {
		// Whether those that are left can go is only known once they are read: what one
		// transaction can't take along is due at once.
		b.WakeStreams = append(b.WakeStreams, store.WakeStream{StreamKey: c.key, Next: math.MaxInt64})
	}
}
