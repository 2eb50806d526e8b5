package store

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/evenkeel-go/evenkeel/event"
)

// Seen is what an entity has seen under guards.Causal (R14): the body of a memo of kind
// KindCausal.
type Seen struct {
	// Vector may have more nodes than that of one event.
	Vector event.Vector
	// At is the row's clock when that was written.
	At event.Stamp
}

type storedSeen struct {
	Seen map[string]int64 `json:"seen"`
	Time int64            `json:"time,omitempty"`
	Tie  []byte           `json:"tie,omitempty"`
}

// ParseSeen reads what String has written.
func ParseSeen(body string) (Seen, error) {
	var s storedSeen
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		return Seen{}, fmt.Errorf("the memo of what an entity has seen, %.80q, can't be read: %w", body, err)
	}
	var v event.Vector
	for node, count := range s.Seen {
		v = append(v, event.Component{Node: node, Count: count})
	}
	slices.SortFunc(v, func(a, b event.Component) int { return strings.Compare(a.Node, b.Node) })
	return Seen{Vector: v, At: event.Stamp{Time: s.Time, Tie: string(s.Tie)}}, nil
}

// String is what is stored, as JSON.
func (s Seen) String() string {
	stored := storedSeen{Seen: make(map[string]int64, len(s.Vector)), Time: s.At.Time, Tie: []byte(s.At.Tie)}
	for _, c := range s.Vector {
		stored.Seen[c.Node] = c.Count
	}
	b, err := json.Marshal(stored)
	if err != nil {
		panic("evenkeel: " + err.Error()) // names and numbers always marshal
	}
	return string(b)
}
