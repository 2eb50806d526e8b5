package oracle_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/testutil/oracle"
)

// line is one record in short: when, in minutes after noon, what, and about which key.
type line struct {
	Partition int32
	Type      string
	Key       string
	ID        string
	Source    string
	Minute    float64
	Facts     map[string]any
	Version   *int64
	Raw       string
	Handlers  []string
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const topic = "orders"

// logOf makes the log of the lines; each partition's offsets count from 0.
func logOf(t *testing.T, lines ...line) []event.Record {
	t.Helper()
	next := map[int32]int64{}
	records := make([]event.Record, 0, len(lines))
	for _, l := range lines {
		value := []byte(l.Raw)
		if l.Raw == "" {
			var err error
			value, err = json.Marshal(l)
			require.NoError(t, err)
		}
		records = append(records, event.Record{
			Coordinates: event.Coordinates{Cluster: "c", Topic: topic, TopicID: "t", Partition: l.Partition, Offset: next[l.Partition]},
			Key:         []byte(l.Key), Value: value, Timestamp: noon, TimestampType: event.TimestampCreate,
		})
		next[l.Partition]++
	}
	return records
}

func parse(r *event.Record) (oracle.Event, error) {
	var l line
	if err := json.Unmarshal(r.Value, &l); err != nil {
		return oracle.Event{}, err
	}
	e := oracle.Event{Type: l.Type, Source: l.Source, ID: l.ID, Version: l.Version, At: noon.Add(time.Duration(l.Minute * float64(time.Minute)))}
	u := oracle.Unit{Table: "orders", Key: l.Key, Facts: l.Facts}
	switch l.Type {
	case "created":
		u.Creates = true
	case "deleted":
		u.Deletes = true
	case "rejected":
		u.Fails = guards.Rejected
	case "refused":
		u.Refuses = true
	case "parks":
		u.Missing = oracle.Park
	case "letter":
		u.Missing = oracle.DeadLetter
	case "drops":
		u.Missing = oracle.Discard
	case "adds":
		u.Rule = oracle.Modify
		u.Facts = nil
		u.Change = func(row map[string]any) {
			have, _ := row["total"].(float64)
			row["total"] = have + l.Facts["total"].(float64)
		}
	case "viewed":
		return e, nil
	}
	if l.Type == "created" || l.Type == "paid" || l.Type == "cancelled" {
		u.Hints = map[string]any{"status": l.Type}
	}
	e.Units = []oracle.Unit{u}
	return e, nil
}

func newOracle() *oracle.Oracle {
	return &oracle.Oracle{
		Parse: parse,
		Tables: []oracle.Table{{
			Name: "orders", Set: []string{"customer", "paid", "cancelled"}, Modify: []string{"total"},
			Project: func(row map[string]any) {
				switch {
				case row["cancelled"] != nil:
					row["status"] = "cancelled"
				case row["paid"] != nil:
					row["status"] = "paid"
				default:
					row["status"] = "created"
				}
			},
		}},
		MaxLateness: time.Hour, MaxFuture: 5 * time.Minute,
		From: noon.Add(2 * time.Hour), To: noon.Add(2 * time.Hour),
	}
}

func predict(t *testing.T, lines ...line) *oracle.Prediction {
	t.Helper()
	p, err := newOracle().Predict(logOf(t, lines...))
	require.NoError(t, err)
	return p
}

// facts makes a map of names and values.
func facts(kv ...any) map[string]any {
	m := map[string]any{}
	for i := 0; i < len(kv); i += 2 {
		m[kv[i].(string)] = kv[i+1]
	}
	return m
}

func TestFieldsTakeTheNewestFact(t *testing.T) {
	t.Parallel()
	lines := []line{
		{Type: "created", Key: "a", ID: "1", Minute: 1, Facts: facts("customer", "ann")},
		{Type: "renamed", Key: "a", ID: "3", Minute: 3, Facts: facts("customer", "amy")},
		{Type: "paid", Key: "a", ID: "2", Minute: 2, Facts: facts("paid", 20.0, "customer", "abe")},
	}
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}, {1, 0, 2}} {
		shuffled := make([]line, 0, 3)
		for _, i := range order {
			shuffled = append(shuffled, lines[i])
		}
		row := predict(t, shuffled...).Rows["orders"]["a"]
		require.Equal(t, facts("customer", "amy", "paid", 20.0, "cancelled", nil, "total", nil, "status", "paid"), row.Fields)
		require.Equal(t, guards.Alive, row.State)
		at := func(minute int, id string) oracle.Stamp {
			return oracle.Stamp{Number: noon.Add(time.Duration(minute) * time.Minute).UnixMicro(), ID: id}
		}
		require.Equal(t, map[string]oracle.Stamp{
			"customer": at(3, "3"), "paid": at(2, "2"), "cancelled": {}, "total": {}, oracle.Exists: at(1, "1"),
		}, row.Clocks)
	}
}

