package dlq

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Job replays many letters of one group at a pace, and stops where that does harm (R21). Its
// selection is frozen when it starts; the running members of the group carry it out.
type Job struct {
	ID    string // 16 hexadecimal digits
	Group string
	State JobState
	Plan  JobPlan
	// By, Reason and Selection are those of who started it.
	By                Actor
	Reason, Selection string
	// Total is how many letters it has, Counts what has become of them so far. Those in no
	// count wait.
	Total  int64
	Counts map[JobResult]int64
	// Forgiven is how many failures there were when it was resumed: they don't stop it again.
	Forgiven int64
	// Why says who or what brought it into its state, in a sentence without a subject; empty
	// while nobody has changed it.
	Why string
	// Owner is the member that has it in hand until Lease, by the database's clock; it renews
	// that as long as it lives.
	Owner string
	Lease time.Time
	// Paced is when the next letter may be taken under Plan.Rate.
	Paced time.Time
	// Created, Changed and Ended are by the database's clock. Ended is zero until nothing
	// of it is under way any more.
	Created, Changed, Ended time.Time
	// Rev grows with each change of its state.
	Rev int64
}

// JobState is where a job stands.
type JobState string

// The states. The words are stored.
const (
	// JobSelecting: its letters are being written down; none is replayed yet.
	JobSelecting JobState = "selecting"
	JobRunning   JobState = "running"
	// JobPaused: no more letters are taken, by somebody's word or after too many failures.
	// Those under way are carried out.
	JobPaused JobState = "paused"
	// JobDone: each letter has a result.
	JobDone JobState = "done"
	// JobCancelled: letters that had no result stay, or are again, as they were.
	JobCancelled JobState = "cancelled"
)

// JobStates are all states, in the order of a job's life.
func JobStates() []JobState {
	return []JobState{JobSelecting, JobRunning, JobPaused, JobDone, JobCancelled}
}

// JobResult is what has become of a letter of a job.
type JobResult string

// The results. The words are stored; those of letters that were resolved are their outcomes.
const (
	ResultWaiting   JobResult = "waiting"
	ResultReplaying JobResult = "replaying"
	ResultApplied             = JobResult(OutcomeApplied)
	ResultObsolete            = JobResult(OutcomeObsolete)
	ResultDuplicate           = JobResult(OutcomeDuplicate)
	// ResultFailed: the replay has failed, and the letter is open again.
	ResultFailed JobResult = "failed"
	// ResultRefused: somebody had changed the letter after it was chosen, or it can't be
	// replayed; the job has not touched it.
	ResultRefused JobResult = "refused"
	// ResultCancelled: it was opened again before its replay.
	ResultCancelled JobResult = "cancelled"
)

// JobResults are all results, in the order in which they are told.
func JobResults() []JobResult {
	return []JobResult{ResultApplied, ResultObsolete, ResultDuplicate, ResultFailed, ResultRefused, ResultCancelled, ResultReplaying, ResultWaiting}
}

// JobLetter is one letter of a job.
type JobLetter struct {
	Job string
	// Place is its place in the selection, from 0; letters are taken in this order.
	Place int64
	// Ref is the letter as it was chosen, and once it was taken, as it was then.
	Ref
	Result JobResult
	// Why is what refused it, or what the audit says about its end.
	Why string
	At  time.Time // when the result came, by the database's clock
}

// JobFailure is one cause of failures in a job, by the fingerprints that the letters have now.
type JobFailure struct {
	Fingerprint string
	Letters     int64
	Error       string // of one of them
	Letter      string // its id
}

// Count is how many letters have the result.
func (j *Job) Count(r JobResult) int64 {
	if r == ResultWaiting {
		n := j.Total
		for _, some := range j.Counts {
			n -= some
		}
		return n
	}
	return j.Counts[r]
}

// Finished is how many letters have come to a result that stays.
func (j *Job) Finished() int64 {
	return j.Total - j.Count(ResultWaiting) - j.Count(ResultReplaying)
}

// Succeeded is how many letters were resolved.
func (j *Job) Succeeded() int64 {
	return j.Count(ResultApplied) + j.Count(ResultObsolete) + j.Count(ResultDuplicate)
}

// DefaultStopAfter is after how many failures a job pauses whose plan doesn't say.
const DefaultStopAfter = 10

// JobPlan is the pace of a job. The zero plan replays all letters as fast as it goes and
// pauses after ten failures.
type JobPlan struct {
	// Rate is how many letters a second are taken at most, e.g. 0.5. Defaults to 0: as fast as
	// it goes.
	Rate float64 `json:"rate,omitempty"`
	// Limit is how many letters of the selection are taken at most, the first ones.
	// Defaults to 0: all.
	Limit int64 `json:"limit,omitempty"`
	// Ramp are steps in percent of the selection, rising, e.g. 1, 5, 20, 100: the letters of a
	// step are taken once all of the one before have a result. A last step of 100 is
	// implied. Defaults to one step.
	Ramp []int `json:"ramp,omitempty"`
	// StopAfter is after how many failures the job pauses; negative: never. Failures count
	// when they are known: as many letters may be under way then as have succeeded before, and at
	// most 500. Defaults to [DefaultStopAfter].
	StopAfter int64 `json:"stop_after,omitempty"`
	// AcceptForgotten applies also letters whose events are older than the memory of
	// guards.Once (R8).
	AcceptForgotten bool `json:"accept_forgotten,omitempty"`
}

// JobPlanError says what is wrong with a plan.
type JobPlanError struct{ Field, Found, Expected string }

// Error names the field.
func (e *JobPlanError) Error() string {
	return fmt.Sprintf("JobPlan.%s is %s, expected %s", e.Field, e.Found, e.Expected)
}

