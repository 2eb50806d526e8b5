package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/framework"
)

// republisher is framework.Republish to the topic that to comes to hold.
func republisher(to *string) func(context.Context, *gorm.DB, []dlq.Ref, framework.LetterAct) (framework.LetterReport, error) {
	return func(ctx context.Context, db *gorm.DB, refs []dlq.Ref, act framework.LetterAct) (framework.LetterReport, error) {
		return framework.Republish(ctx, db, refs, *to, act)
	}
}

func (a *app) purgeCommand() *cobra.Command {
	var f repairFlags
	var group, older string
	c := &cobra.Command{
		Use:   "purge",
		Short: "Take the bytes of letters that ended",
		Long: `Take the keys, values, headers and errors of a group's resolved and discarded
letters that ended long enough ago, now and not only after the time that the
service keeps them. It can't be undone. Open letters are never purged, nor are
those whose end is not on the dead-letter topic yet.

What stays tells a record that is delivered again that it was dealt with; the
edits of resolved letters stay too, as a rebuild finds them nowhere else. When
no letter ended so long ago the exit code is 4.`,
		Example: `  evenkeel dlq purge --group orders --older-than 30d --why "privacy" --dry-run`,
		Args:    noArguments,
	}
	c.Flags().StringVar(&group, "group", "", "of this consumer `group` (required)")
	c.Flags().StringVar(&older, "older-than", "", "that ended longer ago, e.g. 30d, or before a `time`\n(required)")
	f.flags(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if group == "" || older == "" {
			return usage(c, "--group and --older-than are required")
		}
		before, err := parseTime(a.now(), older)
		if err != nil {
			return usage(c, "--older-than: %v", err)
		}
		act, err := f.act(a, c)
		if err != nil {
			return err
		}
		format, db, closeDB, err := a.open(c)
		if err != nil {
			return err
		}
		defer closeDB()
		some, err := dlq.CountEnded(c.Context(), db, group, before)
		if err != nil {
			return err
		}
		if some == 0 {
			return &problem{code: codeNothing, what: fmt.Sprintf("no letter of group %q ended before %s", group, instant(before))}
		}
		fmt.Fprintf(c.ErrOrStderr(), "%s of group %s to purge, which ended before %s\n", letters(int(some)), safe(group), instant(before))
		out := movedJSON{Chosen: int(some), DryRun: f.dryRun, Refused: []refusalJSON{}}
		if ok, err := f.goAhead(c, "purge"); err != nil {
			return err
		} else if !ok {
			return writeDone(c, format, out, dryRunText)
		}
		n, err := framework.Purge(c.Context(), db, group, before, act)
		if err != nil {
			return &problem{code: codePartly, what: fmt.Sprintf("after %s: %v", letters(int(n)), err), next: "run it again; what is done is done", err: err}
		}
		out.Done = int(n)
		return writeDone(c, format, out, letters(int(n))+" purged")
	}
	return c
}
