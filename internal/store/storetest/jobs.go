package storetest

import (
	"fmt"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

func jobCases() []testCase {
	return []testCase{
		{"a job takes letters in order, and gathers what becomes of them", jobLife},
		{"what can't be replayed is refused when it is chosen, with who was first", jobChooses},
		{"of two jobs that choose the same letters at once each letter is in one", jobRace},
		{"a letter that changed after it was chosen is not touched", jobRefuses},
		{"only the owner of a running job takes letters", jobFenced},
		{"a lease ends, is renewed, and is let go", jobLease},
		{"a job's state moves by its table, and says who moved it", jobMoves},
		{"a cancelled job ends when nothing of it is under way", jobCancelled},
		{"what happened to a letter is read by its revision, whatever came after", jobTruth},
		{"letters of jobs that ended go, their counts stay", jobPurged},
	}
}

const owner = "member-1"

// job makes a running job of letters, in somebody's hand.
func (b *bench) job(id string, letters ...string) *dlq.Job {
	b.t.Helper()
	b.selected(id, letters...)
	_, err := b.s.MoveJob(b.t.Context(), &store.JobMove{ID: id, Move: dlq.JobStart, By: ann, Reason: "fixed"})
	require.NoError(b.t, err)
	return b.leased(id, owner)
}

func (b *bench) selected(id string, letters ...string) {
	b.t.Helper()
	require.NoError(b.t, b.s.AddJob(b.t.Context(), &dlq.Job{ID: id, Group: group, Plan: dlq.JobPlan{Rate: 2.5, Ramp: []int{10, 100}}, By: ann, Reason: "fixed", Selection: "all", Owner: "starter"}, time.Minute))
	var refs []dlq.Ref
	for _, l := range letters {
		refs = append(refs, dlq.Ref{ID: l})
	}
	require.NoError(b.t, b.s.AddJobLetters(b.t.Context(), id, "starter", time.Minute, refs))
}

func (b *bench) leased(id, who string) *dlq.Job {
	b.t.Helper()
	j, err := b.s.LeaseJob(b.t.Context(), id, who, time.Minute)
	require.NoError(b.t, err)
	return j
}

// take takes the first letter that waits.
func (b *bench) take(j *dlq.Job, who string) error {
	b.t.Helper()
	next, err := b.s.JobLetters(b.t.Context(), store.JobLetterQuery{Job: j.ID, Result: dlq.ResultWaiting, Limit: 1})
	require.NoError(b.t, err)
	require.Len(b.t, next, 1)
	return b.s.TakeJobLetter(b.t.Context(), &store.JobTake{Job: j, Letter: next[0], Owner: who, Paced: start})
}

func (b *bench) gathered(id string) *dlq.Job {
	b.t.Helper()
	j, err := b.s.GatherJob(b.t.Context(), id)
	require.NoError(b.t, err)
	return j
}

// results are the results of a job's letters, in their order.
func (b *bench) results(id string) (all []string) {
	b.t.Helper()
	letters, err := b.s.JobLetters(b.t.Context(), store.JobLetterQuery{Job: id, Limit: 1000})
	require.NoError(b.t, err)
	for i, l := range letters {
		require.EqualValues(b.t, i, l.Place)
		all = append(all, l.ID+" "+string(l.Result))
	}
	return all
}

func (b *bench) withLetters(ids ...string) {
	b.t.Helper()
	var all []*dlq.Letter
	for _, id := range ids {
		all = append(all, b.letter(id))
	}
	require.NoError(b.t, b.commit(b.t, &store.Batch{Letters: all}))
}

func jobLife(b *bench) {
	t := b.t
	b.withLetters("a", "b", "c", "d")
	b.selected("j", "d", "a")
	require.NoError(t, b.s.AddJobLetters(t.Context(), "j", "starter", time.Minute, []dlq.Ref{{ID: "a"}, {ID: "c", Rev: 1}, {ID: "c"}, {ID: "b"}}))
	require.Equal(t, []string{"d waiting", "a waiting", "c waiting", "b waiting"}, b.results("j"), "in the order in which they were chosen, each once")
	require.Nil(t, b.leased("j", owner), "who selects has it in hand")
	j, err := b.s.MoveJob(t.Context(), &store.JobMove{ID: "j", Move: dlq.JobStart, By: ann, Reason: "fixed"})
	require.NoError(t, err)
	require.Equal(t, dlq.JobRunning, j.State)
	require.False(t, j.Paced.IsZero(), "the pace begins with it")
	j = b.leased("j", owner)
	for range 3 {
		require.NoError(t, b.take(j, owner))
	}
	require.Equal(t, []string{"d replaying", "a replaying", "c replaying", "b waiting"}, b.results("j"))
	require.ElementsMatch(t, []string{"a", "c", "d"}, b.due())
	last, err := b.s.LastMove(t.Context(), "d")
	require.NoError(t, err)
	require.Equal(t, []string{"replay", "ann", "fixed", "all", "j"}, []string{last.Verb, last.By.Name, last.Reason, last.Selection, last.Job})
	j = b.gathered("j")
	require.Equal(t, map[dlq.JobResult]int64{dlq.ResultReplaying: 3}, j.Counts, "nothing has become of them yet")
	require.EqualValues(t, 1, j.Count(dlq.ResultWaiting))
	require.True(t, start.Equal(j.Paced))

	require.NoError(t, b.commit(t, resolved(
		&store.Resolution{ID: "d", Outcome: dlq.OutcomeObsolete, Why: "superseded"},
		&store.Resolution{ID: "a", Outcome: dlq.OutcomeApplied, Why: "applied"},
		&store.Resolution{ID: "c", Why: "still broken", Failed: dlq.Letter{Fingerprint: "f2", Error: "still broken", Attempts: 1, Verdict: guards.Verdict{Action: guards.DeadLetter, Reason: guards.Exhausted}}},
	)))
	for _, letter := range []string{"d", "a", "c"} {
		last, err := b.s.LastMove(t.Context(), letter)
		require.NoError(t, err)
		require.Equal(t, "j", last.Job, "the audit of a job has all of it")
	}
	refused := b.move("d", 0, dlq.MoveDiscard)
	require.ErrorContains(t, refused, "it was taken for a replay by ann at ")
	require.ErrorContains(t, refused, ` in job j ("fixed"), and resolved as obsolete at `)
	b.gathered("j")
	j = b.gathered("j")
	require.Equal(t, map[dlq.JobResult]int64{dlq.ResultObsolete: 1, dlq.ResultApplied: 1, dlq.ResultFailed: 1}, j.Counts, "once each")
	require.Equal(t, []string{"d obsolete", "a applied", "c failed", "b waiting"}, b.results("j"))
	letters, err := b.s.JobLetters(t.Context(), store.JobLetterQuery{Job: "j", From: 1, Result: dlq.ResultFailed, Limit: 9})
	require.NoError(t, err)
	require.Len(t, letters, 1)
	require.Equal(t, "still broken", letters[0].Why)
	require.False(t, letters[0].At.IsZero())
	causes, err := b.s.JobFailures(t.Context(), "j", 5)
	require.NoError(t, err)
	require.Equal(t, []dlq.JobFailure{{Fingerprint: "f2", Letters: 1, Error: "still broken", Letter: "c"}}, causes)

	got, err := b.s.Jobs(t.Context(), store.JobQuery{Group: group, ID: "j", State: dlq.JobRunning, Open: true, Limit: 2})
	require.NoError(t, err)
	require.Len(t, got, 1)
	want := *j
	require.False(t, want.Created.IsZero())
	require.Equal(t, &want, got[0])
	require.Equal(t, dlq.JobPlan{Rate: 2.5, Ramp: []int{10, 100}}, got[0].Plan)
	require.Equal(t, ann, got[0].By)
	for _, q := range []store.JobQuery{{Group: "other"}, {ID: "k"}, {State: dlq.JobDone}, {ID: "%"}} {
		got, err := b.s.Jobs(t.Context(), q)
		require.NoError(t, err)
		require.Empty(t, got)
	}
}

func jobChooses(b *bench) {
	t := b.t
	foreign, other := b.letter("foreign"), b.letter("other")
	foreign.Verdict.Reason, other.Group = dlq.Foreign, "another"
	b.withLetters("a", "b", "c", "seen")
	require.NoError(t, b.commit(t, &store.Batch{Letters: []*dlq.Letter{foreign, other}}))
	require.NoError(t, b.move("b", 0, dlq.MoveDiscard))
	require.NoError(t, b.move("seen", 0, dlq.MoveReplay))
	require.NoError(t, b.move("seen", 0, dlq.MoveFail))
	b.job("first", "a")
	b.selected("second", "a", "b", "none", "foreign", "c")
	require.NoError(t, b.s.AddJobLetters(t.Context(), "second", "starter", time.Minute, []dlq.Ref{{ID: "seen", Rev: 1}}))
	require.Equal(t, []string{"a refused", "b refused", "none refused", "foreign refused", "c waiting", "seen refused"}, b.results("second"))
	letters, err := b.s.JobLetters(t.Context(), store.JobLetterQuery{Job: "second", Result: dlq.ResultRefused, Limit: 9})
	require.NoError(t, err)
	for i, text := range []string{
		"letter a: can't replay it: it is in job first, started by ann at ", "letter b: can't replay it: it was discarded by ann at ",
		`no letter has an id that begins with "none"`, "another system has written it", "letter seen: can't replay it: it was taken for a replay by ann at ",
	} {
		require.Contains(t, letters[i].Why, text)
	}
	var mixed *dlq.JobGroupError
	require.ErrorAs(t, b.s.AddJobLetters(t.Context(), "second", "starter", time.Minute, []dlq.Ref{{ID: "other"}}), &mixed)
	require.Equal(t, [2]string{group, "another"}, mixed.Groups)
	require.ErrorIs(t, b.s.AddJobLetters(t.Context(), "second", "somebody", time.Minute, []dlq.Ref{{ID: "c"}}), store.ErrFenced)
	require.ErrorIs(t, b.s.AddJobLetters(t.Context(), "first", owner, time.Minute, []dlq.Ref{{ID: "c"}}), store.ErrFenced, "the selection of a running job is frozen")

	// What ended in a job, or can't be taken by it any more, is free for the next.
	_, err = b.s.MoveJob(t.Context(), &store.JobMove{ID: "first", Move: dlq.JobCancel, By: ann})
	require.NoError(t, err)
	b.selected("third", "a", "c")
	require.Equal(t, []string{"a waiting", "c refused"}, b.results("third"))
}

func jobRace(b *bench) {
	t := b.t
	const letters, each = 60, 10
	var ids []string
	var refs []dlq.Ref
	for i := range letters {
		ids = append(ids, fmt.Sprintf("l%02d", i))
		refs = append(refs, dlq.Ref{ID: ids[i], Rev: 1})
	}
	b.withLetters(ids...)
	names := []string{"x", "y", "z"}
	var g errgroup.Group
	for _, name := range names {
		b.selected(name)
		g.Go(func() error {
			for i := 0; i < letters; i += each {
				if err := b.s.AddJobLetters(t.Context(), name, "starter", time.Minute, refs[i:i+each]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, g.Wait())
	in := map[string]int{}
	for _, name := range names {
		all, err := b.s.JobLetters(t.Context(), store.JobLetterQuery{Job: name, Limit: 1000})
		require.NoError(t, err)
		require.Len(t, all, letters)
		for _, l := range all {
			if l.Result == dlq.ResultWaiting {
				in[l.ID]++
			} else {
				require.Contains(t, l.Why, "it is in job ")
			}
		}
	}
	require.Len(t, in, letters)
	for id, n := range in {
		require.Equal(t, 1, n, id)
	}
}

func jobRefuses(b *bench) {
	t := b.t
	b.withLetters("a", "b")
	j := b.job("j", "a", "b")
	require.NoError(t, b.move("a", 0, dlq.MoveDiscard))
	require.NoError(t, b.move("a", 0, dlq.MoveRestore))
	require.NoError(t, b.take(j, owner), "it is no failure")
	require.NoError(t, b.take(j, owner))
	require.Equal(t, []string{"a refused", "b replaying"}, b.results("j"))
	require.Equal(t, dlq.Open, b.unpublished()["a"].State)
	letters, err := b.s.JobLetters(t.Context(), store.JobLetterQuery{Job: "j", Limit: 1})
	require.NoError(t, err)
	require.Contains(t, letters[0].Why, "letter a: can't replay it: it was restored by ann")
	require.Equal(t, map[dlq.JobResult]int64{dlq.ResultRefused: 1, dlq.ResultReplaying: 1}, b.gathered("j").Counts)
	// A letter is taken once.
	again := dlq.JobLetter{Job: "j", Place: 1, Ref: dlq.Ref{ID: "b", Rev: 1}}
	require.ErrorIs(t, b.s.TakeJobLetter(t.Context(), &store.JobTake{Job: j, Letter: again, Owner: owner}), store.ErrFenced)
}

func jobFenced(b *bench) {
	t := b.t
	b.withLetters("a")
	j := b.job("j", "a")
	require.ErrorIs(t, b.take(j, "member-2"), store.ErrFenced)
	move := func(m dlq.JobMove) {
		t.Helper()
		_, err := b.s.MoveJob(t.Context(), &store.JobMove{ID: "j", Move: m, By: ann})
		require.NoError(t, err)
	}
	move(dlq.JobPause)
	require.ErrorIs(t, b.take(j, owner), store.ErrFenced)
	move(dlq.JobResume)
	move(dlq.JobCancel)
	require.ErrorIs(t, b.take(j, owner), store.ErrFenced)
	require.Equal(t, []string{"a waiting"}, b.results("j"))
	require.Equal(t, dlq.Open, b.unpublished()["a"].State)
	require.Empty(t, b.due())
}

func jobLease(b *bench) {
	t := b.t
	b.withLetters("a", "b")
	b.job("j", "a", "b")
	require.Nil(t, b.leased("j", "member-2"))
	mine := b.leased("j", owner)
	require.Equal(t, owner, mine.Owner)
	require.True(t, mine.Lease.After(mine.Created))
	_, err := b.s.LeaseJob(t.Context(), "j", owner, time.Microsecond)
	require.NoError(t, err)
	var next *dlq.Job
	for next == nil { // until that microsecond is over
		next = b.leased("j", "member-2")
	}
	require.ErrorIs(t, b.take(mine, owner), store.ErrFenced, "who was frozen takes nothing any more")
	require.NoError(t, b.take(next, "member-2"))
	free, err := b.s.LeaseJob(t.Context(), "j", owner, 0)
	require.NoError(t, err)
	require.Nil(t, free, "nobody lets go of another's")
	free, err = b.s.LeaseJob(t.Context(), "j", "member-2", 0)
	require.NoError(t, err)
	require.Empty(t, free.Owner)
	require.NotNil(t, b.leased("j", owner))
	require.Nil(t, b.leased("none", owner))
}

func jobMoves(b *bench) {
	t := b.t
	b.withLetters("a")
	b.selected("j", "a")
	var j *dlq.Job
	for i, step := range []struct {
		move  dlq.JobMove
		state dlq.JobState
		why   string
	}{
		{dlq.JobStart, dlq.JobRunning, ""},
		{dlq.JobPause, dlq.JobPaused, "paused by ann (because)"},
		{dlq.JobResume, dlq.JobRunning, "resumed by ann (because)"},
		{dlq.JobStop, dlq.JobPaused, "stopped by ann (because)"},
		{dlq.JobCancel, dlq.JobCancelled, "cancelled by ann (because)"},
	} {
		var err error
		j, err = b.s.MoveJob(t.Context(), &store.JobMove{ID: "j", Move: step.move, By: ann, Reason: "because"})
		require.NoError(t, err)
		require.Equal(t, []any{step.state, step.why, int64(i + 2)}, []any{j.State, j.Why, j.Rev})
		require.False(t, j.Changed.Before(j.Created))
	}
	require.False(t, j.Ended.IsZero(), "nothing was under way")
	for _, m := range []dlq.JobMove{dlq.JobStart, dlq.JobPause, dlq.JobResume, dlq.JobStop, dlq.JobEnd, dlq.JobCancel} {
		_, err := b.s.MoveJob(t.Context(), &store.JobMove{ID: "j", Move: m, By: ann})
		var state *dlq.JobStateError
		require.ErrorAs(t, err, &state)
		require.ErrorContains(t, err, "found cancelled: it was cancelled by ann (because) at ")
	}
	_, err := b.s.MoveJob(t.Context(), &store.JobMove{ID: "none", Move: dlq.JobPause, By: ann})
	require.Equal(t, &dlq.JobNotFoundError{ID: "none"}, err)
	require.Nil(t, b.leased("j", owner), "it has ended")
	b.withLetters("b")
	b.job("k", "b")
	_, err = b.s.MoveJob(t.Context(), &store.JobMove{ID: "k", Move: dlq.JobStop, By: ann, Owner: "member-2"})
	require.ErrorIs(t, err, store.ErrFenced)
	lines, err := dlq.Audit(t.Context(), b.sql(), dlq.AuditFilter{Job: "j"})
	require.NoError(t, err)
	require.Len(t, lines, 5)
	require.Equal(t, []string{"job start", "because", "all", group, "ann"}, []string{lines[4].Verb, lines[4].Reason, lines[4].Selection, lines[4].Group, lines[4].By.Name})
}

func jobCancelled(b *bench) {
	t := b.t
	b.withLetters("a", "b", "c")
	j := b.job("j", "a", "b", "c")
	require.NoError(t, b.take(j, owner))
	require.NoError(t, b.take(j, owner))
	j, err := b.s.MoveJob(t.Context(), &store.JobMove{ID: "j", Move: dlq.JobCancel, By: ann})
	require.NoError(t, err)
	require.True(t, j.Ended.IsZero())
	require.True(t, b.gathered("j").Ended.IsZero())
	require.NoError(t, b.commit(t, resolved(&store.Resolution{ID: "a", Outcome: dlq.OutcomeApplied})))
	j, err = store.OpenCancelled(t.Context(), b.s, "j", ann)
	require.NoError(t, err)
	require.False(t, j.Ended.IsZero())
	require.Equal(t, []string{"a applied", "b cancelled", "c waiting"}, b.results("j"), "who was first has carried it out")
	require.Equal(t, dlq.Open, b.unpublished()["b"].State)
	require.NotContains(t, b.due(), "b")
	again, err := store.OpenCancelled(t.Context(), b.s, "j", ann)
	require.NoError(t, err)
	require.Equal(t, j.Ended, again.Ended)
}

func jobTruth(b *bench) {
	t := b.t
	ids := []string{"discarded", "notes", "again", "purged", "gone"}
	b.withLetters(ids...)
	j := b.job("j", ids...)
	for range ids {
		require.NoError(t, b.take(j, owner))
	}
	// It has failed, and was discarded before anybody looked.
	require.NoError(t, b.move("discarded", 0, dlq.MoveFail))
	require.NoError(t, b.move("discarded", 0, dlq.MoveDiscard))
	require.NoError(t, b.s.AddNote(t.Context(), &dlq.Note{By: ann, Letter: "notes", Body: "hm"}))
	require.Equal(t, dlq.ResultReplaying, b.jobLetter("j", 1).Result)
	// Its ledger was moved back by hand, and its record has failed again.
	require.NoError(t, b.commit(t, &store.Batch{Letters: []*dlq.Letter{b.letter("again")}}))
	require.NoError(t, b.commit(t, resolved(&store.Resolution{ID: "purged", Outcome: dlq.OutcomeDuplicate})))
	require.NoError(t, b.s.Mark(t.Context(), []store.Mark{{ID: "purged", Rev: 3}}))
	now, err := b.s.Now(t.Context())
	require.NoError(t, err)
	n, err := b.s.PurgeLetters(t.Context(), &store.LetterPurge{Group: group, Before: now.Add(time.Hour), Portion: 10, By: store.Retention()})
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
	b.gathered("j")
	require.Equal(t, []string{"discarded failed", "notes replaying", "again failed", "purged duplicate", "gone replaying"}, b.results("j"))
	require.NoError(t, b.sql().Exec("DELETE FROM evenkeel_dead_letters WHERE id = 'gone'").Error)
	b.gathered("j")
	require.Equal(t, "gone failed", b.results("j")[4])
}

func (b *bench) jobLetter(job string, place int64) dlq.JobLetter {
	b.t.Helper()
	letters, err := b.s.JobLetters(b.t.Context(), store.JobLetterQuery{Job: job, From: place, Limit: 1})
	require.NoError(b.t, err)
	require.Len(b.t, letters, 1)
	return letters[0]
}

func jobPurged(b *bench) {
	t := b.t
	b.withLetters("a", "b", "c", "d")
	b.job("ended", "a", "b", "c")
	b.job("open", "d")
	_, err := b.s.MoveJob(t.Context(), &store.JobMove{ID: "ended", Move: dlq.JobCancel, By: ann})
	require.NoError(t, err)
	now, err := b.s.Now(t.Context())
	require.NoError(t, err)
	purge := func(who string, before time.Duration) int64 {
		t.Helper()
		n, err := b.s.PurgeJobs(t.Context(), who, now.Add(before), 2)
		require.NoError(t, err)
		return n
	}
	require.Zero(t, purge(group, -time.Hour))
	require.Zero(t, purge("other", time.Hour))
	require.EqualValues(t, 3, purge(group, time.Hour))
	require.Empty(t, b.results("ended"))
	require.Len(t, b.results("open"), 1)
	got, err := b.s.Jobs(t.Context(), store.JobQuery{ID: "ended"})
	require.NoError(t, err)
	require.EqualValues(t, 3, got[0].Total)
}
