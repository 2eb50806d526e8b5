package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/framework"
)

func (a *app) jobsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "jobs",
		Short: "Look at replay jobs, pause, resume and cancel them",
		Long: `A replay of dead letters (` + "`evenkeel dlq replay`" + `) is a job: the letters are
chosen when it starts, and the running members of their group replay them at its
pace. It pauses after too many failures, and survives whoever started it.`,
		Example: `  evenkeel jobs list
  evenkeel jobs show 8c41f2a09b73d6e5 --letters`,
	}
	group(c)
	c.AddCommand(a.jobsListCommand(), a.jobsShowCommand(),
		a.jobsMoveCommand(&jobMove{
			verb: "pause", short: "Let a running job take no more letters", act: framework.PauseJob,
			long: `Let a running job take no more letters. Those under way are carried out, which
takes moments; resume lets it go on.`,
		}),
		a.jobsMoveCommand(&jobMove{
			verb: "resume", short: "Let a paused job go on", act: framework.ResumeJob,
			long: `Let a paused job go on with the letters that wait. Failures so far don't stop it
again; as many more as its --stop-after said do.`,
		}),
		a.jobsMoveCommand(&jobMove{
			verb: "cancel", short: "End a job before its end", act: framework.CancelJob,
			long: `End a job that has not ended. Letters that nobody has taken stay as they are,
those under way are opened again. What was resolved stays so.`,
		}))
	return c
}

func (a *app) jobsListCommand() *cobra.Command {
	var f framework.JobFilter
	c := &cobra.Command{
		Use:   "list",
		Short: "List replay jobs, newest first",
		Long: `List replay jobs, newest first: how far they are, and who started them. WAITS
FOR is in a word what keeps a job from going on, such as members (none runs),
pause or breaker; ` + "`evenkeel jobs show`" + ` says it in a sentence. When there is no
job the exit code is 4.`,
		Example: `  evenkeel jobs list --state running
  evenkeel jobs list --group orders -o json`,
		Args: noArguments,
	}
	flags := c.Flags()
	flags.StringVar(&f.Group, "group", "", "only of this consumer `group`")
	flags.StringVar((*string)(&f.State), "state", "", "only in this `state`: selecting, running, paused, done, cancelled")
	flags.IntVarP(&f.Limit, "limit", "n", 50, "show at most this many")
	c.RunE = func(c *cobra.Command, _ []string) error {
		switch {
		case f.Limit < 1:
			return usage(c, "--limit is 1 or more, found %d", f.Limit)
		case f.State != "" && !slices.Contains(dlq.JobStates(), f.State):
			return usage(c, "--state is selecting, running, paused, done or cancelled, found %q", f.State)
		}
		format, db, closeDB, err := a.open(c)
		if err != nil {
			return err
		}
		defer closeDB()
		found, err := framework.Jobs(c.Context(), db, f)
		if err != nil {
			return err
		}
		waits := make(map[*dlq.Job][]framework.JobWait, len(found))
		for _, j := range found {
			if waits[j], err = a.waits(c.Context(), db, j); err != nil {
				return err
			}
		}
		w := c.OutOrStdout()
		if format != formatTable {
			err = writeAll(w, format, found, func(j *dlq.Job) *jobJSON { return newJobJSON(j, waits[j]) })
		} else if len(found) > 0 {
			rows := make([][]string, 0, len(found))
			for _, j := range found {
				rows = append(rows, []string{
					safe(j.ID), ago(a.now(), j.Created), orNone(string(j.State)), orNone(waitWords(waits[j])), orNone(j.Group), fmt.Sprintf("%d/%d", j.Finished(), j.Total),
					number(j.Count(dlq.ResultFailed)), number(j.Count(dlq.ResultRefused)), orNone(j.By.Name), orNone(j.Reason), orNone(j.Selection),
				})
			}
			err = tableKeeping(w, 0, a.width(w), a.emphasis(w), []string{"ID", "STARTED", "STATE", "WAITS FOR", "GROUP", "ENDED", "FAILED", "REFUSED", "WHO", "WHY", "CHOSEN BY"}, rows)
		}
		if err == nil && len(found) == 0 {
			err = &problem{code: codeNothing, what: "no job matches"}
		}
		return err
	}
	return c
}

