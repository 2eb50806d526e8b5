package storetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

func (b *bench) record(offset int64) *event.Record {
	return &event.Record{
		Coordinates: event.Coordinates{Cluster: "cluster", Topic: "orders", TopicID: "topic-id", Partition: 0, Offset: offset, LeaderEpoch: 3},
		Key:         []byte{}, Value: []byte("\x00\xff value"),
		Headers:   []event.Header{{Key: "a", Value: nil}, {Key: "b", Value: []byte{}}, {Key: "a", Value: []byte{0, 1}}},
		Timestamp: start.Truncate(time.Millisecond), TimestampType: event.TimestampLogAppend,
	}
}

func (b *bench) parked(id, entity string, place int64) *store.Parked {
	return &store.Parked{
		ID: id, Group: group, Table: "orders", Entity: entity, Handler: "h", Cause: store.CauseRetry, Place: place, Rev: 1,
		Due: start.Add(time.Minute), Expires: start.Add(time.Hour), Attempts: 2, FirstFailed: start, LastFailed: start.Add(time.Second),
		ErrorType: "*x.Error", Error: "it \x00 failed \xff", Stack: "main.go:1", EventType: "order", Source: "src", EventID: "e-" + id,
		OccurredAt: start.Add(-time.Minute), Codec: "envelope", Record: b.record(place),
	}
}

func (b *bench) letter(id string) *dlq.Letter {
	return &dlq.Letter{
		ID: id, Rev: 1, State: dlq.Open, Blocking: true, Place: 7, Group: group, Handler: "h", Table: "orders", Entity: "a",
		Verdict: guards.Verdict{
			Action: guards.DeadLetter, Reason: guards.Late, Detail: "too \x00 late", Masked: []string{"status", "no,te"},
			Numbers: guards.Comparison{What: "watermark", Event: -1, Against: 2, Bound: 3, EventTie: "\x00\x01t", AgainstTie: "\xff"},
		},
		EventType: "order", Source: "src\x00", EventID: "e-" + id, OccurredAt: start.Add(-time.Hour), Stamp: stampAt(5), Attempts: 3,
		FirstFailed: start, LastFailed: start.Add(time.Second), ErrorType: "*x.Error", Error: "no", Stack: "at", Fingerprint: "f",
		ServiceVersion: "v1", CreatedAt: start, Record: b.record(40),
	}
}

func parkedCases() []testCase {
	return []testCase{
		{"parked rows come back whole when due", parkedRoundTrip},
		{"a parked row changes and goes by revision", parkedRevisions},
		{"a unit that is parked again replaces itself", parkedAgain},
		{"a claim ends by itself", dueClaims},
		{"a claim ends with the revision", dueAgain},
		{"of a key that another has claimed the rest is claimed", dueBeside},
		{"no two claim one row", dueRace},
		{"due rows behind many others are found", dueBehind},
		{"due rows of many keys come together, with an end", dueTogether},
		{"queues show what waits in place order", queues},
		{"units of judged coordinates are known", units},
		{"absent keys are looked at again", absent},
		{"parking and making a row exclude each other", parkOrMake},
		{"waking makes what misses its row, or stands behind, due", wake},
	}
}

func parkedRoundTrip(b *bench) {
	t := b.t
	p := b.parked("p", "a", 4)
	bare := &store.Parked{ID: "bare", Group: group, Table: "orders", Entity: "b", Cause: store.CauseMissing, Rev: 1, Due: start, Record: &event.Record{}}
	require.NoError(t, b.commit(t, &store.Batch{Park: []*store.Parked{p, bare}}))
	got, err := b.s.Due(t.Context(), &store.DueQuery{Group: group, Now: start.Add(time.Minute), Lease: time.Minute, Limit: 10, PerKey: 10})
	require.NoError(t, err)
	require.Len(t, got, 2)
	require.Equal(t, bare.ID, got[0].ID)
	p.Error = "it \uFFFD failed \uFFFD"
	require.Equal(t, p, got[1])
	require.Equal(t, bare, got[0])
	require.Nil(t, got[0].Record.Key)
	require.NotNil(t, got[1].Record.Key)
	require.Nil(t, got[0].Record.Value)
}

