package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// worst is a lane, and what it finds before a batch that does everything at once.
type worst struct {
	*lane
	loaded *store.Loaded
	want   *store.Want
}

func parkedIn(id, entity, stream string, cause store.Cause) *store.Parked {
	return &store.Parked{ID: id, Group: "g", Table: "accounts", Entity: entity, Stream: stream, Cause: cause, Place: 1, Rev: 1, Due: now.Add(time.Hour), Record: &event.Record{}}
}

func letterOf(id string) *dlq.Letter {
	return &dlq.Letter{ID: id, Rev: 1, State: dlq.Open, Group: "g", Verdict: guards.Verdict{Action: guards.DeadLetter, Reason: guards.Late}, Record: &event.Record{}}
}

func newWorst(t *testing.T, l *lane, n int, w *wire) *worst {
	t.Helper()
	id := func(name string) string { return fmt.Sprint(name, "-", n) }
	l.commit(t, &store.Batch{
		Insert:  []*store.Row{l.row(id("changed"), 1), l.row(id("removed"), 1)},
		Park:    []*store.Parked{parkedIn(id("released"), id("changed"), "", store.CauseRetry), parkedIn(id("again"), id("changed"), "", store.CauseRetry), parkedIn(id("woken"), id("changed"), "", store.CauseMissing), parkedIn(id("numbered"), id("changed"), "s", store.CauseGap)},
		Letters: []*dlq.Letter{letterOf(id("published"))},
		Memos:   []*store.Memo{{MemoKey: store.MemoKey{Kind: "sequence", Scope: "s", Entity: id("changed")}, Body: "{}"}},
		IDs:     []*store.ID{{IDKey: store.IDKey{Scope: "s", Entity: id("changed"), ID: "1"}}},
		Origins: []*store.Origin{{OriginKey: store.OriginKey{Table: "accounts", Born: 1, Entity: id("removed")}, Group: "g", ID: id("removed"), Record: &event.Record{}}},
	})
	want := l.want([]string{id("changed"), id("removed"), id("made"), id("absent")})
	want.Rows[0].Parked = true
	want.Judged = []event.Coordinates{{Cluster: "c", TopicID: "t", Offset: 1}}
	want.Memos = []store.MemoKey{{Kind: "sequence", Scope: "s", Entity: id("changed")}, {Kind: "sequence", Scope: "s", Entity: id("made")}}
	want.IDs = []store.IDKey{{Scope: "s", Entity: id("changed"), ID: "1"}, {Scope: "s", Entity: id("made"), ID: "1"}}
	want.Streams = []store.StreamKey{{Stream: "s", Entity: id("changed")}}
	w.reset()
	loaded, err := l.s.Load(t.Context(), want)
	require.NoError(t, err)
	return &worst{lane: l, loaded: loaded, want: want}
}

// batch does everything that a batch can do.
func (x *worst) everything(n int) *store.Batch {
	id := func(name string) string { return fmt.Sprint(name, "-", n) }
	rows := x.loaded.Rows["accounts"]
	again := parkedIn(id("again"), id("changed"), "", store.CauseRetry)
	again.Attempts = 7
	return &store.Batch{
		Absent: []store.AbsentKey{{Model: x.m, Key: id("absent")}},
		Insert: []*store.Row{x.row(id("made"), 1)}, Update: []*store.Row{rows[id("changed")]}, Delete: []*store.Row{rows[id("removed")]},
		Origins: []*store.Origin{{OriginKey: store.OriginKey{Table: "accounts", Born: 1, Entity: id("made")}, Group: "g", ID: id("made"), Record: &event.Record{}}},
		Forget:  []store.OriginKey{{Table: "accounts", Born: 1, Entity: id("removed")}},
		Memos:   []*store.Memo{{MemoKey: x.want.Memos[0], Rev: x.loaded.Memos[x.want.Memos[0]].Rev, Body: "[]"}, {MemoKey: x.want.Memos[1], Body: "{}"}},
		IDs:     []*store.ID{{IDKey: x.want.IDs[0], Known: true, Held: true}, {IDKey: x.want.IDs[1]}},
		Release: []store.Mark{{ID: id("released"), Rev: 1}}, Repark: []*store.Parked{again}, Park: []*store.Parked{parkedIn(id("parked"), id("made"), "", store.CauseMissing)},
		Wake:        []store.QueueKey{{Table: "accounts", Entity: id("changed")}, {Table: "accounts", Entity: id("made")}},
		WakeStreams: []store.WakeStream{{StreamKey: x.want.Streams[0], Next: 2}},
		Letters:     []*dlq.Letter{letterOf(id("letter"))}, SweptLetters: []*dlq.Letter{letterOf(id("swept"))}, Marks: []store.Mark{{ID: id("published"), Rev: 1}},
		Verdicts: []store.Verdict{{EventID: id("judged")}},
	}
}

