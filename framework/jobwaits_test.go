package framework_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/internal/lettertest"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/open"
	"github.com/evenkeel-go/evenkeel/testutil"
)

// TestJobWaits: whatever keeps a job from going on is told, with what to do, and nothing else is.
func TestJobWaits(t *testing.T) {
	t.Parallel()
	for name, connect := range map[string]func(testing.TB) *gorm.DB{"sqlite": testutil.SQLite, "postgres": testutil.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := connect(t)
			require.NoError(t, framework.Migrate(t.Context(), db))
			testJobWaits(t, db)
		})
	}
}

func testJobWaits(t *testing.T, db *gorm.DB) {
	t.Helper()
	ctx := t.Context()
	st, err := open.Open(db)
	require.NoError(t, err)
	now, err := st.Now(ctx)
	require.NoError(t, err)
	letter := func(n int, stream string) *dlq.Letter {
		l := lettertest.Full()
		l.ID, l.Stream, l.Entity, l.Handler, l.Place = fmt.Sprintf("%032x", n), stream, fmt.Sprintf("order-%d", n), "invoice", int64(n)
		require.NoError(t, lettertest.Insert(ctx, db, l))
		return l
	}
	var letters []*dlq.Letter
	var refs []dlq.Ref
	for i := range 4 {
		letters = append(letters, letter(10+i, ""))
		refs = append(refs, letters[i].Ref())
	}
	numbered := letter(14, "numbers")
	letters, refs = append(letters, numbered), append(refs, numbered.Ref())
	job, err := framework.StartJob(ctx, db, framework.Refs(refs...), dlq.JobPlan{Rate: 0.01}, byAnn)
	require.NoError(t, err)

	waits := func() []framework.JobWait {
		t.Helper()
		j, err := framework.GetJob(ctx, db, job.ID)
		require.NoError(t, err)
		waits, err := framework.JobWaits(ctx, db, j)
		require.NoError(t, err)
		for _, w := range waits {
			require.NotEmpty(t, w.Next)
		}
		return waits
	}
	only := func(cause framework.JobWaitCause, text, next string) framework.JobWait {
		t.Helper()
		all := waits()
		require.Len(t, all, 1)
		require.Equal(t, cause, all[0].Cause)
		require.Equal(t, text, all[0].Text)
		require.Contains(t, all[0].Next, next)
		return all[0]
	}
	exec := func(query string, args ...any) {
		t.Helper()
		require.NoError(t, db.Exec(query, args...).Error)
	}

	only(framework.WaitsForMembers, "no member of group billing runs", "start the service")
	exec("INSERT INTO evenkeel_members (id, grp, owner, version, started, seen, state) VALUES ('a', 'billing', 'host-1', '', 0, ?, '{}')", now.Add(-time.Hour).UnixMicro())
	w := only(framework.WaitsForMembers, "no member of group billing has said anything for half a minute: 1 have died, or can't reach the database", "`evenkeel consumer show billing`")
	require.WithinDuration(t, now.Add(-time.Hour), w.Since, time.Second)

	alive := func(id string, state store.MemberState) {
		t.Helper()
		_, err := st.Beat(ctx, &store.Member{ID: id, Group: "billing", Owner: id, Started: now, State: state})
		require.NoError(t, err)
	}
	alive("a", store.MemberState{})
	require.Empty(t, waits(), "moments are no wait")

	_, err = st.Pause(ctx, &store.ControlAct{Scope: store.Scope{Group: "billing", Topic: "orders", Partition: store.AllPartitions}, By: dlq.Actor{Name: "ada"}})
	require.NoError(t, err)
	require.Empty(t, waits(), "a paused topic holds up no letter")
	_, err = st.Pause(ctx, &store.ControlAct{Scope: store.Scope{Group: "billing", Partition: store.AllPartitions}, By: dlq.Actor{Name: "ada"}, Reason: "lunch"})
	require.NoError(t, err)
	w = only(framework.WaitsForResume, `group billing was paused by ada ("lunch")`, "`evenkeel consumer resume billing`")
	require.WithinDuration(t, now, w.Since, time.Minute)
	_, err = st.Resume(ctx, &store.ControlAct{Scope: store.Scope{Group: "billing", Partition: store.AllPartitions}, By: dlq.Actor{Name: "ada"}})
	require.NoError(t, err)

	take := func(paced time.Time) {
		t.Helper()
		j, err := st.LeaseJob(ctx, job.ID, "a", time.Minute)
		require.NoError(t, err)
		waiting, err := st.JobLetters(ctx, store.JobLetterQuery{Job: job.ID, Result: dlq.ResultWaiting, Limit: 1})
		require.NoError(t, err)
		require.NoError(t, st.TakeJobLetter(ctx, &store.JobTake{Job: j, Letter: waiting[0], Owner: "a", Paced: paced}))
	}
	take(now.Add(time.Hour))
	w = only(framework.WaitsForPace, "it takes at most 0.01 letters a second, and the next one is not due yet", "another rate")
	require.WithinDuration(t, now.Add(time.Hour), w.Until, time.Second)
	take(now)
	take(now)
	require.Empty(t, waits(), "those under way are due")

	// Breakers, of a handler that has letters under way.
	shut := store.MemberState{Breakers: []store.MemberBreaker{
		{Handler: "invoice", State: "open", Since: now.UnixMicro(), NextProbe: now.Add(time.Minute).UnixMicro(), Error: "card 4242"},
		{Handler: "other", State: "open"},
	}}
	alive("b", shut)
	w = only(framework.WaitsForBreaker, "the breaker of handler invoice is open in 1 of 2 members", "`evenkeel consumer resume billing` tries at once")
	require.Equal(t, "card 4242", w.Error)
	require.WithinDuration(t, now.Add(time.Minute), w.Until, time.Second)
	shut.Breakers[0].State = "half-open"
	alive("b", shut)
	require.Empty(t, waits())

	// What single letters wait for: the first is tried again, others stand behind something.
	later := now.Add(time.Hour).UnixMicro()
	exec("UPDATE evenkeel_parked SET due = ?, attempts = 2, error = 'timeout' WHERE id = ?", later, letters[0].ID)
	w = only(framework.WaitsForRetry, "letter 000000000000 has failed for now, and is tried again", "by itself")
	require.Equal(t, "timeout", w.Error)
	exec("UPDATE evenkeel_parked SET due = 0 WHERE id = ?", letters[0].ID)

	exec("UPDATE evenkeel_parked SET due = ? WHERE id <> ?", later, letters[0].ID)
	require.Empty(t, waits(), "claimed just now")
	memo := func(body string) {
		t.Helper()
		loaded, err := st.Load(ctx, &store.Want{Group: "billing", Memos: []store.MemoKey{store.RebuildKey()}})
		require.NoError(t, err)
		next := &store.Memo{MemoKey: store.RebuildKey()}
		if was := loaded.Memos[store.RebuildKey()]; was != nil {
			next.Rev = was.Rev
		}
		next.Body = body
		require.NoError(t, st.Commit(ctx, &store.Batch{Group: "billing", Memos: []*store.Memo{next}}))
	}
	memo(fmt.Sprintf(`{"id":"r1","began":%d,"phase":"replaying","tables":[{"table":"orders"}]}`, now.UnixMicro()))
	w = only(framework.WaitsForRebuild, "2 letters, e.g. 000000000000, wait while rebuild r1 makes rows of their table anew", "`evenkeel rebuild --status --group billing`")
	require.WithinDuration(t, now, w.Since, time.Second)
	memo(`{"id":"r2","phase":"replaying","tables":[{"table":"other"}]}`)
	require.Empty(t, waits(), "it is of another table")
	memo("")
	before := letter(1, "")
	exec("UPDATE evenkeel_dead_letters SET entity = 'order-11' WHERE id = ?", before.ID)
	only(framework.WaitsForLetter, "letter 000000000000 stands behind letter 000000000000, which is open", "`evenkeel dlq explain 000000000000`")
	for _, one := range []string{"blocking = FALSE", "state = 'replaying'", "state = 'discarded'", "place = 99", "grp = 'other'", "tbl = 'other'"} {
		tx := db.Begin()
		require.NoError(t, tx.Exec("UPDATE evenkeel_dead_letters SET "+one+" WHERE id = ?", before.ID).Error)
		j, err := framework.GetJob(ctx, db, job.ID)
		require.NoError(t, err)
		found, err := framework.JobWaits(ctx, tx, j)
		require.NoError(t, err)
		require.Empty(t, found, one)
		tx.Rollback()
	}
	exec("UPDATE evenkeel_dead_letters SET state = 'discarded' WHERE id = ?", before.ID)
	exec("UPDATE evenkeel_parked SET cause = 'retry', entity = 'order-12' WHERE id = ?", letters[0].ID) // any row that is no replay
	only(framework.WaitsForParked, "letter 000000000000 stands behind an event that is parked", "`evenkeel parked --entity`")

	// In a stream the queue is the stream's, whatever the table.
	exec("DELETE FROM evenkeel_parked")
	take(now)
	take(now)
	exec("DELETE FROM evenkeel_parked WHERE stream = ''")
	exec("UPDATE evenkeel_parked SET due = ?", later)
	require.Empty(t, waits())
	exec("UPDATE evenkeel_dead_letters SET state = 'open', stream = 'numbers', entity = 'order-14', tbl = 'other' WHERE id = ?", before.ID)
	only(framework.WaitsForLetter, "letter 000000000000 stands behind letter 000000000000, which is open", "")

	_, err = framework.PauseJob(ctx, db, job.ID, byAnn)
	require.NoError(t, err)
	only(framework.WaitsForLetter, "letter 000000000000 stands behind letter 000000000000, which is open", "")
	_, err = framework.CancelJob(ctx, db, job.ID, byAnn)
	require.NoError(t, err)
	require.Empty(t, waits())
}
