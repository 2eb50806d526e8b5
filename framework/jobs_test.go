package framework_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/internal/lettertest"
	"github.com/evenkeel-go/evenkeel/testutil"
)

// withLetters is a database with so many letters of one group.
func withLetters(t *testing.T, n int) (db *gorm.DB, refs []dlq.Ref) {
	t.Helper()
	db = testutil.SQLite(t)
	require.NoError(t, framework.Migrate(t.Context(), db))
	for i := range n {
		l := lettertest.Full()
		l.ID = fmt.Sprintf("%032x", 0xabc000+i)
		require.NoError(t, lettertest.Insert(t.Context(), db, l))
		refs = append(refs, l.Ref())
	}
	return db, refs
}

var byAnn = framework.LetterAct{By: dlq.Actor{Name: "ann"}, Reason: "fixed"}

func TestJobsThatCantStart(t *testing.T) {
	t.Parallel()
	db, refs := withLetters(t, 2)
	other := lettertest.Full()
	other.ID, other.Group = "ff", "other"
	require.NoError(t, lettertest.Insert(t.Context(), db, other))
	start := func(plan dlq.JobPlan, act framework.LetterAct, refs ...dlq.Ref) error {
		_, err := framework.StartJob(t.Context(), db, framework.Refs(refs...), plan, act)
		return err
	}
	require.EqualError(t, start(dlq.JobPlan{}, framework.LetterAct{}, refs...), "LetterAct.By.Name is empty, expected who does it; it is kept in the audit")
	require.ErrorIs(t, start(dlq.JobPlan{}, byAnn), framework.ErrNoLetters)
	require.Equal(t, &dlq.NotFoundError{ID: "none"}, start(dlq.JobPlan{}, byAnn, dlq.Ref{ID: "none"}))
	for text, plan := range map[string]dlq.JobPlan{
		"JobPlan.Rate is -1, expected letters a second, 0 for no bound, or at least 0.001":                   {Rate: -1},
		"JobPlan.Rate is NaN, expected letters a second, 0 for no bound, or at least 0.001":                  {Rate: math.NaN()},
		"JobPlan.Limit is -1, expected a number of letters, or 0 for all":                                    {Limit: -1},
		"JobPlan.Ramp is 5 101, expected percentages that rise, of which none is above 100, e.g. 1 5 20 100": {Ramp: []int{5, 101}},
		"JobPlan.Ramp is 0 10, expected percentages that rise, of which none is above 100, e.g. 1 5 20 100":  {Ramp: []int{0, 10}},
	} {
		require.EqualError(t, start(plan, byAnn, refs...), text)
	}
	jobs, err := framework.Jobs(t.Context(), db, framework.JobFilter{})
	require.NoError(t, err)
	require.Empty(t, jobs)

	// What fails on the way leaves its letters free.
	require.ErrorAs(t, start(dlq.JobPlan{}, byAnn, refs[0], other.Ref()), new(*dlq.JobGroupError))
	broken := errors.New("the list is cut off")
	_, err = framework.StartJob(t.Context(), db, func(yield func(dlq.Ref, error) bool) {
		for i := range 600 {
			if !yield(dlq.Ref{ID: refs[i%2].ID}, nil) {
				return
			}
		}
		yield(dlq.Ref{}, broken)
	}, dlq.JobPlan{}, byAnn)
	require.ErrorIs(t, err, broken)
	jobs, err = framework.Jobs(t.Context(), db, framework.JobFilter{State: dlq.JobCancelled})
	require.NoError(t, err)
	require.NotEmpty(t, jobs)
	ctx, cancel := context.WithCancel(t.Context())
	_, err = framework.StartJob(ctx, db, func(yield func(dlq.Ref, error) bool) {
		for i := range 1200 {
			if i == 600 {
				cancel()
			}
			if !yield(dlq.Ref{ID: refs[i%2].ID}, nil) {
				return
			}
		}
	}, dlq.JobPlan{}, byAnn)
	require.ErrorIs(t, err, context.Canceled)
	open, err := framework.Jobs(t.Context(), db, framework.JobFilter{State: dlq.JobSelecting})
	require.NoError(t, err)
	require.Empty(t, open, "it is cancelled although its context has ended")
	job, err := framework.StartJob(t.Context(), db, framework.Refs(refs...), dlq.JobPlan{}, byAnn)
	require.NoError(t, err)
	require.EqualValues(t, 2, job.Count(dlq.ResultWaiting))
}

