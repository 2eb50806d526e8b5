package storetest

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

func editCases() []testCase {
	return []testCase{
		{"an edit puts a revision beside the record, and a replay takes the newest", edits},
		{"of two who edit a letter at once one wins", editRace},
		{"a letter that comes once more keeps its edits", editsStay},
		{"an edit whose bytes were lost is not replayed", editLost},
		{"a reissue discards the letter, lets go what waits, and sends", reissues},
		{"a republished letter stays what it is", republishes},
		{"the edits of resolved letters outlive their bytes", editsPurged},
		{"edits are found by their records", editsFound},
	}
}

func (b *bench) edit(id string, rev int64, value []byte, headers ...event.Header) error {
	return b.s.MoveLetter(b.t.Context(), &store.LetterMove{
		Ref: dlq.Ref{ID: id, Rev: rev}, Move: dlq.MoveEdit, By: ann, Reason: "typo",
		Revision: &dlq.Revision{By: ann, Reason: "typo", Value: value, Headers: headers},
	})
}

func edits(b *bench) {
	t := b.t
	was := b.letter("l")
	require.NoError(t, b.commit(t, &store.Batch{Letters: []*dlq.Letter{was, b.letter("other")}}))
	require.NoError(t, b.edit("l", 1, []byte("x<\xff\x00")))
	require.NoError(t, b.edit("l", 2, nil, event.Header{Key: "k"}, event.Header{Key: "k", Value: []byte{}}))
	l := b.unpublished()["l"]
	require.Equal(t, dlq.Open, l.State)
	require.EqualValues(t, 3, l.Rev)
	require.Equal(t, b.letter("l").Record, l.Record, "what came stays")
	require.Len(t, l.Edits, 2)
	for i := range l.Edits {
		require.False(t, l.Edits[i].At.IsZero())
		l.Edits[i].At = time.Time{}
	}
	require.Equal(t, []dlq.Revision{
		{N: 1, By: ann, Reason: "typo", Value: []byte("x<\xff\x00")},
		{N: 2, By: ann, Reason: "typo", Headers: []event.Header{{Key: "k"}, {Key: "k", Value: []byte{}}}},
	}, l.Edits)
	require.Empty(t, b.unpublished()["other"].Edits)
	e, err := b.s.LastMove(t.Context(), "l")
	require.NoError(t, err)
	require.Equal(t, []any{"edit", dlq.Open, dlq.Open, int64(3), "typo"}, []any{e.Verb, e.Before, e.After, e.Rev, e.Reason})
	require.ErrorContains(t, b.edit("l", 2, []byte("y")), "can't edit it: it was edited by ann at ")

	require.NoError(t, b.move("l", 3, dlq.MoveReplay))
	require.ErrorContains(t, b.edit("l", 4, []byte("y")), "it was taken for a replay by ann")
	p := b.waitingFor(t, "l")
	require.Equal(t, was.Record.Value, p.Record.Value, "the parked row has what came")
	require.Equal(t, 2, p.Replay.Edit.N)
	require.Nil(t, p.Replay.Edit.Value)
	require.Equal(t, []event.Header{{Key: "k"}, {Key: "k", Value: []byte{}}}, p.Replay.Edit.Headers)
	require.NoError(t, b.move("l", 4, dlq.MoveCancel))
	require.Len(t, b.unpublished()["l"].Edits, 2)
}

// waitingFor is the row that a replay has parked.
func (b *bench) waitingFor(t *testing.T, id string) *store.Parked {
	t.Helper()
	rows, err := b.s.Due(b.t.Context(), &store.DueQuery{Group: group, Now: b.now.Add(time.Hour), Lease: 0, Limit: 10, PerKey: 10})
	require.NoError(t, err)
	for _, p := range rows {
		if p.ID == id {
			return p
		}
	}
	require.Fail(t, "it is not parked", id)
	return nil
}

