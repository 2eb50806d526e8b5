package conformance

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
)

// failed is a world in which so many accounts have a letter for their second move, and
// the third waits behind it.
func (w *world) failed(keys int) {
	w.t.Helper()
	for k := range keys {
		w.tell(int32(k%2), moved(fmt.Sprint("k", k), 2), moved(fmt.Sprint("k", k), 3))
	}
	w.eventually(func() bool { return len(w.letters()) == keys && len(w.waiting()) == keys }, func() string { return fmt.Sprint(len(w.letters()), " letters") })
}

// startJob starts a job over all open letters of the group.
func (w *world) startJob(plan dlq.JobPlan, name string) (*dlq.Job, error) {
	refs, err := dlq.Refs(w.t.Context(), w.db, dlq.Filter{Group: w.group, State: dlq.Open})
	if err != nil {
		return nil, err
	}
	return framework.StartJob(w.t.Context(), w.db, framework.Refs(refs...), plan, framework.LetterAct{By: dlq.Actor{Name: name}, Reason: "fixed"})
}

// job waits until a job is as it should be.
func (w *world) job(id string, is func(*dlq.Job) bool) *dlq.Job {
	w.t.Helper()
	var job *dlq.Job
	w.eventually(func() bool {
		var err error
		job, err = framework.GetJob(w.t.Context(), w.db, id)
		require.NoError(w.t, err)
		return is(job)
	}, func() string { return fmt.Sprintf("%+v", job) })
	return job
}

func ended(j *dlq.Job) bool { return !j.Ended.IsZero() }

// endedOnce checks that each letter was resolved once, and each account has its moves in order.
func (w *world) endedOnce(keys int) {
	w.t.Helper()
	w.drain(2)
	for k := range keys {
		require.Equal(w.t, "2 3", w.trail(fmt.Sprint("k", k)))
	}
	lines, err := dlq.Audit(w.t.Context(), w.db, dlq.AuditFilter{Group: w.group, Verb: "resolve", Limit: 1000})
	require.NoError(w.t, err)
	require.Len(w.t, lines, keys)
}

// TestD04Job: a release that mends nothing stops the job at once, the next one is let in step by
// step, and all of it once more finds nothing to do.
func TestD04JobStopsAndGoesOn(t *testing.T) {
	each(t, "D04", func(t *testing.T, at combination) {
		const keys = 30
		var fixed atomic.Bool
		w := newWorld(t, at, 2)
		w.registry = fixable(guards.None(), &fixed)
		w.tables(&Account{})
		m := w.start(unbroken)
		w.failed(keys)
		job, err := w.startJob(dlq.JobPlan{StopAfter: 3, Ramp: []int{10, 40, 100}}, "ann")
		require.NoError(t, err)
		require.EqualValues(t, keys, job.Total)
		job = w.job(job.ID, func(j *dlq.Job) bool { return j.State == dlq.JobPaused })
		require.EqualValues(t, 3, job.Count(dlq.ResultFailed))
		require.EqualValues(t, keys-3, job.Count(dlq.ResultWaiting))
		causes, err := framework.JobFailures(t.Context(), w.db, job.ID, 5)
		require.NoError(t, err)
		require.Len(t, causes, 1)
		require.EqualValues(t, 3, causes[0].Letters)
		m.stop()
		fixed.Store(true)
		w.start()
		_, err = framework.ResumeJob(t.Context(), w.db, job.ID, operator)
		require.NoError(t, err)
		job = w.job(job.ID, ended)
		require.Equal(t, map[dlq.JobResult]int64{dlq.ResultFailed: 3, dlq.ResultApplied: keys - 3}, job.Counts)
		rest, err := w.startJob(dlq.JobPlan{}, "ann")
		require.NoError(t, err)
		require.EqualValues(t, 3, w.job(rest.ID, ended).Count(dlq.ResultApplied))
		w.endedOnce(keys)
		_, err = w.startJob(dlq.JobPlan{}, "ann")
		require.ErrorIs(t, err, framework.ErrNoLetters)
	})
}

