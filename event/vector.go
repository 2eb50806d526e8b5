package event

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Vector is a vector clock (Fidge 1988; Mattern 1989): for each node that writes the
// entity, how many of its events the writer of this one had seen, its own included. It is
// sorted by node and holds no zeros; a node that is not in it stands at 0. An event without
// a vector has none at all. A Vector is not changed in place.
type Vector []Component

// Component is one node's entry.
type Component struct {
	Node  string
	Count int64
}

// Limits of what is taken for a vector clock.
const (
	MaxVectorNodes = 64
	MaxNodeBytes   = 128
	// MaxVectorCount is so that the sum of all entries is a number of 64 bits.
	MaxVectorCount = math.MaxInt64 / MaxVectorNodes
)

// Relation is how one vector stands to another.
type Relation uint8

// The relations. Concurrent: each writer had seen something that the other had not.
const (
	Equal Relation = iota + 1
	Before
	After
	Concurrent
)

// String returns the relation's word.
func (r Relation) String() string {
	switch r {
	case Equal:
		return "equal"
	case Before:
		return "before"
	case After:
		return "after"
	case Concurrent:
		return "concurrent"
	}
	return "relation-" + strconv.Itoa(int(r))
}

// Compare says how v stands to o: Before means that o's writer had seen v.
func (v Vector) Compare(o Vector) Relation {
	less, more := false, false
	for i, j := 0, 0; i < len(v) || j < len(o); {
		switch {
		case j == len(o) || i < len(v) && v[i].Node < o[j].Node:
			more = true
			i++
		case i == len(v) || v[i].Node > o[j].Node:
			less = true
			j++
		default:
			less = less || v[i].Count < o[j].Count
			more = more || v[i].Count > o[j].Count
			i++
			j++
		}
	}
	switch {
	case less && more:
		return Concurrent
	case less:
		return Before
	case more:
		return After
	}
	return Equal
}

// Sum adds up the entries. A vector before another has the smaller sum, so that to order
// by sums never contradicts what the writers knew (R14).
func (v Vector) Sum() (sum int64) {
	for _, c := range v {
		sum += c.Count
	}
	return sum
}

// Count returns a node's entry, 0 when there is none.
func (v Vector) Count(node string) int64 {
	for _, c := range v {
		if c.Node == node {
			return c.Count
		}
	}
	return 0
}

// Merge returns what a node knows that has seen both: the higher entry of each node.
func (v Vector) Merge(o Vector) Vector {
	merged := slices.Clone(v)
	for _, c := range o {
		if c.Count > v.Count(c.Node) {
			merged = merged.with(c)
		}
	}
	return merged
}

// Next returns the vector of the next event that node writes, v being all that it has
// seen.
func (v Vector) Next(node string) Vector {
	return slices.Clone(v).with(Component{node, v.Count(node) + 1})
}

// with sets an entry in place.
func (v Vector) with(c Component) Vector {
	at, found := slices.BinarySearchFunc(v, c.Node, func(have Component, node string) int { return strings.Compare(have.Node, node) })
	if found {
		v[at] = c
		return v
	}
	return slices.Insert(v, at, c)
}

// Without returns v without the entries of some nodes.
func (v Vector) Without(nodes ...string) Vector {
	if len(nodes) == 0 {
		return v
	}
	return slices.DeleteFunc(slices.Clone(v), func(c Component) bool { return slices.Contains(nodes, c.Node) })
}

// String writes the vector as ParseVector reads it: "a=1,b=2", one text for each vector.
func (v Vector) String() string {
	var b strings.Builder
	for i, c := range v {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(c.Node)
		b.WriteByte('=')
		b.WriteString(strconv.FormatInt(c.Count, 10))
	}
	return b.String()
}

// ParseVector reads a vector clock: a JSON object of numbers, {"a":1,"b":2}, or the text
// a=1,b=2. It takes at most [MaxVectorNodes] nodes, whose names are printable text of at
// most [MaxNodeBytes] without spaces and the characters ,={}" and counts from 0 to
// [MaxVectorCount], of which one must be above 0. The error is a *DecodeError.
func ParseVector(text string) (Vector, error) {
	v, expected := parseVector([]byte(text))
	if expected != "" {
		return nil, &DecodeError{Codec: "vector", Field: "vector", Expected: expected, Found: quoteShort([]byte(text))}
	}
	return v, nil
}

const (
	expectedVector = `a vector clock, as {"node":1,"other":2} or node=1,other=2`
	expectedNodes  = "a vector clock of at most 64 nodes"
	expectedNode   = `nodes named with 1 to 128 bytes of printable text without spaces and ,={}"`
	expectedCount  = "counts from 0 to 144115188075855871"
	expectedOnce   = "each node once"
	expectedSome   = "a vector clock with at least one count above 0"
)

// parseVector reads either form; expected says what is wrong, "" for a good one.
func parseVector(raw []byte) (v Vector, expected string) {
	if raw = bytes.TrimSpace(raw); len(raw) > 0 && raw[0] == '{' {
		v, expected = vectorOfJSON(raw)
	} else {
		v, expected = vectorOfText(string(raw))
	}
	if expected != "" {
		return nil, expected
	}
	return canonical(v)
}

func vectorOfJSON(raw []byte) (v Vector, expected string) {
	o := jsonObject{in: raw}
	for {
		name, value, ok := o.next()
		if !ok {
			break
		}
		if len(v) == MaxVectorNodes {
			return nil, expectedNodes
		}
		node, whole := unescape(name)
		if !whole {
			return nil, expectedNode
		}
		if value[0] == '"' {
			value, _ = unescape(value[1 : len(value)-1])
		}
		n, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil {
			return nil, expectedCount
		}
		v = append(v, Component{string(node), n})
	}
	if o.fault != "" {
		return nil, expectedVector
	}
	return v, ""
}

func vectorOfText(text string) (v Vector, expected string) {
	for part := range strings.SplitSeq(text, ",") {
		if len(v) == MaxVectorNodes {
			return nil, expectedNodes
		}
		node, count, ok := strings.Cut(part, "=")
		if !ok {
			return nil, expectedVector
		}
		n, err := strconv.ParseInt(strings.TrimSpace(count), 10, 64)
		if err != nil {
			return nil, expectedCount
		}
		v = append(v, Component{strings.TrimSpace(node), n})
	}
	return v, ""
}

// canonical checks a vector and puts it into its one form. What has it already is returned
// as it is.
func canonical(v Vector) (_ Vector, expected string) {
	if len(v) > MaxVectorNodes {
		return nil, expectedNodes
	}
	byNode := func(a, b Component) int { return strings.Compare(a.Node, b.Node) }
	if !slices.IsSortedFunc(v, byNode) {
		v = slices.Clone(v)
		slices.SortFunc(v, byNode)
	}
	zero := false
	for i, c := range v {
		switch {
		case !isNode(c.Node):
			return nil, expectedNode
		case c.Count < 0 || c.Count > MaxVectorCount:
			return nil, expectedCount
		case i > 0 && v[i-1].Node == c.Node:
			return nil, expectedOnce
		}
		zero = zero || c.Count == 0
	}
	if zero {
		v = slices.DeleteFunc(slices.Clone(v), func(c Component) bool { return c.Count == 0 })
	}
	if len(v) == 0 {
		return nil, expectedSome
	}
	return v, ""
}

// isNode reports whether both forms of a vector can hold the name.
func isNode(name string) bool {
	if name == "" || len(name) > MaxNodeBytes || !utf8.ValidString(name) || strings.ContainsAny(name, ` ,={}"`) {
		return false
	}
	return strings.IndexFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}
