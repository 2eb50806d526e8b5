package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/framework"
)

// moving is a command that changes the state of letters.
type moving struct {
	verb, past    string
	from          dlq.State
	why           bool // must be said
	short         string
	long, example string
	// warns writes what is to be known before the question; nil is nothing.
	warns func(c *cobra.Command, db *gorm.DB, refs []dlq.Ref) error
	flags func(*cobra.Command) // adds its own
	// act is nil where a job does it.
	act func(context.Context, *gorm.DB, []dlq.Ref, framework.LetterAct) (framework.LetterReport, error)
}

func discarding() moving {
	return moving{
		verb: "discard", past: "discarded", from: dlq.Open, why: true, act: framework.Discard, warns: tellJobs,
		short: "Decide that letters are not to be applied",
		long: `Decide that the events of open letters are not to be applied. What waits behind
a letter goes on at once; behind a gap, without the numbers that are missing.
Nothing is lost: restore opens a discarded letter again, with its bytes.`,
		example: `  evenkeel dlq discard 5598dac7 --why "the order was a test"
  evenkeel dlq discard --type order.paid --since 1d --why "sent twice" --dry-run`,
	}
}

func restoring() moving {
	return moving{
		verb: "restore", past: "restored", from: dlq.Discarded, act: framework.Restore,
		short: "Open discarded letters again",
		long: `Open discarded letters again. A letter that held up its entity does so again;
what has gone on meanwhile stays so.`,
		example: `  evenkeel dlq restore 5598dac7
  evenkeel dlq restore --fingerprint 0123456789abcdef --yes`,
	}
}

func replaying() moving {
	return moving{
		verb: "replay", from: dlq.Open,
		short: "Judge letters' events once more",
		long: `Start a job that hands open letters to the running members of their group, which
judge their events once more, by the guards and handlers that they have now.
What newer events have made pointless resolves as obsolete; what fails again is
open again, and after ten failures (--stop-after) the job pauses. The letters
are of one group. The job goes on when this command ends: ` + "`evenkeel jobs`" + ` shows,
pauses, resumes and cancels it. Without a running member it waits for one.

With --dry-run, a binary that has your handlers shows what would become of
each letter, and its row field by field, and changes nothing. Handlers that
call other systems are not called if they are declared as handlers.External.
The rows are locked meanwhile, those of one entity for 10 seconds at most. The
stand-alone binary has no handlers and only counts, which is the exit code 3:
mount the commands in your service with cli.WithConfig.`,
		example: `  evenkeel dlq replay 5598dac7 --wait 30s
  evenkeel dlq replay --handler invoice --since 1d --why "fixed in 1.4.2"
  evenkeel dlq replay --group orders --all --ramp 1,5,20,100 --rate 50`,
	}
}

func cancelling() moving {
	return moving{
		verb: "cancel", past: "opened again", from: dlq.Replaying, act: framework.CancelReplay,
		short: "Open letters again whose replay nobody has carried out",
		long: `Open letters again that were to be replayed and that no member has replayed yet.
` + "`evenkeel jobs cancel`" + ` ends a whole job.`,
		example: `  evenkeel dlq cancel --handler invoice`,
	}
}

// tellJobs says which letters are those of jobs that have not ended: such a job then leaves them
// alone.
func tellJobs(c *cobra.Command, db *gorm.DB, refs []dlq.Ref) error {
	chosen := make(map[string]bool, len(refs))
	for _, r := range refs {
		chosen[r.ID] = true
	}
	for _, state := range []dlq.JobState{dlq.JobSelecting, dlq.JobRunning, dlq.JobPaused} {
		jobs, err := framework.Jobs(c.Context(), db, framework.JobFilter{State: state})
		if err != nil {
			return err
		}
		for _, j := range jobs {
			n := 0
			for l, err := range framework.JobLetters(c.Context(), db, j.ID, dlq.ResultWaiting) {
				if err != nil {
					return err
				}
				if chosen[l.ID] {
					n++
				}
			}
			if n > 0 {
				fmt.Fprintf(c.ErrOrStderr(), "%s of these would be replayed by job %s (%s, started by %s), which would leave them alone then\n", letters(n), j.ID, j.State, orNone(j.By.Name))
			}
		}
	}
	return nil
}

// moveFlags are those of a changing command.
type moveFlags struct {
	chosen           letterFlags
	all, yes, dryRun bool
	as, why          string
	job              jobFlags
}

