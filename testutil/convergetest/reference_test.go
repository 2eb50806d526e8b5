package convergetest_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/converge"
)

// What follows says, from all events at once and without any code of the runtime, what must
// be written where the oracle has no rule: under numbers, and by a resolver.

// setting is how a random set's handlers are declared.
type setting struct {
	onGap guards.GapPolicy
	// parks: an event whose order was not created waits for it, and is given up in the end.
	parks bool
}

// logOf is what the moves of an order come to. The highest whole state begins anew; from
// there on each number is written, in order, until one fails for good or is missing for good.
func logOf(es []*event.Event, f func(*event.Event) facts, s setting) string {
	byNumber, top := map[int64]*event.Event{}, int64(0)
	exists, begin, log := false, int64(1), ""
	for _, e := range es {
		byNumber[e.Version] = e
		top = max(top, e.Version)
		exists = exists || e.Type == "created" || e.Type == "deleted"
		if e.Type == "counted" && e.Version >= begin {
			begin, log = e.Version+1, fmt.Sprintf("=%d;", f(e).N)
		}
	}
	for n := begin; n <= top; n++ {
		e := byNumber[n]
		switch {
		case e == nil:
			waiting := slices.ContainsFunc(es, func(e *event.Event) bool { return e.Version > n && e.Type == "moved" })
			if waiting && s.onGap == guards.GapDeadLetter {
				return log
			}
		case e.Type != "moved" || s.parks && !exists:
		case f(e).Bad && f(e).N == 0:
			return log
		default:
			log += fmt.Sprintf("%d;", f(e).N)
		}
	}
	return log
}

// tagsOf is what the versions of a cart come to, none of which another one has seen. Two
// that have seen the same are both kept.
func tagsOf(es []*event.Event, f func(*event.Event) facts, s setting) []string {
	var tags []string
	exists := slices.ContainsFunc(es, func(e *event.Event) bool { return e.Type == "created" || e.Type == "deleted" })
	for _, e := range es {
		if e.Type != "changed" || s.parks && !exists {
			continue
		}
		if !slices.ContainsFunc(es, func(o *event.Event) bool { return o.Type == "changed" && hasSeen(o, e) }) {
			tags = append(tags, f(e).Tags...)
		}
	}
	slices.Sort(tags)
	return slices.Compact(tags)
}

// hasSeen reports whether o was made with e in sight.
func hasSeen(o, e *event.Event) bool {
	count := func(e *event.Event, node string) int64 {
		for _, c := range e.Vector {
			if c.Node == node {
				return c.Count
			}
		}
		return 0
	}
	more := false
	for _, node := range []string{"left", "right"} {
		if count(o, node) < count(e, node) {
			return false
		}
		more = more || count(o, node) > count(e, node)
	}
	return more
}

// theOrder is the only row, or a blank one.
func theOrder(t *testing.T, c *converge.Checker) Order {
	t.Helper()
	content, err := c.Reference(t.Context())
	require.NoError(t, err)
	for _, r := range content.Rows {
		o, ok := r.Entity.Interface().(*Order)
		require.True(t, ok)
		return *o
	}
	return Order{}
}

func policies(onGap guards.GapPolicy, parks bool) (setting, handlers.OnMissingPolicy) {
	if parks {
		return setting{onGap, true}, handlers.MissingPark
	}
	return setting{onGap, false}, handlers.MissingPlaceholder
}
