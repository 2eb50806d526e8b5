package batch

import (
	"fmt"
	"slices"
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// Gap is a gap that has reached a bound (R7, R14).
type Gap struct {
	Stream, Entity string
	// Node is whose event is missing under guards.Causal: Missing is its entry, and Waiting
	// the sum of the vector that waits.
	Node string
	// Missing is the first number that did not come, Waiting the first that waited for it.
	Missing, Waiting int64
	Policy           guards.GapPolicy
	// Full: too many waited. Otherwise they waited too long.
	Full bool
}

// overfull reports whether more wait for numbers than may, and the first that does.
func (sw *streamWork) overfull() (head int64, full bool) {
	if sw.state.Rebuilding { // the numbers that are missing are on their way
		return 0, false
	}
	if !sw.answerable().IsZero() { // they were asked for, and the time decides
		return 0, false
	}
	n := 0
	for _, x := range sw.waits {
		if sw.state.Waits(x.Place) {
			if n++; n == 1 {
				head = x.Place
			}
		}
	}
	if n == 0 && len(sw.state.Ahead) > 0 { // events that nobody waits for leave gaps, too
		head = sw.state.Ahead[0][0]
	}
	if n <= sw.spec.MaxGap && len(sw.state.Ahead) <= sw.spec.MaxGap {
		return 0, false
	}
	_, held := sw.heldInGap(head)
	return head, !held
}

// trip does what the policy says about the gap before number, and reports whether that
// changed anything.
func (sw *streamWork) trip(number int64, full bool) bool {
	g := Gap{Stream: sw.key.Stream, Entity: sw.key.Entity, Missing: sw.state.Next, Waiting: number, Policy: sw.spec.OnGap, Full: full}
	var head []*wait
	for _, x := range sw.waits {
		if sw.state.Waits(x.Place) && (len(head) == 0 || head[0].Place == x.Place) {
			head = append(head, x)
		}
	}
	if g.Policy != guards.GapSkip && len(head) > 0 {
		if sw.alone { // the rows of others were not read
			if head = slices.DeleteFunc(head, func(x *wait) bool { return !x.claimed }); len(head) == 0 {
				return false
			}
		}
		g.Waiting = head[0].Place
		why := fmt.Sprintf("number %d has not come within %s", g.Missing, sw.spec.GapTimeout)
		if full {
			why = fmt.Sprintf("number %d has not come, and %d events wait for it", g.Missing, len(sw.waits))
		}
		if slices.ContainsFunc(head, func(x *wait) bool { return x.unit == nil }) {
			return false // its own due time comes
		}
		if g.Policy == guards.GapReplay {
			if sw.answerable().IsZero() {
				err := sw.ask(head[0], why)
				if err == nil {
					sw.out.Gaps = append(sw.out.Gaps, g)
					return true
				}
				why += "; a replay can't be requested: " + dlq.Text(err.Error(), dlq.MaxErrorBytes/2)
			} else {
				why = fmt.Sprintf("number %d has not come, although a replay was requested, within another %s", g.Missing, sw.spec.GapTimeout)
			}
			g.Policy = guards.GapDeadLetter
		}
		for _, x := range head {
			if x.fresh != nil {
				sw.remove(x.ID)
			}
			x.done = true
			sw.unitLetter(x.unit, sw.row(x.unit), guards.Verdict{
				Action: guards.DeadLetter, Reason: guards.Gap, Detail: why,
				Numbers: guards.Comparison{What: "sequence", Event: x.Place, Against: g.Missing},
			}, nil)
		}
	} else {
		g.Policy = guards.GapSkip // nothing waits that could be kept as a letter
		sw.state.Skip(number)
	}
	sw.out.Gaps = append(sw.out.Gaps, g)
	return true
}

// claim takes a unit that a sweeper has found.
func (sw *streamWork) claim(u *Unit, due bool) {
	sw.alone = sw.alone || u.Item.Alone
	if u.replayed() {
		if due && sw.toReplay[u.Parked.ID] {
			sw.replays = insertWait(sw.replays, &wait{QueueEntry: u.Parked.Entry(), unit: u, claimed: true})
		}
		return
	}
	x := sw.find(u.Parked.ID)
	if x == nil || x.Cause != u.Parked.Cause || x.unit != nil && x.unit.Parked.Rev != u.Parked.Rev {
		// A lane was quicker and took it along, or gave it another due time. What was
		// claimed is no more, and a batch that changes it would be refused each time.
		return
	}
	x.unit, x.claimed = u, due
}

// sweep judges what was claimed, and what can follow.
func (sw *streamWork) sweep() error {
	if err := sw.follow(); err != nil {
		return err
	}
	if err := sw.replayLetters(); err != nil {
		return err
	}
	if n, over := sw.expired(); over && sw.trip(n, false) {
		if err := sw.follow(); err != nil {
			return err
		}
	}
	for _, x := range sw.waits {
		if x.claimed && !x.done {
			sw.waitOn(x)
		}
	}
	return nil
}

// expired returns the highest number that has waited long enough for those before it. Its
// gap is as old as it is, and those before it are older.
func (sw *streamWork) expired() (number int64, over bool) {
	if sw.now.Before(sw.answerable()) {
		return 0, false
	}
	for _, x := range sw.waits {
		if !x.claimed || x.done || x.Cause != store.CauseGap || !sw.state.Waits(x.Place) {
			continue
		}
		if e := x.unit.Parked.Expires; e.IsZero() || sw.now.Before(e) {
			continue
		}
		if _, held := sw.heldInGap(x.Place); !held {
			number, over = x.Place, true
		}
	}
	return number, over
}

// waitOn gives a claimed unit its next due time.
func (sw *streamWork) waitOn(x *wait) {
	p := *x.unit.Parked
	x.unit.Parked = &p
	cause := x.Cause
	var again time.Duration
	if sw.state.Waits(x.Place) {
		var held bool
		if again, held = sw.heldInGap(x.Place); held {
			cause, p.Expires = store.CauseBehind, time.Time{}
		} else {
			if cause != store.CauseGap || p.Expires.IsZero() {
				p.Expires = sw.now.Add(sw.spec.GapTimeout)
			}
			if until := sw.answerable(); until.After(p.Expires) {
				p.Expires = until
			}
			cause, again = store.CauseGap, max(p.Expires.Sub(sw.now), time.Second)
		}
	} else {
		again, _ = sw.held(x.Place)
		if cause == store.CauseGap {
			cause, p.Expires = store.CauseBehind, time.Time{}
		}
	}
	sw.repark(x.unit, cause, again)
}
