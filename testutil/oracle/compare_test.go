package oracle_test

import (
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/testutil/oracle"
)

var home = oracle.Partition{Topic: topic}

// story is a log with everything in it, and what a consumer that does it right leaves.
func story(t *testing.T) (*oracle.Prediction, func() oracle.Actual) {
	t.Helper()
	p := predict(t,
		line{Type: "created", Key: "a", ID: "c1", Minute: 1, Facts: facts("customer", "ann")},
		line{Type: "paid", Key: "a", ID: "p1", Minute: 5, Facts: facts("paid", 5.0)},
		line{Type: "cancelled", Key: "a", ID: "x1", Minute: 9, Facts: facts("cancelled", 9.0)},
		line{Type: "renamed", Key: "a", ID: "r1", Minute: 3, Facts: facts("customer", "amy")},
		line{Type: "created", Key: "a", ID: "c1", Minute: 1, Facts: facts("customer", "ann")},
		line{Type: "paid", Key: "b", ID: "p2", Minute: 600, Facts: facts("paid", 600.0)}, // 5: the future
		line{Type: "adds", Key: "b", ID: "t1", Minute: 6, Facts: facts("total", 1.0)},
		line{Type: "adds", Key: "b", ID: "t3", Minute: 8, Facts: facts("total", 10.0)},
		line{Type: "adds", Key: "b", ID: "t2", Minute: 7, Facts: facts("total", 100.0)},
		line{Type: "adds", Key: "b", ID: "t3", Minute: 8, Facts: facts("total", 10.0)},
	)
	return p, func() oracle.Actual {
		rows := map[string]oracle.Row{}
		for key, row := range p.Rows["orders"] {
			rows[key] = oracle.Row{Fields: maps.Clone(row.Fields), State: row.State, Clocks: maps.Clone(row.Clocks)}
		}
		return oracle.Actual{
			Rows:      map[string]map[string]oracle.Row{"orders": rows},
			Letters:   []oracle.Letter{{Partition: home, Offset: 5, Reason: guards.Future, Key: "b"}},
			Positions: []oracle.Position{{Partition: home, Next: 10, Committed: 10}},
		}
	}
}

func TestWhatIsRightIsClean(t *testing.T) {
	t.Parallel()
	p, actual := story(t)
	r := p.Compare(actual())
	require.True(t, r.Clean(), r)
	require.Equal(t, 2, r.Rows)
	require.Equal(t, 2, r.Right)

	// Types do not count, values do.
	a := actual()
	paid := 5
	a.Rows["orders"]["a"].Fields["paid"] = &paid
	a.Rows["orders"]["b"].Fields["customer"] = ""
	r = p.Compare(a)
	require.True(t, r.Clean(), r)
	var zero int
	a.Rows["orders"]["b"].Fields["paid"] = &zero
	require.False(t, p.Compare(a).Clean(), "a zero that was written is not NULL")
}

