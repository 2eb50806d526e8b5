package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
)

// Jobs keeps replay jobs (R21).
type Jobs interface {
	// AddJob stores a new job without letters, as being selected by its owner for d.
	AddJob(ctx context.Context, j *dlq.Job, d time.Duration) error
	// AddJobLetters adds letters to a job that is being selected by the owner, and renews that
	// for d. A letter that is not what it was chosen as, is of another group, can't be replayed, or is
	// in another job that has not ended, is refused: it is added with that result. One that the
	// job has already is left out. Jobs of one group wait for each other here, so that no
	// letter is in two of them. ErrFenced when the job is not the owner's any more.
	AddJobLetters(ctx context.Context, job, owner string, d time.Duration, refs []dlq.Ref) error
	// Jobs returns the jobs that q chooses, newest first.
	Jobs(ctx context.Context, q JobQuery) ([]*dlq.Job, error)
	// JobLetters returns letters of a job, in the order of their places.
	JobLetters(ctx context.Context, q JobLetterQuery) ([]dlq.JobLetter, error)
	// JobFailures returns the causes of a job's failures, the most frequent ones first.
	JobFailures(ctx context.Context, job string, limit int) ([]dlq.JobFailure, error)
	// MoveJob changes a job's state, with a line in the audit, and returns what it is now.
	// Errors are a *dlq.JobNotFoundError, a *dlq.JobStateError, and those of this package.
	MoveJob(ctx context.Context, m *JobMove) (*dlq.Job, error)
	// LeaseJob takes a job that has not ended in hand for d, or renews that, and returns it as
	// it is then; nil while it is in somebody else's. With d = 0 it lets go of it.
	LeaseJob(ctx context.Context, id, owner string, d time.Duration) (*dlq.Job, error)
	// TakeJobLetter moves one waiting letter of a running job to replaying, in the transaction
	// of that move. A letter that can't be moved is refused, which is no error. ErrFenced when the
	// job is not running, or not the owner's, any more.
	TakeJobLetter(ctx context.Context, t *JobTake) error
	// GatherJob writes down what has become of the letters under way, as the audit has it, and
	// returns the job. One that is cancelled has ended once none is left.
	GatherJob(ctx context.Context, id string) (*dlq.Job, error)
	// PurgeJobs takes the letters of the group's jobs that ended before, and returns how
	// many there were; the jobs stay, with their counts.
	PurgeJobs(ctx context.Context, group string, before time.Time, portion int) (int64, error)
}

// JobQuery chooses jobs. Zero fields choose all.
type JobQuery struct {
	Group string
	// ID is the id, or its beginning.
	ID    string
	State dlq.JobState
	// Open asks for those that have not ended.
	Open  bool
	Limit int // 0: all
}

// JobLetterQuery chooses letters of a job.
type JobLetterQuery struct {
	Job    string
	Result dlq.JobResult // "" for all
	From   int64         // the first place
	Limit  int
}

// JobMove is a change of one job's state.
type JobMove struct {
	ID     string
	Move   dlq.JobMove
	By     dlq.Actor
	Reason string
	// Owner is whose the job must be, or "" for whoever has it.
	Owner string
}

// Why is the move as a job keeps it.
func (m *JobMove) Why() string {
	switch m.Move {
	case dlq.JobStart, dlq.JobEnd:
		return ""
	case dlq.JobStop, dlq.JobPause, dlq.JobResume, dlq.JobCancel:
	}
	s := m.Move.Past() + " by " + m.By.Name
	if m.Reason != "" {
		s += fmt.Sprintf(" (%s)", m.Reason)
	}
	return s
}

// Entry is the move's line of the audit.
func (m *JobMove) Entry(j *dlq.Job) *dlq.AuditEntry {
	e := &dlq.AuditEntry{By: m.By, Verb: string(m.Move), Reason: m.Reason, Group: j.Group, Job: j.ID, Rev: j.Rev}
	if m.Move == dlq.JobStart {
		e.Selection = j.Selection
	}
	return e
}

// Apply makes the move of a job that was read, or returns a *dlq.JobStateError.
func (m *JobMove) Apply(j *dlq.Job, now time.Time) error {
	to, ok := j.State.After(m.Move)
	switch {
	case m.Owner != "" && m.Owner != j.Owner:
		return ErrFenced
	case !ok:
		return &dlq.JobStateError{ID: j.ID, Move: m.Move, State: j.State, Why: j.Why, Changed: j.Changed}
	}
	j.State, j.Why, j.Changed = to, m.Why(), now
	j.Rev++
	switch m.Move {
	case dlq.JobStart:
		j.Paced, j.Owner, j.Lease = now, "", time.Time{}
	case dlq.JobResume:
		j.Paced, j.Forgiven = now, j.Count(dlq.ResultFailed)
	case dlq.JobEnd, dlq.JobCancel:
		EndJob(j, now)
	case dlq.JobPause, dlq.JobStop:
	}
	return nil
}

