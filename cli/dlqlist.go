package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/evenkeel-go/evenkeel/dlq"
)

// shortID is how much of a letter's id a table shows: enough to be the only one among
// millions, and short enough to be typed.
const shortID = 12

func (a *app) listCommand() *cobra.Command {
	var chosen letterFlags
	f := &chosen.filter
	c := &cobra.Command{
		Use:   "list",
		Short: "List dead letters, newest first",
		Long: `List dead letters, newest first. Flags that choose letters must all hold.
--since and --until look at when the letter was made; they take how long ago
(90m, 7d), a day in UTC (2026-10-14) or a time in RFC 3339.

With -o json or jsonl the fields are those of ` + "`evenkeel dlq show -o json`" + `, but
stack and record are null unless --full is given. When no letter is chosen the
exit code is 4.`,
		Example: `  evenkeel dlq list --group orders --reason exhausted --since 1h
  evenkeel dlq list --entity order-17 -o jsonl --full | jq .record.value`,
		Args: noArguments,
	}
	flags := c.Flags()
	chosen.flags(c, true)
	flags.IntVarP(&f.Limit, "limit", "n", 50, "show at most this many")
	full := flags.Bool("full", false, "with -o json or jsonl: with stack and record")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := chosen.read(c, a.now()); err != nil {
			return err
		}
		if f.Limit < 1 {
			return usage(c, "--limit is 1 or more, found %d", f.Limit)
		}
		f.Brief = !*full
		return a.list(c, *f)
	}
	return c
}

func (a *app) list(c *cobra.Command, f dlq.Filter) error {
	format, db, closeDB, err := a.open(c)
	if err != nil {
		return err
	}
	defer closeDB()
	whole := !f.Brief && format != formatTable
	f.Brief = !whole && !a.hide.any() // what an error quotes of a record is hidden with the record
	letters, err := dlq.List(c.Context(), db, f)
	if err != nil {
		return err
	}
	for i := range letters {
		letters[i] = a.hide.letter(letters[i])
	}
	if err := a.writeList(c, format, letters, whole); err != nil {
		return err
	}
	if len(letters) == 0 {
		return &problem{code: codeNothing, what: "no letters match"}
	}
	if len(letters) < f.Limit {
		return nil
	}
	total, err := dlq.Count(c.Context(), db, f)
	if err == nil && total > int64(len(letters)) {
		fmt.Fprintf(c.ErrOrStderr(), "the newest %d of %d letters; --limit shows more\n", len(letters), total)
	}
	return err
}

func (a *app) writeList(c *cobra.Command, f format, letters []*dlq.Letter, whole bool) error {
	w := c.OutOrStdout()
	if f != formatTable {
		return writeAll(w, f, letters, func(l *dlq.Letter) *letterJSON { return newLetterJSON(l, whole) })
	}
	if len(letters) == 0 {
		return nil
	}
	now := a.now()
	heading := []string{"ID", "MADE", "REASON", "TYPE", "ENTITY", "WHY"}
	rows := make([][]string, 0, len(letters))
	for _, l := range letters {
		made := "unknown"
		if !l.CreatedAt.IsZero() {
			made = ago(now, l.CreatedAt)
		}
		rows = append(rows, []string{
			safe(l.ID[:min(shortID, len(l.ID))]), made, safe(string(l.Verdict.Reason)),
			orNone(l.EventType), orNone(l.Entity), orNone(why(l)),
		})
	}
	return table(w, a.width(w), a.emphasis(w), heading, rows)
}

// why is the shortest text that says what happened: the error, else the verdict's.
func why(l *dlq.Letter) string {
	switch {
	case len(l.Edits) > 0 && l.State == dlq.Open:
		return fmt.Sprintf("edited by %s; it was: %s", l.Edits[len(l.Edits)-1].By.Name, l.Error)
	case l.Error != "":
		return l.Error
	case l.Verdict.Detail != "":
		return l.Verdict.Detail
	}
	return l.Verdict.Numbers.String()
}

// orNone is a cell; an empty one would look like a mistake in the columns.
func orNone(s string) string {
	if s == "" {
		return "-"
	}
	return safe(s)
}
