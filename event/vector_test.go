package event

import (
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
)

// vec reads a vector that is known to be good; "" is the empty one.
func vec(t *testing.T, text string) Vector {
	t.Helper()
	if text == "" {
		return nil
	}
	v, err := ParseVector(text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVectorRelations(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		v, o string
		want Relation
	}{
		{"a=1", "a=1", Equal},
		{"a=1,b=2", "b=2,a=1", Equal},
		{"a=1", "a=2", Before},
		{"a=1", "a=1,b=1", Before},
		{"a=1,b=1,c=4", "a=1,b=2,c=4", Before},
		{"b=1", "a=1,b=1", Before},
		{"", "a=1", Before},
		{"a=1", "b=1", Concurrent},
		{"a=2,b=1", "a=1,b=2", Concurrent},
		{"a=9", "a=1,b=1", Concurrent},
		{"a=1,c=1", "a=1,b=1", Concurrent},
	} {
		v, o := vec(t, c.v), vec(t, c.o)
		same(t, c.v+" to "+c.o, v.Compare(o), c.want)
		back := map[Relation]Relation{Equal: Equal, Before: After, After: Before, Concurrent: Concurrent}[c.want]
		same(t, c.o+" to "+c.v, o.Compare(v), back)
	}
	for r, want := range map[Relation]string{Equal: "equal", Before: "before", After: "after", Concurrent: "concurrent", 9: "relation-9"} {
		same(t, "word", r.String(), want)
	}
}

func TestVectorArithmetic(t *testing.T) {
	t.Parallel()
	v := vec(t, "a=1,c=3")
	same(t, "sum", v.Sum(), int64(4))
	same(t, "count", v.Count("c"), int64(3))
	same(t, "count of another", v.Count("b"), int64(0))
	same(t, "merge", v.Merge(vec(t, "b=2,c=1")).String(), "a=1,b=2,c=3")
	same(t, "next", v.Next("b").String(), "a=1,b=1,c=3")
	same(t, "next of the first", Vector(nil).Next("a").String(), "a=1")
	same(t, "without", v.Without("a", "x").String(), "c=3")
	same(t, "unchanged", v.String(), "a=1,c=3")
}

// TestR14SumIsALinearExtension: whoever has seen a vector has a greater sum.
func TestR14SumIsALinearExtension(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(14, 14))
	random := func() (v Vector) {
		for _, node := range []string{"a", "b", "c"} {
			if n := rng.Int64N(3); n > 0 {
				v = append(v, Component{node, n})
			}
		}
		return v
	}
	found := map[string]int{}
	for range 5000 {
		v, o := random(), random()
		r := v.Compare(o)
		found[r.String()]++
		if r == Before && v.Sum() >= o.Sum() || r == After && v.Sum() <= o.Sum() || r == Equal && v.Sum() != o.Sum() {
			t.Fatalf("%s is %s %s, but the sums are %d and %d", v, r, o, v.Sum(), o.Sum())
		}
		if m := v.Merge(o); v.Compare(m) == After || v.Compare(m) == Concurrent || m.Next("a").Compare(v) != After {
			t.Fatalf("%s merged with %s is %s", v, o, m)
		}
	}
	same(t, "relations met", len(found), 4)
}

func TestParseVector(t *testing.T) {
	t.Parallel()
	nodes := func(n int) string {
		var parts []string
		for i := range n {
			parts = append(parts, "n"+strconv.Itoa(i)+"=1")
		}
		return strings.Join(parts, ",")
	}
	for text, want := range map[string]string{
		"a=1":                            "a=1",
		" b = 2 , a = 1 ":                "a=1,b=2",
		"a=1,b=0":                        "a=1",
		"a=144115188075855871":           "a=144115188075855871",
		`{"b":2,"a":1}`:                  "a=1,b=2",
		` {"b":"2", "a" : 1} `:           "a=1,b=2",
		`{"\u0061":1}`:                   "a=1",
		"kéy/1;x=1":                      "kéy/1;x=1",
		strings.Repeat("n", 128) + "=1":  strings.Repeat("n", 128) + "=1",
		`{"b":0,"a":007}`:                "", // not JSON
		"":                               "",
		"a":                              "",
		"a=":                             "",
		"=1":                             "",
		"a=1,":                           "",
		"a=1,a=1":                        "",
		`{"a":1,"a":1}`:                  "",
		"a=-1":                           "",
		"a=1.0":                          "",
		`{"a":1e1}`:                      "",
		`{"a":null}`:                     "",
		`{"a":{"b":1}}`:                  "",
		`{"a":1`:                         "",
		`{"a,b":1}`:                      "",
		`{"a=b":1}`:                      "",
		`{"{":1}`:                        "",
		`{"a b":1}`:                      "",
		`{"\ud800":1}`:                   "",
		`{"\u0007":1}`:                   "",
		"a\xff=1":                        "",
		"a=144115188075855872":           "",
		"a=0":                            "",
		`{}`:                             "",
		"[1]":                            "",
		strings.Repeat("n", 129) + "=1":  "",
		nodes(65):                        "",
		`{"a":1} x`:                      "",
		strings.Repeat("a=1,", 1_000_00): "",
	} {
		v, err := ParseVector(text)
		if want != "" {
			same(t, text, err, nil)
			same(t, text, v.String(), want)
			continue
		}
		var d *DecodeError
		if !errors.As(err, &d) || d.Expected == "" || d.Found == "" || len(err.Error()) > 400 {
			t.Errorf("%.60q: %v, %v", text, v, err)
		}
	}
	same(t, "as many as may be", len(vec(t, nodes(64))), 64)
	_, err := ParseVector("a=1,b")
	same(t, "message", err.Error(), `vector: vector: expected a vector clock, as {"node":1,"other":2} or node=1,other=2, found "a=1,b"`)
}

func FuzzVector(f *testing.F) {
	for _, in := range []string{"a=1,b=2", `{"a":1,"b":"2"}`, "a=0", "{", `{"\u0061":1,"a":1}`, "=,=", "a=9223372036854775808", " a = +1 "} {
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := ParseVector(text)
		if err != nil {
			return
		}
		if len(v) == 0 || len(v) > MaxVectorNodes || v.Sum() <= 0 {
			t.Fatalf("%q was taken for %v", text, v)
		}
		again, err := ParseVector(v.String())
		if err != nil || again.Compare(v) != Equal || again.String() != v.String() {
			t.Fatalf("%q was read as %s, which is read as %s, %v", text, v, again, err)
		}
	})
}
