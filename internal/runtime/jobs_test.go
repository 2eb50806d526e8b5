package runtime

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/memory"
)

// jobBench is a store with letters, whose clock and sweepers are the test's.
type jobBench struct {
	t     *testing.T
	st    *memory.Store
	clock *watch
	lines []string
}

func newJobBench(t *testing.T, letters int) *jobBench {
	t.Helper()
	b := &jobBench{t: t, clock: &watch{now: instant{}.Now()}}
	b.st = memory.New(b.clock.Now)
	batch := &store.Batch{Group: "g", Now: b.clock.now}
	for i := range letters {
		batch.Letters = append(batch.Letters, &dlq.Letter{
			ID: fmt.Sprintf("l%04d", i), Group: "g", State: dlq.Open, Rev: 1, Place: int64(i), EventType: "on",
			Verdict: guards.Verdict{Action: guards.DeadLetter, Reason: guards.Exhausted}, Record: &event.Record{},
		})
	}
	require.NoError(t, b.st.Commit(t.Context(), batch))
	return b
}

// member is somebody who carries out jobs.
func (b *jobBench) member(name string) *jobs {
	m := testLane(b.t, fakeStore{}, &fakeConsumer{}).m
	m.Store, m.Clock, m.Owner, m.SweepInterval = b.st, b.clock, name, time.Second
	m.Log = func(_ Level, text string, _ ...any) { b.lines = append(b.lines, text) }
	return newJobs(m)
}

func (b *jobBench) start(id string, plan dlq.JobPlan, letters int) {
	b.t.Helper()
	ctx := b.t.Context()
	require.NoError(b.t, b.st.AddJob(ctx, &dlq.Job{ID: id, Group: "g", Plan: plan, By: dlq.Actor{Name: "ann"}, Owner: "s"}, time.Minute))
	var refs []dlq.Ref
	for i := range letters {
		refs = append(refs, dlq.Ref{ID: fmt.Sprintf("l%04d", i), Rev: 1})
	}
	require.NoError(b.t, b.st.AddJobLetters(ctx, id, "s", time.Minute, refs))
	b.move(id, dlq.JobStart)
}

func (b *jobBench) move(id string, move dlq.JobMove) {
	b.t.Helper()
	_, err := b.st.MoveJob(b.t.Context(), &store.JobMove{ID: id, Move: move, By: dlq.Actor{Name: "ann"}})
	require.NoError(b.t, err)
}

func (b *jobBench) job(id string) *dlq.Job {
	b.t.Helper()
	all, err := b.st.Jobs(b.t.Context(), store.JobQuery{ID: id})
	require.NoError(b.t, err)
	require.Len(b.t, all, 1)
	return all[0]
}

func (b *jobBench) round(r *jobs) {
	b.t.Helper()
	_, err := r.round(b.t.Context())
	require.NoError(b.t, err)
}

// under are the letters that are replaying.
func (b *jobBench) under() (ids []string) {
	for _, l := range b.st.Content().Letters {
		if l.State == dlq.Replaying {
			ids = append(ids, l.ID)
		}
	}
	return ids
}

// judge does as sweepers would with all that is replaying, and returns how many there were.
func (b *jobBench) judge(fails func(id string) bool) int {
	b.t.Helper()
	under := b.under()
	batch := &store.Batch{Group: "g", Now: b.clock.now}
	for _, id := range under {
		r := &store.Resolution{ID: id, Outcome: dlq.OutcomeApplied}
		if fails(id) {
			r.Outcome = ""
		}
		batch.Resolve = append(batch.Resolve, r)
		for _, p := range b.st.Content().Parked {
			if p.ID == id {
				batch.Release = append(batch.Release, store.Mark{ID: p.ID, Rev: p.Rev})
			}
		}
	}
	require.NoError(b.t, b.st.Commit(b.t.Context(), batch))
	return len(under)
}

func never(string) bool  { return false }
func always(string) bool { return true }

// TestJobWindow: the first letters show whether the others may go.
func TestJobWindow(t *testing.T) {
	t.Parallel()
	b := newJobBench(t, 1500)
	r := b.member("m")
	b.start("j", dlq.JobPlan{}, 1500)
	var took []int
	for b.job("j").State == dlq.JobRunning {
		b.round(r)
		took = append(took, b.judge(never))
	}
	require.Equal(t, []int{10, 20, 40, 80, 160, 320, 500, 370, 0}, took)
	require.Equal(t, dlq.JobDone, b.job("j").State)
	require.EqualValues(t, 1500, b.job("j").Count(dlq.ResultApplied))
	require.Len(t, b.lines, 1)
}

