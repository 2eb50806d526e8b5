package clocks_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm/schema"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/clocks"
)

type thing struct {
	ID      string `gorm:"primaryKey"`
	A       string
	B       string `gorm:"column:odd name=|%é"`
	C       int
	Derived string
	Nobody  string
	Plain   string
	guards.Guarded
}

// model has three clocked columns, a projected, an unordered and an unowned one.
func model(t *testing.T) *handlers.Model {
	t.Helper()
	nothing := func(context.Context, *handlers.Delivery[struct{}, thing]) error { return nil }
	reg := handlers.NewRegistry()
	handlers.Set(reg, "set", nothing, handlers.Creates(), handlers.Writes("A", "B"))
	handlers.Modify(reg, "modify", nothing, guards.Timestamp(), handlers.Writes("C"))
	handlers.Modify(reg, "none", nothing, guards.None(), handlers.Writes("Plain"))
	handlers.Project(reg, func(*thing) {}, handlers.Writes("Derived"))
	w, err := reg.Wire(schema.NamingStrategy{})
	require.NoError(t, err)
	return w.Models[0]
}

func layout(t *testing.T, gens map[string]int32, current int32) *clocks.Layout {
	t.Helper()
	m := model(t)
	all := map[string]int32{}
	for _, n := range clocks.Names(m) {
		all[n] = 1
	}
	for n, g := range gens {
		all[n] = g
	}
	return clocks.NewLayout(m, all, current)
}

func place(t *testing.T, l *clocks.Layout, name string) int {
	t.Helper()
	for i, n := range l.Names {
		if n == name && l.Clocked[i] {
			return i
		}
	}
	t.Fatalf("no clocked place %q in %v", name, l.Names)
	return -1
}

func at(n int64) event.Stamp {
	return event.Stamp{Time: n, Tie: event.Tie(n%2 == 0, "src", fmt.Sprint(n))}
}

func TestLayout(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"@exists", "a", "odd name=|%é", "c"}, clocks.Names(model(t)))
	l := layout(t, map[string]int32{"zz": 3, "gone": 2}, 4)
	require.Equal(t, []string{"a", "odd name=|%é", "c", "derived", "nobody", "plain", "@exists", "gone", "zz"}, l.Names)
	require.Equal(t, []bool{true, true, true, false, false, false, true, true, true}, l.Clocked)
	require.Equal(t, []int32{1, 1, 1, 0, 0, 0, 1, 2, 3}, l.Gens)
	require.Equal(t, 6, l.Exists)
	require.Equal(t, int32(4), l.Current)
}

func TestFieldsCanBeRead(t *testing.T) {
	t.Parallel()
	l := layout(t, nil, 1)
	for name, c := range map[string]struct {
		stamps map[string]event.Stamp
		want   string
	}{
		"all alike":      {map[string]event.Stamp{"a": at(9), "odd name=|%é": at(9), "c": at(9), "@exists": at(9)}, ""},
		"one older":      {map[string]event.Stamp{"a": at(9), "odd name=|%é": at(9), "c": at(7), "@exists": at(9)}, "7 0src|7|%00 = c"},
		"two older":      {map[string]event.Stamp{"a": at(9), "odd name=|%é": at(8), "c": at(8), "@exists": at(9)}, "8 1src|8|%00 = odd%20name%3D%7C%25%C3%A9 c"},
		"never written":  {map[string]event.Stamp{"c": at(9), "@exists": at(9)}, "- = a odd%20name%3D%7C%25%C3%A9"},
		"nothing at all": {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := l.New()
			for n, s := range c.stamps {
				r.Stamps[place(t, l, n)] = s
			}
			stored := l.Encode(r)
			require.Equal(t, c.want, stored.Fields)
			require.Equal(t, r.Newest().Time, stored.Time)
			back, err := l.Decode(stored, guards.Alive)
			require.NoError(t, err)
			require.Equal(t, r, back)
		})
	}
}

// TestRoundTrip: whatever the stamps and the bytes in their ties, they come back.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	l := layout(t, map[string]int32{"only newer processes": 1}, 1)
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 1))
		pool := []event.Stamp{{}}
		for range 1 + r.IntN(4) {
			var source, id strings.Builder
			for range r.IntN(20) {
				source.WriteByte(byte(r.IntN(256)))
				id.WriteByte("\x00\x01|%=\n \xffa"[r.IntN(9)])
			}
			pool = append(pool, event.Stamp{Time: int64(r.Uint64()) >> r.IntN(64), Tie: event.Tie(r.IntN(2) == 0, source.String(), id.String())})
		}
		row := l.New()
		for i := range row.Stamps {
			if l.Clocked[i] {
				row.Stamps[i] = pool[r.IntN(len(pool))]
			}
		}
		before := row.Clone()
		stored := l.Encode(row)
		require.Equal(t, before, row, "seed %d: Encode changed the row", seed)
		for _, c := range []byte(stored.Fields) {
			require.True(t, c == '\n' || c >= ' ' && c < 0x7f, "seed %d: %q is not plain text", seed, stored.Fields)
		}
		back, err := l.Decode(stored, guards.Alive)
		require.NoError(t, err, "seed %d", seed)
		require.Equal(t, row, back, "seed %d", seed)
	}
}