func (a *app) moveCommand(m moving) *cobra.Command {
	var f moveFlags
	c := &cobra.Command{
		Use:   m.verb + " [ID…]",
		Short: m.short,
		Long: m.long + `

Letters are named by their ids, or the beginnings of these, or chosen by flags
that must all hold; then only letters that are ` + string(m.from) + ` are taken. The
choice is made once, before you are asked: what fails meanwhile is not in it,
and a letter that somebody else changes meanwhile is left alone, and told.

Exit codes: 0 done, 1 error or refused, 3 partly done, 4 no letter matches.`,
		Example: m.example,
	}
	f.chosen.flags(c, false)
	flags := c.Flags()
	flags.BoolVar(&f.all, "all", false, "all that are "+string(m.from))
	flags.BoolVarP(&f.yes, "yes", "y", false, "don't ask")
	flags.BoolVar(&f.dryRun, "dry-run", false, "only show what would be done")
	if m.act == nil {
		f.job.flags(c)
	}
	if m.flags != nil {
		m.flags(c)
	}
	flags.StringVar(&f.as, "as", "", "`name` for the audit (default your user name)")
	why := "`text` for the audit that says why"
	if m.why {
		why += " (required)"
	}
	flags.StringVar(&f.why, "why", "", why)
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := f.chosen.read(c, a.now()); err != nil {
			return err
		}
		words := f.chosen.words(c)
		if err := f.job.read(c); err != nil {
			return err
		}
		switch {
		case len(args) > 0 && (words != "" || f.all):
			return usage(c, "letters are named by ids or chosen by flags, found both")
		case len(args) == 0 && words == "" && !f.all:
			return usage(c, "no letters are named: give ids, or flags that choose letters, or --all")
		case m.why && strings.TrimSpace(f.why) == "" && !f.dryRun:
			return usage(c, "--why is required: it is kept in the audit")
		}
		if f.all {
			words = strings.TrimSuffix("all "+string(m.from)+", "+words, ", ")
		}
		return a.moveLetters(c, m, &f, args, words)
	}
	return c
}

// movedJSON is what a change came to, for programs.
type movedJSON struct {
	Chosen  int           `json:"chosen"`
	Done    int           `json:"done"`
	DryRun  bool          `json:"dry_run"`
	Refused []refusalJSON `json:"refused"`
}

type refusalJSON struct {
	ID    string `json:"id"`
	Error string `json:"error"`
}

func (a *app) moveLetters(c *cobra.Command, m moving, f *moveFlags, ids []string, words string) error {
	by, err := a.actor(c, f.as)
	if err != nil {
		return err
	}
	format, db, closeDB, err := a.open(c)
	if err != nil {
		return err
	}
	defer closeDB()
	refs, example, not, err := f.choose(c, db, m.from, ids)
	if err != nil {
		return err
	}
	unansweredOf(c.Context()).tell(c)
	if len(refs) == 0 {
		return &problem{code: codeNothing, what: "no letter that is " + string(m.from) + " matches"}
	}
	errOut := c.ErrOrStderr()
	fmt.Fprintf(errOut, "%s to %s, e.g.\n  %s\n", letters(len(refs)), m.verb, a.line(example))
	if m.warns != nil {
		if err := m.warns(c, db, refs); err != nil {
			return err
		}
	}
	result := movedJSON{Chosen: len(refs), DryRun: f.dryRun, Refused: []refusalJSON{}}
	if f.dryRun {
		if m.act == nil {
			return a.dryRunReplay(c, format, db, refs, f.job.plan.AcceptForgotten)
		}
		return a.writeMoved(c, format, m, result)
	}
	if !f.yes && !confirmed(c.InOrStdin(), errOut, m.verb) {
		return &problem{code: codeError, what: "nothing was changed", next: "answer y, or give --yes"}
	}
	act := framework.LetterAct{By: by, Reason: f.why, Selection: words}
	if m.act == nil {
		return a.startJob(c, format, db, &f.job, refs, act, m.mend(not))
	}
	report, err := m.act(c.Context(), db, refs, act)
	result.Done = report.Done
	for _, refused := range report.Refused {
		result.Refused = append(result.Refused, refusalJSON{ID: refusedID(refused), Error: refused.Error()})
	}
	if failed := a.writeMoved(c, format, m, result); failed != nil {
		return failed
	}
	code := codePartly
	if result.Done == 0 {
		code = codeError
	}
	switch {
	case err != nil:
		return &problem{code: code, what: fmt.Sprintf("after %s of %d: %v", letters(result.Done), len(refs), err), next: "run it again; what is done is done", err: err}
	case len(result.Refused) > 0:
		return &problem{code: code, what: fmt.Sprintf("%s of %d left alone", letters(len(result.Refused)), len(refs)), next: m.mend(not)}
	}
	return nil
}