// TestJobOfPausedGroup: while the whole group is paused no letter is taken (R22), and what was
// taken before is still gathered.
func TestJobOfPausedGroup(t *testing.T) {
	t.Parallel()
	b := newJobBench(t, 30)
	b.start("j", dlq.JobPlan{StopAfter: 5}, 30)
	r := b.member("a")
	b.round(r)
	require.Len(t, b.under(), 5)
	told := store.Control{Scope: store.Scope{Group: "g", Topic: "orders", Partition: store.AllPartitions}, Paused: true}
	tell := func(told ...store.Control) { r.m.controls.set(told, func(string, store.Control) {}) }
	tell(told)
	b.judge(never)
	b.round(r)
	require.Len(t, b.under(), 10, "what is parked goes on while a topic is paused, so letters do, too")
	told.Topic = ""
	tell(told)
	b.judge(never)
	b.round(r)
	require.Empty(t, b.under())
	require.EqualValues(t, 15, b.job("j").Succeeded())
	tell()
	b.round(r)
	require.NotEmpty(t, b.under())
}

// TestJobStops: after so many failures, again after as many when it is resumed, and never if told.
func TestJobStops(t *testing.T) {
	t.Parallel()
	b := newJobBench(t, 100)
	r := b.member("m")
	b.start("j", dlq.JobPlan{StopAfter: 3}, 100)
	run := func() *dlq.Job {
		for range 10 {
			b.round(r)
			b.judge(always)
		}
		return b.job("j")
	}
	j := run()
	require.Equal(t, dlq.JobPaused, j.State)
	require.Equal(t, "stopped by evenkeel (3 letters failed)", j.Why)
	require.EqualValues(t, 3, j.Count(dlq.ResultFailed))
	b.move("j", dlq.JobResume)
	j = run()
	require.Equal(t, dlq.JobPaused, j.State)
	require.EqualValues(t, 6, j.Count(dlq.ResultFailed))
	b.move("j", dlq.JobCancel)
	require.False(t, b.job("j").Ended.IsZero())

	b = newJobBench(t, 40)
	r = b.member("m")
	b.start("j", dlq.JobPlan{StopAfter: -1}, 40)
	b.round(r)
	require.Len(t, b.under(), 40)
	b.judge(always)
	b.round(r)
	require.Equal(t, dlq.JobDone, b.job("j").State)
	require.EqualValues(t, 40, b.job("j").Count(dlq.ResultFailed))
}

// TestJobRamp: a step begins when each letter of the one before has a result, and not when
// they failed too often.
func TestJobRamp(t *testing.T) {
	t.Parallel()
	b := newJobBench(t, 250)
	r := b.member("m")
	b.start("j", dlq.JobPlan{Ramp: []int{1, 5, 20}, StopAfter: -1}, 250)
	var took []int
	for b.job("j").State == dlq.JobRunning {
		b.round(r)
		took = append(took, b.judge(func(id string) bool { return id == "l0000" }))
	}
	require.Equal(t, []int{3, 10, 37, 200, 0}, took)

	b = newJobBench(t, 250)
	r = b.member("m")
	b.start("j", dlq.JobPlan{Ramp: []int{10, 100}, StopAfter: -1}, 250)
	b.round(r)
	require.Len(t, b.under(), 25)
	// All of the step but one have ended.
	slowest := b.under()[7]
	batch := &store.Batch{Group: "g", Now: b.clock.now}
	for _, id := range b.under() {
		if id != slowest {
			batch.Resolve = append(batch.Resolve, &store.Resolution{ID: id, Outcome: dlq.OutcomeApplied})
		}
	}
	require.NoError(t, b.st.Commit(t.Context(), batch))
	b.round(r)
	require.Equal(t, []string{slowest}, b.under())
	b.judge(never)
	b.round(r)
	require.Len(t, b.under(), 225)

	b = newJobBench(t, 100)
	r = b.member("m")
	b.start("j", dlq.JobPlan{Ramp: []int{5, 100}, StopAfter: 2}, 100)
	for range 5 {
		b.round(r)
		b.judge(always)
	}
	require.Equal(t, dlq.JobPaused, b.job("j").State)
	require.EqualValues(t, 2, b.job("j").Finished())
}

// TestJobRate: whatever the members do, no more letters are taken than the rate lets go.
func TestJobRate(t *testing.T) {
	t.Parallel()
	b := newJobBench(t, 200)
	b.start("j", dlq.JobPlan{Rate: 4, StopAfter: -1}, 200)
	r, taken := b.member("m"), 0
	for half := range 40 {
		if half%7 == 3 { // it dies, and nobody else may go on before its lease has ended
			r = b.member(fmt.Sprint("m", half))
			b.clock.now = b.clock.now.Add(jobLease)
			b.round(r)
			require.LessOrEqual(t, len(b.under()), 9, "what was missed for long is not made up for")
			taken += b.judge(never)
		}
		b.clock.now = b.clock.now.Add(500 * time.Millisecond)
		b.round(r)
		require.LessOrEqual(t, len(b.under()), 9)
		taken += b.judge(never)
	}
	seconds := int(b.clock.now.Sub(instant{}.Now()).Seconds())
	require.LessOrEqual(t, taken, 4*seconds+1)
	require.GreaterOrEqual(t, taken, 4*40/2-4)

	// A slow one keeps its pace across members that live for less than its interval.
	b = newJobBench(t, 3)
	b.start("j", dlq.JobPlan{Rate: 0.01}, 3)
	var at []int
	for second := range 250 {
		if second%40 == 0 {
			b.clock.now = b.clock.now.Add(time.Microsecond)
			r = b.member(fmt.Sprint(second))
		}
		b.clock.now = b.clock.now.Add(time.Second)
		b.round(r)
		if b.judge(never) > 0 {
			at = append(at, second)
		}
	}
	require.Len(t, at, 3)
	require.GreaterOrEqual(t, at[2]-at[0], 198)
}

