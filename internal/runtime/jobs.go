package runtime

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// jobs carries out the group's replay jobs (R21): it takes letters at the pace of the job's
// plan, which sweepers then judge like all that waits, and gathers what became of them. Every
// member looks for jobs; the one that has a job's lease works on it. All that it must know is in
// the database.
type jobs struct {
	m     *Member
	owner string
	held  map[string]bool // jobs whose lease may be ours
}

const (
	// jobLease is how long a member that says nothing keeps a job.
	jobLease = 30 * time.Second
	// jobWindow is how many letters of jobs may be under way at once. They are due before all
	// else that waits, so more would hold up retries for longer than a sweep or two.
	jobWindow = 500
	// jobBurst is how much of the time that went by without letters a rate makes up for.
	jobBurst = 2 * time.Second
	// jobTurn bounds how long a job is worked on before its lease is renewed.
	jobTurn = jobLease / 3
)

func newJobs(m *Member) *jobs {
	return &jobs{m: m, owner: fmt.Sprintf("%s %08x", m.Owner, rand.Uint32()), held: map[string]bool{}} //nolint:gosec // tells members of one process apart
}

// run works until soft ends, and lets go of what it has before hard ends.
func (r *jobs) run(soft, hard context.Context) {
	busy := false
	for {
		d := r.m.SweepInterval
		if busy {
			d = min(d, time.Second) / 2
		}
		if r.m.Clock.Sleep(soft, d/2+rand.N(d)) != nil { //nolint:gosec // jitter
			break
		}
		var err error
		if busy, err = r.round(soft); err != nil && soft.Err() == nil {
			r.m.log(Debug, "replay jobs are left to the next round", "error", err)
		}
	}
	for id := range r.held {
		if _, err := r.m.Store.LeaseJob(hard, id, r.owner, 0); err != nil {
			return // the lease ends by itself
		}
	}
}

// round works once on each job, and reports whether one goes on soon.
func (r *jobs) round(ctx context.Context) (busy bool, err error) {
	open, err := r.m.Store.Jobs(ctx, store.JobQuery{Group: r.m.Group, Open: true})
	if err != nil {
		return false, err
	}
	running := 0
	for _, j := range open {
		if j.State == dlq.JobRunning {
			running++
		}
	}
	var errs []error
	for _, j := range open {
		if j.State == dlq.JobPaused && j.Count(dlq.ResultReplaying) == 0 {
			continue
		}
		window := max(int64(jobWindow/max(running, 1)), 1)
		if r.m.controls.all() {
			window = 0 // nobody would judge them, and nobody else could act on them (R22)
		}
		mine, err := r.step(ctx, j.ID, window)
		busy = busy || mine
		errs = append(errs, err)
	}
	return busy, errors.Join(errs...)
}

// step works on one job, and reports whether it is ours and has not ended.
func (r *jobs) step(ctx context.Context, id string, window int64) (mine bool, err error) {
	j, err := r.m.Store.LeaseJob(ctx, id, r.owner, jobLease)
	if err != nil || j == nil {
		delete(r.held, id)
		return false, err
	}
	r.held[id] = true
	began, now := r.m.Clock.Now(), j.Lease.Add(-jobLease) // ours, the database's
	if j.State == dlq.JobSelecting {
		// Its starter is gone: it renews its lease with each portion.
		return false, r.move(ctx, j, dlq.JobCancel, "whoever started it did not come to the end of the selection")
	}
	if j, err = r.m.Store.GatherJob(ctx, id); err != nil {
		return true, err
	}
	switch j.State {
	case dlq.JobCancelled:
		if j.Ended.IsZero() {
			_, err = store.OpenCancelled(ctx, r.m.Store, id, jobActor())
		}
		return false, err
	case dlq.JobRunning:
	case dlq.JobPaused:
		return true, nil
	case dlq.JobDone, dlq.JobSelecting:
		return false, nil
	}
	next := nextOfJob(j, now, window)
	if next.move != "" {
		return false, r.move(ctx, j, next.move, next.reason)
	}
	letters, err := r.letters(ctx, j, next.take)
	if err != nil {
		return true, err
	}
	paced := maxTime(j.Paced, now.Add(-jobBurst))
	for _, l := range letters {
		if r.m.Clock.Now().Sub(began) > jobTurn {
			break
		}
		if j.Plan.Rate > 0 {
			paced = paced.Add(time.Duration(float64(time.Second) / j.Plan.Rate))
		}
		err := r.m.Store.TakeJobLetter(ctx, &store.JobTake{Job: j, Letter: l, Owner: r.owner, Paced: paced})
		if err == nil {
			continue
		}
		return true, r.refused(ctx, j, &l, err)
	}
	return true, nil
}

