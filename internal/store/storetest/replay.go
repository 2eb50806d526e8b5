package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

func replayCases() []testCase {
	return []testCase{
		{"a letter that is to be replayed is parked, and comes back whole", replayParks},
		{"what is parked for a replay goes with a cancel, and is not a wait of others", replayCancelled},
		{"a replay resolves its letter, once", replayResolves},
		{"a replay that fails opens its letter again", replayFails},
		{"what a replay has ended is known as such", replayKnown},
		{"what waits to be replayed is woken like what waits behind", replayWoken},
		{"a letter of another system is not replayed", replayForeign},
		{"a whole record that is given up is parked, if others may wait for it", givenUpWhole},
	}
}

func replayParks(b *bench) {
	t := b.t
	whole, numbered := b.letter("whole"), b.letter("numbered")
	whole.Handler, whole.Table, whole.Entity = "", "", ""
	numbered.Stream, numbered.Verdict.Reason, numbered.Verdict.Numbers.What = "s", guards.Gap, "sequence"
	require.NoError(t, b.commit(t, &store.Batch{Letters: []*dlq.Letter{b.letter("l"), whole, numbered}}))
	m := &store.LetterMove{Ref: dlq.Ref{ID: "l"}, Move: dlq.MoveReplay, By: ann, AcceptForgotten: true}
	require.NoError(t, b.s.MoveLetter(t.Context(), m))
	require.NoError(t, b.move("whole", 1, dlq.MoveReplay))
	require.NoError(t, b.move("numbered", 1, dlq.MoveReplay))
	require.ErrorContains(t, b.move("l", 0, dlq.MoveReplay), "it was taken for a replay by ann")

	rows, err := b.s.Due(t.Context(), &store.DueQuery{Group: group, Now: b.now.AddDate(-30, 0, 0), Lease: time.Minute, Limit: 10, PerKey: 10})
	require.NoError(t, err)
	require.Len(t, rows, 3)
	got := map[string]*store.Parked{}
	for _, p := range rows {
		got[p.ID] = p
	}
	want := b.letter("l")
	p := got["l"]
	r := *p.Record
	require.True(t, want.Record.Timestamp.Equal(r.Timestamp))
	r.Timestamp = want.Record.Timestamp
	require.Equal(t, want.Record, &r, "byte for byte")
	require.True(t, want.OccurredAt.Equal(p.OccurredAt))
	require.Equal(t, &store.Parked{
		ID: "l", Group: group, Table: "orders", Entity: "a", Handler: "h", Cause: store.CauseReplay, Place: 7, Rev: 1, Due: p.Due,
		EventType: "order", Source: p.Source, EventID: "e-l", OccurredAt: p.OccurredAt, Record: p.Record,
		Replay: &store.Replay{Reason: guards.Late, Compared: "watermark", AcceptForgotten: true},
	}, p)
	require.Equal(t, []string{"", "", ""}, []string{got["whole"].Handler, got["whole"].Table, got["whole"].Entity})
	require.Equal(t, "s", got["numbered"].Stream)
	require.Equal(t, &store.Replay{Reason: guards.Gap, Compared: "sequence"}, got["numbered"].Replay)
}

