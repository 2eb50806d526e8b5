package framework

import (
	"fmt"
	"slices"
	"strings"

	"github.com/evenkeel-go/evenkeel/internal/store"
)

// ConsumerDifference is something that only some of a group's members handle: while a release
// is rolled out, or where two services share a group. Kafka gives a partition to any member, so
// events are left out by chance.
type ConsumerDifference struct {
	EventType string
	// Handler is one that only some members have of those that handle the type; empty for the
	// type itself, for which the others have no handler at all.
	Handler string
	// With are the owners of the members that have it, Without those of the others. Members of
	// one process have one owner.
	With, Without []string
	// Letters says that events of the type become dead letters in all of Without
	// (Config.DeadLetterUnhandled), instead of being discarded.
	Letters bool
	// Text says it in a sentence, Next what can be done.
	Text, Next string
}

// compare finds what only some of the members handle that run.
func (g *ConsumerGroup) compare() {
	var living []*ConsumerMember
	var handles []store.Handles
	for i := range g.Members {
		if m := &g.Members[i]; !m.Silent {
			living, handles = append(living, m), append(handles, m.Handles)
		}
	}
	owners := func(places []int) (names []string) {
		for _, i := range places {
			if !slices.Contains(names, living[i].Owner) {
				names = append(names, living[i].Owner)
			}
		}
		return names
	}
	for _, gap := range store.HandlesGaps(handles) {
		d := ConsumerDifference{EventType: gap.EventType, Handler: gap.Handler, With: owners(gap.With), Without: owners(gap.Without), Next: store.HandlesMend}
		d.Letters = gap.Handler == "" && !slices.ContainsFunc(gap.Without, func(i int) bool { return !living[i].unhandledLetters })
		with, without := strings.Join(d.With, ", "), strings.Join(d.Without, ", ")
		switch {
		case d.Letters:
			d.Text = fmt.Sprintf("events of type %s become dead letters where %s reads them, which has no handler for them; %s has", d.EventType, without, with)
		case d.Handler == "":
			d.Text = fmt.Sprintf("events of type %s are discarded as unhandled where %s reads them, which has no handler for them; %s has", d.EventType, without, with)
		default:
			d.Text = fmt.Sprintf("handler %s does not run for events of type %s that %s reads, which has no such handler; %s has", d.Handler, d.EventType, without, with)
		}
		g.Differences = append(g.Differences, d)
	}
}