// TestTheWorstBatch counts the statements of a batch that does everything at once, to load
// and to write, and looks at what each of them did.
func TestTheWorstBatch(t *testing.T) {
	t.Parallel()
	w := &wire{}
	l := newLane(t, w.open(t, nil))
	for n := range 3 { // at first a connection learns the statements
		x := newWorst(t, l, n, w)
		l.commit(t, x.everything(n))
		t.Logf("%d statements in %d round trips", w.statements, w.trips)
		require.LessOrEqual(t, w.statements, 14)
	}
	require.LessOrEqual(t, w.trips, 2)
	for query, want := range map[string]int64{
		"SELECT count(*) FROM accounts WHERE id LIKE 'removed%'":                                                              0,
		"SELECT count(*) FROM accounts":                                                                                       6,
		"SELECT count(*) FROM evenkeel_origins WHERE entity LIKE 'removed%'":                                                  0,
		"SELECT count(*) FROM evenkeel_origins":                                                                               3,
		"SELECT count(*) FROM evenkeel_memos WHERE body = '[]'":                                                               3,
		"SELECT count(*) FROM evenkeel_memos WHERE kind = 'sequence'":                                                         6,
		"SELECT count(*) FROM evenkeel_ids WHERE held":                                                                        3,
		"SELECT count(*) FROM evenkeel_ids":                                                                                   6,
		"SELECT count(*) FROM evenkeel_parked":                                                                                12,
		"SELECT count(*) FROM evenkeel_parked WHERE id LIKE 'released%'":                                                      0,
		"SELECT count(*) FROM evenkeel_parked WHERE id LIKE 'again%' AND rev = 2 AND attempts = 7":                            3,
		fmt.Sprintf("SELECT count(*) FROM evenkeel_parked WHERE id LIKE 'woken%%' AND rev = 2 AND due = %d", now.UnixMicro()): 3,
		"SELECT count(*) FROM evenkeel_parked WHERE id LIKE 'numbered%' AND rev = 2":                                          3,
		"SELECT count(*) FROM evenkeel_parked WHERE id LIKE 'parked%' AND rev = 2":                                            3,
		"SELECT count(*) FROM evenkeel_dead_letters WHERE swept":                                                              3,
		"SELECT count(*) FROM evenkeel_dead_letters WHERE NOT swept":                                                          6,
		"SELECT count(*) FROM evenkeel_dead_letters WHERE published_at IS NOT NULL AND id LIKE 'published%'":                  3,
		"SELECT count(*) FROM evenkeel_dead_letters WHERE published_at IS NOT NULL AND published_at <> 0":                     3,
		"SELECT count(*) FROM evenkeel_verdicts":                                                                              3,
	} {
		var have int64
		require.NoError(t, l.db.Raw(query).Scan(&have).Error)
		require.Equal(t, want, have, query)
	}
}

// TestEachGuardOfTheWorstBatchHolds: what one of them refuses takes all the rest along.
func TestEachGuardOfTheWorstBatchHolds(t *testing.T) {
	t.Parallel()
	w := &wire{}
	l := newLane(t, w.open(t, nil))
	n := 0
	for name, fault := range map[string]func(*store.Batch){
		"a row that was made meanwhile":      func(b *store.Batch) { b.Absent[0].Key = b.Update[0].Key },
		"something that waits meanwhile":     func(b *store.Batch) { b.Absent[0].Parked = 1 },
		"a row that is there":                func(b *store.Batch) { b.Insert[0].Key, b.Insert[0].Entity = b.Update[0].Key, b.Update[0].Entity },
		"a row that changed":                 func(b *store.Batch) { b.Update[0].Rev++ },
		"a removed row that changed":         func(b *store.Batch) { b.Delete[0].Rev++ },
		"a memo that changed":                func(b *store.Batch) { b.Memos[0].Rev++ },
		"a memo that is there":               func(b *store.Batch) { b.Memos[0].Rev = 0 },
		"an id that is there":                func(b *store.Batch) { b.IDs[0].Known = false },
		"an id that is gone":                 func(b *store.Batch) { b.IDs[1].Known = true },
		"a released row that changed":        func(b *store.Batch) { b.Release[0].Rev++ },
		"a parked row that changed":          func(b *store.Batch) { b.Repark[0].Rev++ },
		"two faults that would make one sum": func(b *store.Batch) { b.Release, b.Repark[0].Rev = nil, 9 },
	} {
		n++
		x := newWorst(t, l, n, w)
		b := x.everything(n)
		fault(b)
		require.ErrorIs(t, l.s.Commit(t.Context(), l.batch(b)), store.ErrConflict, name)
		var verdicts int64
		require.NoError(t, l.db.Raw("SELECT count(*) FROM evenkeel_verdicts").Scan(&verdicts).Error)
		require.Zero(t, verdicts, name)
	}
}

// TestAMarkOfALetterThatIsOpenedAgain: both in one statement, and the letter has another
// revision than the mark says.
func TestAMarkOfALetterThatIsOpenedAgain(t *testing.T) {
	t.Parallel()
	l := newLane(t, (&wire{}).open(t, nil))
	l.commit(t, &store.Batch{Letters: []*dlq.Letter{letterOf("a")}})
	l.commit(t, &store.Batch{Letters: []*dlq.Letter{letterOf("a")}, Marks: []store.Mark{{ID: "a", Rev: 1}}})
	var rev int64
	require.NoError(t, l.db.Raw("SELECT rev FROM evenkeel_dead_letters WHERE published_at IS NULL").Scan(&rev).Error)
	require.EqualValues(t, 2, rev)
}