func givenUpWhole(b *bench) {
	t := b.t
	whole, blind := b.letter("whole"), b.letter("blind")
	for _, l := range []*dlq.Letter{whole, blind} {
		l.Handler, l.Table, l.Blocking, l.Place = "", "", false, 0
	}
	whole.Vector = event.Vector{{Node: "n", Count: 2}}
	require.NoError(t, b.commit(t, &store.Batch{Letters: []*dlq.Letter{whole, blind}}))
	parked := func() []*store.Parked {
		rows, err := b.s.Due(t.Context(), &store.DueQuery{Group: group, Now: b.now.AddDate(-1, 0, 0), Limit: 10, PerKey: 10})
		require.NoError(t, err)
		return rows
	}
	for range 2 {
		require.NoError(t, b.move("blind", 0, dlq.MoveDiscard))
		require.NoError(t, b.move("whole", 0, dlq.MoveDiscard))
		rows := parked()
		require.Len(t, rows, 1, "of the other one nobody can wait")
		p := rows[0]
		require.Equal(t, []any{"whole", store.CauseSeen, "a", "", "", (*store.Replay)(nil)}, []any{p.ID, p.Cause, p.Entity, p.Handler, p.Table, p.Replay})
		require.Equal(t, whole.Record.Value, p.Record.Value)
		require.NoError(t, b.move("whole", 0, dlq.MoveRestore))
		require.NoError(t, b.move("blind", 0, dlq.MoveRestore))
		require.Empty(t, parked())
	}
	require.NoError(t, b.move("whole", 0, dlq.MoveReplay))
	require.Equal(t, store.CauseReplay, parked()[0].Cause)
	require.NoError(t, b.move("whole", 0, dlq.MoveCancel))
	require.NoError(t, b.move("whole", 0, dlq.MoveDiscard))
	p := parked()[0]
	require.NoError(t, b.commit(t, &store.Batch{Release: []store.Mark{{ID: p.ID, Rev: p.Rev}}}))
	require.Empty(t, parked())
}

func replayCancelled(b *bench) {
	t := b.t
	mine := b.parked("m", "a", 9)
	require.NoError(t, b.commit(t, &store.Batch{Letters: []*dlq.Letter{b.letter("l"), b.letter("m")}, Park: []*store.Parked{mine}}))
	require.NoError(t, b.move("l", 0, dlq.MoveReplay))
	require.NoError(t, b.move("m", 0, dlq.MoveDiscard), "what waits for another reason stays")
	require.ErrorContains(t, b.move("l", 0, dlq.MoveDiscard), "it was taken for a replay by ann")
	require.NoError(t, b.move("l", 2, dlq.MoveCancel))
	l, err := b.s.Load(t.Context(), b.want("orders", true, "a"))
	require.NoError(t, err)
	require.Len(t, l.Queues["orders"]["a"].Parked, 1)
	require.Equal(t, "m", l.Queues["orders"]["a"].Parked[0].ID)
	require.Len(t, l.Queues["orders"]["a"].Letters, 1, "it is open again")
	require.Equal(t, 3, b.unpublished()["l"].Attempts, "nobody has tried")
	require.ErrorContains(t, b.move("l", 0, dlq.MoveCancel), "it was opened again before its replay by ann")
	require.ErrorIs(t, b.commit(t, &store.Batch{Resolve: []*store.Resolution{{ID: "l", Outcome: dlq.OutcomeApplied}}}), store.ErrConflict)
}

// resolved returns a batch that ends the replay of letters.
func resolved(rs ...*store.Resolution) *store.Batch { return &store.Batch{Resolve: rs} }

func replayResolves(b *bench) {
	t := b.t
	require.NoError(t, b.commit(t, &store.Batch{Letters: []*dlq.Letter{b.letter("l"), b.letter("m"), b.letter("n")}}))
	applied := &store.Resolution{ID: "l", Outcome: dlq.OutcomeApplied, Why: "it works now", Failed: dlq.Letter{Attempts: 2}}
	obsolete := &store.Resolution{ID: "m", Outcome: dlq.OutcomeObsolete, Why: "superseded: 1 < 2"}
	require.ErrorIs(t, b.commit(t, resolved(applied)), store.ErrConflict, "nobody has taken it in hand")
	require.NoError(t, b.move("l", 0, dlq.MoveReplay))
	require.ErrorIs(t, b.commit(t, resolved(applied, obsolete)), store.ErrConflict, "all or nothing")
	require.NoError(t, b.move("m", 0, dlq.MoveReplay))
	require.NoError(t, b.commit(t, resolved(obsolete, applied)))
	require.ErrorIs(t, b.commit(t, resolved(applied)), store.ErrConflict, "once")

	got := b.unpublished()
	require.Equal(t, []any{dlq.Resolved, dlq.OutcomeApplied, int64(3), 5}, []any{got["l"].State, got["l"].Outcome, got["l"].Rev, got["l"].Attempts})
	require.Equal(t, []any{dlq.Resolved, dlq.OutcomeObsolete, int64(3), 3}, []any{got["m"].State, got["m"].Outcome, got["m"].Rev, got["m"].Attempts})
	require.Equal(t, []any{dlq.Open, int64(1)}, []any{got["n"].State, got["n"].Rev})
	require.Equal(t, guards.Late, got["l"].Verdict.Reason, "why it was a letter stays")
	require.Equal(t, "no", got["l"].Error)
	last, err := b.s.LastMove(t.Context(), "m")
	require.NoError(t, err)
	last.At, last.ID = time.Time{}, 0
	require.Equal(t, &dlq.AuditEntry{By: store.Replayer(), Verb: "resolve", Reason: "superseded: 1 < 2", Group: group, Letter: "m", Before: dlq.Replaying, After: dlq.Resolved, Rev: 3}, last)
	refused := b.move("m", 0, dlq.MoveReplay)
	require.ErrorContains(t, refused, "it was taken for a replay by ann at ")
	require.ErrorContains(t, refused, ", and resolved as obsolete at ", "who asked for it was first, not who carried it out")
	lanes, err := b.s.Unpublished(t.Context(), key(0))
	require.NoError(t, err)
	require.Len(t, lanes, 1, "no lane's offset waits for a replay")
}