// EndJob notes that a job has ended, if nothing of it is under way any more.
func EndJob(j *dlq.Job, now time.Time) {
	if (j.State == dlq.JobDone || j.State == dlq.JobCancelled) && j.Count(dlq.ResultReplaying) == 0 && j.Ended.IsZero() {
		j.Ended, j.Owner, j.Lease = now, "", time.Time{}
	}
}

// CountResult moves n letters of a job from one result to another.
func CountResult(j *dlq.Job, from, to dlq.JobResult, n int64) {
	if j.Counts == nil {
		j.Counts = map[dlq.JobResult]int64{}
	}
	for r, by := range map[dlq.JobResult]int64{from: -n, to: n} {
		if r == dlq.ResultWaiting || r == "" {
			continue // what is in no count waits
		}
		if j.Counts[r] += by; j.Counts[r] == 0 {
			delete(j.Counts, r)
		}
	}
}

// JobTake is a letter of a job that is to be replayed.
type JobTake struct {
	Job    *dlq.Job
	Letter dlq.JobLetter
	Owner  string
	// Paced is when the next one may be taken.
	Paced time.Time
}

// Move is the letter's move.
func (t *JobTake) Move() *LetterMove {
	j := t.Job
	return &LetterMove{Ref: t.Letter.Ref, Move: dlq.MoveReplay, AcceptForgotten: j.Plan.AcceptForgotten, By: j.By, Reason: j.Reason, Selection: j.Selection, Job: j.ID, Take: t}
}

// Taken makes the changes of a taken letter in the job, which was read, or returns ErrFenced.
func (t *JobTake) Taken(j *dlq.Job, result dlq.JobResult) error {
	if j == nil || j.State != dlq.JobRunning || j.Owner != t.Owner {
		return ErrFenced
	}
	CountResult(j, dlq.ResultWaiting, result, 1)
	if result == dlq.ResultReplaying {
		j.Paced = t.Paced
	}
	return nil
}

// Refusal reports whether err says that a letter can't be moved, for good.
func Refusal(err error) bool {
	var taken *dlq.TakenError
	var none *dlq.NotFoundError
	var not *dlq.UnreplayableError
	return errors.As(err, &taken) || errors.As(err, &none) || errors.As(err, &not)
}

// JobEnding is what is known of a letter that a job has taken.
type JobEnding struct {
	// Verb is that of the audit's line about what happened to the taken letter, "" if there is
	// none. Outcome is the letter's, if it was resolved.
	Verb    string
	Outcome dlq.Outcome
	// Gone: the letter is not there any more. Changed: it has another revision.
	Gone, Changed bool
}

// Result is what the audit says about a letter that was taken; "" while it is under way.
func (e *JobEnding) Result() dlq.JobResult {
	switch {
	case e.Verb == string(dlq.MoveResolve) && e.Outcome != "":
		return dlq.JobResult(e.Outcome)
	case e.Verb == string(dlq.MoveResolve):
		return dlq.ResultApplied // and written over since, by hand
	case e.Verb == string(dlq.MoveCancel):
		return dlq.ResultCancelled
	case e.Verb != "", e.Gone, e.Changed:
		return dlq.ResultFailed // or its record was delivered once more, and has failed again
	}
	return ""
}

// OpenCancelled opens the letters again that a cancelled job has under way.
func OpenCancelled(ctx context.Context, st interface {
	Jobs
	LetterKeeper
}, job string, by dlq.Actor,
) (*dlq.Job, error) {
	const some = 100
	for from := int64(0); ; {
		letters, err := st.JobLetters(ctx, JobLetterQuery{Job: job, Result: dlq.ResultReplaying, From: from, Limit: some})
		if err != nil {
			return nil, err
		}
		for _, l := range letters {
			err := st.MoveLetter(ctx, &LetterMove{Ref: l.Ref, Move: dlq.MoveCancel, By: by, Reason: "the job was cancelled", Job: job})
			if err != nil && !Refusal(err) { // who was first has carried it out
				return nil, err
			}
			from = l.Place + 1
		}
		if len(letters) < some {
			return st.GatherJob(ctx, job)
		}
	}
}
