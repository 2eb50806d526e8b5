package postgres_test

import (
	"context"
	"encoding/json"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/ledger"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/migrations"
	"github.com/evenkeel-go/evenkeel/internal/store/postgres"
	"github.com/evenkeel-go/evenkeel/testutil"
)

// odd has the column types that Postgres has beyond the common ones.
type odd struct {
	ID       int32 `gorm:"primaryKey;autoIncrement:false"`
	UUID     string
	Mood     string
	Amount   string
	Precise  float64
	Huge     uint64
	Unsigned uint
	PHuge    *uint64
	Price    *float64
	Fixed    string
	Short    string
	Email    string
	JSON     json.RawMessage
	Map      map[string]any `gorm:"type:jsonb"`
	Names    []string       `gorm:"type:text[]"`
	Numbers  []int64        `gorm:"type:bigint[]"`
	Moods    []string       `gorm:"type:mood[]"`
	Naive    time.Time
	Day      time.Time
	PDay     *time.Time
	Raw      string
	Flag     *bool
	Bits     string
	Span     string
	Gone     gorm.DeletedAt
	guards.Guarded
}

const oddTable = `
CREATE TYPE mood AS ENUM ('sad', 'so so', 'happy');
CREATE DOMAIN email AS varchar(20) CHECK (VALUE LIKE '%@%');
CREATE DOMAIN mail AS email;
CREATE TABLE odds (
	id int PRIMARY KEY, uuid uuid, mood mood, amount numeric(12,3), precise numeric, huge numeric(20), unsigned bigint, p_huge numeric,
	price numeric(10,2), fixed char(4), short varchar(3), email mail, json jsonb, map jsonb, names text[], numbers bigint[], moods mood[],
	naive timestamp, day date, p_day date, raw bytea, flag bool, bits bit(3), span interval, gone timestamptz,
	ek_rev bigint NOT NULL DEFAULT 0, ek_time numeric NOT NULL DEFAULT 0, ek_tie bytea NOT NULL DEFAULT '', ek_fields varchar NOT NULL DEFAULT '',
	ek_state int NOT NULL DEFAULT 0, ek_born bigint NOT NULL DEFAULT 0, ek_gen bigint NOT NULL DEFAULT 0)`

func newOdd(t *testing.T) (*lane, func(*odd) *store.Row) {
	t.Helper()
	db := testutil.Postgres(t)
	ctx := t.Context()
	require.NoError(t, migrations.Up(ctx, db))
	require.NoError(t, db.Exec(oddTable).Error)
	reg := handlers.NewRegistry()
	handlers.Set(reg, "odd", func(context.Context, *handlers.Delivery[struct{}, odd]) error { return nil }, handlers.Creates())
	w, err := reg.Wire(db.NamingStrategy)
	require.NoError(t, err)
	l := &lane{db: db, m: w.Models[0]}
	l.s, err = postgres.New(db)
	require.NoError(t, err)
	layouts, err := l.s.Claim(ctx, "g", w.Models, false)
	require.NoError(t, err)
	l.layout = layouts[0]
	l.ledger, _, err = l.s.Own(ctx, ledger.Key{Cluster: "c", TopicID: "t", Group: "g"}, "odds", "me")
	require.NoError(t, err)
	return l, func(o *odd) *store.Row {
		v := reflect.ValueOf(o)
		key, err := l.m.KeyText(v)
		require.NoError(t, err)
		return &store.Row{Model: l.m, Layout: l.layout, Key: key, Entity: v, State: guards.Alive, Clocks: l.layout.New()}
	}
}

func (l *lane) odd(t *testing.T, key string) (*odd, *store.Row) {
	t.Helper()
	loaded, err := l.s.Load(t.Context(), l.want([]string{key}))
	require.NoError(t, err)
	r := loaded.Rows["odds"][key]
	require.NotNil(t, r)
	o := r.Entity.Interface().(*odd)
	o.Guarded = guards.Guarded{}
	return o, r
}

func TestOddTypes(t *testing.T) {
	t.Parallel()
	l, row := newOdd(t)
	fill := func() *odd {
		day := time.Date(2024, 2, 29, 0, 0, 0, 0, time.UTC)
		return &odd{
			ID: -7, UUID: "0197f3c2-0000-7000-8000-0000000000ab", Mood: "so so", Amount: "123456789.125", Precise: 0.1, Huge: math.MaxUint64, Unsigned: 1 << 62,
			PHuge: ptr(uint64(math.MaxUint64)), Price: ptr(19.99), Fixed: "ab  ", Short: "äöü", Email: "a@b", JSON: json.RawMessage(`{"a": [1, "b"]}`),
			Map: map[string]any{"k": "v", "n": nil}, Names: []string{"a", `b"c,{}`, "NULL", ""}, Numbers: []int64{1, -2}, Moods: []string{"sad", "so so"},
			Naive: time.Date(2026, 7, 8, 9, 10, 11, 121_314_000, time.UTC), Day: day, PDay: &day, Raw: "\x00\xff", Flag: ptr(true), Bits: "101", Span: "1 day 02:03:04",
			Gone: gorm.DeletedAt{Time: now, Valid: true},
		}
	}
	l.commit(t, &store.Batch{Insert: []*store.Row{row(fill())}})
	got, r := l.odd(t, "-7")
	require.Equal(t, fill(), got)
	l.commit(t, &store.Batch{Update: []*store.Row{r}})
	got, _ = l.odd(t, "-7")
	require.Equal(t, fill(), got)

	require.NoError(t, l.db.Exec("INSERT INTO odds (id) VALUES (1)").Error)
	got, r = l.odd(t, "1")
	require.Equal(t, &odd{ID: 1}, got)
	require.Equal(t, guards.Foreign, r.State)
}

