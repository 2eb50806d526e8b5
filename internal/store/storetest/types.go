package storetest

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/internal/store"
)

func typeCases() []testCase {
	return []testCase{
		{"every Go type comes back", everyType},
		{"zero values and nulls come back", zeroValues},
		{"what a type refuses is the data's fault", refused},
		{"what a column refuses is the data's fault", tooLong},
	}
}

func full() *Everything {
	at := time.Date(1969, 7, 20, 20, 17, 40, 123_456_000, time.UTC)
	return &Everything{
		ID: math.MinInt64, S: "naïve \u2028 'quoted' \\ {\"a\",NULL}", Named: "n", I: math.MinInt64, I8: -128, I16: -32768, I32: math.MinInt32, I64: math.MaxInt64,
		U: math.MaxInt64, U8: 255, U16: 65535, U32: math.MaxUint32, F32: 0.1, F64: math.SmallestNonzeroFloat64, B: true, T: at, Bytes: []byte{0, 1, 255},
		PS: ptr(""), PI: ptr(int64(-5)), PU: ptr(uint32(7)), PF: ptr(math.Pi), PB: ptr(false), PT: &at,
		Color: "red", PColor: ptr(Color("blue")), UUID: UUID{1, 2, 3, 0xff}, PUUID: &UUID{9},
		Point: Point{1, 2}, PPoint: &Point{3, 4}, Tags: []string{"a", "b,\"c"}, Attrs: map[string]string{"k": "v\u0001"}, Unix: 1_700_000_000,
		Embedded: Embedded{City: "Bonn", Zip: ptr(53111)},
	}
}

func (b *bench) roundTrip(t *testing.T, e *Everything) *Everything {
	t.Helper()
	r := b.row(t, e, "everythings", 1)
	require.NoError(t, b.commit(t, &store.Batch{Insert: []*store.Row{r}}))
	got := b.one(t, "everythings", r.Key)
	require.NoError(t, b.commit(t, &store.Batch{Update: []*store.Row{got}}))
	got = b.one(t, "everythings", r.Key)
	x := got.Entity.Interface().(*Everything)
	require.Equal(t, b.now.Unix(), x.MadeSec)
	require.Equal(t, b.now.UnixMilli(), x.MadeMilli)
	require.Equal(t, b.now.UnixNano(), x.UpNano)
	x.Guarded, x.MadeSec, x.MadeMilli, x.UpNano = e.Guarded, 0, 0, 0
	x.T = x.T.UTC()
	if x.PT != nil {
		x.PT = ptr(x.PT.UTC())
	}
	return x
}

func everyType(b *bench) {
	t := b.t
	require.Equal(t, full(), b.roundTrip(t, full()))
}

func zeroValues(b *bench) {
	t := b.t
	e := &Everything{ID: 1}
	require.Equal(t, &Everything{ID: 1}, b.roundTrip(t, e))
	// NULL in fields that can't be nil is their zero value.
	require.NoError(t, b.sql().Exec("UPDATE everythings SET s = NULL, i = NULL, u8 = NULL, f64 = NULL, b = NULL, t = NULL, bytes = NULL, color = NULL, uuid = NULL, point = NULL, loose = NULL, in_city = NULL, unix = NULL").Error)
	got := b.one(t, "everythings", "1").Entity.Interface().(*Everything)
	got.Guarded, got.MadeSec, got.MadeMilli, got.UpNano = e.Guarded, 0, 0, 0
	got.T = got.T.UTC()
	require.Equal(t, &Everything{ID: 1}, got)
	// What somebody else keeps in an unmanaged column stays.
	require.NoError(t, b.sql().Exec("UPDATE everythings SET loose = 'theirs'").Error)
	r := b.one(t, "everythings", "1")
	x := r.Entity.Interface().(*Everything)
	require.Equal(t, "theirs", x.Loose)
	x.Loose = "ours"
	require.NoError(t, b.commit(t, &store.Batch{Update: []*store.Row{r}}))
	require.Equal(t, "theirs", b.one(t, "everythings", "1").Entity.Interface().(*Everything).Loose)
}

func refused(b *bench) {
	t := b.t
	var data *store.DataError
	b.sql() // a store without columns asks no type for its column's value
	r := b.row(t, &Everything{ID: 1, Color: "bad"}, "everythings", 1)
	err := b.commit(t, &store.Batch{Insert: []*store.Row{r}})
	require.ErrorIs(t, err, errColor)
	require.ErrorAs(t, err, &data)
	require.Equal(t, "everythings", data.Table)
	require.NoError(t, b.commit(t, &store.Batch{}), "the connection is as good as before")

	// The types are the user's, and so are their panics.
	var caught *store.PanicError
	good := b.row(t, &Everything{ID: 2, Color: "red"}, "everythings", 1)
	r = b.row(t, &Everything{ID: 1, Color: "worse"}, "everythings", 1)
	err = b.commit(t, &store.Batch{Insert: []*store.Row{good, r}})
	require.ErrorAs(t, err, &data)
	require.ErrorAs(t, err, &caught)
	require.Equal(t, "no color at all", caught.Value)
	require.Contains(t, caught.Stack, "Color")
	require.ErrorContains(t, err, `table everythings, key "1"`)
	require.NoError(t, b.commit(t, &store.Batch{Insert: []*store.Row{good}}))
	require.NoError(t, b.sql().Exec("UPDATE everythings SET color = 'UNREADABLE'").Error)
	_, err = b.s.Load(t.Context(), b.want("everythings", false, "2"))
	require.ErrorAs(t, err, &caught)
	require.ErrorAs(t, err, &data)
	require.NoError(t, b.commit(t, &store.Batch{}), "the connection is as good as before")
}

func tooLong(b *bench) {
	t := b.t
	if !b.postgres() {
		t.Skip("SQLite takes any text in any column")
	}
	var data *store.DataError
	for text, state := range map[string]string{"123456": "22001", "a\x00b": "22021", "\xff": "22021"} {
		r := b.row(t, &Line{ID: 1, Text: text}, "a_lines", 1)
		require.ErrorAs(t, b.commit(t, &store.Batch{Insert: []*store.Row{r}}), &data)
		require.Equal(t, state, data.State)
	}
	require.NoError(t, b.commit(t, &store.Batch{Insert: []*store.Row{b.row(t, &Line{ID: 1, Text: "12345"}, "a_lines", 1)}}))
	r := b.one(t, "a_lines", "1")
	r.Entity.Interface().(*Line).Text = strings.Repeat("x", 6)
	require.ErrorAs(t, b.commit(t, &store.Batch{Update: []*store.Row{r}}), &data)
	require.Equal(t, "22001", data.State)
}