func TestDeviations(t *testing.T) {
	t.Parallel()
	field := func(key, field string, value any) func(*oracle.Actual) {
		return func(a *oracle.Actual) { a.Rows["orders"][key].Fields[field] = value }
	}
	tests := map[string]struct {
		spoil func(*oracle.Actual)
		class oracle.Class
		story string
	}{
		"a row is not there": {
			func(a *oracle.Actual) { delete(a.Rows["orders"], "a") },
			oracle.Lost, "orders a is not there, though created c1",
		},
		"an effect is not there": {
			field("a", "cancelled", nil),
			oracle.Lost, "cancelled must be 9 and is NULL: the effect of cancelled x1 of 2026-03-01 12:09:00 (record 0/2) is not there",
		},
		"an older event that came before": {
			field("a", "customer", "zoe"),
			oracle.Lost, "the effect of renamed r1",
		},
		"an older event came later and wrote": {
			func(a *oracle.Actual) {
				delete(a.Rows["orders"]["b"].Fields, "paid")
				a.Rows["orders"]["b"].Fields["paid"] = 600.0
			},
			oracle.StaleOverwrite, "paid p2 of 2026-03-01 22:00:00 (record 0/5) wrote it, though it is from the future by more than 5m0s",
		},
		"a copy wrote again": {
			field("a", "customer", "ann"),
			oracle.DuplicateEffect, "a second copy of created c1 of 2026-03-01 12:01:00 (record 0/4) came after renamed r1",
		},
		"a derived field by hints": {
			field("a", "status", "created"),
			oracle.DuplicateEffect, "a second copy of created c1",
		},
		"a stale change applied": {
			field("b", "total", 111.0),
			oracle.StaleOverwrite, "what comes out when stale events apply too",
		},
		"a change applied twice": {
			field("b", "total", 121.0),
			oracle.DuplicateEffect, "what comes out when copies apply again",
		},
		"a change lost": {
			field("b", "total", 1.0), oracle.Lost, "total must be 11 and is 1",
		},
		"a row too many": {
			func(a *oracle.Actual) { a.Rows["orders"]["c"] = oracle.Row{} },
			oracle.StaleOverwrite, "orders c is there, though no event makes it",
		},
		"still a placeholder": {
			func(a *oracle.Actual) {
				row := a.Rows["orders"]["a"]
				row.State = guards.Placeholder
				a.Rows["orders"]["a"] = row
			},
			oracle.Lost, "the row must be live and is placeholder",
		},
		"raised from the dead": {
			func(a *oracle.Actual) {
				row := a.Rows["orders"]["b"]
				row.State = guards.Alive
				a.Rows["orders"]["b"] = row
			},
			oracle.StaleOverwrite, "the row must be placeholder and is live",
		},
		"an older clock": {
			func(a *oracle.Actual) { a.Rows["orders"]["a"].Clocks["customer"] = oracle.Stamp{Number: 1, ID: "c1"} },
			oracle.Lost, "the clock of customer must be",
		},
		"a newer clock": {
			func(a *oracle.Actual) { a.Rows["orders"]["b"].Clocks["paid"] = oracle.Stamp{Number: 1, ID: "c1"} },
			oracle.StaleOverwrite, `the clock of paid must be never and is 1 from "", id "c1"`,
		},
		"a letter is missing": {
			func(a *oracle.Actual) { a.Letters = nil },
			oracle.StaleOverwrite, "the letter of record orders/0/5 must be there, with reason future, and is not",
		},
		"a letter for another reason": {
			func(a *oracle.Actual) { a.Letters[0].Reason = guards.Late },
			oracle.StaleOverwrite, "must have the reason future and has late",
		},
		"a letter too many": {
			func(a *oracle.Actual) {
				a.Letters = append(a.Letters, oracle.Letter{Partition: home, Offset: 1, Reason: guards.Late})
			},
			oracle.Lost, "record orders/0/1 became a letter, with reason late, and must not",
		},
		"a letter twice": {
			func(a *oracle.Actual) { a.Letters = append(a.Letters, a.Letters[0]) },
			oracle.DuplicateEffect, "record orders/0/5 has more letters than one",
		},
		"parked for ever": {
			func(a *oracle.Actual) {
				a.Parked = append(a.Parked, oracle.Parked{Partition: home, Offset: 2, Table: "orders", Key: "a"})
			},
			oracle.Stuck, "record orders/0/2 still waits for orders a",
		},
		"not read to the end": {
			func(a *oracle.Actual) { a.Positions[0].Next, a.Positions[0].Committed = 9, 9 },
			oracle.Stuck, "partition orders/0 is finished up to 9 only; the log goes to 10",
		},
		"a partition never read": {
			func(a *oracle.Actual) { a.Positions[0].Topic = "other" },
			oracle.Stuck, "partition orders/0 was never read",
		},
		"the ledger is beyond the log": {
			func(a *oracle.Actual) { a.Positions[0].Next, a.Positions[0].Committed = 11, 10 },
			oracle.OffsetAhead, "the ledger is at 11, beyond the log's end 10",
		},
		"Kafka's offset is beyond the ledger": {
			func(a *oracle.Actual) { a.Positions[0].Committed = 11 },
			oracle.OffsetAhead, "Kafka's offset is 11, but only what is before 10 is finished",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, actual := story(t)
			a := actual()
			tt.spoil(&a)
			r := p.Compare(a)
			found := make(map[oracle.Class]int)
			for _, d := range r.Deviations {
				found[d.Class]++
			}
			require.Positive(t, found[tt.class], r)
			require.Contains(t, r.String(), tt.story)
			if tt.class != oracle.OffsetAhead && name != "a partition never read" {
				require.Len(t, r.Deviations, 1, r)
			}
		})
	}
}

