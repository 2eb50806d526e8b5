// Package sequence keeps how far a stream of numbers has come (R7). It is pure.
package sequence

import (
	"encoding/json"
	"fmt"
	"slices"
)

// Span is a run of numbers, both ends included.
type Span [2]int64

// State is what is remembered of one entity's stream. The JSON is for people, too: it is
// the body of a memo.
type State struct {
	// Next is the number that the stream waits for. It counts only once Begun is set: a
	// stream that begins with the first number that it sees has none before that.
	Next  int64 `json:"next"`
	Begun bool  `json:"begun"`
	// Base is the number of the last event that carried the whole state, where there was
	// one: nothing below it holds anything up.
	Base    int64 `json:"base,omitempty"`
	HasBase bool  `json:"has_base,omitempty"`
	// Ahead are the numbers above Next that have come, in order.
	Ahead []Span `json:"ahead,omitempty"`
	// Skipped are the numbers below Next that the stream went on without, in order. It is
	// incomplete from then on, until an event carries the whole state.
	Skipped    []Span `json:"skipped,omitempty"`
	Incomplete bool   `json:"incomplete,omitempty"`
	// Asked is the gap that the source was asked to fill, while it is the next one.
	Asked *Asked `json:"asked,omitempty"`
	// Rebuilding: the numbers are being read again from the log, and what comes meanwhile
	// waits (R20). Skipped then also holds spans above Next, which Next will pass over.
	Rebuilding bool `json:"rebuilding,omitempty"`
	// Forgone is the number up to which Forgo was called meanwhile.
	Forgone int64 `json:"forgone,omitempty"`
}

// Asked is a gap for which a replay was requested. Missing is its first number, Until when
// it counts as answered in vain, in microseconds since 1970.
type Asked struct {
	Missing int64 `json:"missing"`
	Until   int64 `json:"until"`
}

// Again is the stream as it begins anew with number n, to be read again from the log. What
// it went on without before, it goes on without again: nobody waits for that a second time.
func (s *State) Again(n int64) State {
	again := State{Next: n, Begun: true, Skipped: slices.Clone(s.Skipped), Incomplete: s.Incomplete, Rebuilding: true}
	again.catchUp()
	return again
}

// From is a stream whose first number is n.
func From(n int64) State { return State{Next: n, Begun: true} }

// maxSkipped bounds the skipped spans that are remembered apart.
const maxSkipped = 100

// Parse reads what String wrote.
func Parse(body string) (s State, err error) {
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		return s, fmt.Errorf("the memo of a stream, %.80q, can't be read: %w", body, err)
	}
	return s, nil
}

// String is the state as JSON.
func (s *State) String() string {
	b, err := json.Marshal(s)
	if err != nil {
		panic("evenkeel: " + err.Error()) // numbers always marshal
	}
	return string(b)
}

// Clone returns a state that shares nothing with s.
func (s *State) Clone() State {
	c := *s
	c.Ahead, c.Skipped = slices.Clone(s.Ahead), slices.Clone(s.Skipped)
	return c
}

// Came reports whether n came ahead of its turn.
func (s *State) Came(n int64) bool { return contains(s.Ahead, n) }

// WasSkipped reports whether the stream went on without n.
func (s *State) WasSkipped(n int64) bool { return contains(s.Skipped, n) }

// Waits reports whether n is still to wait for numbers before it.
func (s *State) Waits(n int64) bool { return s.Begun && n >= s.Next }

// Covered reports whether a later event has carried the whole state that n is part of.
func (s *State) Covered(n int64) bool { return s.HasBase && n < s.Base }

// Consume takes a number that has not come before. One below Next changes nothing.
func (s *State) Consume(n int64) {
	switch {
	case !s.Begun:
		s.Next, s.Begun = n+1, true
	case n == s.Next:
		s.Next++
	case n > s.Next:
		s.Ahead = insert(s.Ahead, n)
	}
	s.catchUp()
}

// Rebase takes the number of an event that carries the whole state.
func (s *State) Rebase(n int64) {
	if s.Begun && n < s.Next {
		return
	}
	s.Next, s.Begun = n+1, true
	s.Base, s.HasBase = n, true
	s.Skipped = slices.DeleteFunc(s.Skipped, func(x Span) bool { return x[0] <= n })
	if len(s.Skipped) == 0 {
		s.Skipped = nil
	}
	s.Incomplete = s.Skipped != nil
	s.catchUp()
}

// Whole is the stream once its numbers have been read again.
func (s *State) Whole() State {
	whole := s.Clone()
	whole.Rebuilding, whole.Forgone = false, 0
	if s.Forgone != 0 {
		whole.Skip(s.Forgone)
	}
	return whole
}

// Forgo is Skip for whoever has not read the stream's events. While they are being read
// again, Next says nothing of what has come: it counts when that is over.
func (s *State) Forgo(to int64) {
	if !s.Rebuilding {
		s.Skip(to)
		return
	}
	s.Forgone = max(s.Forgone, to)
}

// Skip goes on without the numbers below to that have not come.
func (s *State) Skip(to int64) {
	for s.Begun && s.Next < to {
		end := to - 1
		if len(s.Ahead) > 0 {
			end = min(end, s.Ahead[0][0]-1)
		}
		at, _ := find(s.Skipped, s.Next)
		if at < len(s.Skipped) {
			end = min(end, s.Skipped[at][0]-1)
		}
		s.Skipped = slices.Insert(s.Skipped, at, Span{s.Next, end})
		s.Incomplete = true
		s.Next = end + 1
		s.catchUp()
	}
	// The oldest become one. What lies between them came, and would be kept as a letter
	// now if it came once more and its id were forgotten: kept in doubt, never lost.
	for len(s.Skipped) > maxSkipped {
		s.Skipped[1][0] = s.Skipped[0][0]
		s.Skipped = s.Skipped[1:]
	}
}

// catchUp moves Next over what came ahead, and over what is skipped.
func (s *State) catchUp() {
	for {
		if len(s.Ahead) > 0 && s.Ahead[0][0] <= s.Next {
			s.Next = max(s.Next, s.Ahead[0][1]+1)
			s.Ahead = s.Ahead[1:]
			continue
		}
		i, _ := find(s.Skipped, s.Next)
		if i == len(s.Skipped) || s.Skipped[i][0] > s.Next {
			break
		}
		s.Next = s.Skipped[i][1] + 1
	}
	if len(s.Ahead) == 0 {
		s.Ahead = nil
	}
	if s.Asked != nil && s.Asked.Missing != s.Next {
		s.Asked = nil
	}
}

func contains(spans []Span, n int64) bool {
	i, _ := find(spans, n)
	return i < len(spans) && spans[i][0] <= n
}

// find returns the first span that does not end before n.
func find(spans []Span, n int64) (int, bool) {
	return slices.BinarySearchFunc(spans, n, func(s Span, n int64) int {
		if s[1] < n {
			return -1
		}
		return 1
	})
}

// insert adds n and joins the spans that it touches.
func insert(spans []Span, n int64) []Span {
	i, _ := find(spans, n-1)
	switch {
	case i < len(spans) && spans[i][0] <= n && n <= spans[i][1]:
		return spans
	case i < len(spans) && spans[i][1] == n-1:
		spans[i][1] = n
	case i < len(spans) && spans[i][0] == n+1:
		spans[i][0] = n
	default:
		spans = slices.Insert(spans, i, Span{n, n})
	}
	if i+1 < len(spans) && spans[i][1]+1 == spans[i+1][0] {
		spans[i][1] = spans[i+1][1]
		spans = slices.Delete(spans, i+1, i+2)
	}
	return spans
}
