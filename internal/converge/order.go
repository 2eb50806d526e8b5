package converge

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
)

// fault is what goes wrong with a batch.
type fault uint8

const (
	noFault fault = iota
	// lost: the process dies before the commit, and the next one judges the batch anew.
	lost
	// again: after the commit the partition is set back to its start and read again.
	again
)

// step is one batch.
type step struct {
	events []int
	fault  fault
}

// order is how events come: an event that comes twice is a producer's duplicate.
type order []step

// plain is an order of batches of one event each.
func plain(events []int) order {
	o := make(order, len(events))
	for i := range events {
		o[i] = step{events: events[i : i+1]}
	}
	return o
}

// list is the order without its batches.
func (o order) list() []int {
	var all []int
	for _, s := range o {
		all = append(all, s.events...)
	}
	return all
}

// only leaves the events out that are not kept.
func (o order) only(kept []int) order {
	var out order
	for _, s := range o {
		if events := slices.DeleteFunc(slices.Clone(s.events), func(e int) bool { return !slices.Contains(kept, e) }); len(events) > 0 {
			out = append(out, step{events, s.fault})
		}
	}
	return out
}

// String numbers events from 1; those of one batch are in brackets.
func (o order) String() string {
	words := make([]string, len(o))
	for i, s := range o {
		numbers := make([]string, len(s.events))
		for j, e := range s.events {
			numbers[j] = fmt.Sprint(e + 1)
		}
		words[i] = strings.Join(numbers, ", ")
		if len(s.events) > 1 {
			words[i] = "[" + words[i] + "]"
		}
	}
	return strings.Join(words, ", ")
}

// variations are the orders to play: for few events all, plain and once varied, for many
// samples.
func (c *Checker) variations() iter.Seq[order] {
	rng := rand.New(rand.NewPCG(c.options.Seed, 0x636f6e7665726765)) //nolint:gosec // repeatable on purpose
	n := len(c.events)
	return func(yield func(order) bool) {
		count := 0
		give := func(o order) bool { count++; return yield(o) }
		if n <= maxFew {
			for p := range permutations(n) {
				if !give(plain(slices.Clone(p))) || !give(c.varied(rng, p)) {
					return
				}
			}
		}
		for count < c.options.Samples {
			p := rng.Perm(n)
			if n > maxFew && !give(plain(p)) || !give(c.varied(rng, p)) {
				return
			}
		}
	}
}

// varied is an order with duplicates, larger batches and crashes.
func (c *Checker) varied(rng *rand.Rand, events []int) order {
	all := slices.Clone(events)
	if !c.options.WithoutDuplicates {
		for range 1 + rng.IntN(2) {
			from := rng.IntN(len(all))
			all = slices.Insert(all, from+1+rng.IntN(len(all)-from), all[from])
		}
	}
	var o order
	for len(all) > 0 {
		n := min(len(all), 1+rng.IntN(3))
		s := step{events: all[:n:n]}
		switch rng.IntN(8) {
		case 0:
			s.fault = lost
		case 1:
			s.fault = again
		}
		o = append(o, s)
		all = all[n:]
	}
	return o
}

// permutations gives all orders of 0 to n-1, the ascending one first. The slice is valid until
// the next.
func permutations(n int) iter.Seq[[]int] {
	return func(yield func([]int) bool) {
		p := make([]int, n)
		for i := range p {
			p[i] = i
		}
		for {
			if !yield(p) {
				return
			}
			// The next one in lexical order (Knuth 7.2.1.2, algorithm L).
			i := n - 2
			for i >= 0 && p[i] > p[i+1] {
				i--
			}
			if i < 0 {
				return
			}
			j := n - 1
			for p[j] < p[i] {
				j--
			}
			p[i], p[j] = p[j], p[i]
			slices.Reverse(p[i+1:])
		}
	}
}