func replayFails(b *bench) {
	t := b.t
	l := b.letter("l")
	l.Stream, l.LastFailed = "s", start.Add(-time.Hour)
	require.NoError(t, b.commit(t, &store.Batch{Letters: []*dlq.Letter{l}}))
	require.NoError(t, b.move("l", 0, dlq.MoveReplay))
	failed := dlq.Letter{
		Attempts: 2, ErrorType: "*y.Error", Error: "still", Stack: "main.go", Fingerprint: "g", ServiceVersion: "v2",
		Verdict: guards.Verdict{Action: guards.DeadLetter, Reason: guards.Exhausted, Detail: "still", Masked: []string{"a"}, Numbers: guards.Comparison{What: "x", Event: 1, Against: 2, Bound: 3, EventTie: "\x00", AgainstTie: "\xff"}},
	}
	require.NoError(t, b.commit(t, &store.Batch{Resolve: []*store.Resolution{{ID: "l", Why: "still", Failed: failed}}}))
	got := b.unpublished()["l"]
	require.Equal(t, []any{dlq.Open, dlq.Outcome(""), int64(3), 5}, []any{got.State, got.Outcome, got.Rev, got.Attempts})
	require.Equal(t, failed.Verdict, got.Verdict)
	require.Equal(t, []string{"*y.Error", "still", "main.go", "g", "v2"}, []string{got.ErrorType, got.Error, got.Stack, got.Fingerprint, got.ServiceVersion})
	require.True(t, got.LastFailed.After(l.LastFailed))
	require.True(t, got.FirstFailed.Equal(l.FirstFailed))
	require.True(t, got.CreatedAt.Equal(l.CreatedAt), "the same letter")
	require.Equal(t, []any{true, int64(7), "s", "h", "orders", "a"}, []any{got.Blocking, got.Place, got.Stream, got.Handler, got.Table, got.Entity})
	last, err := b.s.LastMove(t.Context(), "l")
	require.NoError(t, err)
	require.Equal(t, []any{"fail", dlq.Open, int64(3), "still"}, []any{last.Verb, last.After, last.Rev, last.Reason})
	refused := b.move("l", 1, dlq.MoveDiscard)
	require.ErrorContains(t, refused, "it was taken for a replay by ann at ")
	require.ErrorContains(t, refused, ", and opened again after a failed replay at ")
	require.NotContains(t, refused.Error(), "still", "what a handler says may quote the event")
	l2, err := b.s.Load(t.Context(), &store.Want{Group: group, Judged: []event.Coordinates{l.Record.Coordinates}})
	require.NoError(t, err)
	require.True(t, l2.Units["l"])
	require.Empty(t, l2.Resolved)
}