// Check returns a [*JobPlanError], or nil.
func (p *JobPlan) Check() error {
	switch {
	case math.IsNaN(p.Rate), math.IsInf(p.Rate, 0), p.Rate < 0, p.Rate > 0 && p.Rate < minRate:
		return &JobPlanError{"Rate", strconv.FormatFloat(p.Rate, 'g', -1, 64), "letters a second, 0 for no bound, or at least 0.001"}
	case p.Limit < 0:
		return &JobPlanError{"Limit", strconv.FormatInt(p.Limit, 10), "a number of letters, or 0 for all"}
	}
	last := 0
	for _, percent := range p.Ramp {
		if percent <= last || percent > 100 {
			return &JobPlanError{"Ramp", strings.Trim(fmt.Sprint(p.Ramp), "[]"), "percentages that rise, of which none is above 100, e.g. 1 5 20 100"}
		}
		last = percent
	}
	return nil
}

// minRate is one letter in about a quarter of an hour.
const minRate = 0.001

// StopsAfter is after how many failures the job pauses; 0: never.
func (p *JobPlan) StopsAfter() int64 {
	if p.StopAfter == 0 {
		return DefaultStopAfter
	}
	return max(p.StopAfter, 0)
}

// StepEnd is the place behind the last one of the step that a place belongs to, in a job of so
// many letters.
func (p *JobPlan) StepEnd(total, place int64) int64 {
	for _, percent := range p.Ramp {
		// Rounded up: a step of one percent of ten letters is one.
		if end := total/100*int64(percent) + (total%100*int64(percent)+99)/100; end > place {
			return end
		}
	}
	return total
}

// JobMove is what changes a job's state.
type JobMove string

// The moves, which are the verbs of the audit. The words are stored.
const (
	JobStart  JobMove = "job start"
	JobPause  JobMove = "job pause"
	JobStop   JobMove = "job stop" // after too many failures
	JobResume JobMove = "job resume"
	JobCancel JobMove = "job cancel"
	JobEnd    JobMove = "job end"
)

type jobStep struct {
	from []JobState
	to   JobState
	past string
}

// step is the whole of a job's life: any other move is refused.
func (m JobMove) step() jobStep {
	switch m {
	case JobStart:
		return jobStep{[]JobState{JobSelecting}, JobRunning, "started"}
	case JobPause:
		return jobStep{[]JobState{JobRunning}, JobPaused, "paused"}
	case JobStop:
		return jobStep{[]JobState{JobRunning}, JobPaused, "stopped"}
	case JobResume:
		return jobStep{[]JobState{JobPaused}, JobRunning, "resumed"}
	case JobCancel:
		return jobStep{[]JobState{JobSelecting, JobRunning, JobPaused}, JobCancelled, "cancelled"}
	case JobEnd:
		return jobStep{[]JobState{JobSelecting, JobRunning}, JobDone, "ended"}
	}
	return jobStep{past: string(m)}
}

// After returns the state that the move makes of s; ok is false where it starts from others.
func (s JobState) After(m JobMove) (to JobState, ok bool) {
	step := m.step()
	return step.to, slices.Contains(step.from, s)
}

// Past is the move as people tell it afterwards.
func (m JobMove) Past() string { return m.step().past }

// JobStateError says that a job is not in a state that a move starts from: e.g. somebody was
// first.
type JobStateError struct {
	ID      string
	Move    JobMove
	State   JobState
	Why     string // as [Job] has it
	Changed time.Time
}

// Error says where the job stands, and who brought it there.
func (e *JobStateError) Error() string {
	var from []string
	for _, s := range e.Move.step().from {
		from = append(from, string(s))
	}
	verb := strings.TrimPrefix(string(e.Move), "job ")
	text := fmt.Sprintf("job %s: can't %s it: %s takes a job that is %s, found %s", e.ID, verb, verb, strings.Join(from, " or "), e.State)
	if e.Why != "" {
		text += ": it was " + e.Why + " at " + e.Changed.UTC().Format(time.RFC3339)
	}
	return text
}

// JobNotFoundError says that no job has an id that is or begins with ID, or that several do.
type JobNotFoundError struct {
	ID      string
	Several []string // some of them
}

// Error tells the id.
func (e *JobNotFoundError) Error() string {
	if len(e.Several) > 0 {
		return fmt.Sprintf("%q is the beginning of several job ids, e.g. %s", e.ID, strings.Join(e.Several, ", "))
	}
	return fmt.Sprintf("no job has an id that begins with %q", e.ID)
}

// JobGroupError says that letters of two groups were chosen for one job. The members of a
// group carry out its jobs, and a rate or a bound of failures over two groups is nobody's.
type JobGroupError struct {
	Groups [2]string
	Letter string // the first of the second group
}

// Error names the groups.
func (e *JobGroupError) Error() string {
	return fmt.Sprintf("letters of the groups %q and %q were chosen (%s is the first of the second), expected those of one group, whose members replay them; choose by group", e.Groups[0], e.Groups[1], e.Letter)
}

// InJobError says that a letter is in a job that has not ended: somebody was first.
type InJobError struct {
	ID, Job string
	By      Actor // who started that job
	Reason  string
	At      time.Time
}

// Error says whose job it is.
func (e *InJobError) Error() string {
	s := fmt.Sprintf("letter %s: can't replay it: it is in job %s, started by %s at %s", e.ID, e.Job, e.By.Name, e.At.UTC().Format(time.RFC3339))
	if e.Reason != "" {
		s += fmt.Sprintf(" (%q)", clip(e.Reason, 200))
	}
	return s
}
