package storetest

import (
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

func rehearseCases() []testCase {
	return []testCase{
		{"a rehearsal sees what it has written, and leaves nothing", rehearseLeavesNothing},
		{"what fails in a rehearsal undoes itself alone", rehearseFails},
		{"a rehearsal finds what COMMIT would find", rehearseSettles},
	}
}

// rehearse opens a rehearsal that ends with the test at the latest.
func (b *bench) rehearse() store.Rehearsal {
	b.t.Helper()
	r, err := b.s.Rehearse(b.t.Context())
	require.NoError(b.t, err)
	b.t.Cleanup(r.End)
	return r
}

func rehearseLeavesNothing(b *bench) {
	t, ctx := b.t, b.t.Context()
	behind := b.parked("behind", "a", 9)
	behind.Cause, behind.Due = store.CauseBehind, b.now.Add(time.Hour)
	require.NoError(t, b.commit(t, &store.Batch{
		Insert: []*store.Row{b.order(t, &Order{ID: "a", Status: "old"}, 1)}, Letters: []*dlq.Letter{b.letter("l")}, Park: []*store.Parked{behind},
	}))
	before := b.one(t, "orders", "a").Rev

	r := b.rehearse()
	require.ErrorAs(t, r.Replay(ctx, &store.LetterMove{Ref: dlq.Ref{ID: "none"}, Move: dlq.MoveReplay, By: ann}), new(*dlq.NotFoundError))
	m := &store.LetterMove{Ref: dlq.Ref{ID: "l"}, Move: dlq.MoveReplay, By: ann, AcceptForgotten: true}
	require.NoError(t, r.Replay(ctx, m))
	require.ErrorAs(t, r.Replay(ctx, m), new(*dlq.TakenError), "it sees that it was taken")
	p, err := r.Parked(ctx, "l")
	require.NoError(t, err)
	require.Equal(t, &store.Replay{Reason: guards.Late, Compared: "watermark", AcceptForgotten: true}, p.Replay)
	none, err := r.Parked(ctx, "none")
	require.NoError(t, err)
	require.Nil(t, none)

	want := b.want("orders", true, "a")
	locked, err := r.Lock(ctx, want)
	require.NoError(t, err)
	row := locked.Loaded().Rows["orders"]["a"]
	require.Equal(t, before, row.Rev)
	row.Entity.Interface().(*Order).Status = "new"
	require.NoError(t, locked.Commit(ctx, &store.Batch{
		Group: group, Now: b.now, Update: []*store.Row{row}, Release: []store.Mark{{ID: "l", Rev: p.Rev}},
		Wake:     []store.QueueKey{{Table: "orders", Entity: "a"}},
		Resolve:  []*store.Resolution{{ID: "l", Outcome: dlq.OutcomeApplied}},
		Verdicts: []store.Verdict{{Verdict: guards.Pass()}},
		Outbox:   []*store.Outbound{{ID: "o", Topic: "t", Group: group, CreatedAt: b.now}},
	}))
	locked.Rollback() // after Commit it does nothing
	locked, err = r.Lock(ctx, want)
	require.NoError(t, err)
	row = locked.Loaded().Rows["orders"]["a"]
	require.Equal(t, []any{"new", before + 1}, []any{row.Entity.Interface().(*Order).Status, row.Rev})
	require.Len(t, locked.Loaded().Queues["orders"]["a"].Parked, 1)
	require.Empty(t, locked.Loaded().Queues["orders"]["a"].Letters, "the letter is resolved")
	locked.Rollback()
	ids, err := r.Due(ctx, group, "a", b.now)
	require.NoError(t, err)
	require.Equal(t, []string{"behind"}, ids, "it was woken")
	r.End()
	r.End()
	_, err = r.Lock(ctx, want)
	require.Error(t, err)

	require.Equal(t, before, b.one(t, "orders", "a").Rev)
	require.Equal(t, "old", b.one(t, "orders", "a").Entity.Interface().(*Order).Status)
	last, err := b.s.LastMove(ctx, "l")
	require.NoError(t, err)
	require.Nil(t, last)
	require.NoError(t, b.move("l", 1, dlq.MoveReplay), "nobody has taken it")
	for _, table := range []string{"evenkeel_verdicts", "evenkeel_outbox"} {
		require.Zero(t, b.count(t, table))
	}
}

func rehearseFails(b *bench) {
	t, ctx := b.t, b.t.Context()
	require.NoError(t, b.commit(t, &store.Batch{Insert: []*store.Row{b.order(t, &Order{ID: "a", Status: "old"}, 1)}}))
	r := b.rehearse()
	write := func(status string, rev int64) error {
		locked, err := r.Lock(ctx, b.want("orders", false, "a"))
		require.NoError(t, err)
		defer locked.Rollback()
		row := locked.Loaded().Rows["orders"]["a"]
		row.Entity.Interface().(*Order).Status = status
		row.Rev += rev
		return locked.Commit(ctx, &store.Batch{Group: group, Now: b.now, Update: []*store.Row{row}})
	}
	require.NoError(t, write("first", 0))
	require.ErrorIs(t, write("second", 1), store.ErrConflict)
	locked, err := r.Lock(ctx, b.want("orders", false, "a"))
	require.NoError(t, err)
	require.Equal(t, "first", locked.Loaded().Rows["orders"]["a"].Entity.Interface().(*Order).Status)
	require.ErrorIs(t, locked.Commit(ctx, &store.Batch{Group: group, Now: b.now, Resolve: []*store.Resolution{{ID: "none", Outcome: dlq.OutcomeApplied}}}), store.ErrConflict)
	require.NoError(t, write("third", 0))
}

func rehearseSettles(b *bench) {
	t, ctx := b.t, b.t.Context()
	db := b.sql()
	require.NoError(t, db.Exec("CREATE TABLE customers (name text PRIMARY KEY)").Error)
	if b.postgres() {
		require.NoError(t, db.Exec("ALTER TABLE orders ADD FOREIGN KEY (status) REFERENCES customers DEFERRABLE INITIALLY DEFERRED").Error)
	} else { // which has no ALTER TABLE for that
		var text string
		require.NoError(t, db.Raw("SELECT sql FROM sqlite_master WHERE name = 'orders'").Scan(&text).Error)
		require.NoError(t, db.Exec("DROP TABLE orders").Error)
		require.NoError(t, db.Exec(text[:len(text)-1]+", FOREIGN KEY (status) REFERENCES customers)").Error)
	}
	_, err := b.s.Claim(ctx, group, b.models, false)
	require.NoError(t, err)
	require.NoError(t, db.Exec("INSERT INTO customers VALUES ('ann')").Error)
	r := b.rehearse()
	write := func(id, status string) error {
		locked, err := r.Lock(ctx, b.want("orders", false, id))
		require.NoError(t, err)
		defer locked.Rollback()
		return locked.Commit(ctx, &store.Batch{Group: group, Now: b.now, Insert: []*store.Row{b.order(t, &Order{ID: id, Status: status}, 1)}}) //nolint:contextcheck // a key is text: its Valuer asks nobody
	}
	for range 2 {
		require.ErrorAs(t, write("a", "bob"), new(*store.DataError))
	}
	require.NoError(t, write("a", "ann"))
}