// mend is what to do about letters that were left alone; not is a state that one which was named
// is in, or empty.
func (m *moving) mend(not dlq.State) string {
	switch {
	case m.from == dlq.Open && not == dlq.Discarded:
		return "`evenkeel dlq restore` opens discarded letters again"
	case m.from == dlq.Open && not == dlq.Replaying:
		return "`evenkeel dlq cancel` opens letters again whose replay nobody has carried out, and `evenkeel jobs cancel` ends a whole job"
	}
	return "look at them again with `evenkeel dlq show`"
}

// choose freezes what is to be changed, with one of them as it is. Not is a state that one which
// is named has instead of the one that the change is made from.
func (f *moveFlags) choose(c *cobra.Command, db *gorm.DB, from dlq.State, ids []string) (refs []dlq.Ref, example *dlq.Letter, not dlq.State, err error) {
	seen := map[string]bool{}
	for _, id := range ids {
		l, err := dlq.Get(c.Context(), db, strings.ToLower(id))
		if err != nil {
			return nil, nil, "", explain(c, err)
		}
		if l.State != from {
			not = l.State
		}
		if !seen[l.ID] {
			seen[l.ID] = true
			refs = append(refs, l.Ref())
			example = l
		}
	}
	if len(ids) > 0 {
		return refs, example, not, nil
	}
	f.chosen.filter.State = from
	if refs, err = dlq.Refs(c.Context(), db, f.chosen.filter); err != nil || len(refs) == 0 {
		return nil, nil, "", err
	}
	example, err = dlq.Get(c.Context(), db, refs[0].ID)
	return refs, example, "", err
}

// line tells one letter in a line.
func (a *app) line(l *dlq.Letter) string {
	l = a.hide.letter(l)
	made := "unknown"
	if !l.CreatedAt.IsZero() {
		made = ago(a.now(), l.CreatedAt)
	}
	return fit(strings.Join([]string{safe(l.ID[:min(shortID, len(l.ID))]), made, safe(string(l.Verdict.Reason)), orNone(l.EventType), orNone(l.Entity), orNone(why(l))}, "  "), 78)
}

// confirmed asks. Whoever closes the input, or pipes none, has not said yes.
func confirmed(in io.Reader, out io.Writer, verb string) bool {
	fmt.Fprintf(out, "%s? [y/N] ", verb)
	answer, err := bufio.NewReader(in).ReadString('\n')
	if err != nil {
		fmt.Fprintln(out)
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return true
	}
	return false
}

// maxRefusals bounds how many refusals people are shown; programs get all.
const maxRefusals = 10

func (a *app) writeMoved(c *cobra.Command, f format, m moving, r movedJSON) error {
	w := c.OutOrStdout()
	if f != formatTable {
		return writeJSON(w, f, r)
	}
	if r.DryRun {
		fmt.Fprintln(w, "dry run: nothing was changed")
		return nil
	}
	fmt.Fprintf(w, "%s %s\n", letters(r.Done), m.past)
	for i, refused := range r.Refused {
		if i == maxRefusals {
			fmt.Fprintf(w, "… and %d more; -o json has all\n", len(r.Refused)-i)
			break
		}
		fmt.Fprintln(w, safe(refused.Error))
	}
	return nil
}

func letters(n int) string {
	if n == 1 {
		return "1 letter"
	}
	return fmt.Sprintf("%d letters", n)
}

func refusedID(err error) string {
	var taken *dlq.TakenError
	var none *dlq.NotFoundError
	var not *dlq.UnreplayableError
	var refused *dlq.RefusedError
	switch {
	case errors.As(err, &not):
		return not.ID
	case errors.As(err, &refused):
		return refused.ID
	case errors.As(err, &taken):
		return taken.ID
	case errors.As(err, &none):
		return none.ID
	}
	return ""
}