func TestEqualTimesGoBySourceThenIDAsBytes(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 129)
	tests := map[string]struct {
		winner, loser line
	}{
		"source before id": {line{Source: "b", ID: "1"}, line{Source: "a", ID: "9"}},
		"id as bytes":      {line{ID: "é"}, line{ID: "z"}},
		"prefix is less":   {line{ID: "ab"}, line{ID: "a"}},
		"NUL is a byte":    {line{ID: "a\x00"}, line{ID: "a"}},
		"long ones hashed": {line{ID: "t"}, line{ID: long}}, // "sha256:…" < "t" < "x…"
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.winner.Facts, tt.loser.Facts = facts("customer", "winner"), facts("customer", "loser")
			tt.winner.Key, tt.loser.Key = "a", "a"
			for _, lines := range [][]line{{tt.winner, tt.loser}, {tt.loser, tt.winner}} {
				require.Equal(t, "winner", predict(t, lines...).Rows["orders"]["a"].Fields["customer"])
			}
		})
	}
}

func TestRowsBeginAndEnd(t *testing.T) {
	t.Parallel()
	p := predict(t,
		line{Type: "paid", Key: "early", ID: "1", Minute: 1, Facts: facts("paid", 1.0)},
		line{Type: "paid", Key: "completed", ID: "2", Minute: 2, Facts: facts("paid", 2.0)},
		line{Type: "created", Key: "completed", ID: "3", Minute: 1, Facts: facts("customer", "c")},
		line{Type: "created", Key: "gone", ID: "4", Minute: 1, Facts: facts("customer", "g")},
		line{Type: "deleted", Key: "gone", ID: "5", Minute: 9},
		line{Type: "paid", Key: "gone", ID: "6", Minute: 5, Facts: facts("paid", 5.0)},
		line{Type: "refused", Key: "nothing", ID: "7", Minute: 1, Facts: facts("paid", 5.0)},
	)
	rows := p.Rows["orders"]
	require.Equal(t, guards.Placeholder, rows["early"].State)
	require.Equal(t, guards.Alive, rows["completed"].State)
	require.Equal(t, guards.Deleted, rows["gone"].State)
	require.Nil(t, rows["gone"].Fields["paid"], "the delete zeroed it, and is newer")
	require.Equal(t, "5", rows["gone"].Clocks["customer"].ID)
	require.Nil(t, rows["nothing"])
	require.Equal(t, 2, p.Placeholders)
}