// TestColumnsOfManyRows: a value that all rows of a statement have travels once, and no row
// takes one that is another's.
func TestColumnsOfManyRows(t *testing.T) {
	t.Parallel()
	l, row := newOdd(t)
	a, b := ptr(uint64(7)), ptr(uint64(8))
	for first, c := range []struct{ values []*uint64 }{
		{[]*uint64{a, a, a}}, {[]*uint64{a, nil, nil}}, {[]*uint64{nil, a, a}}, {[]*uint64{nil, nil, nil}}, {[]*uint64{a, b, a}}, {[]*uint64{a}}, {[]*uint64{nil}},
	} {
		made := func(i int) *odd {
			return &odd{ID: int32(10*first + i), UUID: "0197f3c2-0000-7000-8000-0000000000ab", Mood: "sad", Amount: "1.000", Fixed: "a   ", Email: "a@b", JSON: json.RawMessage("1"), Bits: "101", Span: "1 day"}
		}
		var insert, update []*store.Row
		for i := range c.values {
			insert = append(insert, row(made(i)))
		}
		l.commit(t, &store.Batch{Insert: insert})
		for i, v := range c.values {
			o, r := l.odd(t, insert[i].Key)
			require.Equal(t, made(i).UUID, o.UUID)
			require.Nil(t, o.PHuge)
			r.Entity.Interface().(*odd).PHuge = v
			update = append(update, r)
		}
		l.commit(t, &store.Batch{Update: update})
		for i, v := range c.values {
			o, _ := l.odd(t, insert[i].Key)
			require.Equal(t, v, o.PHuge, "%v, place %d", c.values, i)
		}
	}
}

func TestOddTypesRefuse(t *testing.T) {
	t.Parallel()
	l, row := newOdd(t)
	good := odd{ID: 1, UUID: "0197f3c2-0000-7000-8000-0000000000ab", Mood: "sad", Amount: "1", Fixed: "a", Email: "a@b", JSON: json.RawMessage("1"), Bits: "101", Span: "1 day"}
	for name, c := range map[string]struct {
		change func(*odd)
		state  string
	}{
		"a domain's length is not cut":    {func(o *odd) { o.Email = "a@0123456789012345678901234567890" }, "22001"},
		"a domain's check holds":          {func(o *odd) { o.Email = "nobody" }, "23514"},
		"a char's length is not cut":      {func(o *odd) { o.Fixed = "abcde" }, "22001"},
		"a varchar's length is not cut":   {func(o *odd) { o.Short = "abcd" }, "22001"},
		"bits are not cut":                {func(o *odd) { o.Bits = "1010" }, "22026"},
		"no such enum":                    {func(o *odd) { o.Mood = "furious" }, "22P02"},
		"no JSON":                         {func(o *odd) { o.JSON = json.RawMessage("{") }, "22P02"},
		"JSON with NUL":                   {func(o *odd) { o.JSON = json.RawMessage(`"\u0000"`) }, "22P05"},
		"a number that is too large":      {func(o *odd) { o.Amount = "1234567890123" }, "22003"},
		"an unsigned that is no int8":     {func(o *odd) { o.Unsigned = math.MaxUint64 }, "22003"},
		"an array of something else":      {func(o *odd) { o.Moods = []string{"nothing"} }, "22P02"},
		"a year that Postgres has not":    {func(o *odd) { o.Naive = time.Date(300_000, 1, 1, 0, 0, 0, 0, time.UTC) }, "22008"},
		"a value that Go can't even send": {func(o *odd) { o.Map = map[string]any{"f": func() {}} }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := good
			c.change(&o)
			var data *store.DataError
			require.ErrorAs(t, l.s.Commit(t.Context(), l.batch(&store.Batch{Insert: []*store.Row{row(&o)}})), &data)
			require.Equal(t, c.state, data.State)
		})
	}
}

// An infinite time is nothing that Go could hand to a handler.
func TestInfiniteTime(t *testing.T) {
	t.Parallel()
	l, _ := newOdd(t)
	require.NoError(t, l.db.Exec("INSERT INTO odds (id, naive) VALUES (1, 'infinity')").Error)
	var data *store.DataError
	_, err := l.s.Load(t.Context(), l.want([]string{"1"}))
	require.ErrorAs(t, err, &data)
	require.ErrorContains(t, err, "infinite")
}

func ptr[T any](v T) *T { return &v }
