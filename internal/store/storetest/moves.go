package storetest

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/sequence"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

func moveCases() []testCase {
	return []testCase{
		{"a move changes the letter, and says who did it", moves},
		{"a move of what has changed is refused, and names who was first", moveTaken},
		{"of two who move a letter at once one wins", moveRace},
		{"a discard goes through the row, and a batch that loaded the old state is refused", moveThroughRow},
		{"a discard without a row goes through the key's lock", moveThroughKey},
		{"a discard wakes what waits behind the letter, and nothing else", moveWakes},
		{"a letter that is being replayed holds up others, too", replayingBlocks},
		{"a discard goes through the stream", moveThroughStream},
		{"a discarded gap moves its stream on", moveOverGap},
		{"a gap that is discarded while its stream is read again passes over nothing of that", moveOverGapInRebuild},
		{"a discard counts as seen what waits for its causes, and lets that go", moveSeen},
		{"a discard lets go of the event's id, a restore does not take it back", moveFreesID},
		{"a letter without an entity, or with a key that no row can have, can be discarded", moveWithoutRow},
		{"a moved letter is published again, and no lane waits for it", moveCopies},
		{"letters that ended are purged to what tells a redelivery", purgeLetters},
		{"the audit can't be changed", auditStays},
		{"notes", notes},
	}
}

var ann = dlq.Actor{Name: "ann", Via: "cli"} //nolint:gochecknoglobals // a constant

func (b *bench) move(id string, rev int64, move dlq.Move) error {
	b.t.Helper()
	m := &store.LetterMove{Ref: dlq.Ref{ID: id, Rev: rev}, Move: move, By: ann, Reason: "because", Selection: "all", Job: "j"}
	if move == dlq.MoveResolve {
		m.Outcome = dlq.OutcomeObsolete
	}
	return b.s.MoveLetter(b.t.Context(), m)
}

// letters are the unpublished ones by id, which moved letters are.
func (b *bench) unpublished() map[string]*dlq.Letter {
	b.t.Helper()
	got, err := b.s.Leftovers(b.t.Context(), group, b.now.Add(time.Hour), b.now.Add(time.Hour), 0, 100)
	require.NoError(b.t, err)
	all := map[string]*dlq.Letter{}
	for _, l := range got {
		all[l.ID] = l
	}
	return all
}

func moves(b *bench) {
	t := b.t
	was := b.letter("l")
	require.NoError(t, b.commit(t, &store.Batch{Letters: []*dlq.Letter{was}}))
	for i, step := range []struct {
		move  dlq.Move
		state dlq.State
	}{
		{dlq.MoveReplay, dlq.Replaying},
		{dlq.MoveFail, dlq.Open},
		{dlq.MoveDiscard, dlq.Discarded},
		{dlq.MoveRestore, dlq.Open},
		{dlq.MoveReplay, dlq.Replaying},
		{dlq.MoveResolve, dlq.Resolved},
	} {
		require.NoError(t, b.move("l", int64(i+1), step.move))
		l := b.unpublished()["l"]
		require.Equal(t, step.state, l.State)
		require.EqualValues(t, i+2, l.Rev)
		e, err := b.s.LastMove(t.Context(), "l")
		require.NoError(t, err)
		require.False(t, e.At.IsZero())
		if i > 0 {
			e.Before = "" // each step begins where the last one ended
		}
		want := &dlq.AuditEntry{At: e.At, By: ann, Verb: string(step.move), Reason: "because", Group: group, Letter: "l", Selection: "all", After: step.state, Rev: l.Rev, Job: "j"}
		if i == 0 {
			want.Before = dlq.Open
		}
		require.Equal(t, want, e)
	}
	l := b.unpublished()["l"]
	require.Equal(t, dlq.OutcomeObsolete, l.Outcome)
	require.Equal(t, was.Attempts+1, l.Attempts, "one replay has failed")
	require.True(t, l.LastFailed.After(was.LastFailed) || b.db == nil)
	l.Outcome, l.Attempts, l.LastFailed, l.State, l.Rev = "", was.Attempts, was.LastFailed, was.State, 1
	want := b.letter("l")
	want.Source, want.Verdict.Detail = "src\uFFFD", "too \uFFFD late"
	require.Equal(t, want, l, "nothing else has changed")
	require.Equal(t, &dlq.NotFoundError{ID: "none"}, b.move("none", 0, dlq.MoveDiscard))
}