func parkedRevisions(b *bench) {
	t := b.t
	p, q := b.parked("p", "a", 1), b.parked("q", "a", 2)
	require.NoError(t, b.commit(t, &store.Batch{Park: []*store.Parked{p, q}}))
	p.Attempts, p.Due, p.Cause, p.Error = 9, start, store.CauseBehind, "other"
	require.NoError(t, b.commit(t, &store.Batch{Repark: []*store.Parked{p}}))
	require.ErrorIs(t, b.commit(t, &store.Batch{Repark: []*store.Parked{q, p}}), store.ErrConflict, "p has moved on")
	require.ErrorIs(t, b.commit(t, &store.Batch{Release: []store.Mark{{ID: "p", Rev: 1}}}), store.ErrConflict)
	got, err := b.s.Due(t.Context(), &store.DueQuery{Group: group, Now: start, Lease: time.Minute, Limit: 10, PerKey: 10})
	require.NoError(t, err)
	require.Len(t, got, 2, "the rest of the key comes along")
	require.Equal(t, 9, got[0].Attempts)
	require.Equal(t, store.CauseBehind, got[0].Cause)
	require.Equal(t, int64(2), got[0].Rev)
	require.Equal(t, int64(1), got[1].Rev)
	require.NoError(t, b.commit(t, &store.Batch{Release: []store.Mark{{ID: "p", Rev: 2}, {ID: "q", Rev: 1}}}))
	require.Zero(t, b.count(t, "evenkeel_parked"))
}

func parkedAgain(b *bench) {
	t := b.t
	require.NoError(t, b.commit(t, &store.Batch{Park: []*store.Parked{b.parked("p", "a", 1)}}))
	again := b.parked("p", "a", 1)
	again.Attempts, again.Due = 5, start
	require.NoError(t, b.commit(t, &store.Batch{Park: []*store.Parked{again}}))
	got, err := b.s.Due(t.Context(), &store.DueQuery{Group: group, Now: start, Lease: time.Minute, Limit: 10, PerKey: 10})
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Equal(t, 5, got[0].Attempts)
	require.Equal(t, int64(2), got[0].Rev)
}

func queues(b *bench) {
	t := b.t
	resolved, free, block := b.letter("resolved"), b.letter("free"), b.letter("block")
	resolved.State, resolved.Place = "resolved", 30
	free.Blocking, free.Place = false, 20
	block.Place = 2
	other := b.letter("other")
	other.Entity, other.Blocking = "letters only", false
	require.NoError(t, b.commit(t, &store.Batch{
		Park:    []*store.Parked{b.parked("p3", "a", 3), b.parked("p1", "a", 1), b.parked("x", "b", 9)},
		Letters: []*dlq.Letter{resolved, free, block, other},
	}))
	want := b.want("orders", true, "zz", "b", "a", "letters only")
	l, err := b.s.Load(t.Context(), want)
	require.NoError(t, err)
	require.Empty(t, l.Rows["orders"])
	require.Len(t, l.Queues["orders"], 2)
	q := l.Queues["orders"]["a"]
	due := start.Add(time.Minute)
	require.Equal(t, []store.QueueEntry{
		{ID: "p1", Handler: "h", Cause: store.CauseRetry, Place: 1, Due: due},
		{ID: "p3", Handler: "h", Cause: store.CauseRetry, Place: 3, Due: due},
	}, q.Parked)
	require.Equal(t, []store.QueueEntry{{ID: "block", Handler: "h", Place: 2}}, q.Letters)
	require.Equal(t, int64(30), q.LastPlace)
	require.Equal(t, int64(9), l.Queues["orders"]["b"].LastPlace)

	l, err = b.s.Load(t.Context(), b.want("orders", false, "a"))
	require.NoError(t, err)
	require.Empty(t, l.Queues)
	want.Group = "other group"
	l, err = b.s.Load(t.Context(), want)
	require.NoError(t, err)
	require.Empty(t, l.Queues)
}

func units(b *bench) {
	t := b.t
	resolved := b.letter("resolved")
	resolved.State = "resolved"
	require.NoError(t, b.commit(t, &store.Batch{Letters: []*dlq.Letter{resolved}, Park: []*store.Parked{b.parked("p", "a", 41), b.parked("q", "a", 42)}}))
	c := b.record(40).Coordinates
	l, err := b.s.Load(t.Context(), &store.Want{Group: group, Judged: []event.Coordinates{c, b.record(41).Coordinates, b.record(99).Coordinates}})
	require.NoError(t, err)
	require.Equal(t, map[string]bool{"resolved": true, "p": true}, l.Units)
	c.TopicID = "made again"
	l, err = b.s.Load(t.Context(), &store.Want{Group: group, Judged: []event.Coordinates{c}})
	require.NoError(t, err)
	require.Empty(t, l.Units)
}

