package framework

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/open"
)

// ErrNoLetters says that no letter was chosen for a job. Nothing was changed.
var ErrNoLetters = errors.New("no letter was chosen, so there is no job to start")

const (
	// jobPortion is how many letters are written down at a time.
	jobPortion = 500
	// selectionLease is how long who selects may say nothing before a member of the group
	// cancels the job.
	selectionLease = time.Minute
)

// StartJob starts a replay of many letters at the pace of the plan, and returns once all are
// written down: which these are does not change any more, and neither does their order. The
// running members of the letters' group carry it out, one of them at a time, as [Replay] says,
// whatever becomes of the caller; without one the job waits, and so do its letters, open.
// [GetJob] tells how far it is, [JobLetters] what became of each letter.
//
// A letter that has changed since it was chosen, or is in another job, or can't be replayed, is in
// the job as refused, with a sentence that says who was first. All letters must be of one
// group. Only a portion of them is in memory at a time. When letters can't be chosen or written
// down to the end the job is cancelled.
//
// Errors are a [*ActError], a [*dlq.JobPlanError], a [*dlq.JobGroupError], [ErrNoLetters], what
// letters yields, or the database's.
func StartJob(ctx context.Context, db *gorm.DB, letters iter.Seq2[dlq.Ref, error], plan dlq.JobPlan, act LetterAct) (*dlq.Job, error) {
	plan.AcceptForgotten = plan.AcceptForgotten || act.AcceptForgotten
	if err := errors.Join(named(act), plan.Check()); err != nil {
		return nil, err
	}
	st, err := open.Open(db)
	if err != nil {
		return nil, err
	}
	s := &selecting{st: st, job: &dlq.Job{ID: randomID(), Plan: plan, By: act.By, Reason: act.Reason, Selection: act.Selection}}
	s.job.Owner = "selection " + s.job.ID
	if err := s.all(ctx, db, letters); err != nil {
		return nil, s.give(ctx, act.By, err)
	}
	job, err := getJob(ctx, st, s.job.ID)
	if err != nil {
		return nil, err
	}
	move := dlq.JobStart
	if job.Count(dlq.ResultWaiting) == 0 {
		move = dlq.JobEnd // all are refused
	}
	if job, err = st.MoveJob(ctx, &store.JobMove{ID: job.ID, Move: move, By: act.By, Reason: act.Reason, Owner: s.job.Owner}); err != nil {
		return nil, s.cut(err)
	}
	return job, nil
}

// Refs makes a selection for [StartJob] of letters that are named.
func Refs(letters ...dlq.Ref) iter.Seq2[dlq.Ref, error] {
	return func(yield func(dlq.Ref, error) bool) {
		for _, ref := range letters {
			if !yield(ref, nil) {
				return
			}
		}
	}
}

func named(act LetterAct) error {
	if strings.TrimSpace(act.By.Name) == "" {
		return &ActError{"By.Name", "who does it"}
	}
	return nil
}

func randomID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}

// selecting writes down the letters of a new job.
type selecting struct {
	st    store.Store
	job   *dlq.Job
	added bool
}

func (s *selecting) all(ctx context.Context, db *gorm.DB, letters iter.Seq2[dlq.Ref, error]) error {
	limit, n := s.job.Plan.Limit, int64(0)
	portion := make([]dlq.Ref, 0, jobPortion)
	for ref, err := range letters {
		if err != nil {
			return err
		}
		portion = append(portion, ref)
		n++
		if len(portion) == jobPortion || n == limit {
			if err := s.add(ctx, db, portion); err != nil {
				return err
			}
			portion = portion[:0]
		}
		if n == limit {
			break
		}
	}
	if n == 0 {
		return ErrNoLetters
	}
	return s.add(ctx, db, portion)
}

func (s *selecting) add(ctx context.Context, db *gorm.DB, refs []dlq.Ref) error {
	if len(refs) == 0 {
		return nil
	}
	if !s.added {
		group, err := groupOf(ctx, db, refs)
		if err != nil {
			return err
		}
		s.job.Group = group
		if err := s.st.AddJob(ctx, s.job, selectionLease); err != nil {
			return fmt.Errorf("start a job: %w", err)
		}
		s.added = true
	}
	if err := s.st.AddJobLetters(ctx, s.job.ID, s.job.Owner, selectionLease, refs); err != nil {
		return s.cut(err)
	}
	return nil
}

// cut tells of a job that is not ours any more.
func (s *selecting) cut(err error) error {
	if errors.Is(err, store.ErrFenced) {
		return fmt.Errorf("job %s was cancelled while its letters were chosen; start it again", s.job.ID)
	}
	return err
}

// groupOf is the group of the first letter that is there.
func groupOf(ctx context.Context, db *gorm.DB, refs []dlq.Ref) (string, error) {
	var none *dlq.NotFoundError
	for _, ref := range refs {
		l, err := dlq.Get(ctx, db, ref.ID)
		if err == nil {
			return l.Group, nil
		}
		if !errors.As(err, &none) {
			return "", err
		}
	}
	return "", none
}

