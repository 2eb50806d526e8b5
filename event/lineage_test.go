package event

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func lineage() *Lineage {
	return &Lineage{
		Source: "/shop", ID: "1", OccurredAt: time.Date(2026, 5, 28, 20, 26, 43, 123456000, time.UTC), Lamport: 4, HasLamport: true,
		Own: []Entity{{"Order", "o-1"}, {"Stock", "ä"}}, Path: []string{"ab.000001"},
	}
}

func TestLineageIsReadBack(t *testing.T) {
	t.Parallel()
	l := lineage()
	r := record("k", "v")
	r.Headers = append(r.Headers, l.Header())
	back, err := ParseLineage(r)
	if err != nil || !reflect.DeepEqual(back, l) {
		t.Fatalf("%+v, %v", back, err)
	}
	if !l.Owns(Entity{"Order", "o-1"}) || l.Owns(Entity{"Stock", "o-1"}) {
		t.Fatal("an entity is its type and its key")
	}
	e := Event{Record: r, OccurredAt: recordStamp}
	if err := Inherit(&e); err != nil || !e.OccurredAt.Equal(l.OccurredAt) || e.Lamport != 4 || !e.HasLamport || e.Lineage == nil {
		t.Fatalf("%+v, %v", e, err)
	}
	primary := Event{Record: record("k", "v"), OccurredAt: recordStamp}
	if err := Inherit(&primary); err != nil || primary.Lineage != nil || !primary.OccurredAt.Equal(recordStamp) {
		t.Fatalf("%+v, %v", primary, err)
	}
}

func TestBrokenLineage(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                         "expected a JSON object",
		"\xff":                     "expected UTF-8 text",
		"[]":                       "expected a JSON object",
		"{}":                       "id: expected the root's id, found none",
		`{"id":1}`:                 "expected a JSON object",
		`{"id":"1","path":["a"]}`:  "time: expected the root's time",
		`{"id":"1","time":1.5}`:    "expected a JSON object",
		`{"id":"1","time":1}`:      "path: expected 1 to 32 emissions, found 0",
		`{"id":"\u0000","time":1}`: "id: expected text without NUL",
		`{"id":"1","time":1,"lamport":-1,"path":["a"]}`:                      "lamport: expected a whole number",
		`{"id":"1","time":999999999999999999,"path":["a"]}`:                  "time: expected a time of the years 1 to 9999",
		`{"id":"1","time":1,"path":[""]}`:                                    "path: expected names of emissions",
		`{"id":"1","time":1,"path":["a b"]}`:                                 "path: expected names of emissions",
		`{"id":"1","time":1,"path":["a"],"own":[{"type":"T"}]}`:              "own: expected entities",
		`{"id":"1","time":1,"path":["` + strings.Repeat("a", 41) + `"]}`:     "path: expected names of emissions",
		`{"id":"1","time":1,"path":[` + strings.Repeat(`"a",`, 32) + `"a"]}`: "found 33",
		`{"id":"` + strings.Repeat("x", MaxIDBytes+1) + `"}`:                 "id: expected at most 4096 bytes",
	} {
		_, err := ParseLineage(record("k", "v", LineageHeader, text))
		var d *DecodeError
		if !errors.As(err, &d) || !strings.Contains(err.Error(), want) || !strings.HasPrefix(d.Field, "header "+LineageHeader) || d.Mend == "" {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func FuzzLineage(f *testing.F) {
	f.Add(lineage().Header().Value)
	f.Add([]byte(`{"id":"1","time":-62135596800000000,"path":["a"],"own":[{"type":"T","key":"\ud800"}]}`))
	f.Add([]byte(`{"id":"1","time":1e6,"lamport":4611686018427387904,"path":["a","b"]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r := record("k", "v")
		r.Headers = []Header{{Key: LineageHeader, Value: text}}
		e := Event{Record: r, OccurredAt: recordStamp}
		err := Inherit(&e)
		var d *DecodeError
		switch {
		case err != nil:
			if !errors.As(err, &d) || strings.ContainsAny(err.Error(), "\x00\n") {
				t.Fatalf("%v", err)
			}
		case e.Lineage == nil:
			t.Fatal("a broken lineage makes a primary event")
		default:
			r.Headers = []Header{e.Lineage.Header()}
			again, err := ParseLineage(r)
			if err != nil || again.ID != e.Lineage.ID || !again.OccurredAt.Equal(e.OccurredAt) || !slices.Equal(again.Path, e.Lineage.Path) {
				t.Fatalf("%+v is not %+v: %v", again, e.Lineage, err)
			}
			if len(e.Tie(true)) > 4<<10 {
				t.Fatal("the tie is too long")
			}
		}
	})
}

// TestTieOfDerivedEvents: R3's tuple, root first and then the way from it.
func TestTieOfDerivedEvents(t *testing.T) {
	t.Parallel()
	ascending := []Stamp{
		{1, Tie(false, "b", "2", "a")}, // of another entity
		{1, Tie(true, "a", "1")},
		{1, Tie(true, "b", "1")},
		{1, Tie(true, "b", "2")},           // the parent
		{1, Tie(true, "b", "2", "a")},      // its child
		{1, Tie(true, "b", "2", "a\x00")},  // which is another
		{1, Tie(true, "b", "2", "b")},      // the second child
		{1, Tie(true, "b", "2", "a", "a")}, // a grandchild
		{1, Tie(true, "b", "3")},           // another root
		{2, Tie(false, "a", "1", "a")},     // later
	}
	for i := 1; i < len(ascending); i++ {
		if !ascending[i].After(ascending[i-1]) {
			t.Errorf("%d: %q is not after %q", i, ascending[i].Tie, ascending[i-1].Tie)
		}
		source, id := ascending[i].Identity()
		if source == "" || id == "" {
			t.Errorf("%q has no identity", ascending[i].Tie)
		}
	}
	root := Event{Source: "b", ID: "2", OccurredAt: recordStamp}
	child := Event{Source: "g", ID: "x", Lineage: root.Derive("a", func() []Entity { return []Entity{{"Order", "1"}} })}
	grandchild := Event{Lineage: child.Derive("b", nil)}
	if child.Tie(true) != Tie(true, "b", "2", "a") || grandchild.Tie(false) != Tie(false, "b", "2", "a", "b") || !grandchild.Lineage.Owns(Entity{"Order", "1"}) {
		t.Fatalf("%q %q", child.Tie(true), grandchild.Tie(false))
	}
	if len(child.Lineage.Path) != 1 {
		t.Fatal("the parent's path was changed")
	}
}