func TestLettersByAdmission(t *testing.T) {
	t.Parallel()
	p := predict(t,
		line{Type: "created", Key: "a", ID: "1", Minute: 0, Facts: facts("customer", "a")},
		line{Type: "paid", Key: "b", ID: "2", Minute: 600, Facts: facts("paid", 1.0)},      // 1: the future
		line{Type: "viewed", Key: "b", ID: "3", Minute: 90},                                // 2: moves the watermark all the same
		line{Type: "paid", Key: "a", ID: "4", Minute: 29, Facts: facts("paid", 29.0)},      // 3: late by a minute
		line{Type: "paid", Key: "a", ID: "5", Minute: 30, Facts: facts("paid", 30.0)},      // 4: just in time
		line{Type: "created", Key: "a", ID: "1", Minute: 0, Facts: facts("customer", "a")}, // 5: late, but absorbed
		line{Raw: "\xff", Key: "a"}, // 6
		line{Type: "rejected", Key: "a", ID: "6", Minute: 80, Facts: facts("paid", 80.0)},         // 7
		line{Partition: 1, Type: "paid", Key: "c", ID: "8", Minute: 1, Facts: facts("paid", 1.0)}, // its own watermark
	)
	at := func(offset int64, reason guards.Reason) oracle.Letter {
		return oracle.Letter{Partition: oracle.Partition{Topic: topic}, Offset: offset, Reason: reason}
	}
	rejected := at(7, guards.Rejected)
	rejected.Table, rejected.Key = "orders", "a"
	require.Equal(t, []oracle.Letter{at(1, guards.Future), at(3, guards.Late), at(6, guards.Poison), rejected}, p.Letters)
	require.Equal(t, 30.0, p.Rows["orders"]["a"].Fields["paid"])
	require.Nil(t, p.Rows["orders"]["b"], "events from the future make no rows")
	require.Equal(t, 1, p.Unhandled)
	require.Equal(t, 1, p.Duplicates)
}

func TestLateDuplicates(t *testing.T) {
	t.Parallel()
	first := line{Type: "paid", Key: "a", ID: "1", Minute: 0, Facts: facts("paid", 1.0)}
	ahead := line{Type: "viewed", Key: "x", ID: "2", Minute: 90}
	newer := line{Type: "paid", Key: "a", ID: "3", Minute: 40, Facts: facts("paid", 2.0)}
	in := func(partition int32, l line) line { l.Partition = partition; return l }
	late := func(p *oracle.Prediction) (certain, maybe int) {
		for _, l := range p.Letters {
			require.Equal(t, guards.Late, l.Reason)
			if l.Maybe {
				maybe++
			} else {
				certain++
			}
		}
		return certain, maybe
	}
	tests := map[string]struct {
		lines          []line
		certain, maybe int
	}{
		"the row has it":                  {[]line{first, ahead, first}, 0, 0},
		"a newer one has taken its place": {[]line{first, newer, ahead, first}, 1, 0},
		"one of two fields is left": {[]line{
			{Type: "paid", Key: "a", ID: "1", Minute: 0, Facts: facts("paid", 1.0, "customer", "c")},
			newer, ahead,
			{Type: "paid", Key: "a", ID: "1", Minute: 0, Facts: facts("paid", 1.0, "customer", "c")},
		}, 0, 0},
		"the first copy is in another partition": {[]line{in(1, first), ahead, first}, 0, 1},
		"the newer one is in another partition":  {[]line{first, in(1, newer), ahead, first}, 0, 1},
		"it never was anywhere else":             {[]line{ahead, first}, 1, 0},
		"both copies came late":                  {[]line{ahead, first, first}, 2, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			certain, maybe := late(predict(t, tt.lines...))
			require.Equal(t, []int{tt.certain, tt.maybe}, []int{certain, maybe})
		})
	}
}

func TestModifyGoesByArrival(t *testing.T) {
	t.Parallel()
	add := func(minute float64, id string, n float64, partition int32) line {
		return line{Type: "adds", Key: "a", ID: id, Minute: minute, Facts: facts("total", n), Partition: partition}
	}
	p := predict(t, add(1, "1", 1, 0), add(3, "3", 10, 0), add(2, "2", 100, 0), add(3, "3", 10, 0))
	require.Equal(t, 11.0, p.Rows["orders"]["a"].Fields["total"])
	require.Equal(t, "3", p.Rows["orders"]["a"].Clocks["total"].ID)
	require.False(t, p.Undecided("orders", "a"))

	p = predict(t, add(1, "1", 1, 0), add(3, "3", 10, 1))
	require.True(t, p.Undecided("orders", "a"))
}

