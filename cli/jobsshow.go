package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/framework"
)

// maxCauses bounds how many causes of failures are shown.
const maxCauses = 20

func (a *app) jobsShowCommand() *cobra.Command {
	var each bool
	var only string
	c := &cobra.Command{
		Use:   "show ID",
		Short: "Show how far a replay job is, and what failed",
		Long: `Show a replay job: its plan, how far it is, what became of its letters, and the
causes of failures, by fingerprint. With --letters the result of each letter
follows, in the order in which they are taken; --result chooses some of them.

ID is the job's id or its beginning, as long as no other begins so. When there
is no such job the exit code is 4.`,
		Example: `  evenkeel jobs show 8c41f2a09b73d6e5
  evenkeel jobs show 8c41f2a09b73d6e5 --letters --result failed -o jsonl`,
		Args: oneJob,
	}
	c.Flags().BoolVar(&each, "letters", false, "also the result of each letter")
	c.Flags().StringVar(&only, "result", "", "with --letters: only those with this `result`, e.g. failed")
	c.RunE = func(c *cobra.Command, args []string) error {
		result := dlq.JobResult(only)
		switch {
		case only != "" && !each:
			return usage(c, "--result goes with --letters")
		case only != "" && !slices.Contains(dlq.JobResults(), result):
			var all []string
			for _, r := range dlq.JobResults() {
				all = append(all, string(r))
			}
			return usage(c, "--result is one of %s, found %q", strings.Join(all, ", "), only)
		}
		format, db, closeDB, job, err := a.job(c, args[0])
		if err != nil {
			return err
		}
		defer closeDB()
		return a.showJob(c, format, db, job, each, result)
	}
	return c
}