func TestAStaleEventThatCameLater(t *testing.T) {
	t.Parallel()
	p := predict(t,
		line{Type: "renamed", Key: "a", ID: "r2", Minute: 9, Facts: facts("customer", "new")},
		line{Type: "renamed", Key: "a", ID: "r1", Minute: 3, Facts: facts("customer", "old")},
	)
	r := p.Compare(oracle.Actual{Plain: true, Rows: map[string]map[string]oracle.Row{"orders": {"a": {Fields: facts(
		"customer", "old", "paid", nil, "cancelled", nil, "total", nil, "status", "created")}}}})
	require.Len(t, r.Deviations, 1)
	require.Equal(t, oracle.StaleOverwrite, r.Deviations[0].Class)
	require.Equal(t, `orders a: customer must be "new" and is "old": renamed r1 of 2026-03-01 12:03:00 (record 0/1) came after renamed r2 of 2026-03-01 12:09:00 (record 0/0), which is newer, and overwrote it`, r.Deviations[0].Story)
	require.Equal(t, 1, r.Wrong)
	require.True(t, r.IsWrong("orders", "a"))
	require.Equal(t, r.Deviations, r.Samples(3))
}

func TestParseClocks(t *testing.T) {
	t.Parallel()
	g := guards.Guarded{
		EkTime: 1700, EkTie: []byte("1sh\x00\xffop\x00\x01o-1\x00\x01\x00"),
		EkFields: "1600 1%C3%A9%20|o%3D2|%00 = customer na%20me\n- = paid @exists",
	}
	clocks, err := oracle.ParseClocks(g, []string{"customer", "na me", "paid", "total"})
	require.NoError(t, err)
	newest, older := oracle.Stamp{Number: 1700, Source: "sh\x00op", ID: "o-1"}, oracle.Stamp{Number: 1600, Source: "é ", ID: "o=2"}
	require.Equal(t, map[string]oracle.Stamp{"customer": older, "na me": older, "paid": {}, "total": newest, oracle.Exists: {}}, clocks)

	clocks, err = oracle.ParseClocks(guards.Guarded{EkTime: 7, EkTie: []byte("0s\x00\x01i\x00\x01\x02p\x00\x01q\x00\x01")}, nil)
	require.NoError(t, err)
	require.Equal(t, map[string]oracle.Stamp{oracle.Exists: {Number: 7, Derived: true, Source: "s", ID: "i"}}, clocks)

	clocks, err = oracle.ParseClocks(guards.Guarded{}, []string{"paid"})
	require.NoError(t, err)
	require.Equal(t, map[string]oracle.Stamp{"paid": {}, oracle.Exists: {}}, clocks)

	for _, broken := range []guards.Guarded{
		{EkTie: []byte("1shop")},
		{EkTie: []byte("2s\x00\x01i\x00\x01\x00")},
		{EkTie: []byte("0s\x00\x01i\x00\x01\x00")},
		{EkTie: []byte("0s\x00\x01i\x00\x01\x02p\x00\x01")},
		{EkTie: []byte("1s\x00\x01i\x00\x01\x01p\x00\x01")},
		{EkFields: "1600 customer"},
		{EkFields: "x 1s|i|%00 = customer"},
		{EkFields: "1 1s|i|%0 = customer"},
		{EkFields: "1 1s|i|%zz = customer"},
	} {
		_, err := oracle.ParseClocks(broken, []string{"customer"})
		require.Error(t, err, "%+v", broken)
	}
}

func TestValuesAreComparedByWhatTheyMean(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 13, 0, 0, 999, time.FixedZone("CET", 3600))
	type word string
	for _, pair := range [][2]any{
		{at, time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)},
		{&at, at},
		{7, int64(7)},
		{uint8(7), 7.0},
		{word("x"), "x"},
		{[]byte("x"), "x"},
		{true, true},
		{[]string{"a"}, []any{"a"}},
		{nil, (*int)(nil)},
		{nil, 0},
	} {
		p, err := (&oracle.Oracle{Parse: parse, Tables: []oracle.Table{{Name: "orders", Before: map[string]map[string]any{"a": {"f": pair[0]}}}}}).Predict(nil)
		require.NoError(t, err)
		a := oracle.Actual{Plain: true, Rows: map[string]map[string]oracle.Row{"orders": {"a": {Fields: facts("f", pair[1])}}}}
		require.True(t, p.Compare(a).Clean(), "%v and %v", pair[0], pair[1])
		a.Rows["orders"]["a"].Fields["f"] = "other"
		require.False(t, p.Compare(a).Clean())
	}
}