func absent(b *bench) {
	t := b.t
	m := b.model("orders")
	p := b.parked("p", "a", 1)
	require.NoError(t, b.commit(t, &store.Batch{Absent: []store.AbsentKey{{Model: m, Key: "a"}, {Model: m, Key: "b"}, {Model: b.model("a_lines"), Key: "5"}}, Park: []*store.Parked{p}}))
	require.ErrorIs(t, b.commit(t, &store.Batch{Absent: []store.AbsentKey{{Model: m, Key: "a"}}}), store.ErrConflict, "one is parked now")
	// A batch that makes the row and has seen the queue names both.
	require.NoError(t, b.commit(t, &store.Batch{
		Absent:  []store.AbsentKey{{Model: m, Key: "a", Parked: 1}},
		Insert:  []*store.Row{b.order(t, &Order{ID: "a"}, 1)},
		Release: []store.Mark{{ID: "p", Rev: 1}},
	}))
	require.ErrorIs(t, b.commit(t, &store.Batch{Absent: []store.AbsentKey{{Model: m, Key: "a"}}}), store.ErrConflict, "the row is there now")
}

// parkOrMake: one lane parks an event since its row is missing while another makes the row.
// If both went through, the parked event would wait although its row is there.
func parkOrMake(b *bench) {
	t := b.t
	const keys = 12
	var g errgroup.Group
	var parks, makes [keys]error
	for i := range keys {
		k := fmt.Sprintf("key-%d", i)
		see := []store.AbsentKey{{Model: b.model("orders"), Key: k}}
		row := b.order(t, &Order{ID: k}, 1)
		g.Go(func() error {
			parks[i] = retry(func() error {
				return b.s.Commit(t.Context(), &store.Batch{Group: group, Now: start, Absent: see, Park: []*store.Parked{b.parked("p-"+k, k, 1)}})
			})
			return nil
		})
		g.Go(func() error {
			makes[i] = retry(func() error {
				return b.s.Commit(t.Context(), &store.Batch{Group: group, Now: start, Absent: see, Insert: []*store.Row{row}})
			})
			return nil
		})
	}
	require.NoError(t, g.Wait())
	for i := range keys {
		require.NotEqual(t, parks[i] == nil, makes[i] == nil, "%v, %v", parks[i], makes[i])
		require.ErrorIs(t, errors.Join(parks[i], makes[i]), store.ErrConflict)
	}
}

func letterCases() []testCase {
	return []testCase{
		{"letters come back whole until they are marked", lettersRoundTrip},
		{"letters of sweepers are leftovers", leftovers},
		{"a letter whose unit has one opens it again", letterAgain},
		{"verdicts are kept for a time", verdicts},
	}
}

func lettersRoundTrip(b *bench) {
	t := b.t
	full := b.letter("l1")
	poison := &dlq.Letter{ID: "l0", Rev: 1, State: dlq.Open, Group: group, CreatedAt: start, Record: b.record(39)}
	poison.Record.Headers, poison.Record.Key, poison.Record.Value = nil, nil, nil
	poison.Record.Timestamp, poison.Record.TimestampType = time.Time{}, event.TimestampNone
	require.NoError(t, b.commit(t, &store.Batch{Letters: []*dlq.Letter{full, poison}}))
	got, err := b.s.Unpublished(t.Context(), key(0))
	require.NoError(t, err)
	require.Len(t, got, 2)
	require.Equal(t, poison, got[0])
	full.Source, full.Verdict.Detail = "src\uFFFD", "too \uFFFD late"
	require.Equal(t, full, got[1])

	require.NoError(t, b.commit(t, &store.Batch{Marks: []store.Mark{{ID: "l0", Rev: 1}, {ID: "l1", Rev: 9}}}))
	got, err = b.s.Unpublished(t.Context(), key(0))
	require.NoError(t, err)
	require.Len(t, got, 1, "a mark of another revision marks nothing")
	require.NoError(t, b.s.Mark(t.Context(), []store.Mark{{ID: "l1", Rev: 1}}))
	require.NoError(t, b.s.Mark(t.Context(), nil))
	got, err = b.s.Unpublished(t.Context(), key(0))
	require.NoError(t, err)
	require.Empty(t, got)
}

