package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/framework"
)

// jobFlags are the pace of a replay, and how long to look on.
type jobFlags struct {
	plan      dlq.JobPlan
	ramp      string
	stopAfter int64
	wait      time.Duration
}

func (f *jobFlags) flags(c *cobra.Command) {
	flags := c.Flags()
	flags.Float64Var(&f.plan.Rate, "rate", 0, "take at most this `number` of letters a second, e.g. 0.5")
	flags.Int64Var(&f.plan.Limit, "limit", 0, "take only the first, oldest `n` of those that are chosen")
	flags.StringVar(&f.ramp, "ramp", "", "go on in steps of these `percents`, e.g. 1,5,20,100; a step begins when all letters of the last have a result")
	flags.Int64Var(&f.stopAfter, "stop-after", dlq.DefaultStopAfter, "pause after `n` failures; 0: never")
	flags.BoolVar(&f.plan.AcceptForgotten, "accept-forgotten", false, "apply also what is older than the memory of ids, though nobody can tell whether it was applied before")
	flags.DurationVar(&f.wait, "wait", 0, "look on up to this `duration`, e.g. 30s; Ctrl-C ends only that")
}

func (f *jobFlags) read(c *cobra.Command) error {
	if f.stopAfter < 0 {
		return usage(c, "--stop-after is a number of failures, or 0 for never, found %d", f.stopAfter)
	}
	if f.plan.StopAfter = f.stopAfter; f.stopAfter == 0 {
		f.plan.StopAfter = -1
	}
	f.plan.Ramp = nil
	if f.ramp != "" {
		for _, text := range strings.Split(f.ramp, ",") {
			percent, err := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(text), "%"))
			if err != nil {
				return usage(c, "--ramp is percentages that rise, e.g. 1,5,20,100, found %q", f.ramp)
			}
			f.plan.Ramp = append(f.plan.Ramp, percent)
		}
	}
	var wrong *dlq.JobPlanError
	if err := f.plan.Check(); errors.As(err, &wrong) {
		return usage(c, "--%s is %s, found %s", strings.ToLower(wrong.Field), wrong.Expected, wrong.Found)
	}
	return nil
}

// startJob starts a job and looks on as long as is asked for. Mend is what to do about letters that
// it leaves alone.
func (a *app) startJob(c *cobra.Command, format format, db *gorm.DB, f *jobFlags, refs []dlq.Ref, act framework.LetterAct, mend string) error {
	job, err := framework.StartJob(c.Context(), db, framework.Refs(refs...), f.plan, act)
	var mixed *dlq.JobGroupError
	if errors.As(err, &mixed) {
		return &problem{code: codeError, what: err.Error(), next: "give --group " + mixed.Groups[0] + ", and start another job for the other group", err: err}
	}
	if err != nil {
		return err
	}
	errOut := c.ErrOrStderr()
	if job.Ended.IsZero() {
		fmt.Fprintf(errOut, "job %s replays %s of %s\n", job.ID, letters(int(job.Count(dlq.ResultWaiting))), orNone(job.Group))
	}
	shows := "`evenkeel jobs show " + job.ID + "`"
	if f.wait > 0 && job.Ended.IsZero() {
		// Whoever does not want to look on any more still hears how it stands.
		if job, err = a.lookOn(c.Context(), errOut, db, job, f.wait); err != nil {
			return err
		}
	}
	told, err := a.tellJob(context.WithoutCancel(c.Context()), db, job, dlq.ResultRefused, maxRefusals)
	if err != nil {
		return err
	}
	if format != formatTable {
		err = writeJSON(c.OutOrStdout(), format, told.json())
	} else {
		_, err = io.WriteString(c.OutOrStdout(), told.results())
	}
	if err != nil {
		return err
	}
	code := codePartly
	if job.Succeeded() == 0 && job.Count(dlq.ResultWaiting)+job.Count(dlq.ResultReplaying) == 0 {
		code = codeError
	}
	refused, failed := job.Count(dlq.ResultRefused), job.Count(dlq.ResultFailed)
	switch {
	case job.State == dlq.JobPaused:
		return &problem{code: codePartly, what: fmt.Sprintf("the job is paused: %s", job.Why), next: shows + " has the failures; then jobs resume, or jobs cancel"}
	case job.State == dlq.JobCancelled:
		return &problem{code: codePartly, what: "the job was " + job.Why}
	case job.Ended.IsZero() && f.wait > 0 && len(told.waits) > 0:
		return &problem{code: codePartly, what: "the job has not ended yet, and waits as said above", next: shows + " tells how far it is, jobs cancel ends it"}
	case job.Ended.IsZero() && f.wait > 0:
		return &problem{code: codePartly, what: "the job has not ended yet, and goes on", next: shows + " tells how far it is, jobs cancel ends it"}
	case failed > 0:
		return &problem{code: code, what: fmt.Sprintf("%s failed again", letters(int(failed))), next: shows + " has the causes"}
	case refused > 0:
		return &problem{code: code, what: fmt.Sprintf("%s of %d left alone", letters(int(refused)), job.Total), next: mend}
	case job.Ended.IsZero():
		a.tellWaits(errOut, told.waits)
		fmt.Fprintln(errOut, shows+" tells how far it is, jobs cancel ends it")
	}
	return nil
}