func TestMissingRows(t *testing.T) {
	t.Parallel()
	p := predict(t,
		line{Type: "parks", Key: "a", ID: "1", Minute: 1, Facts: facts("paid", 1.0)},
		line{Type: "created", Key: "a", ID: "2", Minute: 0, Facts: facts("customer", "a")},
		line{Type: "parks", Key: "b", ID: "3", Minute: 1, Facts: facts("paid", 1.0)},  // 2
		line{Type: "letter", Key: "c", ID: "4", Minute: 1, Facts: facts("paid", 1.0)}, // 3
		line{Type: "drops", Key: "d", ID: "5", Minute: 1, Facts: facts("paid", 1.0)},
		line{Type: "created", Key: "e", ID: "6", Minute: 0},
		line{Type: "letter", Key: "e", ID: "7", Minute: 1, Facts: facts("paid", 7.0)},
	)
	rows := p.Rows["orders"]
	require.Equal(t, 1.0, rows["a"].Fields["paid"], "it waited for the row")
	require.Equal(t, 7.0, rows["e"].Fields["paid"])
	require.Len(t, rows, 2)
	home := oracle.Partition{Topic: topic}
	require.Equal(t, []oracle.Parked{{Partition: home, Offset: 2, Table: "orders", Key: "b"}}, p.Parked)
	require.Equal(t, []oracle.Letter{{Partition: home, Offset: 3, Reason: guards.MissingRow, Table: "orders", Key: "c"}}, p.Letters)
}

func TestVersionsOrderWhereTheTableSaysSo(t *testing.T) {
	t.Parallel()
	o := newOracle()
	o.Tables[0].ByVersion = true
	version := func(n int64) *int64 { return &n }
	p, err := o.Predict(logOf(t,
		line{Type: "paid", Key: "a", ID: "1", Minute: 9, Version: version(1), Facts: facts("paid", 1.0)},
		line{Type: "paid", Key: "a", ID: "2", Minute: 1, Version: version(2), Facts: facts("paid", 2.0)},
		line{Type: "paid", Key: "a", ID: "3", Minute: 10, Facts: facts("paid", 3.0)},
	))
	require.NoError(t, err)
	require.Equal(t, 2.0, p.Rows["orders"]["a"].Fields["paid"])
	require.Len(t, p.Letters, 1)
	require.Equal(t, guards.Poison, p.Letters[0].Reason)
}

func TestRowsThatWereThere(t *testing.T) {
	t.Parallel()
	o := newOracle()
	o.Tables[0].Before = map[string]map[string]any{"a": facts("customer", "old", "paid", 1.0), "b": facts("customer", "b")}
	p, err := o.Predict(logOf(t, line{Type: "renamed", Key: "a", ID: "1", Minute: -9e6, Facts: facts("customer", "new")}))
	require.NoError(t, err)
	require.Equal(t, "new", p.Rows["orders"]["a"].Fields["customer"])
	require.Equal(t, 1.0, p.Rows["orders"]["a"].Fields["paid"])
	require.Equal(t, guards.Foreign, p.Rows["orders"]["b"].State)
	require.True(t, p.Rows["orders"]["b"].Clocks["customer"].IsZero())
}

func TestWhatCanNotBeToldIsAnError(t *testing.T) {
	t.Parallel()
	o := newOracle()
	o.To = o.From.Add(time.Minute)
	_, err := o.Predict(logOf(t, line{Type: "paid", Key: "a", ID: "1", Minute: 125.5}))
	require.ErrorContains(t, err, "choose event times further from now")

	a := line{Type: "paid", Key: "a", ID: "1", Facts: facts("paid", 1.0)}
	b := line{Type: "paid", Key: "a", ID: "1", Facts: facts("paid", 2.0), Partition: 1}
	_, err = newOracle().Predict(logOf(t, a, b))
	require.ErrorContains(t, err, "which one wins is chance")

	_, err = (&oracle.Oracle{Parse: parse}).Predict(logOf(t, a))
	require.ErrorContains(t, err, "add it to Tables")
}

func TestEventsWithoutIDAreTheirCoordinates(t *testing.T) {
	t.Parallel()
	p := predict(t,
		line{Type: "paid", Key: "a", Facts: facts("paid", 1.0)},
		line{Type: "paid", Key: "a", Facts: facts("paid", 2.0)})
	require.Equal(t, 2.0, p.Rows["orders"]["a"].Fields["paid"])
	require.Equal(t, fmt.Sprintf("@c/t/0/%d", 1), p.Rows["orders"]["a"].Clocks["paid"].ID)
}
