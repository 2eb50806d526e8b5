package batch_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/clocks"
)

// TestStampsOfOtherReleases: a column that only another release knows keeps its stamp while a
// row is made anew (R20), unless the stamps change their kind: then none may be left (R4).
func TestStampsOfOtherReleases(t *testing.T) {
	t.Parallel()
	for _, other := range []string{"", guards.KindVersion.String()} {
		m := newMemory(t, tickets())
		model := m.model("tickets")
		gens := map[string]int32{"theirs": 1}
		for _, n := range clocks.Names(model) {
			gens[n] = 1
		}
		l := clocks.NewLayout(model, gens, 1)
		l.Other = other
		m.layouts[model] = l
		m.run(m.log(opened(12, "a")))
		theirs := event.Stamp{Time: 7, Tie: "theirs"}
		m.rows["tickets"]["t1"].Clocks.Stamps[len(l.Names)-1] = theirs
		b, _, err := m.judge.Blank(model, []string{"t1"}, m.layouts, m.load(), nil, m.now)
		require.NoError(t, err)
		if newest := b.Update[0].Clocks.Newest(); other == "" {
			require.Equal(t, theirs, newest)
		} else {
			require.True(t, newest.IsZero())
		}
	}
}
