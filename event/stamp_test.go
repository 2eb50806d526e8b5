package event

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// place is the tuple that a tie's bytes must compare as (R3).
type place struct {
	own        bool
	source, id string
}

func (p place) tie() string { return Tie(p.own, p.source, p.id) }

func (p place) compare(o place) int {
	if p.own != o.own {
		if p.own {
			return 1
		}
		return -1
	}
	return cmp.Or(strings.Compare(tiePart(p.source), tiePart(o.source)), strings.Compare(tiePart(p.id), tiePart(o.id)))
}

// parts are the texts at which a joining of parts goes wrong: prefixes of each other,
// the separator's own bytes, and lengths about the limit.
var parts = []string{
	"", "\x00", "\x00\x00", "\x00\x01", "\x00\xff", "\x01", "\x01\x00", "\xff", "\xff\x00", "a", "a\x00", "a\x00\x01", "a\x00\x01b", "a\x00\xff", "a\x00b", "a\x01", "ab", "b",
	strings.Repeat("x", maxTiePart), strings.Repeat("x", maxTiePart+1), strings.Repeat("x", maxTiePart+2), strings.Repeat("\x00", maxTiePart), "sha256:",
}

func TestTieComparesAsTheTuple(t *testing.T) {
	t.Parallel()
	var all []place
	var ties []string
	for _, own := range []bool{false, true} {
		for _, source := range parts {
			for _, id := range parts {
				p := place{own, source, id}
				all, ties = append(all, p), append(ties, p.tie())
			}
		}
	}
	for i, a := range all {
		for j, b := range all {
			if got, want := strings.Compare(ties[i], ties[j]), a.compare(b); got != want {
				t.Fatalf("%+v and %+v: bytes compare %d, the tuples %d", a, b, got, want)
			}
		}
	}
}

func FuzzTie(f *testing.F) {
	f.Add(true, "a", "b", false, "a\x00", "b\x00\x01")
	f.Fuzz(func(t *testing.T, own1 bool, source1, id1 string, own2 bool, source2, id2 string) {
		a, b := place{own1, source1, id1}, place{own2, source2, id2}
		if got, want := strings.Compare(a.tie(), b.tie()), a.compare(b); got != want {
			t.Fatalf("%+v and %+v: bytes compare %d, the tuples %d", a, b, got, want)
		}
		if limit := 2*(2*maxTiePart+2) + 2; len(a.tie()) > limit {
			t.Fatalf("a tie of %d bytes, at most %d", len(a.tie()), limit)
		}
	})
}

func TestTieHashesLongParts(t *testing.T) {
	t.Parallel()
	x, y := strings.Repeat("x", 5000), strings.Repeat("x", 4999)+"y"
	if Tie(true, x, "1") == Tie(true, y, "1") || Tie(true, "s", x) == Tie(true, "s", y) {
		t.Error("two long texts have one tie")
	}
	if n := len(Tie(true, x, y)); n != 1+2*(len("sha256:")+64+2)+1 {
		t.Errorf("a tie of %d bytes", n)
	}
	if whole := strings.Repeat("x", maxTiePart); !strings.Contains(Tie(true, whole, ""), whole) {
		t.Error("a text of the limit's length was hashed")
	}
}

func TestStampOrder(t *testing.T) {
	t.Parallel()
	// In ascending order; the zero stamp is "never", also before the year 1970.
	order := []Stamp{
		{},
		{Time: math.MinInt64, Tie: Tie(true, "s", "1")},
		{Time: -1, Tie: Tie(false, "z", "9")},
		{Time: -1, Tie: Tie(true, "s", "1")},
		{Time: 0, Tie: Tie(false, "s", "1")},
		{Time: 0, Tie: Tie(true, "s", "1")},
		{Time: 0, Tie: Tie(true, "s", "2")},
		{Time: 0, Tie: Tie(true, "t", "1")},
		{Time: 1, Tie: Tie(false, "a", "0")},
		{Time: math.MaxInt64, Tie: Tie(true, "s", "1")},
	}
	for i, a := range order {
		for j, b := range order {
			if got, want := a.Compare(b), cmp.Compare(i, j); got != want {
				t.Errorf("%+v and %+v: %d, want %d", a, b, got, want)
			}
			same(t, "After", a.After(b), i > j)
		}
		same(t, "IsZero", a.IsZero(), i == 0)
	}
	shuffled := slices.Clone(order)
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		rnd.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		slices.SortFunc(shuffled, Stamp.Compare)
		same(t, "sorted", shuffled, order)
	}
	if c := (Stamp{Time: 5}).Compare(Stamp{}); c != 0 {
		t.Errorf("without a tie a stamp is never, whatever its time: %d", c)
	}
}

func TestMicros(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		at   time.Time
		want int64
	}{
		{time.Unix(0, 0), 0},
		{time.Unix(0, 1999), 1},
		{time.Unix(0, -1), -1},
		{MinTime, -62135596800_000_000},
		{MaxTime, 253402300799_999_999},
		{time.Unix(math.MaxInt64/1_000_000-1, 999_999_999), 9223372036853_999_999},
		{time.Unix(math.MaxInt64/1_000_000+1, 0), math.MaxInt64},
		{time.Unix(1<<60, 0), math.MaxInt64},
		{time.Unix(-math.MaxInt64/1_000_000, 0), -9223372036854_000_000},
		{time.Unix(-1<<60, 0), math.MinInt64},
	} {
		if got := Micros(c.at); got != c.want {
			t.Errorf("%s: %d, want %d", c.at, got, c.want)
		}
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	r := record("k", "")
	source, id := (&Event{Source: "s", ID: "i", Record: r}).Identity()
	same(t, "told", [2]string{source, id}, [2]string{"s", "i"})
	source, id = (&Event{Source: "s", Record: r}).Identity()
	same(t, "by coordinates", [2]string{source, id}, [2]string{"s", "@c/t/3/42"})
}