// editRace: the loser is told who was first, and each revision is one person's.
func editRace(b *bench) {
	t := b.t
	require.NoError(t, b.commit(t, &store.Batch{Letters: []*dlq.Letter{b.letter("l")}}))
	const rounds = 50
	var won [2]atomic.Int64
	var g errgroup.Group
	for who, name := range []string{"ann", "bob"} {
		g.Go(func() error {
			for round := int64(1); round <= rounds; round++ {
				err := b.s.MoveLetter(t.Context(), &store.LetterMove{
					Ref: dlq.Ref{ID: "l", Rev: round}, Move: dlq.MoveEdit, By: dlq.Actor{Name: name},
					Revision: &dlq.Revision{By: dlq.Actor{Name: name}, Value: []byte(name)},
				})
				var taken *dlq.TakenError
				switch {
				case err == nil:
					won[who].Add(1)
				case !errors.As(err, &taken) || taken.First == nil || taken.First.Verb != "edit":
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, g.Wait())
	l := b.unpublished()["l"]
	require.EqualValues(t, rounds+1, l.Rev)
	require.Len(t, l.Edits, rounds)
	by := map[string]int64{}
	for i, e := range l.Edits {
		require.Equal(t, i+1, e.N)
		require.Equal(t, e.By.Name, string(e.Value))
		by[e.By.Name]++
	}
	require.Equal(t, []int64{won[0].Load(), won[1].Load()}, []int64{by["ann"], by["bob"]})
}

func editsStay(b *bench) {
	t := b.t
	require.NoError(t, b.commit(t, &store.Batch{Letters: []*dlq.Letter{b.letter("l")}}))
	require.NoError(t, b.edit("l", 1, []byte("y")))
	require.NoError(t, b.commit(t, &store.Batch{Letters: []*dlq.Letter{b.letter("l")}}))
	l := b.unpublished()["l"]
	require.EqualValues(t, 3, l.Rev)
	require.Len(t, l.Edits, 1)
}

func editLost(b *bench) {
	t := b.t
	l := b.letter("l")
	l.Edits = []dlq.Revision{{N: 4, Lost: true}}
	require.NoError(t, b.commit(t, &store.Batch{Letters: []*dlq.Letter{l}}))
	require.ErrorAs(t, b.move("l", 0, dlq.MoveReplay), new(*dlq.UnreplayableError))
	require.NoError(t, b.edit("l", 1, []byte("y")))
	require.NoError(t, b.move("l", 0, dlq.MoveReplay))
}

// post is what a letter is sent as.
func (b *bench) post(id string) *store.Outbound {
	return &store.Outbound{
		ID: id, Group: group, EventType: "t", Topic: "orders", Key: []byte("a"), Value: []byte("v"), Headers: []event.Header{{Key: "h"}},
		Timestamp: b.now.Add(-time.Hour).UTC().Truncate(time.Millisecond), CreatedAt: time.UnixMicro(0).UTC(), Swept: true, Origin: b.letter("l").Record.Coordinates,
	}
}

func reissues(b *bench) {
	t := b.t
	require.NoError(t, b.commit(t, &store.Batch{Letters: []*dlq.Letter{b.letter("l")}, Insert: []*store.Row{b.order(t, &Order{ID: "a"}, 1)}}))
	loaded := b.one(t, "orders", "a")
	post := b.post("new")
	move := &store.LetterMove{Ref: dlq.Ref{ID: "l", Rev: 1}, Move: dlq.MoveReissue, By: ann, Reason: "wrong key", Subject: "event new on orders", Send: post}
	require.NoError(t, b.s.MoveLetter(t.Context(), move))
	require.ErrorIs(t, b.commit(t, &store.Batch{Update: []*store.Row{loaded}}), store.ErrConflict, "it goes through the row")
	l := b.unpublished()["l"]
	require.Equal(t, []any{dlq.Discarded, dlq.OutcomeReissued}, []any{l.State, l.Outcome})
	e, err := b.s.LastMove(t.Context(), "l")
	require.NoError(t, err)
	require.Equal(t, []any{"reissue", "event new on orders", dlq.Discarded}, []any{e.Verb, e.Subject, e.After})
	sent := func() []*store.Outbound {
		out, err := b.s.UnsentLeftovers(t.Context(), group, b.now, b.now.Add(-time.Minute), 0, 10)
		require.NoError(t, err)
		return out
	}
	require.Equal(t, []*store.Outbound{post}, sent())
	// The second is told, sends nothing, and the letter stays discarded.
	again := *move
	again.Send = b.post("another")
	require.ErrorContains(t, b.s.MoveLetter(t.Context(), &again), "it was discarded and reissued by ann")
	require.Len(t, sent(), 1)
	require.ErrorAs(t, b.move("l", 2, dlq.MoveRestore), new(*dlq.RefusedError))
	require.Equal(t, dlq.Discarded, b.unpublished()["l"].State)
}

func republishes(b *bench) {
	t := b.t
	require.NoError(t, b.commit(t, &store.Batch{Letters: []*dlq.Letter{b.letter("l")}}))
	republish := func(rev int64, id string) error {
		return b.s.MoveLetter(t.Context(), &store.LetterMove{Ref: dlq.Ref{ID: "l", Rev: rev}, Move: dlq.MoveRepublish, By: ann, Reason: "r", Send: b.post(id)})
	}
	require.NoError(t, republish(1, "one"))
	require.ErrorContains(t, republish(1, "two"), "it was republished by ann")
	require.Equal(t, dlq.Open, b.unpublished()["l"].State)
	require.NoError(t, b.move("l", 2, dlq.MoveReplay))
	require.ErrorAs(t, republish(3, "two"), new(*dlq.TakenError))
	require.NoError(t, b.move("l", 3, dlq.MoveResolve))
	require.NoError(t, republish(4, "two"))
	l := b.unpublished()["l"]
	require.Equal(t, []any{dlq.Resolved, dlq.OutcomeObsolete}, []any{l.State, l.Outcome})
	out, err := b.s.UnsentLeftovers(t.Context(), group, b.now, b.now.Add(-time.Minute), 0, 10)
	require.NoError(t, err)
	require.Len(t, out, 2)
}

func editsPurged(b *bench) {
	t := b.t
	require.NoError(t, b.commit(t, &store.Batch{Letters: []*dlq.Letter{b.letter("r"), b.letter("d"), b.letter("o")}}))
	for _, id := range []string{"r", "d", "o"} {
		require.NoError(t, b.edit(id, 1, []byte("y")))
	}
	require.NoError(t, b.move("r", 2, dlq.MoveReplay))
	require.NoError(t, b.move("r", 3, dlq.MoveResolve))
	require.NoError(t, b.move("d", 2, dlq.MoveDiscard))
	require.NoError(t, b.s.Mark(t.Context(), []store.Mark{{ID: "r", Rev: 4}, {ID: "d", Rev: 3}, {ID: "o", Rev: 2}}))
	now, err := b.s.Now(t.Context())
	require.NoError(t, err)
	n, err := b.s.PurgeLetters(t.Context(), &store.LetterPurge{Group: group, Before: now.Add(time.Hour), Portion: 1, By: ann, Reason: "asked to"})
	require.NoError(t, err)
	require.EqualValues(t, 2, n)
	found, err := b.s.Edited(t.Context(), group, []event.Coordinates{b.letter("r").Record.Coordinates})
	require.NoError(t, err)
	require.Len(t, found, 1, "a rebuild finds what was applied")
	require.Equal(t, "r", found[0].ID)
}

func editsFound(b *bench) {
	t := b.t
	at := func(id string, partition int32, offset int64) *dlq.Letter {
		l := b.letter(id)
		l.Record.Partition, l.Record.Offset = partition, offset
		return l
	}
	letters := []*dlq.Letter{at("a", 0, 5), at("b", 0, 9), at("c", 1, 5), at("open", 0, 6), at("discarded", 0, 6), at("plain", 0, 7)}
	whole := at("whole", 0, 7)
	whole.Handler, whole.Table, whole.Entity, whole.Blocking = "", "", "", false
	require.NoError(t, b.commit(t, &store.Batch{Letters: append(letters, whole)}))
	for _, id := range []string{"a", "b", "c", "open", "discarded", "whole"} {
		require.NoError(t, b.edit(id, 1, []byte("first")))
		require.NoError(t, b.edit(id, 2, []byte("of "+id)))
	}
	for _, id := range []string{"a", "b", "c", "whole"} {
		require.NoError(t, b.move(id, 3, dlq.MoveReplay))
		require.NoError(t, b.move(id, 4, dlq.MoveResolve))
	}
	require.NoError(t, b.move("plain", 1, dlq.MoveReplay))
	require.NoError(t, b.move("plain", 2, dlq.MoveResolve))
	require.NoError(t, b.move("discarded", 3, dlq.MoveDiscard))
	var asked []event.Coordinates
	for _, offset := range []int64{5, 6, 7} {
		asked = append(asked, at("", 0, offset).Record.Coordinates)
	}
	asked = append(asked, at("", 2, 5).Record.Coordinates)
	found, err := b.s.Edited(t.Context(), group, asked)
	require.NoError(t, err)
	got := map[string]string{}
	for _, e := range found {
		got[e.ID] = string(e.Revision.Value)
		require.Equal(t, e.ID == "whole", e.Handler == "")
	}
	require.Equal(t, map[string]string{"a": "of a", "whole": "of whole"}, got)
	found, err = b.s.Edited(t.Context(), "other", asked)
	require.NoError(t, err)
	require.Empty(t, found)
}