func moveTaken(b *bench) {
	t := b.t
	require.NoError(t, b.commit(t, &store.Batch{Letters: []*dlq.Letter{b.letter("l"), b.letter("m")}}))
	require.NoError(t, b.move("l", 0, dlq.MoveDiscard))
	for _, rev := range []int64{0, 1, 2} {
		var taken *dlq.TakenError
		err := b.move("l", rev, dlq.MoveDiscard)
		require.ErrorAs(t, err, &taken)
		require.Equal(t, error(taken), err, "it is no failure of the database")
		require.Equal(t, dlq.Discarded, taken.State)
		require.ErrorContains(t, taken, `letter l: can't discard it: it was discarded by ann at `)
		require.ErrorContains(t, taken, `("because")`)
	}
	require.ErrorContains(t, b.move("l", 1, dlq.MoveRestore), "it was discarded by ann", "what was looked at is not what is there")
	require.NoError(t, b.move("l", 2, dlq.MoveRestore))
	require.ErrorContains(t, b.move("l", 2, dlq.MoveDiscard), "it was restored by ann")
	// Its event came again and failed.
	require.NoError(t, b.commit(t, &store.Batch{Letters: []*dlq.Letter{b.letter("l")}}))
	require.ErrorContains(t, b.move("l", 3, dlq.MoveDiscard), "it has changed since it was looked at, and is open; look at it again")
	require.ErrorContains(t, b.move("m", 0, dlq.MoveRestore), "restore takes a letter that is discarded, found open")
}

// moveRace: two operators, one who writes notes, and the lanes of the entity.
func moveRace(b *bench) {
	t := b.t
	rounds := 100
	var letters []*dlq.Letter
	for i := range rounds {
		letters = append(letters, b.letter(fmt.Sprint("l", i)))
	}
	require.NoError(t, b.commit(t, &store.Batch{Letters: letters, Insert: []*store.Row{b.order(t, &Order{ID: "a"}, 1)}}))
	var won [2]atomic.Int64
	var g errgroup.Group
	for who, name := range []string{"ann", "bob"} {
		other := []string{"bob", "ann"}[who]
		g.Go(func() error {
			for i := range rounds {
				// The letter is discarded, and restored by whoever lost.
				id := fmt.Sprint("l", i)
				err := b.s.MoveLetter(t.Context(), &store.LetterMove{Ref: dlq.Ref{ID: id, Rev: 1}, Move: dlq.MoveDiscard, By: dlq.Actor{Name: name}})
				var taken *dlq.TakenError
				switch {
				case err == nil:
					won[who].Add(1)
				case errors.As(err, &taken):
					if taken.First == nil || taken.First.By.Name != other && taken.First.By.Name != name {
						return err
					}
					if taken.First.Verb == string(dlq.MoveDiscard) && taken.First.By.Name != other {
						return err
					}
					if err := b.s.MoveLetter(t.Context(), &store.LetterMove{Ref: dlq.Ref{ID: id, Rev: 2}, Move: dlq.MoveRestore, By: dlq.Actor{Name: name}}); err != nil {
						return err
					}
				default:
					return err
				}
			}
			return nil
		})
	}
	g.Go(func() error {
		for i := range rounds {
			if err := b.s.AddNote(t.Context(), &dlq.Note{By: dlq.Actor{Name: "eve"}, Letter: fmt.Sprint("l", i), Body: "hm"}); err != nil {
				return err
			}
		}
		return nil
	})
	require.NoError(t, g.Wait())
	require.EqualValues(t, rounds, won[0].Load()+won[1].Load(), "each letter was discarded once")
	for id, l := range b.unpublished() {
		require.Equal(t, dlq.Open, l.State, id)
		require.EqualValues(t, 3, l.Rev, id)
	}
	require.EqualValues(t, 2*rounds+int(b.one(t, "orders", "a").Born.UnixMicro()), b.one(t, "orders", "a").Rev, "each move went through the row")
	var lines int64
	require.NoError(t, b.sql().Table("evenkeel_audit").Where("after_state <> ''").Count(&lines).Error)
	require.EqualValues(t, 2*rounds, lines)
	require.EqualValues(t, rounds, b.count(t, "evenkeel_notes"))
}

