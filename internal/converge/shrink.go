package converge

import (
	"context"
	"iter"
	"slices"
)

// explain shrinks an order that came out otherwise than the given one, and tells it.
func (c *Checker) explain(ctx context.Context, o order, ds []difference) (*Story, error) {
	if differ, err := c.differs(ctx, o); err != nil {
		return nil, err
	} else if !differ {
		return c.unstable(ctx, o, ds)
	}
	o, err := c.fewer(ctx, o)
	if err != nil {
		return nil, err
	}
	if o, err = c.simpler(ctx, o); err != nil {
		return nil, err
	}
	one, err := c.tell(ctx, plain(eventsOf(o)), nil)
	if err != nil {
		return nil, err
	}
	other, err := c.tell(ctx, o, nil)
	if err != nil {
		return nil, err
	}
	if len(compare(one.result, other.result)) == 0 {
		return c.unstable(ctx, o, ds)
	}
	return c.dependence(one, other), nil
}

// eventsOf are the events of an order, each once, as they were given.
func eventsOf(o order) []int {
	all := o.list()
	slices.Sort(all)
	return slices.Compact(all)
}

// differs reports whether an order comes out otherwise than its events in the given order.
func (c *Checker) differs(ctx context.Context, o order) (bool, error) {
	a, err := c.play(ctx, plain(eventsOf(o)), nil)
	if err != nil {
		return false, err
	}
	b, err := c.play(ctx, o, nil)
	return err == nil && len(compare(a, b)) > 0, err
}

// fewer leaves out events while the difference stays, first many at once (Zeller's ddmin).
func (c *Checker) fewer(ctx context.Context, o order) (order, error) {
	for size := max(len(eventsOf(o))/2, 1); ; {
		shrunk := false
		// From the last to the first, so that of equals the first stay.
		for to := len(eventsOf(o)); to > 0 && len(eventsOf(o)) > 1; {
			from := max(to-size, 0)
			less := o.only(slices.Delete(eventsOf(o), from, to))
			if len(less) > 0 {
				differ, err := c.differs(ctx, less)
				if err != nil {
					return nil, err
				}
				if differ {
					o, shrunk = less, true
				}
			}
			to = from
		}
		if size == 1 && !shrunk {
			return o, nil
		}
		size = max(size/2, 1)
	}
}

// maxSearched is the largest number of events whose orders are all searched for the simplest
// that differs. If three are enough, they may be any of the events.
const maxSearched = 4

// simpler finds the simplest order that differs: of as few events as can be, plain if it can
// be. What has too many events for that loses what it can do without.
func (c *Checker) simpler(ctx context.Context, o order) (order, error) {
	events := eventsOf(o)
	candidates := c.simplifications(o)
	switch n := len(events); {
	case n < maxSearched && len(c.events) <= maxFew:
		candidates = c.simple(c.given().list(), n)
	case n <= maxSearched:
		candidates = c.simple(events, n)
	}
	for try := range candidates {
		if differ, err := c.differs(ctx, try); differ || err != nil {
			return try, err
		}
	}
	return o, nil
}

// simple are the orders of up to most of the events, the simplest first.
func (c *Checker) simple(events []int, most int) iter.Seq[order] {
	return func(yield func(order) bool) {
		for size := 1; size <= most; size++ {
			for _, form := range []func([]int) iter.Seq[order]{plainly, c.twice, together, crashing} {
				for some := range subsets(events, size) {
					for p := range permutations(size) {
						picked := make([]int, size)
						for i, j := range p {
							picked[i] = some[j]
						}
						for o := range form(picked) {
							if !yield(o) {
								return
							}
						}
					}
				}
			}
		}
	}
}

func plainly(events []int) iter.Seq[order] {
	return func(yield func(order) bool) { yield(plain(events)) }
}

// twice sends one of the events once more.
func (c *Checker) twice(events []int) iter.Seq[order] {
	return func(yield func(order) bool) {
		if c.options.WithoutDuplicates {
			return
		}
		for i, e := range events {
			for at := i + 1; at <= len(events); at++ {
				if !yield(plain(slices.Insert(slices.Clone(events), at, e))) {
					return
				}
			}
		}
	}
}

func together(events []int) iter.Seq[order] {
	return func(yield func(order) bool) {
		if len(events) > 1 {
			yield(order{{events: events}})
		}
	}
}

func crashing(events []int) iter.Seq[order] {
	return func(yield func(order) bool) {
		for _, f := range []fault{lost, again} {
			for i := range events {
				o := plain(events)
				o[i].fault = f
				if !yield(o) {
					return
				}
			}
		}
	}
}

// subsets are the choices of so many of the events, in their order.
func subsets(events []int, size int) iter.Seq[[]int] {
	return func(yield func([]int) bool) {
		var choose func(from int, some []int) bool
		choose = func(from int, some []int) bool {
			if len(some) == size {
				return yield(slices.Clone(some))
			}
			for i := from; i < len(events); i++ {
				if !choose(i+1, append(some, events[i])) {
					return false
				}
			}
			return true
		}
		choose(0, nil)
	}
}

// simplifications are the order without its faults, duplicates and larger batches.
func (c *Checker) simplifications(o order) iter.Seq[order] {
	return func(yield func(order) bool) {
		var once []int
		for _, e := range o.list() {
			if !slices.Contains(once, e) {
				once = append(once, e)
			}
		}
		calm := slices.Clone(o)
		for i := range calm {
			calm[i].fault = noFault
		}
		for _, try := range []order{plain(once), plain(o.list()), calm} {
			if !yield(try) {
				return
			}
		}
	}
}
