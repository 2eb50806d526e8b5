package cli

import (
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/evenkeel-go/evenkeel/dlq"
)

func (a *app) auditCommand() *cobra.Command {
	var f dlq.AuditFilter
	var since, until string
	c := &cobra.Command{
		Use:   "audit",
		Short: "Tell who did what to dead letters and consumers",
		Long: `List what was done to dead letters, and said to consumer groups, newest first:
by whom, when and why. Lines are written together with what they tell, and the
database refuses to change them. Flags that choose lines must all hold; --since
and --until take how long ago (90m, 7d), a day in UTC (2026-10-14) or a time in
RFC 3339. When there is no line the exit code is 4.`,
		Example: `  evenkeel audit --by ann --since 1d
  evenkeel audit --letter 5598dac7 -o json`,
		Args: noArguments,
	}
	flags := c.Flags()
	flags.StringVar(&f.Actor, "by", "", "only what this `name` did")
	flags.StringVar(&f.Verb, "verb", "", "only this `verb`, e.g. discard, note, purge, pause")
	flags.StringVar(&f.Group, "group", "", "only on letters of this consumer `group`")
	flags.StringVar(&f.Letter, "letter", "", "only on the letter with this `id`, or its beginning")
	flags.StringVar(&f.Job, "job", "", "only by the job with this `id`")
	flags.StringVar(&since, "since", "", "only at or after this `time`")
	flags.StringVar(&until, "until", "", "only before this `time`")
	flags.IntVarP(&f.Limit, "limit", "n", 50, "show at most this many")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := bounds(c, a.now(), since, until, &f.Since, &f.Until); err != nil {
			return err
		}
		if f.Limit < 1 {
			return usage(c, "--limit is 1 or more, found %d", f.Limit)
		}
		return a.audit(c, f)
	}
	return c
}

func (a *app) audit(c *cobra.Command, filter dlq.AuditFilter) error {
	f, db, closeDB, err := a.open(c)
	if err != nil {
		return err
	}
	defer closeDB()
	if filter.Letter != "" {
		l, err := dlq.Get(c.Context(), db, strings.ToLower(filter.Letter))
		if err != nil {
			return explain(c, err)
		}
		filter.Letter = l.ID
	}
	lines, err := dlq.Audit(c.Context(), db, filter)
	if err != nil {
		return err
	}
	a.hideAudit(lines)
	w := c.OutOrStdout()
	switch {
	case f != formatTable:
		err = writeAll(w, f, lines, newAuditJSON)
	case len(lines) > 0:
		err = a.writeAudit(w, lines)
	}
	if err == nil && len(lines) == 0 {
		err = &problem{code: codeNothing, what: "the audit has no such line"}
	}
	return err
}

// hideAudit hides what replays came to; what operators said is theirs.
func (a *app) hideAudit(lines []dlq.AuditEntry) {
	for i := range lines {
		if lines[i].ByReplay() {
			lines[i].Reason = a.hide.text(lines[i].Reason)
		}
	}
}

func (a *app) writeAudit(w io.Writer, lines []dlq.AuditEntry) error {
	now := a.now()
	rows := make([][]string, 0, len(lines))
	for i := range lines {
		e := &lines[i]
		rows = append(rows, []string{ago(now, e.At), orNone(e.By.Name), orNone(e.Verb), about(e), change(e), orNone(e.Reason), orNone(e.Selection)})
	}
	return tableKeeping(w, aboutColumn, a.width(w), a.emphasis(w), []string{"WHEN", "WHO", "VERB", "ABOUT", "STATE", "WHY", "CHOSEN BY"}, rows)
}

// aboutColumn is the place of what a line is about.
const aboutColumn = 3

// about is what a line is about, as short as it can be typed.
func about(e *dlq.AuditEntry) string {
	if e.Letter != "" {
		return safe(e.Letter[:min(shortID, len(e.Letter))])
	}
	return orNone(e.Subject)
}

func change(e *dlq.AuditEntry) string {
	if e.After == "" {
		return "-"
	}
	return safe(string(e.Before) + " → " + string(e.After))
}

// auditJSON is a line for programs. Names and meanings are stable; new ones may come.
type auditJSON struct {
	At          string `json:"at"`
	By          string `json:"by"`
	Via         string `json:"via"`
	Verb        string `json:"verb"`
	Reason      string `json:"reason"`
	Group       string `json:"group"`
	Letter      string `json:"letter"`
	Fingerprint string `json:"fingerprint"`
	Selection   string `json:"selection"`
	Before      string `json:"before"` // this and after are "" where no state changed
	After       string `json:"after"`
	Rev         int64  `json:"rev"`
	Job         string `json:"job"`
}

func newAuditJSON(e dlq.AuditEntry) auditJSON {
	return auditJSON{
		At: instant(e.At), By: e.By.Name, Via: e.By.Via, Verb: e.Verb, Reason: e.Reason, Group: e.Group, Letter: e.Letter, Fingerprint: e.Subject,
		Selection: e.Selection, Before: string(e.Before), After: string(e.After), Rev: e.Rev, Job: e.Job,
	}
}