func moveThroughRow(b *bench) {
	t := b.t
	free := b.letter("free")
	free.Blocking = false
	line := b.letter("line")
	line.Table, line.Entity = "a_lines", "5"
	require.NoError(t, b.commit(t, &store.Batch{
		Insert:  []*store.Row{b.order(t, &Order{ID: "a"}, 1), b.order(t, &Order{ID: "b"}, 1), b.row(t, &Line{ID: 5}, "a_lines", 1)},
		Letters: []*dlq.Letter{b.letter("l"), free, line},
	}))
	for _, move := range []dlq.Move{dlq.MoveDiscard, dlq.MoveRestore} {
		a, other := b.one(t, "orders", "a"), b.one(t, "orders", "b")
		require.NoError(t, b.move("l", 0, move))
		require.ErrorIs(t, b.commit(t, &store.Batch{Update: []*store.Row{a}}), store.ErrConflict)
		require.NoError(t, b.commit(t, &store.Batch{Update: []*store.Row{other}}))
	}
	numbered := b.one(t, "a_lines", "5")
	require.NoError(t, b.move("line", 0, dlq.MoveDiscard))
	require.ErrorIs(t, b.commit(t, &store.Batch{Update: []*store.Row{numbered}}), store.ErrConflict, "a key that is a number")

	a := b.one(t, "orders", "a")
	require.NoError(t, b.move("free", 0, dlq.MoveDiscard))
	require.NoError(t, b.move("l", 0, dlq.MoveReplay))
	require.NoError(t, b.commit(t, &store.Batch{Update: []*store.Row{a}}), "nobody waited for the one, and all still wait for the other")
}

func moveThroughKey(b *bench) {
	t := b.t
	m := b.model("orders")
	require.NoError(t, b.commit(t, &store.Batch{Letters: []*dlq.Letter{b.letter("l")}}))
	see := func(letters int) []store.AbsentKey { return []store.AbsentKey{{Model: m, Key: "a", Letters: letters}} }
	require.NoError(t, b.commit(t, &store.Batch{Absent: see(1)}))
	require.NoError(t, b.move("l", 0, dlq.MoveDiscard))
	require.ErrorIs(t, b.commit(t, &store.Batch{Absent: see(1), Park: []*store.Parked{b.parked("p", "a", 9)}}), store.ErrConflict, "it would wait for a letter that is dealt with")
	require.NoError(t, b.commit(t, &store.Batch{Absent: see(0)}))
	require.NoError(t, b.move("l", 0, dlq.MoveRestore))
	require.ErrorIs(t, b.commit(t, &store.Batch{Absent: see(0), Insert: []*store.Row{b.order(t, &Order{ID: "a"}, 1)}}), store.ErrConflict, "it would pass by the letter")
}

