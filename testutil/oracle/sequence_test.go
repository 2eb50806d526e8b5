package oracle_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/testutil/oracle"
)

// walks is an oracle of rows whose events say where somebody went, by number.
func walks() *oracle.Oracle {
	return &oracle.Oracle{
		Parse: func(r *event.Record) (oracle.Event, error) {
			var l line
			if err := json.Unmarshal(r.Value, &l); err != nil {
				return oracle.Event{}, err
			}
			step := oracle.Unit{
				Table: "walks", Key: l.Key, Rule: oracle.Sequence, Refuses: l.Type == "refused",
				Change: func(row map[string]any) {
					way, _ := row["way"].(string)
					row["way"] = way + l.Type
				},
			}
			if l.Type == "rejected" {
				step.Fails = guards.Rejected
			}
			return oracle.Event{Type: l.Type, Source: l.Source, ID: l.ID, Version: l.Version, At: noon.Add(time.Duration(l.Minute) * time.Minute), Units: []oracle.Unit{step}}, nil
		},
		Tables:    []oracle.Table{{Name: "walks", Unclocked: []string{"way"}, NoCreator: true}},
		MaxFuture: 5 * time.Minute, From: noon, To: noon,
	}
}

func TestSequenceGoesByNumber(t *testing.T) {
	t.Parallel()
	step := func(n int64, typ, id string) line { return line{Type: typ, ID: id, Key: "w", Version: &n} }
	for name, tt := range map[string]struct {
		lines   []line
		way     any // nil: no row
		parked  []int64
		letters []guards.Reason
	}{
		"in order":           {[]line{step(1, "a", "1"), step(2, "b", "2")}, "ab", nil, nil},
		"out of order":       {[]line{step(3, "c", "3"), step(2, "b", "2"), step(1, "a", "1")}, "abc", nil, nil},
		"twice":              {[]line{step(1, "a", "1"), step(2, "b", "2"), step(1, "a", "1")}, "ab", nil, nil},
		"a gap":              {[]line{step(1, "a", "1"), step(4, "d", "4"), step(3, "c", "3")}, "a", []int64{2, 1}, nil},
		"parked twice":       {[]line{step(1, "a", "1"), step(3, "c", "3"), step(3, "c", "3")}, "a", []int64{1}, nil},
		"nothing but ahead":  {[]line{step(2, "b", "2")}, nil, []int64{0}, nil},
		"two with a number":  {[]line{step(1, "a", "1"), step(1, "x", "other")}, "a", nil, []guards.Reason{guards.Conflict}},
		"below the first":    {[]line{step(0, "x", "0"), step(1, "a", "1")}, "a", nil, nil},
		"one that says no":   {[]line{step(1, "a", "1"), step(2, "refused", "2"), step(3, "c", "3")}, "ac", nil, nil},
		"one without number": {[]line{step(1, "a", "1"), {Type: "b", ID: "2", Key: "w"}}, "a", nil, []guards.Reason{guards.Poison}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want, err := walks().Predict(logOf(t, tt.lines...))
			require.NoError(t, err)
			if tt.way == nil {
				require.Empty(t, want.Rows["walks"])
			} else {
				require.Equal(t, tt.way, want.Rows["walks"]["w"].Fields["way"])
			}
			var parked []int64
			for _, p := range want.Parked {
				parked = append(parked, p.Offset)
			}
			require.Equal(t, tt.parked, parked)
			var letters []guards.Reason
			for _, l := range want.Letters {
				letters = append(letters, l.Reason)
			}
			require.Equal(t, tt.letters, letters)
		})
	}
	_, err := walks().Predict(logOf(t, step(1, "rejected", "1")))
	require.ErrorContains(t, err, "a unit under Sequence can't fail for the oracle")
}

// What comes out without the guard is named for what it is.
func TestSequenceTellsHowARowWentWrong(t *testing.T) {
	t.Parallel()
	step := func(n int64, typ, id string) line { return line{Type: typ, ID: id, Key: "w", Version: &n} }
	three := int64(3)
	want, err := walks().Predict(logOf(t, step(2, "b", "2"), step(1, "a", "1"), step(1, "a", "1"), line{Type: "f", ID: "3", Key: "w", Version: &three, Minute: 60}))
	require.NoError(t, err)
	for found, class := range map[string]oracle.Class{
		"ba": oracle.StaleOverwrite, "baa": oracle.DuplicateEffect, "baaf": oracle.StaleOverwrite, "a": oracle.Lost,
	} {
		report := want.Compare(oracle.Actual{Plain: true, Rows: map[string]map[string]oracle.Row{"walks": {"w": {Fields: map[string]any{"way": found}}}}})
		require.Equal(t, 1, report.Counts[class], found)
		require.Equal(t, 1, report.Wrong, found)
	}
}
