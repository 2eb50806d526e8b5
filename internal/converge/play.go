package converge

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/ledger"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/memory"
)

// result is what is left of an order.
type result struct {
	content  *memory.Content
	outcomes []outcome
	emitted  []emission
}

// outcome is what a unit came to. Whether an event was applied or found itself superseded
// depends on the order, and should: both are "taken". That a second copy was a duplicate
// says nothing about the event.
type outcome struct {
	event           int
	handler, entity string
	what            string
}

const (
	taken    = "taken in"
	refused  = "refused by its handler"
	missed   = "discarded, since its row was not there"
	waits    = "still waiting"
	lettered = "dead letter: "
)

// moment is one thing that happens in an order that is told.
type moment struct {
	kind     momentKind
	verdicts []batch.Judged
}

type momentKind uint8

const (
	live     momentKind = iota // a batch
	undone                     // a batch whose commit is lost
	reread                     // everything once more
	sweeping                   // what was parked
)

// run is one order that is being played.
type run struct {
	*Checker
	ctx      context.Context //nolint:containedctx // lives for one call
	state    ledger.State
	outcomes []outcome
	emitted  []emission
	see      func(*moment)
}

// play plays an order from an empty store; see may be nil.
func (c *Checker) play(ctx context.Context, o order, see func(*moment)) (*result, error) {
	c.orders++
	c.store.Reset()
	c.log, c.now = c.log[:0], c.base
	r := &run{Checker: c, ctx: ctx, see: see}
	state, _, err := c.store.Own(ctx, c.ledgerKey(), "events", group)
	if err != nil {
		return nil, err
	}
	state.Next, state.High = 0, 0
	if r.state, err = c.store.Position(ctx, state); err != nil {
		return nil, err
	}
	for _, s := range o {
		from := int64(len(c.log))
		c.log = append(c.log, s.events...)
		if s.fault == lost {
			if err := r.batch(from, undone); err != nil {
				return nil, err
			}
		}
		if err := r.batch(from, live); err != nil {
			return nil, err
		}
		if s.fault != again {
			continue
		}
		back := r.state.Clone()
		back.Next = 0
		if r.state, err = c.store.Position(ctx, back); err != nil {
			return nil, err
		}
		if err := r.batch(0, reread); err != nil {
			return nil, err
		}
	}
	if err := r.sweep(); err != nil {
		return nil, err
	}
	return r.result(), nil
}

// batch runs what a lane runs: prepare, load, judge, commit.
func (r *run) batch(from int64, kind momentKind) error {
	r.now = r.now.Add(time.Millisecond)
	items := make([]*batch.Item, 0, int64(len(r.log))-from)
	for offset := from; offset < int64(len(r.log)); offset++ {
		items = append(items, r.prepare.Prepare(r.record(offset)))
	}
	out, err := r.judgeLive(items)
	if err != nil {
		return err
	}
	if out.Incomplete {
		if out, err = r.judgeLive(items); err != nil {
			return err
		}
	}
	if kind != undone {
		if err := r.store.Commit(r.ctx, out.Batch); err != nil {
			return err
		}
		r.state = *out.Batch.Ledger
		r.state.Rev++
		r.note(out.Verdicts)
		r.noteEmitted(out.Batch.Outbox)
	}
	r.show(kind, out.Verdicts)
	return nil
}

func (r *run) judgeLive(items []*batch.Item) (*batch.Outcome, error) {
	want := batch.Gather(group, items, r.layouts, func(offset int64) bool {
		first, _, _ := r.state.FirstSight(offset)
		return first
	})
	loaded, err := r.store.Load(r.ctx, want)
	if err != nil {
		return nil, err
	}
	return r.judge.Live(r.ctx, items, r.layouts, loaded, r.state, r.now)
}

func (r *run) show(kind momentKind, verdicts []batch.Judged) {
	if r.see != nil {
		r.see(&moment{kind, verdicts})
	}
}

// idleSweeps ends the sweeping: so often in a row it may settle nothing. The clock moves by
// eight times as much each time, three days in the end, so that every bound on waiting has been
// passed by then.
const idleSweeps = 7

// sweep runs what the sweepers run, with the clock set forward until all is due.
func (r *run) sweep() error {
	for idle := 0; idle < idleSweeps; idle++ {
		due, ok := r.store.LastDue()
		if !ok {
			return nil
		}
		r.now = r.now.Add(time.Second << (3 * idle))
		if due.After(r.now) {
			r.now = due
		}
		settled, err := r.sweepOnce()
		if err != nil {
			return err
		}
		if settled {
			idle = 0
		}
	}
	return nil
}

func (r *run) sweepOnce() (settled bool, err error) {
	now := r.now
	rows, err := r.store.Due(r.ctx, &store.DueQuery{Group: group, Now: now, Lease: time.Minute, Limit: 50, PerKey: 50})
	if err != nil {
		return false, err
	}
	units := make([]*batch.Unit, len(rows))
	items := make([]*batch.Item, len(rows))
	for i, p := range rows {
		units[i] = r.prepare.PrepareParked(p)
		items[i] = units[i].Item
	}
	loaded, err := r.store.Load(r.ctx, batch.Gather(group, items, r.layouts, nil))
	if err != nil {
		return false, err
	}
	out, err := r.judge.Waiting(r.ctx, units, r.layouts, loaded, now, func(p *store.Parked) bool { return !p.Due.After(now) }, nil)
	if err != nil {
		return false, err
	}
	if err := r.store.Commit(r.ctx, out.Batch); err != nil {
		return false, err
	}
	r.note(out.Verdicts)
	r.noteEmitted(out.Batch.Outbox)
	r.show(sweeping, out.Verdicts)
	for i := range out.Verdicts {
		settled = settled || out.Verdicts[i].Verdict.Action != guards.Park
	}
	return settled, nil
}

// note keeps what the verdicts settle.
func (r *run) note(verdicts []batch.Judged) {
	for i := range verdicts {
		if what := settles(verdicts[i].Verdict); what != "" {
			v := &verdicts[i]
			r.outcomes = append(r.outcomes, outcome{r.log[v.Item.Record.Offset], v.Handler, v.Entity, what})
		}
	}
}

// settles says what a verdict means for the event, or nothing.
func settles(v guards.Verdict) string {
	switch v.Action {
	case guards.Apply:
		return taken
	case guards.Park:
		return ""
	case guards.DeadLetter:
		return lettered + string(v.Reason)
	case guards.Discard:
		if what, ok := map[guards.Reason]string{ //nolint:exhaustive // all other reasons mean that it was taken in
			guards.Duplicate: "", guards.Redelivered: "", guards.Refused: refused, guards.MissingRow: missed,
		}[v.Reason]; ok {
			return what
		}
	}
	return taken
}

func (r *run) result() *result {
	content := r.store.Content()
	for _, p := range content.Parked {
		r.outcomes = append(r.outcomes, outcome{r.log[p.Record.Offset], p.Handler, p.Entity, waits})
	}
	slices.SortFunc(r.outcomes, func(a, b outcome) int {
		return cmp.Or(a.event-b.event, cmp.Compare(a.handler, b.handler), cmp.Compare(a.entity, b.entity), cmp.Compare(a.what, b.what))
	})
	return &result{content: content, outcomes: slices.Compact(r.outcomes), emitted: emissions(r.emitted)}
}

// eventOf is the number of a verdict's event.
func (c *Checker) eventOf(v *batch.Judged) int { return c.log[v.Item.Record.Offset] }