func (a *app) showJob(c *cobra.Command, f format, db *gorm.DB, job *dlq.Job, each bool, result dlq.JobResult) error {
	w := c.OutOrStdout()
	told, err := a.tellJob(c.Context(), db, job, result, 0)
	if err != nil {
		return err
	}
	letters := framework.JobLetters(c.Context(), db, job.ID, result)
	switch {
	case f == formatLines && each: // a line for each letter, however many there are
		for l, err := range letters {
			if err != nil {
				return err
			}
			a.hideJobLetter(&l)
			if err := writeJSON(w, f, newJobLetterJSON(&l)); err != nil {
				return err
			}
		}
		return nil
	case f != formatTable:
		out := told.json()
		if each {
			out.Letters = []jobLetterJSON{}
			for l, err := range letters {
				if err != nil {
					return err
				}
				a.hideJobLetter(&l)
				out.Letters = append(out.Letters, newJobLetterJSON(&l))
			}
		}
		return writeJSON(w, f, out)
	}
	p := &page{now: a.now(), emphasis: a.emphasis(w)}
	p.job(job)
	for i := range told.waits {
		p.fact("waits", a.waitText(&told.waits[i]))
		p.fact("", "next: "+told.waits[i].Next)
	}
	if _, err := fmt.Fprint(w, p.String(), "\n", told.results()); err != nil {
		return err
	}
	if len(told.causes) > 0 {
		fmt.Fprintln(w)
		var rows [][]string
		for _, cause := range told.causes {
			rows = append(rows, []string{number(cause.Letters), orNone(cause.Fingerprint), safe(cause.Letter[:min(shortID, len(cause.Letter))]), orNone(cause.Error)})
		}
		if err := tableKeeping(w, 1, a.width(w), a.emphasis(w), []string{"FAILED", "CAUSE", "E.G.", "ERROR"}, rows); err != nil {
			return err
		}
	}
	if !each {
		return nil
	}
	// What has been printed can't be made wider any more, so that columns are as wide as they get.
	fmt.Fprintln(w)
	for l, err := range letters {
		if err != nil {
			return err
		}
		a.hideJobLetter(&l)
		at := ""
		if l.Result != dlq.ResultWaiting {
			at = ago(a.now(), l.At)
		}
		line := fmt.Sprintf("%-6d %s  %-9s  %-8s  %s", l.Place, safe(l.ID[:min(shortID, len(l.ID))]), safe(string(l.Result)), at, safe(l.Why))
		if n := a.width(w); n > 0 {
			line = fit(line, n)
		}
		fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
	return nil
}

func (p *page) job(j *dlq.Job) {
	p.heading("Job " + safe(j.ID))
	state := string(j.State)
	if j.Why != "" {
		state += ", " + j.Why
	}
	p.fact("state", state)
	p.fact("group", j.Group)
	p.time("started", j.Created)
	p.fact("by", j.By.Name)
	p.fact("why", j.Reason)
	p.fact("chosen by", j.Selection)
	p.fact("plan", planText(&j.Plan))
	p.fact("progress", jobProgress(j, 0)+pace(j, p.now))
	if j.Ended.IsZero() && j.State == dlq.JobRunning {
		p.fact("worked on by", j.Owner)
	}
	if j.State == dlq.JobPaused {
		p.fact("next", "`evenkeel jobs resume "+j.ID+"` lets it go on, `evenkeel jobs cancel "+j.ID+"` ends it")
	}
	if !j.Ended.IsZero() {
		p.time("ended", j.Ended)
	}
}

// pace is how many letters have come to an end in a second, over the whole job.
func pace(j *dlq.Job, now time.Time) string {
	if !j.Ended.IsZero() {
		now = j.Ended
	}
	n := j.Finished() - j.Count(dlq.ResultRefused)
	took := now.Sub(j.Created).Seconds()
	if n == 0 || took <= 0 {
		return ""
	}
	return fmt.Sprintf(", %.3g a second", float64(n)/took)
}

func planText(p *dlq.JobPlan) string {
	var words []string
	if p.Rate > 0 {
		words = append(words, "at most "+strconv.FormatFloat(p.Rate, 'g', -1, 64)+" a second")
	}
	if p.Limit > 0 {
		words = append(words, fmt.Sprintf("the first %d", p.Limit))
	}
	if len(p.Ramp) > 0 {
		words = append(words, "in steps of "+percents(p.Ramp)+" %")
	}
	if n := p.StopsAfter(); n > 0 {
		words = append(words, fmt.Sprintf("pauses after %d failures", n))
	} else {
		words = append(words, "failures don't stop it")
	}
	if p.AcceptForgotten {
		words = append(words, "forgotten events are accepted")
	}
	return strings.Join(words, ", ")
}

// toldJob is a job with what people ask about it.
type toldJob struct {
	job    *dlq.Job
	waits  []framework.JobWait
	causes []dlq.JobFailure
	some   []dlq.JobLetter
}

// tellJob reads what a job waits for, the causes of its failures, and so many letters with a
// result.
func (a *app) tellJob(ctx context.Context, db *gorm.DB, job *dlq.Job, result dlq.JobResult, n int) (t *toldJob, err error) {
	t = &toldJob{job: job}
	if t.waits, err = a.waits(ctx, db, job); err != nil {
		return nil, err
	}
	if job.Count(dlq.ResultFailed) > 0 {
		if t.causes, err = framework.JobFailures(ctx, db, job.ID, maxCauses); err != nil {
			return nil, err
		}
		for i := range t.causes {
			t.causes[i].Error = a.hide.text(t.causes[i].Error)
		}
	}
	if n == 0 || job.Count(result) == 0 {
		return t, nil
	}
	for l, err := range framework.JobLetters(ctx, db, job.ID, result) {
		if err != nil {
			return nil, err
		}
		a.hideJobLetter(&l)
		if t.some = append(t.some, l); len(t.some) == n {
			break
		}
	}
	return t, nil
}

// hideJobLetter hides the words of a verdict or a handler; what refused a letter is ours.
func (a *app) hideJobLetter(l *dlq.JobLetter) {
	if l.Result != dlq.ResultRefused {
		l.Why = a.hide.text(l.Why)
	}
}

// results are the counts, and why some letters were refused.
func (t *toldJob) results() string {
	var b strings.Builder
	for _, r := range dlq.JobResults() {
		if n := t.job.Count(r); n > 0 {
			fmt.Fprintf(&b, "%s %s\n", letters(int(n)), r)
		}
	}
	for _, l := range t.some {
		fmt.Fprintln(&b, safe(l.Why))
	}
	if n := t.job.Count(dlq.ResultRefused); len(t.some) > 0 && n > int64(len(t.some)) {
		fmt.Fprintf(&b, "… and %d more; `evenkeel jobs show %s --letters --result refused` has all\n", n-int64(len(t.some)), t.job.ID)
	}
	return b.String()
}

// jobJSON is a job for programs. Names and meanings are stable; new ones may come.
type jobJSON struct {
	ID        string `json:"id"`
	Group     string `json:"group"`
	State     string `json:"state"`
	StateWhy  string `json:"state_why"` // who or what brought it there
	By        string `json:"by"`
	Via       string `json:"via"`
	Reason    string `json:"reason"`
	Selection string `json:"selection"`

	Rate            float64 `json:"rate"`  // 0: as fast as it goes
	Limit           int64   `json:"limit"` // 0: all
	Ramp            []int   `json:"ramp"`
	StopAfter       int64   `json:"stop_after"` // 0: never
	AcceptForgotten bool    `json:"accept_forgotten"`

	Total   int64            `json:"total"`
	Ended   int64            `json:"ended"`
	Results map[string]int64 `json:"results"` // all are in it; their sum is total

	Waits []jobWaitJSON `json:"waits"` // what keeps it from going on

	Owner   string  `json:"owner"`
	Created string  `json:"created_at"`
	Changed *string `json:"changed_at"`
	EndedAt *string `json:"ended_at"`
	Rev     int64   `json:"rev"`

	Failures []jobFailureJSON `json:"failures,omitempty"`
	Letters  []jobLetterJSON  `json:"letters,omitempty"`
}

type jobFailureJSON struct {
	Fingerprint string `json:"fingerprint"`
	Letters     int64  `json:"letters"`
	Letter      string `json:"letter"`
	Error       string `json:"error"`
}

type jobLetterJSON struct {
	Place  int64  `json:"place"`
	ID     string `json:"id"`
	Rev    int64  `json:"rev"`
	Result string `json:"result"`
	Why    string `json:"why"`
	At     string `json:"at"`
}

func newJobLetterJSON(l *dlq.JobLetter) jobLetterJSON {
	return jobLetterJSON{Place: l.Place, ID: l.ID, Rev: l.Rev, Result: string(l.Result), Why: l.Why, At: instant(l.At)}
}

func newJobJSON(j *dlq.Job, waits []framework.JobWait) *jobJSON {
	out := &jobJSON{
		ID: j.ID, Group: j.Group, State: string(j.State), StateWhy: j.Why, By: j.By.Name, Via: j.By.Via, Reason: j.Reason, Selection: j.Selection,
		Rate: j.Plan.Rate, Limit: j.Plan.Limit, Ramp: append([]int{}, j.Plan.Ramp...), StopAfter: j.Plan.StopsAfter(), AcceptForgotten: j.Plan.AcceptForgotten,
		Total: j.Total, Ended: j.Finished(), Results: map[string]int64{}, Waits: newJobWaitsJSON(waits), Owner: j.Owner, Created: instant(j.Created), Changed: orNull(j.Changed), EndedAt: orNull(j.Ended), Rev: j.Rev,
	}
	for _, r := range dlq.JobResults() {
		out.Results[string(r)] = j.Count(r)
	}
	return out
}

func orNull(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := instant(t)
	return &s
}

func (t *toldJob) json() *jobJSON {
	out := newJobJSON(t.job, t.waits)
	for _, f := range t.causes {
		out.Failures = append(out.Failures, jobFailureJSON{Fingerprint: f.Fingerprint, Letters: f.Letters, Letter: f.Letter, Error: f.Error})
	}
	for i := range t.some {
		out.Letters = append(out.Letters, newJobLetterJSON(&t.some[i]))
	}
	return out
}