// TestJobOwners: one member works on a job, another takes over when it is gone, and each letter is
// taken once.
func TestJobOwners(t *testing.T) {
	t.Parallel()
	b := newJobBench(t, 30)
	first, second := b.member("first"), b.member("second")
	b.start("j", dlq.JobPlan{StopAfter: 5}, 30)
	b.round(first)
	b.round(second)
	require.Len(t, b.under(), 5)
	b.judge(never)
	b.clock.now = b.clock.now.Add(jobLease + time.Second)
	b.round(second)
	require.Equal(t, second.owner, b.job("j").Owner)
	require.Len(t, b.under(), 10)
	b.round(first)
	require.Len(t, b.under(), 10, "who was frozen takes nothing more")
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	second.run(ended, t.Context())
	require.Empty(t, b.job("j").Owner, "who leaves lets go")
	b.judge(never)
	for range 4 {
		b.round(first)
		b.judge(never)
	}
	require.EqualValues(t, 30, b.job("j").Count(dlq.ResultApplied))
	require.Equal(t, dlq.JobDone, b.job("j").State)
}

// TestJobWords: pause, resume and cancel while letters are under way, and what a member does about
// jobs whose people are gone.
func TestJobWords(t *testing.T) {
	t.Parallel()
	b := newJobBench(t, 30)
	r := b.member("m")
	b.start("j", dlq.JobPlan{StopAfter: 5}, 30)
	b.round(r)
	b.move("j", dlq.JobPause)
	b.round(r)
	require.Len(t, b.under(), 5)
	b.judge(never)
	b.round(r)
	require.EqualValues(t, 5, b.job("j").Count(dlq.ResultApplied), "what was under way is gathered")
	require.Empty(t, b.under())
	b.move("j", dlq.JobResume)
	b.round(r)
	require.Len(t, b.under(), 10)
	b.move("j", dlq.JobCancel) // by somebody who dies before the letters are opened
	require.True(t, b.job("j").Ended.IsZero())
	b.round(r)
	require.Empty(t, b.under())
	j := b.job("j")
	require.False(t, j.Ended.IsZero())
	require.Equal(t, map[dlq.JobResult]int64{dlq.ResultApplied: 5, dlq.ResultCancelled: 10}, j.Counts)
	require.Empty(t, b.st.Content().Parked)

	// Its starter dies in the middle of the selection.
	require.NoError(t, b.st.AddJob(t.Context(), &dlq.Job{ID: "k", Group: "g", Owner: "s"}, time.Minute))
	require.NoError(t, b.st.AddJobLetters(t.Context(), "k", "s", time.Minute, []dlq.Ref{{ID: "l0029"}}))
	b.round(r)
	require.Equal(t, dlq.JobSelecting, b.job("k").State)
	b.clock.now = b.clock.now.Add(2 * time.Minute)
	b.round(r)
	require.Equal(t, dlq.JobCancelled, b.job("k").State)
	require.Contains(t, b.job("k").Why, "did not come to the end of the selection")
}

// brokenTake is a store that can't take a letter, for good or for now.
type brokenTake struct {
	store.Store
	err error
}

func (b *brokenTake) TakeJobLetter(ctx context.Context, t *store.JobTake) error {
	if b.err != nil {
		return b.err
	}
	return b.Store.TakeJobLetter(ctx, t)
}

// TestJobCantTake: what will not heal stops the job with its reason, all else is tried again.
func TestJobCantTake(t *testing.T) {
	t.Parallel()
	b := newJobBench(t, 3)
	r := b.member("m")
	broken := &brokenTake{Store: b.st}
	r.m.Store = broken
	b.start("j", dlq.JobPlan{}, 3)
	for _, err := range []error{&store.TransientError{Err: errUnsettled}, store.ErrConflict, &store.UnknownError{Err: errUnsettled}} {
		broken.err = err
		_, got := r.round(t.Context())
		require.ErrorIs(t, got, err)
		require.Equal(t, dlq.JobRunning, b.job("j").State)
	}
	broken.err = store.ErrFenced
	b.round(r)
	require.Equal(t, dlq.JobRunning, b.job("j").State)
	broken.err = &store.DataError{State: "P0001", Err: errUnsettled}
	b.round(r)
	require.Equal(t, dlq.JobPaused, b.job("j").State)
	require.Contains(t, b.job("j").Why, "letter l0000 can't be taken")
	broken.err = nil
	b.move("j", dlq.JobResume)
	b.round(r)
	require.Len(t, b.under(), 3)
}
