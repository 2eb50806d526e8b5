package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/framework"
)

func (a *app) explainLetterCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "explain ID",
		Short: "Tell a dead letter's cause, and what to do about it",
		Long: `Tell in plain words why an event is a dead letter: what the reason means, how
late or how far ahead it was, where in your code it failed, what its entity's
row says now and what a replay would come to, what waits for it, how many
letters are like it, and what to do, with the commands. ID is the letter's id or
its beginning; ` + "`evenkeel dlq show`" + ` has the letter's bytes.
When there is no such letter the exit code is 4.`,
		Example: `  evenkeel dlq explain 5598dac7
  evenkeel dlq explain 5598dac7 -o json | jq -r .commands[]`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(c, "explain takes one letter id, found %d arguments", len(args))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			f, db, closeDB, err := a.open(c)
			if err != nil {
				return err
			}
			defer closeDB()
			x, err := framework.ExplainLetter(c.Context(), db, strings.ToLower(args[0]), a.now())
			if err != nil {
				return explain(c, err)
			}
			if err := a.hideExplained(c, db, x); err != nil {
				return err
			}
			if f != formatTable {
				return writeJSON(c.OutOrStdout(), f, newLetterExplanationJSON(x))
			}
			return a.writeLetterExplanation(c.OutOrStdout(), x)
		},
	}
}

// hideExplained hides what the letter's explanation has of its record.
func (a *app) hideExplained(c *cobra.Command, db *gorm.DB, x *framework.LetterExplanation) (err error) {
	if !a.hide.any() {
		return nil
	}
	for i := range x.Now {
		x.Now[i] = a.hide.naming(x.Now[i], x.Letter.Entity)
	}
	for i := range x.Commands {
		x.Commands[i] = a.hide.naming(x.Commands[i], x.Letter.Entity)
	}
	x.Letter = a.hide.letter(x.Letter)
	x.Frame, x.File = x.Letter.Frame()
	if x.Alike != nil {
		x.Alike.Example, err = a.hidden(c, db, x.Alike.Example)
	}
	return err
}

func (a *app) writeLetterExplanation(w io.Writer, x *framework.LetterExplanation) error {
	p := &page{now: a.now(), emphasis: a.emphasis(w), columns: a.prose(w)}
	l := x.Letter
	p.heading("Letter " + safe(l.ID))
	p.fact("reason", string(l.Verdict.Reason))
	p.fact("state", strings.TrimSpace(string(l.State)+" "+string(l.Outcome)))
	p.time("made", l.CreatedAt)
	p.fact("event", strings.TrimSpace(l.EventType+" "+l.EventID))
	p.fact("entity", strings.TrimSpace(l.Table+" "+l.Entity))
	p.fact("handler", l.Handler)

	p.heading("Why")
	p.sentence("  "+x.Means, 2)
	if x.Compared != "" {
		p.sentence("  In numbers: "+x.Compared+".", 2)
	}
	if l.Verdict.Detail != "" && !strings.Contains(l.Error, l.Verdict.Detail) {
		p.sentence("  "+capital(firstLine(l.Verdict.Detail))+".", 2)
	}
	if l.Error != "" {
		after := ""
		if l.Attempts > 0 {
			after = ", after " + count(int64(l.Attempts), "attempt")
		}
		p.sentence("  The error"+after+": "+firstLine(l.Error), 2)
	}
	if x.Frame != "" {
		p.sentence("  Your code: "+strings.TrimSpace(x.Frame+" "+x.File), 2)
	}
	if len(x.Now)+int(min(x.Behind, 1)) > 0 {
		p.heading("Now")
	}
	for _, text := range x.Now {
		p.sentence("  "+text, 2)
	}
	switch {
	case x.Behind > 0:
		p.sentence(fmt.Sprintf("  %s for it, the oldest of %s.", waits(x.Behind), p.when(x.Since)), 2)
	case l.Blocking && l.State.Unresolved():
		p.sentence("  Later events of its entity will wait for it; none does yet.", 2)
	}
	if g := x.Alike; g != nil {
		p.heading("Others like it")
		text := fmt.Sprintf("  %s with the fingerprint %s, %d to deal with", count(g.Total(), "letter"), l.Fingerprint, g.Count[dlq.Open]+g.Count[dlq.Replaying])
		if !g.First.IsZero() {
			text += fmt.Sprintf("; the first of %s, the last %s", p.when(g.First), ago(p.now, g.Last))
		}
		p.sentence(text+".", 2)
	}
	if len(x.Notes) > 0 {
		p.heading("Notes")
	}
	for i := range x.Notes {
		p.sentence(fmt.Sprintf("  %s, %s: %s", x.Notes[i].By.Name, ago(p.now, x.Notes[i].At), firstLine(x.Notes[i].Body)), 2)
	}
	if x.Next != "" {
		p.heading("What to do")
		p.sentence("  "+capital(x.Next)+".", 2)
	}
	for _, command := range x.Commands {
		p.WriteString("    " + safe(command) + "\n")
	}
	_, err := io.WriteString(w, p.String())
	return err
}

func waits(n int64) string {
	if n == 1 {
		return "1 event waits"
	}
	return fmt.Sprintf("%d events wait", n)
}

func firstLine(s string) string {
	s, _, more := strings.Cut(s, "\n")
	if more {
		s += " …"
	}
	return s
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// letterExplanationJSON is an explanation for programs. Names and meanings are stable; new ones
// may come. Texts are for people.
type letterExplanationJSON struct {
	Letter   *letterJSON `json:"letter"`
	Means    string      `json:"means"`
	Compared string      `json:"compared"`
	Frame    string      `json:"frame"`
	File     string      `json:"file"`
	Now      []string    `json:"now"`
	Behind   int64       `json:"behind"`
	Since    *string     `json:"since"`
	Alike    *groupJSON  `json:"alike"`
	Next     string      `json:"next"`
	Commands []string    `json:"commands"`
}

func newLetterExplanationJSON(x *framework.LetterExplanation) letterExplanationJSON {
	same := func(s string) string { return s }
	j := letterExplanationJSON{
		Letter: (&story{letter: x.Letter, notes: x.Notes}).json(), Means: x.Means, Compared: x.Compared, Frame: x.Frame, File: x.File,
		Now: each(x.Now, same), Behind: x.Behind, Since: timeJSON(x.Since), Next: x.Next, Commands: each(x.Commands, same),
	}
	j.Letter.History = nil // `dlq show` has it
	if x.Alike != nil {
		g := newGroupJSON(x.Alike)
		j.Alike = &g
	}
	return j
}