// job opens the database and finds the job that is named.
func (a *app) job(c *cobra.Command, id string) (f format, db *gorm.DB, closeDB func(), job *dlq.Job, err error) {
	if f, db, closeDB, err = a.open(c); err != nil {
		return f, nil, nil, nil, err
	}
	if job, err = framework.GetJob(c.Context(), db, strings.ToLower(id)); err != nil {
		closeDB()
		return f, nil, nil, nil, explainJob(err)
	}
	return f, db, closeDB, job, nil
}

func explainJob(err error) error {
	var none *dlq.JobNotFoundError
	var state *dlq.JobStateError
	switch {
	case errors.As(err, &none) && len(none.Several) > 0:
		return &problem{code: codeError, what: err.Error(), next: "give more of the id", err: err}
	case errors.As(err, &none):
		return &problem{code: codeNothing, what: err.Error(), next: "`evenkeel jobs list` shows the jobs of this database; is it the right one?", err: err}
	case errors.As(err, &state):
		return &problem{code: codeError, what: err.Error(), next: "`evenkeel jobs show " + state.ID + "` tells more", err: err}
	}
	return err
}

func oneJob(c *cobra.Command, args []string) error {
	if len(args) != 1 {
		return usage(c, "%s takes one job id, found %d arguments", c.Name(), len(args))
	}
	return nil
}

// jobMove is a command that changes the state of a job.
type jobMove struct {
	verb, short, long string
	act               func(context.Context, *gorm.DB, string, framework.LetterAct) (*dlq.Job, error)
}

func (a *app) jobsMoveCommand(m *jobMove) *cobra.Command {
	var as, why string
	var yes, dryRun bool
	c := &cobra.Command{
		Use:   m.verb + " ID",
		Short: m.short,
		Long: m.long + `

ID is the job's id or its beginning, as long as no other begins so.
Exit codes: 0 done, 1 error, or the job is not in a state for it, 4 no such job.`,
		Example: `  evenkeel jobs ` + m.verb + ` 8c41f2a09b73d6e5 --why "the bank is down"`,
		Args:    oneJob,
	}
	flags := c.Flags()
	flags.StringVar(&as, "as", "", "`name` for the audit (default your user name)")
	flags.StringVar(&why, "why", "", "`text` for the audit that says why")
	flags.BoolVarP(&yes, "yes", "y", false, "don't ask")
	flags.BoolVar(&dryRun, "dry-run", false, "only show which job it would be")
	c.RunE = func(c *cobra.Command, args []string) error {
		by, err := a.actor(c, as)
		if err != nil {
			return err
		}
		format, db, closeDB, job, err := a.job(c, args[0])
		if err != nil {
			return err
		}
		defer closeDB()
		errOut := c.ErrOrStderr()
		fmt.Fprintf(errOut, "job %s of %s, started by %s, is %s: %s\n", job.ID, orNone(job.Group), orNone(job.By.Name), job.State, jobProgress(job, 0))
		waits, err := a.waits(c.Context(), db, job)
		if err != nil {
			return err
		}
		if dryRun {
			return writeDone(c, format, newJobJSON(job, waits), dryRunText)
		}
		if !yes && !confirmed(c.InOrStdin(), errOut, m.verb) {
			return &problem{code: codeError, what: "nothing was changed", next: "answer y, or give --yes"}
		}
		if job, err = m.act(c.Context(), db, job.ID, framework.LetterAct{By: by, Reason: why}); err != nil {
			return explainJob(err)
		}
		if waits, err = a.waits(c.Context(), db, job); err != nil {
			return err
		}
		a.tellWaits(errOut, waits)
		return writeDone(c, format, newJobJSON(job, waits), fmt.Sprintf("job %s is %s: %s", job.ID, job.State, jobProgress(job, 0)))
	}
	return c
}

// percents are the steps of a ramp as they are typed.
func percents(ramp []int) string {
	var all []string
	for _, p := range ramp {
		all = append(all, strconv.Itoa(p))
	}
	return strings.Join(all, ",")
}