func moveWakes(b *bench) {
	t := b.t
	behind, retry, elsewhere := b.parked("behind", "a", 8), b.parked("retry", "a", 9), b.parked("elsewhere", "b", 8)
	behind.Cause, elsewhere.Cause = store.CauseBehind, store.CauseBehind
	numbered := b.waits("numbered", "s", "a", 8, store.CauseBehind)
	require.NoError(t, b.commit(t, &store.Batch{Park: []*store.Parked{behind, retry, elsewhere, numbered}, Letters: []*dlq.Letter{b.letter("l"), b.letter("m")}}))
	require.NoError(t, b.move("l", 0, dlq.MoveReplay))
	require.Equal(t, []string{"l"}, b.due())
	require.NoError(t, b.move("l", 0, dlq.MoveFail))
	require.Empty(t, b.due(), "it is still in the way")
	require.NoError(t, b.move("l", 0, dlq.MoveReplay))
	require.NoError(t, b.move("l", 0, dlq.MoveResolve))
	require.Equal(t, []string{"behind"}, b.due())
	require.Empty(t, b.due(), "put off")
	require.NoError(t, b.move("m", 0, dlq.MoveDiscard))
	require.Equal(t, []string{"behind"}, b.due())
}

// due puts off for a day what is due long before now, whatever the clocks say.
func (b *bench) due() (ids []string) {
	b.t.Helper()
	return b.putOff(b.now.AddDate(-1, 0, 0), 24*time.Hour)
}

// putOff lets what is due wait for as long.
func (b *bench) putOff(now time.Time, d time.Duration) (ids []string) {
	b.t.Helper()
	rows, err := b.s.Due(b.t.Context(), &store.DueQuery{Group: group, Now: now, Limit: 10, PerKey: 10})
	require.NoError(b.t, err)
	var marks []store.Mark
	for _, p := range rows {
		if !p.Due.After(now) {
			ids, marks = append(ids, p.ID), append(marks, store.Mark{ID: p.ID, Rev: p.Rev})
		}
	}
	require.NoError(b.t, b.s.Postpone(b.t.Context(), marks, now.Add(d)))
	return ids
}

func replayingBlocks(b *bench) {
	t := b.t
	numbered := b.letter("numbered")
	numbered.Stream = "s"
	k := store.StreamKey{Stream: "s", Entity: "a"}
	require.NoError(t, b.commit(t, &store.Batch{Letters: []*dlq.Letter{b.letter("l"), numbered}}))
	for _, step := range []struct {
		move   dlq.Move
		blocks bool
	}{{dlq.MoveReplay, true}, {dlq.MoveResolve, false}} {
		require.NoError(t, b.move("l", 0, step.move))
		require.NoError(t, b.move("numbered", 0, step.move))
		l, err := b.s.Load(t.Context(), b.want("orders", true, "a"))
		require.NoError(t, err)
		require.Equal(t, step.blocks, l.Queues["orders"]["a"] != nil)
		require.Equal(t, step.blocks, b.streams(k)[k] != nil)
	}
}

// stream puts a stream's state into its memo and returns it as loaded.
func (b *bench) stream(t *testing.T, state sequence.State) *store.Memo {
	t.Helper()
	k := store.MemoOf(store.StreamKey{Stream: "s", Entity: "a"})
	require.NoError(t, b.commit(t, &store.Batch{Memos: []*store.Memo{{MemoKey: k, Body: state.String()}}}))
	return b.sequence(t)
}

func (b *bench) sequence(t *testing.T) *store.Memo {
	t.Helper()
	k := store.MemoOf(store.StreamKey{Stream: "s", Entity: "a"})
	return b.memory(&store.Want{Memos: []store.MemoKey{k}}).Memos[k]
}