// replayKnown: by a replay, and by none else; also when its bytes are gone.
func replayKnown(b *bench) {
	t := b.t
	ids := []string{"applied", "open", "discarded", "replaying", "again", "purged", "reissued", "reissued and purged"}
	var letters []*dlq.Letter
	for _, id := range ids {
		letters = append(letters, b.letter(id))
	}
	require.NoError(t, b.commit(t, &store.Batch{Letters: letters}))
	for _, id := range []string{"applied", "again", "purged"} {
		require.NoError(t, b.move(id, 0, dlq.MoveReplay))
		require.NoError(t, b.commit(t, &store.Batch{Resolve: []*store.Resolution{{ID: id, Outcome: dlq.OutcomeApplied}}}))
	}
	require.NoError(t, b.move("discarded", 0, dlq.MoveDiscard))
	for _, id := range ids[6:] { // in place of its event there is another one, in the log
		require.NoError(t, b.s.MoveLetter(t.Context(), &store.LetterMove{Ref: dlq.Ref{ID: id}, Move: dlq.MoveReissue, By: ann, Send: b.post("in place of " + id)}))
	}
	require.NoError(t, b.move("replaying", 0, dlq.MoveReplay))
	require.NoError(t, b.commit(t, &store.Batch{Letters: []*dlq.Letter{b.letter("again")}})) // its event came once more and failed
	require.NoError(t, b.s.Mark(t.Context(), []store.Mark{{ID: "purged", Rev: 3}, {ID: "reissued and purged", Rev: 2}}))
	now, err := b.s.Now(t.Context())
	require.NoError(t, err)
	n, err := b.s.PurgeLetters(t.Context(), &store.LetterPurge{Group: group, Before: now.Add(time.Hour), Portion: 9, By: store.Retention()})
	require.NoError(t, err)
	require.EqualValues(t, 2, n)
	for _, queues := range []bool{false, true} {
		want := b.want("orders", queues, "a")
		want.Judged = []event.Coordinates{letters[0].Record.Coordinates}
		got, err := b.s.Load(t.Context(), want)
		require.NoError(t, err)
		for _, id := range ids {
			require.True(t, got.Units[id], id)
		}
		require.Equal(t, map[string]bool{"applied": true, "purged": true}, got.Resolved)
	}
}

func replayWoken(b *bench) {
	t := b.t
	l, far := b.letter("l"), b.letter("far")
	far.Stream, far.Place = "s", 9
	require.NoError(t, b.commit(t, &store.Batch{Letters: []*dlq.Letter{l, b.letter("first"), far}}))
	require.NoError(t, b.move("l", 0, dlq.MoveReplay))
	require.NoError(t, b.move("far", 0, dlq.MoveReplay))
	require.ElementsMatch(t, []string{"l", "far"}, b.due())
	require.Empty(t, b.due(), "put off")
	require.NoError(t, b.move("first", 0, dlq.MoveDiscard))
	require.Equal(t, []string{"l"}, b.due())
	// What a batch makes due is so from the batch's time on.
	wakes := func(batch *store.Batch) (ids []string) {
		t.Helper()
		require.NoError(t, b.commit(t, batch))
		return b.putOff(b.now.Add(time.Second), 24*time.Hour)
	}
	require.Len(t, b.putOff(b.now.AddDate(0, 0, 2), 100*24*time.Hour), 2)
	k := store.StreamKey{Stream: "s", Entity: "a"}
	require.Empty(t, wakes(&store.Batch{WakeStreams: []store.WakeStream{{StreamKey: k, Next: 9}}}))
	require.NotEmpty(t, wakes(&store.Batch{WakeStreams: []store.WakeStream{{StreamKey: k, Next: 10}}}))
	require.NotEmpty(t, wakes(&store.Batch{Wake: []store.QueueKey{{Table: "orders", Entity: "a"}}}))
}

func replayForeign(b *bench) {
	t := b.t
	l := b.letter("l")
	l.Verdict.Reason = dlq.Foreign
	require.NoError(t, b.commit(t, &store.Batch{Letters: []*dlq.Letter{l}}))
	require.ErrorAs(t, b.move("l", 0, dlq.MoveReplay), new(*dlq.UnreplayableError))
	require.NoError(t, b.move("l", 0, dlq.MoveDiscard))
}