func TestForeignRowsHaveNoClocks(t *testing.T) {
	t.Parallel()
	l := layout(t, nil, 5)
	r, err := l.Decode(clocks.Stored{}, guards.Foreign)
	require.NoError(t, err)
	require.Equal(t, l.New(), r)
	require.True(t, r.Newest().IsZero())
}

func TestGenerations(t *testing.T) {
	t.Parallel()
	old := layout(t, nil, 1)
	row := old.New()
	for i := range row.Stamps {
		if old.Clocked[i] {
			row.Stamps[i] = at(9)
		}
	}
	stored := old.Encode(row)

	// A column that came with generation 2 was never written in a row of generation 1.
	l := layout(t, map[string]int32{"c": 2}, 2)
	r, err := l.Decode(stored, guards.Alive)
	require.NoError(t, err)
	require.True(t, r.Stamps[place(t, l, "c")].IsZero())
	require.Equal(t, at(9), r.Stamps[place(t, l, "a")])
	again := l.Encode(r)
	require.Equal(t, "- = c", again.Fields)
	require.Equal(t, int32(2), again.Gen)

	// Nor when the row lists it: then it is there once more, after a change of the kind.
	stored.Fields = "3 0src|3|%00 = a c"
	r, err = l.Decode(stored, guards.Alive)
	require.NoError(t, err)
	require.Equal(t, at(3), r.Stamps[place(t, l, "a")])
	require.True(t, r.Stamps[place(t, l, "c")].IsZero())

	// The older process must not merge what it can't know.
	_, err = old.Decode(again, guards.Alive)
	require.ErrorIs(t, err, clocks.ErrNewerGeneration)
	// After it has read the layout again, it keeps the stamps of columns that it lacks.
	beside := layout(t, map[string]int32{"new": 2}, 2)
	r, err = beside.Decode(clocks.Stored{Time: 9, Tie: []byte(at(9).Tie), Fields: "3 0src|3|%00 = new", Gen: 2}, guards.Alive)
	require.NoError(t, err)
	require.Equal(t, at(3), r.Stamps[place(t, beside, "new")])
	require.Equal(t, "3 0src|3|%00 = new", beside.Encode(r).Fields)
}

// TestColumnThatIsNoLongerClocked: in this process the column is a projection, in another
// one it still has a clock, which this one must hand on.
func TestColumnThatIsNoLongerClocked(t *testing.T) {
	t.Parallel()
	l := layout(t, map[string]int32{"derived": 1}, 1)
	stored := clocks.Stored{Time: 9, Tie: []byte(at(9).Tie), Fields: "3 0src|3|%00 = derived", Gen: 1}
	r, err := l.Decode(stored, guards.Alive)
	require.NoError(t, err)
	require.Equal(t, at(3), r.Stamps[place(t, l, "derived")])
	require.Equal(t, stored, l.Encode(r))
}

func TestNewest(t *testing.T) {
	t.Parallel()
	l := layout(t, nil, 1)
	r := l.New()
	r.Stamps[0], r.Stamps[2] = at(-5), at(-7)
	require.Equal(t, at(-5), r.Newest(), "a zero stamp is below negative times")
	m := model(t)
	require.Equal(t, at(-7), r.NewestOf(m.ModifyColumns))
	require.True(t, r.NewestOf(nil).IsZero())
	c := r.Clone()
	c.Stamps[0] = at(1)
	require.Equal(t, at(-5), r.Stamps[0])
}

func TestDamagedFields(t *testing.T) {
	t.Parallel()
	l := layout(t, nil, 1)
	for _, text := range []string{"x", "7 = a", "7", "= a", "x 0src = a", "7 0s%0 = a", "7 0s%zz = a", "- = %", "7 0src|7|%00 = a\n", "\n- = a"} {
		_, err := l.Decode(clocks.Stored{Time: 9, Tie: []byte("t"), Fields: text, Gen: 1}, guards.Alive)
		if text == "7 0src|7|%00 = a\n" {
			require.NoError(t, err) // an end of line at the end is somebody's editor
			continue
		}
		require.ErrorContains(t, err, "ek_fields", "%q", text)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("7 0src|7|%00 = a b\n- = @exists")
	f.Fuzz(func(t *testing.T, text string) {
		l := layout(t, nil, 1)
		r, err := l.Decode(clocks.Stored{Time: 9, Tie: []byte("t"), Fields: text, Gen: 1}, guards.Alive)
		if err != nil {
			return
		}
		back, err := l.Decode(l.Encode(r), guards.Alive)
		if err != nil || !slices.Equal(back.Stamps, r.Stamps) {
			t.Fatalf("%q: %v, then %v (%v)", text, r, back, err)
		}
	})
}