// TestJobSelection: it is what was chosen, in that order, across portions, cut at the limit.
func TestJobSelection(t *testing.T) {
	t.Parallel()
	db, refs := withLetters(t, 1203)
	job, err := framework.StartJob(t.Context(), db, framework.Refs(refs...), dlq.JobPlan{Limit: 1101, Rate: 2, StopAfter: -1}, byAnn)
	require.NoError(t, err)
	require.Equal(t, dlq.JobRunning, job.State)
	require.EqualValues(t, 1101, job.Total)
	n := 0
	for l, err := range framework.JobLetters(t.Context(), db, job.ID, dlq.ResultWaiting) {
		require.NoError(t, err)
		require.Equal(t, refs[n], l.Ref)
		n++
	}
	require.Equal(t, 1101, n)
	for _, err := range framework.JobLetters(t.Context(), db, job.ID, "") {
		require.NoError(t, err)
		break // nobody has to read them all
	}
	got, err := framework.GetJob(t.Context(), db, job.ID[:5])
	require.NoError(t, err)
	require.Equal(t, job, got)
	for _, id := range []string{"", "x", "%"} {
		_, err = framework.GetJob(t.Context(), db, id)
		require.Equal(t, &dlq.JobNotFoundError{ID: id}, err)
	}

	// All of them again, and the rest: the loser hears of each who was first.
	second, err := framework.StartJob(t.Context(), db, framework.Refs(refs...), dlq.JobPlan{}, framework.LetterAct{By: dlq.Actor{Name: "bob"}})
	require.NoError(t, err)
	require.EqualValues(t, 1101, second.Count(dlq.ResultRefused))
	require.EqualValues(t, 102, second.Count(dlq.ResultWaiting))
	third, err := framework.StartJob(t.Context(), db, framework.Refs(refs[:3]...), dlq.JobPlan{}, byAnn)
	require.NoError(t, err)
	require.Equal(t, dlq.JobDone, third.State, "there is nothing to do")
	require.False(t, third.Ended.IsZero())
	for _, id := range []string{job.ID, second.ID} {
		cancelled, err := framework.CancelJob(t.Context(), db, id, byAnn)
		require.NoError(t, err)
		require.False(t, cancelled.Ended.IsZero())
	}
	_, err = framework.PauseJob(t.Context(), db, job.ID, byAnn)
	require.ErrorAs(t, err, new(*dlq.JobStateError))
	_, err = framework.ResumeJob(t.Context(), db, job.ID, framework.LetterAct{})
	require.ErrorAs(t, err, new(*framework.ActError))
	_, err = framework.CancelJob(t.Context(), db, "none", byAnn)
	require.Equal(t, &dlq.JobNotFoundError{ID: "none"}, err)
}

func TestRampSteps(t *testing.T) {
	t.Parallel()
	p := dlq.JobPlan{Ramp: []int{1, 5, 20}}
	for _, c := range []struct{ total, place, end int64 }{
		{1000, 0, 10},
		{1000, 9, 10},
		{1000, 10, 50},
		{1000, 50, 200},
		{1000, 200, 1000},
		{1000, 999, 1000},
		{10, 0, 1},
		{10, 1, 2},
		{10, 2, 10},
		{1, 0, 1},
		{3, 1, 3},
		{math.MaxInt64 / 2, 0, math.MaxInt64/200 + 1},
	} {
		require.Equal(t, c.end, p.StepEnd(c.total, c.place), "%+v", c)
	}
	require.EqualValues(t, 7, (&dlq.JobPlan{}).StepEnd(7, 0))
}