func moveThroughStream(b *bench) {
	t := b.t
	l := b.letter("l")
	l.Stream = "s"
	row := b.order(t, &Order{ID: "a"}, 1)
	require.NoError(t, b.commit(t, &store.Batch{Letters: []*dlq.Letter{l}, Insert: []*store.Row{row}, Park: []*store.Parked{
		b.waits("next", "s", "a", 8, store.CauseBehind), b.waits("far", "s", "a", 12, store.CauseBehind), b.waits("gap", "s", "a", 13, store.CauseGap),
		b.waits("other", "s", "b", 8, store.CauseBehind), b.waits("failed", "s", "a", 9, store.CauseRetry),
	}}))
	old := b.stream(t, sequence.From(3)) // e.g. a conflict about a number ahead
	for _, move := range []dlq.Move{dlq.MoveDiscard, dlq.MoveRestore} {
		require.NoError(t, b.move("l", 0, move))
		now := b.sequence(t)
		require.Equal(t, old.Body, now.Body, "only a gap is passed over")
		require.ErrorIs(t, b.commit(t, &store.Batch{Memos: []*store.Memo{old}}), store.ErrConflict)
		old = now
	}
	require.Equal(t, []string{"next", "far", "gap"}, b.due())
	require.NoError(t, b.commit(t, &store.Batch{Update: []*store.Row{b.one(t, "orders", "a")}}))
}

func moveOverGap(b *bench) {
	t := b.t
	l := b.letter("l")
	l.Stream, l.Place, l.Verdict.Reason = "s", 7, guards.Gap
	passed := b.letter("passed")
	passed.Stream, passed.Place, passed.Verdict.Reason, passed.Blocking = "s", 30, guards.Gap, false
	require.NoError(t, b.commit(t, &store.Batch{Letters: []*dlq.Letter{l, passed}}))
	broken := b.letter("broken")
	broken.Stream, broken.Entity, broken.Verdict.Reason = "s", "b", guards.Gap
	require.NoError(t, b.commit(t, &store.Batch{Letters: []*dlq.Letter{broken}, Memos: []*store.Memo{{MemoKey: store.MemoOf(store.StreamKey{Stream: "s", Entity: "b"}), Body: "?"}}}))
	err := b.move("broken", 0, dlq.MoveDiscard)
	require.ErrorContains(t, err, "the memo of a stream, \"?\", can't be read")
	require.NotErrorAs(t, err, new(*store.TransientError))
	state := sequence.From(4)
	state.Consume(7)
	state.Consume(8)
	state.Consume(11)
	b.stream(t, state)
	require.NoError(t, b.move("passed", 0, dlq.MoveDiscard))
	now, err := sequence.Parse(b.sequence(t).Body)
	require.NoError(t, err)
	require.EqualValues(t, 4, now.Next)
	for _, move := range []dlq.Move{dlq.MoveDiscard, dlq.MoveRestore, dlq.MoveDiscard} {
		require.NoError(t, b.move("l", 0, move))
		now, err := sequence.Parse(b.sequence(t).Body)
		require.NoError(t, err)
		require.EqualValues(t, 9, now.Next, "what was let go stays so")
		require.Equal(t, []sequence.Span{{4, 6}}, now.Skipped)
		require.True(t, now.Incomplete)
		require.Equal(t, []sequence.Span{{11, 11}}, now.Ahead)
	}
}

func moveOverGapInRebuild(b *bench) {
	t := b.t
	l := b.letter("l")
	l.Stream, l.Place, l.Verdict.Reason = "s", 7, guards.Gap
	require.NoError(t, b.commit(t, &store.Batch{Letters: []*dlq.Letter{l}}))
	state := sequence.From(4)
	b.stream(t, state.Again(1))
	require.NoError(t, b.move("l", 0, dlq.MoveDiscard))
	now, err := sequence.Parse(b.sequence(t).Body)
	require.NoError(t, err)
	require.EqualValues(t, 1, now.Next)
	whole := now.Whole()
	require.EqualValues(t, 7, whole.Next)
}