// give takes back a job whose selection has failed with err.
func (s *selecting) give(ctx context.Context, by dlq.Actor, err error) error {
	if !s.added {
		return err
	}
	_, failed := s.st.MoveJob(context.WithoutCancel(ctx), &store.JobMove{ID: s.job.ID, Move: dlq.JobCancel, By: by, Reason: "its selection failed", Owner: s.job.Owner})
	if failed != nil && !errors.As(failed, new(*dlq.JobStateError)) {
		return errors.Join(err, failed) // a member cancels it later
	}
	return err
}

// JobFilter chooses jobs. Zero fields choose all; the others must all hold.
type JobFilter struct {
	Group string
	State dlq.JobState
	// Limit is the most that [Jobs] returns. Defaults to 100.
	Limit int
}

// Jobs returns the jobs that f chooses, newest first. Errors are the database's.
func Jobs(ctx context.Context, db *gorm.DB, f JobFilter) ([]*dlq.Job, error) {
	st, err := open.Open(db)
	if err != nil {
		return nil, err
	}
	if f.Limit <= 0 {
		f.Limit = dlq.DefaultLimit
	}
	return st.Jobs(ctx, store.JobQuery{Group: f.Group, State: f.State, Limit: f.Limit})
}

// GetJob returns the job with the id, or the only one whose id begins with it. Errors are a
// [*dlq.JobNotFoundError], or the database's.
func GetJob(ctx context.Context, db *gorm.DB, id string) (*dlq.Job, error) {
	st, err := open.Open(db)
	if err != nil {
		return nil, err
	}
	return getJob(ctx, st, id)
}

func getJob(ctx context.Context, st store.Store, id string) (*dlq.Job, error) {
	if id == "" {
		return nil, &dlq.JobNotFoundError{}
	}
	found, err := st.Jobs(ctx, store.JobQuery{ID: id, Limit: 2})
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0:
		return nil, &dlq.JobNotFoundError{ID: id}
	case len(found) > 1:
		return nil, &dlq.JobNotFoundError{ID: id, Several: []string{found[0].ID, found[1].ID}}
	}
	return found[0], nil
}

// JobLetters returns the letters of a job with their results, in the order in which they are
// taken, and reads them a page at a time. An empty result chooses all. Letters of jobs that ended are
// kept for Config.KeepLetters. An error ends it; it is the database's.
func JobLetters(ctx context.Context, db *gorm.DB, job string, result dlq.JobResult) iter.Seq2[dlq.JobLetter, error] {
	return func(yield func(dlq.JobLetter, error) bool) {
		st, err := open.Open(db)
		q := store.JobLetterQuery{Job: job, Result: result, Limit: jobPortion}
		for err == nil {
			var page []dlq.JobLetter
			if page, err = st.JobLetters(ctx, q); err != nil {
				break
			}
			for _, l := range page {
				if !yield(l, nil) {
					return
				}
				q.From = l.Place + 1
			}
			if len(page) < q.Limit {
				return
			}
		}
		yield(dlq.JobLetter{}, err)
	}
}

// JobFailures returns the causes of a job's failures, the most frequent ones first, at most so many.
// Errors are the database's.
func JobFailures(ctx context.Context, db *gorm.DB, job string, limit int) ([]dlq.JobFailure, error) {
	st, err := open.Open(db)
	if err != nil {
		return nil, err
	}
	return st.JobFailures(ctx, job, limit)
}

// PauseJob keeps a running job from taking more letters. Those under way are carried out, which
// takes moments. The id is the whole one.
//
// Errors are a [*ActError], a [*dlq.JobNotFoundError], a [*dlq.JobStateError] that says who was
// first, or the database's.
func PauseJob(ctx context.Context, db *gorm.DB, id string, act LetterAct) (*dlq.Job, error) {
	return moveJob(ctx, db, id, dlq.JobPause, act)
}

// ResumeJob lets a paused job go on. Failures so far don't stop it again. Errors are those of
// [PauseJob].
func ResumeJob(ctx context.Context, db *gorm.DB, id string, act LetterAct) (*dlq.Job, error) {
	return moveJob(ctx, db, id, dlq.JobResume, act)
}

// CancelJob ends a job that has not ended. Its letters that nobody has taken stay as they are; those
// under way are opened again, unless a member commits first. What was resolved stays so.
// Errors are those of [PauseJob]; if opening letters fails, a member does the rest.
func CancelJob(ctx context.Context, db *gorm.DB, id string, act LetterAct) (*dlq.Job, error) {
	job, err := moveJob(ctx, db, id, dlq.JobCancel, act)
	if err != nil || !job.Ended.IsZero() {
		return job, err
	}
	st, err := open.Open(db)
	if err != nil {
		return nil, err
	}
	return store.OpenCancelled(ctx, st, id, act.By)
}

func moveJob(ctx context.Context, db *gorm.DB, id string, move dlq.JobMove, act LetterAct) (*dlq.Job, error) {
	if err := named(act); err != nil {
		return nil, err
	}
	st, err := open.Open(db)
	if err != nil {
		return nil, err
	}
	return st.MoveJob(ctx, &store.JobMove{ID: id, Move: move, By: act.By, Reason: act.Reason})
}
