package converge

import (
	"fmt"
	"slices"
	"strings"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

const outsideMend = "The handler uses something besides the row and its event: the clock, a random number, the order of a map, a variable that outlives the call, a query, the number of the attempt, or where its record stands in the log. Take the time from d.Event.OccurredAt and what must be unique from d.Event.ID; sort what comes out of a map; and let what other events say come from the row's fields."

// mend says what to declare, by what the events' handlers have declared so far.
func (c *Checker) mend(d difference, ds []difference, o order) []string {
	if h := c.missing(ds); h != nil {
		return []string{missingMend(h)}
	}
	if d.kind == inEmission {
		for _, u := range c.units[d.emission.event] {
			if len(u.handler.Emits) > 0 {
				return []string{emissionMend(u.handler)}
			}
		}
	}
	writers := c.writers(d, o)
	if d.kind == inField && isProjected(d.column) {
		return []string{pureMend}
	}
	for _, h := range writers {
		switch {
		case h.Stream != nil:
			return []string{sequenceMend(h, ds)}
		case h.Verb == handlers.VerbModify:
			return []string{modifyMend(h, cause(plain(eventsOf(o)), o))}
		case h.Verb == handlers.VerbResolve:
			return []string{fmt.Sprintf("%s is a Resolve, whose row is the same in any order as long as what it writes is a function of the siblings alone. ", h.Name) + outsideMend}
		}
	}
	for _, h := range writers {
		for _, g := range h.Guards {
			return []string{fmt.Sprintf("%s is a Set handler, whose fields are the same in any order, unless something else decides whether it runs. Here that is the guard %s: let it judge by the event alone, or leave it out and let handlers.Project decide by the merged row.", h.Name, g.Name())}
		}
	}
	return []string{outsideMend}
}

// missing finds a handler some event of which found no row in one order and one in another.
func (c *Checker) missing(ds []difference) *handlers.Handler {
	for _, d := range ds {
		if d.kind != inOutcome {
			continue
		}
		for _, what := range d.outcomes {
			if strings.Contains(what, missed) || strings.Contains(what, lettered+string(guards.MissingRow)) {
				return c.wiring.Handler(c.events[d.unit.event].Type, d.unit.handler)
			}
		}
	}
	return nil
}

func missingMend(h *handlers.Handler) string {
	return fmt.Sprintf("%s says handlers.OnMissing(handlers.%s), so that what an event comes to depends on whether its row is there already. Leave OnMissing out, and an early event makes a placeholder; or say handlers.MissingPark, and it waits for its row.", h.Name, h.OnMissing)
}

// writers are the handlers of the events that have to do with a difference.
func (c *Checker) writers(d difference, o order) (hs []*handlers.Handler) {
	for _, i := range eventsOf(o) {
		for _, u := range c.units[i] {
			h := u.handler
			switch {
			case d.kind == inOutcome && h.Name != d.unit.handler,
				d.model != nil && h.Model != d.model,
				d.kind == inField && !h.MayWrite(d.column) && !isProjected(d.column):
			case !slices.Contains(hs, h):
				hs = append(hs, h)
			}
		}
	}
	return hs
}

func modifyMend(h *handlers.Handler, cause string) string {
	const instead = " If the changes commute, as sums do, declare guards.Once(): each event counts once, whenever it comes. If order decides, declare guards.Sequence(): what comes early waits. If the event states a fact, use handlers.Set with a field of its own for each fact, and handlers.Project for what follows from them."
	kind := h.Stamper.Kind()
	switch kind {
	case guards.KindVector:
		if h.Vectors() != nil {
			return fmt.Sprintf("%s is a Modify with guards.ConflictLetters, by which the first of two concurrent events counts and the other becomes a letter, for a person to decide. If your code can decide, use handlers.Resolve: it gets both. If either will do, leave guards.ConflictLetters out.", h.Name)
		}
		fallthrough
	case guards.KindTimestamp, guards.KindVersion, guards.KindLamport:
		return fmt.Sprintf("%s is a Modify under %s: an event that comes after a newer one is discarded, and what it would have done is lost.", h.Name, kind) + instead
	case guards.KindNone:
		if strings.Contains(cause, "twice") {
			return fmt.Sprintf("%s is a Modify under none, which remembers no event, so that one which a producer sends twice counts twice.", h.Name) + instead
		}
		return fmt.Sprintf("%s is a Modify under none, which takes events as they come.", h.Name) + instead
	case guards.KindOnce:
		return fmt.Sprintf("%s is a Modify under once, which counts each event once but in the order in which they come, so that its changes must commute: add and subtract, and never look at what is there. If order decides, declare guards.Sequence(); if the event states a fact, use handlers.Set.", h.Name)
	case guards.KindSequence:
	}
	return outsideMend
}

// sequenceMend is for a Modify under Sequence: the numbers are wrong, or how they begin, or
// the handler looks elsewhere.
func sequenceMend(h *handlers.Handler, ds []difference) string {
	for _, d := range ds {
		for _, what := range d.outcomes {
			if strings.Contains(what, lettered+string(guards.Conflict)) {
				return fmt.Sprintf("%s is a Modify under sequence, and two events of one entity have the same number, of which the first one counts. Let the producer number the events of an entity without gaps and without repeats; or use guards.Lamport() or guards.Timestamp(), which tell equals apart by source and id.", h.Name)
			}
		}
	}
	if h.Stream.FirstSeen {
		return fmt.Sprintf("%s is a Modify under sequence with guards.FirstSeen, which begins with whichever number comes first and discards those before it. Say with guards.From what the first number is; or let an event that carries the whole state begin, with handlers.Baseline.", h.Name)
	}
	return fmt.Sprintf("%s is a Modify under sequence, which keeps the order of its numbers. ", h.Name) + outsideMend
}