func leftovers(b *bench) {
	t := b.t
	swept := b.letter("swept")
	require.NoError(t, b.s.Commit(t.Context(), &store.Batch{Group: group, Now: start, Letters: []*dlq.Letter{swept}}))
	got, err := b.s.Unpublished(t.Context(), key(0))
	require.NoError(t, err)
	require.Empty(t, got, "no lane's offset waits for it")
	require.NoError(t, b.commit(t, &store.Batch{Letters: []*dlq.Letter{b.letter("lane")}, SweptLetters: []*dlq.Letter{b.letter("followed")}}))
	got, err = b.s.Unpublished(t.Context(), key(0))
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Equal(t, "lane", got[0].ID, "what followed it had been passed before")

	left := func(now, before time.Time) (ids []string) {
		got, err := b.s.Leftovers(t.Context(), group, now, before, time.Minute, 10)
		require.NoError(t, err)
		for _, l := range got {
			ids = append(ids, l.ID)
		}
		return ids
	}
	later := start.Add(time.Second)
	require.Empty(t, left(later, start))
	require.Equal(t, []string{"followed", "lane", "swept"}, left(later, later))
	require.Empty(t, left(later, later), "claimed")
	require.NoError(t, b.s.Mark(t.Context(), []store.Mark{{ID: "lane", Rev: 1}}))
	require.Equal(t, []string{"followed", "swept"}, left(later.Add(time.Minute), later))
}

func letterAgain(b *bench) {
	t := b.t
	require.NoError(t, b.commit(t, &store.Batch{Letters: []*dlq.Letter{b.letter("l")}}))
	require.NoError(t, b.commit(t, &store.Batch{Marks: []store.Mark{{ID: "l", Rev: 1}}}))
	again := b.letter("l")
	again.Attempts = 8
	require.NoError(t, b.commit(t, &store.Batch{Letters: []*dlq.Letter{again}}))
	got, err := b.s.Unpublished(t.Context(), key(0))
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Equal(t, int64(2), got[0].Rev)
	require.Equal(t, 8, got[0].Attempts)
}

func verdicts(b *bench) {
	t := b.t
	v := store.Verdict{
		Coordinates: b.record(5).Coordinates, Handler: "h", Table: "orders", Entity: "a", EventType: "order", Source: "s\xff", EventID: "e",
		Verdict: b.letter("x").Verdict,
	}
	require.NoError(t, b.commit(t, &store.Batch{Verdicts: []store.Verdict{v, v, v}}))
	old := b.now
	b.now = b.now.Add(time.Hour)
	require.NoError(t, b.commit(t, &store.Batch{Verdicts: []store.Verdict{v}}))
	var row struct {
		At, CmpEvent, LogOffset int64
		Reason, Masked, Grp     string
		CmpEventTie             []byte
	}
	require.NoError(t, b.sql().Table("evenkeel_verdicts").Where("at = ? AND substr(event_id, 1, 200) = ?", b.now.UnixMicro(), "e").Take(&row).Error)
	require.Equal(t, "late", row.Reason)
	require.Equal(t, `["status","no,te"]`, row.Masked)
	require.Equal(t, group, row.Grp)
	require.Equal(t, int64(-1), row.CmpEvent)
	require.Equal(t, int64(5), row.LogOffset)
	require.Equal(t, []byte("\x00\x01t"), row.CmpEventTie)

	n, err := b.s.Retain(t.Context(), old.Add(time.Microsecond), 2)
	require.NoError(t, err)
	require.Equal(t, int64(3), n)
	require.Equal(t, int64(1), b.count(t, "evenkeel_verdicts"))
}

func wake(b *bench) {
	t := b.t
	missing, retry, behind, other := b.parked("missing", "a", 1), b.parked("retry", "a", 2), b.parked("zbehind", "a", 3), b.parked("other", "b", 1)
	missing.Cause, behind.Cause, other.Cause = store.CauseMissing, store.CauseBehind, store.CauseMissing
	require.NoError(t, b.commit(t, &store.Batch{Park: []*store.Parked{missing, retry, behind, other}}))
	require.NoError(t, b.commit(t, &store.Batch{Wake: []store.QueueKey{{Table: "orders", Entity: "a"}}}))
	got, err := b.s.Due(t.Context(), &store.DueQuery{Group: group, Now: start, Lease: time.Minute, Limit: 10, PerKey: 10})
	require.NoError(t, err)
	require.Len(t, got, 3, "the key's other row comes along")
	require.Equal(t, []string{"missing", "retry", "zbehind"}, []string{got[0].ID, got[1].ID, got[2].ID})
	require.Equal(t, start, got[0].Due)
	require.Equal(t, retry.Due, got[1].Due)
	require.Equal(t, start, got[2].Due)
	require.EqualValues(t, 2, got[0].Rev)
	err = b.commit(t, &store.Batch{Release: []store.Mark{{ID: missing.ID, Rev: 1}}})
	require.ErrorIs(t, err, store.ErrConflict, "whoever saw it asleep must look again")
}