func moveSeen(b *bench) {
	t := b.t
	k := store.StreamKey{Stream: "causal:orders", Entity: "a"}
	l, unseen, whole := b.letter("l"), b.letter("unseen"), b.letter("whole")
	l.Vector, l.Blocking = event.Vector{{Node: "n", Count: 2}, {Node: "o", Count: 5}}, false
	unseen.Vector, unseen.Entity = l.Vector, "b" // nothing was decided about its causes
	whole.Vector, whole.Handler, whole.Table = l.Vector, "", ""
	row := b.order(t, &Order{ID: "a"}, 1)
	seen := store.Seen{Vector: event.Vector{{Node: "n", Count: 1}, {Node: "p", Count: 7}}, At: event.Stamp{Time: 3, Tie: "t\x00"}}
	require.NoError(t, b.commit(t, &store.Batch{
		Letters: []*dlq.Letter{l, unseen, whole}, Insert: []*store.Row{row}, Memos: []*store.Memo{{MemoKey: store.MemoOf(k), Body: seen.String()}},
		Park: []*store.Parked{
			b.waits("waits", k.Stream, "a", 8, store.CauseGap), b.waits("fails", k.Stream, "a", 9, store.CauseRetry),
			b.waits("other", k.Stream, "c", 8, store.CauseGap), b.waits("numbered", "s", "a", 8, store.CauseGap),
		},
	}))
	load := func() *store.Memo {
		return b.memory(&store.Want{Memos: []store.MemoKey{store.MemoOf(k)}}).Memos[store.MemoOf(k)]
	}
	require.Equal(t, l.Vector, b.unpublished()["l"].Vector)
	old := load()
	require.NoError(t, b.move("l", 0, dlq.MoveReplay))
	require.NoError(t, b.move("l", 0, dlq.MoveFail))
	require.NoError(t, b.move("unseen", 0, dlq.MoveDiscard))
	require.NoError(t, b.move("whole", 0, dlq.MoveDiscard))
	require.Equal(t, old, load())
	b.due() // what was parked for the replay
	for range 2 {
		require.NoError(t, b.move("l", 0, dlq.MoveDiscard))
		now, err := store.ParseSeen(load().Body)
		require.NoError(t, err)
		require.Equal(t, store.Seen{Vector: event.Vector{{Node: "n", Count: 2}, {Node: "o", Count: 5}, {Node: "p", Count: 7}}, At: seen.At}, now)
		require.ErrorIs(t, b.commit(t, &store.Batch{Memos: []*store.Memo{old}}), store.ErrConflict, "it would let an event wait that need not")
		require.Equal(t, []string{"waits"}, b.due())
		require.NoError(t, b.move("l", 0, dlq.MoveRestore))
	}
	require.NoError(t, b.commit(t, &store.Batch{Memos: []*store.Memo{{MemoKey: store.MemoOf(k), Rev: load().Rev, Body: "?"}}}))
	err := b.move("l", 0, dlq.MoveDiscard)
	require.ErrorContains(t, err, `the memo of what an entity has seen, "?", can't be read`)
	require.NotErrorAs(t, err, new(*store.TransientError))
}

func moveFreesID(b *bench) {
	t := b.t
	l := b.letter("l")
	l.Blocking, l.Source = false, "src"
	bare := b.letter("bare")
	bare.EventID, bare.Source = "", "src"
	key := func(id string) store.IDKey {
		return store.IDKey{Scope: store.OnceScope("h"), Entity: "a", ID: store.EventID("src", id)}
	}
	c := bare.Record.Coordinates
	ids := []store.IDKey{key("e-l"), key(fmt.Sprintf("@%s/%s/%d/%d", c.Cluster, c.TopicID, c.Partition, c.Offset)), key("another")}
	var held []*store.ID
	for _, k := range ids {
		held = append(held, &store.ID{IDKey: k, At: start, Held: true})
	}
	require.NoError(t, b.commit(t, &store.Batch{Letters: []*dlq.Letter{l, bare}, IDs: held}))
	want := []bool{true, true, true}
	check := func(why string) {
		t.Helper()
		got := b.memory(&store.Want{IDs: ids}).IDs
		for i, k := range ids {
			require.NotNil(t, got[k], why)
			require.Equal(t, want[i], got[k].Held, "%s: %d", why, i)
		}
	}
	require.NoError(t, b.move("l", 0, dlq.MoveReplay))
	require.NoError(t, b.move("l", 0, dlq.MoveFail))
	check("its own event may still come to its effect")
	require.NoError(t, b.move("l", 0, dlq.MoveDiscard))
	want[0] = false
	check("discarded")
	require.NoError(t, b.move("l", 0, dlq.MoveRestore))
	check("restored")
	require.NoError(t, b.move("bare", 0, dlq.MoveDiscard))
	want[1] = false
	check("an event without an id is its coordinates")
}