// TestD04Killed: the member that carries out a job is killed in the middle of it. The next one
// goes on, and each letter has one result.
func TestD04KilledInAJob(t *testing.T) {
	each(t, "D04 killed", func(t *testing.T, at combination) {
		const keys = 12
		var fixed atomic.Bool
		w := newWorld(t, at, 2)
		w.registry = fixable(guards.None(), &fixed)
		w.tables(&Account{})
		m := w.start()
		w.failed(keys)
		m.stop()
		job, err := w.startJob(dlq.JobPlan{StopAfter: 3}, "ann")
		require.NoError(t, err)
		// Of each letter that is applied the event behind it is a run, too.
		dead := w.spawn(func(s *childSpec) { s.Replays, s.Fault, s.Nth = true, dieAtHandler, keys })
		dead.died()
		half, err := framework.GetJob(t.Context(), w.db, job.ID)
		require.NoError(t, err)
		require.Equal(t, dlq.JobRunning, half.State)
		require.NotEmpty(t, half.Owner)
		require.Positive(t, w.outcomes()["replaying"])
		require.Less(t, w.outcomes()["applied"], keys)
		// The lease of the dead ends after half a minute, its claims after a minute.
		require.NoError(t, w.db.Exec("UPDATE evenkeel_jobs SET lease = 0 WHERE id = ?", job.ID).Error)
		require.NoError(t, w.db.Exec("DELETE FROM evenkeel_claims WHERE grp = ?", w.group).Error)
		fixed.Store(true)
		w.start()
		job = w.job(job.ID, ended)
		require.Equal(t, map[dlq.JobResult]int64{dlq.ResultApplied: keys}, job.Counts)
		for l, err := range framework.JobLetters(t.Context(), w.db, job.ID, "") {
			require.NoError(t, err)
			require.Equal(t, dlq.ResultApplied, l.Result)
		}
		w.endedOnce(keys)
	})
}

// TestD04Operators: two operators start jobs over the same letters, and two members carry them
// out. No letter is acted on twice, and the loser hears who was first.
func TestD04OperatorsStartTheSame(t *testing.T) {
	each(t, "D04 operators", func(t *testing.T, at combination) {
		const keys = 20
		var fixed atomic.Bool
		w := newWorld(t, at, 2)
		w.registry = fixable(guards.None(), &fixed)
		w.tables(&Account{})
		w.start()
		w.failed(keys)
		fixed.Store(true)
		w.start()
		var wg sync.WaitGroup
		started := make([]*dlq.Job, 2)
		errs := make([]error, 2)
		refs, err := dlq.Refs(t.Context(), w.db, dlq.Filter{Group: w.group, State: dlq.Open})
		require.NoError(t, err)
		for i, name := range []string{"ann", "bob"} {
			wg.Go(func() {
				started[i], errs[i] = framework.StartJob(t.Context(), w.db, framework.Refs(refs...), dlq.JobPlan{}, framework.LetterAct{By: dlq.Actor{Name: name}})
			})
		}
		wg.Wait()
		results := map[string]int{}
		for i, other := range []string{"bob", "ann"} {
			require.NoError(t, errs[i])
			job := w.job(started[i].ID, ended)
			require.EqualValues(t, keys, job.Total)
			for l, err := range framework.JobLetters(t.Context(), w.db, job.ID, "") {
				require.NoError(t, err)
				if l.Result == dlq.ResultRefused {
					require.Regexp(t, "by ("+other+"|evenkeel) at ", l.Why, "the loser is told who was first")
					continue
				}
				require.Equal(t, dlq.ResultApplied, l.Result)
				results[l.ID]++
			}
		}
		require.Len(t, results, keys)
		for id, n := range results {
			require.Equal(t, 1, n, id)
		}
		w.endedOnce(keys)
	})
}