const (
	// pollJob is how often somebody who looks on looks, at first.
	pollJob = 200 * time.Millisecond
	// tellEvery is how often a job's progress is a line, where there is no terminal.
	tellEvery = 5 * time.Second
)

// lookOn waits until the job has ended or is paused, for as long as d, or until somebody
// interrupts, and shows how far it is.
func (a *app) lookOn(ctx context.Context, w io.Writer, db *gorm.DB, job *dlq.Job, d time.Duration) (*dlq.Job, error) {
	columns := a.columns(w)
	last, line := time.Duration(0), ""
	said := make(map[framework.JobWaitCause]bool)
	for waited, wait := time.Duration(0), pollJob; ; waited, wait = waited+wait, min(2*wait, time.Second) {
		now, err := framework.GetJob(ctx, db, job.ID)
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			return nil, err
		}
		job = now
		told, err := a.tellNewWaits(ctx, w, db, job, said)
		if err != nil {
			return nil, err
		}
		if told {
			line = "" // it was written over
		}
		text := jobProgress(job, columns)
		switch {
		case text == line:
		case columns > 0:
			fmt.Fprintf(w, "\r%s\x1b[K", text)
			line = text
		case waited-last >= tellEvery:
			fmt.Fprintln(w, text)
			line, last = text, waited
		}
		over := !job.Ended.IsZero() || job.State == dlq.JobPaused && job.Count(dlq.ResultReplaying) == 0
		if over || waited >= d {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(min(wait, d-waited)): //nolint:forbidigo // somebody looks on
		}
	}
	if columns > 0 && line != "" {
		fmt.Fprintln(w)
	}
	return job, nil
}

// tellNewWaits tells what a job waits for, each cause once.
func (a *app) tellNewWaits(ctx context.Context, w io.Writer, db *gorm.DB, job *dlq.Job, said map[framework.JobWaitCause]bool) (told bool, err error) {
	waits, err := a.waits(ctx, db, job)
	if err != nil && ctx.Err() == nil {
		return false, err
	}
	waits = slices.DeleteFunc(waits, func(one framework.JobWait) bool { return said[one.Cause] })
	if len(waits) == 0 {
		return false, nil
	}
	for _, one := range waits {
		said[one.Cause] = true
	}
	if a.columns(w) > 0 {
		fmt.Fprint(w, "\r\x1b[K")
	}
	a.tellWaits(w, waits)
	return true, nil
}

// jobProgress is how far a job is, with a bar if the terminal has so many columns.
func jobProgress(j *dlq.Job, columns int) string {
	done, percent := j.Finished(), int64(100)
	if j.Total > 0 {
		percent = done * 100 / j.Total
	}
	text := fmt.Sprintf("%d of %d letters (%d%%), %d failed", done, j.Total, percent, j.Count(dlq.ResultFailed))
	const least = 10
	if room := min(columns-len(text)-4, 40); columns > 0 && room >= least {
		return bar(int(percent)*room/100, room) + " " + text
	}
	return text
}