// letters are those that a job takes next, of its present step.
func (r *jobs) letters(ctx context.Context, j *dlq.Job, n int64) ([]dlq.JobLetter, error) {
	if n <= 0 {
		return nil, nil
	}
	q := store.JobLetterQuery{Job: j.ID, Result: dlq.ResultWaiting, Limit: int(n)}
	waiting, err := r.m.Store.JobLetters(ctx, q)
	if err != nil || len(waiting) == 0 || len(j.Plan.Ramp) == 0 {
		return waiting, err
	}
	q.Result, q.Limit = dlq.ResultReplaying, 1
	under, err := r.m.Store.JobLetters(ctx, q)
	if err != nil {
		return nil, err
	}
	// Letters are taken in order, so that the first without a result is in the present step.
	first := waiting[0].Place
	if len(under) > 0 {
		first = min(first, under[0].Place)
	}
	end := j.Plan.StepEnd(j.Total, first)
	for i, l := range waiting {
		if l.Place >= end {
			return waiting[:i], nil
		}
	}
	return waiting, nil
}

// refused looks at why a letter could not be taken. What will not heal stops the job: a
// letter that is passed over would be lost to whoever reads its results.
func (r *jobs) refused(ctx context.Context, j *dlq.Job, l *dlq.JobLetter, err error) error {
	var later *store.TransientError
	var unknown *store.UnknownError
	switch {
	case errors.Is(err, store.ErrFenced):
		return nil // paused, cancelled, or another's
	case errors.As(err, &later), errors.As(err, &unknown), errors.Is(err, store.ErrConflict), ctx.Err() != nil:
		return err
	}
	return r.move(ctx, j, dlq.JobStop, fmt.Sprintf("letter %s can't be taken: %s", l.ID, dlq.Text(err.Error(), dlq.MaxErrorBytes)))
}

// jobActor is who changes jobs on its own.
func jobActor() dlq.Actor { return dlq.Actor{Name: "evenkeel", Via: "job"} }

func (r *jobs) move(ctx context.Context, j *dlq.Job, move dlq.JobMove, reason string) error {
	moved, err := r.m.Store.MoveJob(ctx, &store.JobMove{ID: j.ID, Move: move, By: jobActor(), Reason: reason, Owner: r.owner})
	var state *dlq.JobStateError
	if errors.Is(err, store.ErrFenced) || errors.As(err, &state) {
		return nil // somebody else was first
	}
	if err != nil {
		return err
	}
	level := Info
	if move != dlq.JobEnd {
		level = Warn
	}
	r.m.log(level, "replay job "+string(moved.State)+"; `evenkeel jobs show` tells more", "job", moved.ID, "why", reason,
		"letters", moved.Total, "resolved", moved.Succeeded(), "failed", moved.Count(dlq.ResultFailed), "refused", moved.Count(dlq.ResultRefused))
	return nil
}

// jobNext is what to do with a running job: a move, or to take so many letters.
type jobNext struct {
	move   dlq.JobMove
	reason string
	take   int64
}

// nextOfJob decides. While failures stop the job, no more letters are under way than have
// succeeded, and failures are left: so the first letters show whether the others may go.
func nextOfJob(j *dlq.Job, now time.Time, window int64) jobNext {
	waiting, under := j.Count(dlq.ResultWaiting), j.Count(dlq.ResultReplaying)
	if waiting+under == 0 {
		return jobNext{move: dlq.JobEnd}
	}
	if stops := j.Plan.StopsAfter(); stops > 0 && waiting > 0 {
		failed := j.Count(dlq.ResultFailed) - j.Forgiven
		if failed >= stops {
			return jobNext{move: dlq.JobStop, reason: fmt.Sprintf("%d letters failed", failed)}
		}
		window = min(window, j.Succeeded()+stops-failed)
	}
	take := min(window-under, waiting)
	if rate := j.Plan.Rate; rate > 0 {
		// The generic cell rate algorithm (ITU-T I.371): Paced is the theoretical arrival time.
		paced := maxTime(j.Paced, now.Add(-jobBurst))
		if paced.After(now) {
			return jobNext{}
		}
		take = min(take, 1+int64(now.Sub(paced).Seconds()*rate))
	}
	return jobNext{take: max(take, 0)}
}

func maxTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
