package store

import (
	"maps"
	"slices"
)

// Handles are the names of the handlers that a member has, by event type. It is nil for a
// member of a release that does not tell.
type Handles map[string][]string

// HandlesGap is something that only some members handle.
type HandlesGap struct {
	EventType string
	// Handler is one that only some have of those who handle the type; empty for the type
	// itself, which others have no handler for at all.
	Handler string
	// With have it, Without don't: places in what HandlesGaps was given.
	With, Without []int
}

// HandlesGaps compares what members of one group handle, in the order of types and names. A
// partition goes to any of them, so what one lacks is left out of the events that it happens
// to read (R22). Members that don't tell are not compared.
func HandlesGaps(members []Handles) (gaps []HandlesGap) {
	types := map[string][]string{}
	for _, m := range members {
		for t, names := range m {
			types[t] = append(types[t], names...)
		}
	}
	add := func(g HandlesGap, has func(Handles) (has, asked bool)) {
		for i, m := range members {
			switch with, asked := has(m); {
			case m == nil || !asked:
			case with:
				g.With = append(g.With, i)
			default:
				g.Without = append(g.Without, i)
			}
		}
		if len(g.Without) > 0 {
			gaps = append(gaps, g)
		}
	}
	for _, t := range slices.Sorted(maps.Keys(types)) {
		add(HandlesGap{EventType: t}, func(m Handles) (bool, bool) { return m[t] != nil, true })
		slices.Sort(types[t])
		for _, name := range slices.Compact(types[t]) {
			add(HandlesGap{EventType: t, Handler: name}, func(m Handles) (bool, bool) { return slices.Contains(m[t], name), m[t] != nil })
		}
	}
	return gaps
}

// HandlesMend is what to do about a gap.
const HandlesMend = "if a release is being rolled out, finish that; if not, two services share the group: give one of them a group of its own, or the handler to both. " +
	"`evenkeel rebuild` of the models concerned makes up for what was left out meanwhile"