func moveWithoutRow(b *bench) {
	t := b.t
	bare := b.letter("bare")
	bare.Table, bare.Handler, bare.Entity = "", "", "a"
	word, gone, unknown := b.letter("word"), b.letter("gone"), b.letter("unknown")
	word.Table, word.Entity = "a_lines", "no number"
	gone.Table = "dropped"
	unknown.Table = "never claimed"
	require.NoError(t, b.commit(t, &store.Batch{Letters: []*dlq.Letter{bare, word, gone, unknown}}))
	if b.db != nil {
		require.NoError(t, b.db.Exec("INSERT INTO evenkeel_models (tbl, grp, generation, columns, claimed_at, key_column) VALUES ('dropped', 'orders', 1, '{}', 0, 'id')").Error)
	}
	for _, id := range []string{"bare", "word", "gone", "unknown"} {
		require.NoError(t, b.move(id, 0, dlq.MoveDiscard), id)
		require.Equal(t, dlq.Discarded, b.unpublished()[id].State, id)
	}
}

func moveCopies(b *bench) {
	t := b.t
	require.NoError(t, b.commit(t, &store.Batch{Letters: []*dlq.Letter{b.letter("l"), b.letter("fresh")}}))
	require.NoError(t, b.s.Mark(t.Context(), []store.Mark{{ID: "l", Rev: 1}}))
	for _, id := range []string{"l", "fresh"} {
		require.NoError(t, b.move(id, 0, dlq.MoveDiscard))
	}
	lanes, err := b.s.Unpublished(t.Context(), key(0))
	require.NoError(t, err)
	require.Empty(t, lanes, "no lane's offset waits for what a person has done")
	require.Len(t, b.unpublished(), 2)
	require.NoError(t, b.s.Mark(t.Context(), []store.Mark{{ID: "fresh", Rev: 1}}))
	require.Len(t, b.unpublished(), 2, "what was published is the letter as it was")
	require.NoError(t, b.s.Mark(t.Context(), []store.Mark{{ID: "fresh", Rev: 2}, {ID: "l", Rev: 2}}))
	require.Empty(t, b.unpublished())
}

func purgeLetters(b *bench) {
	t := b.t
	ids := []string{"a1", "a2", "a3", "open", "unpublished"}
	var all []*dlq.Letter
	for _, id := range ids {
		all = append(all, b.letter(id))
	}
	require.NoError(t, b.commit(t, &store.Batch{Letters: all}))
	for _, id := range ids[:3] {
		require.NoError(t, b.move(id, 0, dlq.MoveDiscard))
		require.NoError(t, b.s.Mark(t.Context(), []store.Mark{{ID: id, Rev: 2}}))
	}
	require.NoError(t, b.move("unpublished", 0, dlq.MoveDiscard))
	now, err := b.s.Now(t.Context())
	require.NoError(t, err)
	n, err := b.s.PurgeLetters(t.Context(), &store.LetterPurge{Group: group, Before: now.Add(-time.Hour), Portion: 2, By: store.Retention()})
	require.NoError(t, err)
	require.Zero(t, n)
	n, err = b.s.PurgeLetters(t.Context(), &store.LetterPurge{Group: "other", Before: now.Add(time.Hour), Portion: 2, By: store.Retention()})
	require.NoError(t, err)
	require.Zero(t, n)
	n, err = b.s.PurgeLetters(t.Context(), &store.LetterPurge{Group: group, Before: now.Add(time.Hour), Portion: 2, By: store.Retention()})
	require.NoError(t, err)
	require.EqualValues(t, 3, n)
	l, err := b.s.Load(t.Context(), &store.Want{Group: group, Judged: []event.Coordinates{all[0].Record.Coordinates}})
	require.NoError(t, err)
	for _, id := range ids {
		require.True(t, l.Units[id], "a record that is delivered again is known: %s", id)
	}
	require.ErrorContains(t, b.move("a1", 0, dlq.MoveRestore), "restore takes a letter that is discarded, found purged")

	got, err := dlq.List(t.Context(), b.sql(), dlq.Filter{})
	require.NoError(t, err)
	require.Len(t, got, 2, "purged letters are no letters for people")
	one, err := dlq.List(t.Context(), b.sql(), dlq.Filter{State: dlq.Purged, Limit: 1})
	require.NoError(t, err)
	require.Nil(t, one[0].Record.Value)
	require.Empty(t, one[0].Error)
	require.Equal(t, guards.Late, one[0].Verdict.Reason)
	lines, err := dlq.Audit(t.Context(), b.sql(), dlq.AuditFilter{Verb: "purge"})
	require.NoError(t, err)
	require.Len(t, lines, 2)
	require.Contains(t, lines[1].Selection, "2 letters that ended before ")
}

func auditStays(b *bench) {
	t := b.t
	require.NoError(t, b.commit(t, &store.Batch{Letters: []*dlq.Letter{b.letter("l")}}))
	require.NoError(t, b.move("l", 0, dlq.MoveDiscard))
	for _, text := range []string{"UPDATE evenkeel_audit SET actor = 'nobody'", "DELETE FROM evenkeel_audit", "TRUNCATE evenkeel_audit"} {
		if text[0] != 'T' || b.postgres() {
			require.ErrorContains(t, b.sql().Exec(text).Error, "only ever added to", text)
		}
	}
	lines, err := dlq.Audit(t.Context(), b.sql(), dlq.AuditFilter{})
	require.NoError(t, err)
	require.Len(t, lines, 1)
	require.Equal(t, ann, lines[0].By)
}

func notes(b *bench) {
	t := b.t
	require.NoError(t, b.commit(t, &store.Batch{Letters: []*dlq.Letter{b.letter("l"), b.letter("m")}}))
	for _, n := range []dlq.Note{
		{By: ann, Letter: "l", Body: "one"}, {By: ann, Letter: "m", Body: "two"}, {By: ann, Fingerprint: "f", Body: "three\x00"}, {By: ann, Fingerprint: "l", Body: "four"},
	} {
		require.NoError(t, b.s.AddNote(t.Context(), &n))
	}
	require.Equal(t, &dlq.NotFoundError{ID: "none"}, b.s.AddNote(t.Context(), &dlq.Note{By: ann, Letter: "none", Body: "x"}))
	require.NoError(t, b.move("l", 1, dlq.MoveDiscard), "a note does not stand in anybody's way")
	require.NoError(t, b.s.AddNote(t.Context(), &dlq.Note{By: ann, Letter: "l", Body: "five"}))
	require.ErrorContains(t, b.move("l", 0, dlq.MoveDiscard), "it was discarded by ann")
	bodies := func(letter, fingerprint string) (all []string) {
		got, err := dlq.Notes(t.Context(), b.sql(), letter, fingerprint)
		require.NoError(t, err)
		for _, n := range got {
			require.Equal(t, "ann", n.By.Name)
			all = append(all, n.Body)
		}
		return all
	}
	require.Equal(t, []string{"one", "three\uFFFD", "five"}, bodies("l", "f"))
	require.Equal(t, []string{"four"}, bodies("", "l"))
	require.Empty(t, bodies("", ""))
	lines, err := dlq.Audit(t.Context(), b.sql(), dlq.AuditFilter{Verb: dlq.VerbNote, Letter: "l"})
	require.NoError(t, err)
	require.Len(t, lines, 2)
	require.Equal(t, "five", lines[0].Reason)
	require.Empty(t, lines[0].After)
}
