package cli

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/guards"
)

// reasons are those that letters get. Guards of users may give others.
func reasons() []guards.Reason {
	return []guards.Reason{
		guards.Behind, guards.Conflict, guards.Constraint, guards.Exhausted, dlq.Foreign, guards.Future, guards.Gap, guards.Late,
		guards.MissingRow, guards.Orphaned, guards.Poison, guards.Rejected, guards.Unhandled,
	}
}

// knownReason refuses a --reason that no letter can have and none has.
func knownReason(c *cobra.Command, db *gorm.DB) error {
	f := c.Flags().Lookup("reason")
	if f == nil || f.Value.String() == "" || slices.Contains(reasons(), guards.Reason(f.Value.String())) {
		return nil
	}
	found, err := dlq.List(c.Context(), db, dlq.Filter{Reason: guards.Reason(f.Value.String()), Limit: 1, Brief: true})
	if err != nil || len(found) > 0 {
		return err
	}
	return usage(c, "--reason is one of %s, or one that your guards give; found %q, which no letter has", list(reasons()), f.Value.String())
}

// list writes words with commas between them.
func list[S ~string](words []S) string {
	all := make([]string, len(words))
	for i, w := range words {
		all[i] = string(w)
	}
	return strings.Join(all, ", ")
}

func words[S ~string](from []S) cobra.CompletionFunc {
	all := make([]cobra.Completion, len(from))
	for i, w := range from {
		all[i] = string(w)
	}
	return cobra.FixedCompletions(all, cobra.ShellCompDirectiveNoFileComp)
}

// complete gives the flags of c that take one of some words these words, by their names,
// and makes no files of the values of the others that take none.
func complete(c *cobra.Command) {
	for name, with := range map[string]cobra.CompletionFunc{
		"output": words(formats()),
		"state":  words(dlq.States()),
		"reason": words(reasons()),
		"cause":  words(causeWords()),
		"since":  words([]string{"1h", "1d", "7d"}),
		"until":  words([]string{"1h", "1d", "7d"}),
		"verb":   words([]dlq.Move{dlq.MoveDiscard, dlq.MoveRestore, dlq.MoveReplay, dlq.MoveCancel, dlq.MoveFail, dlq.MoveResolve, dlq.MovePurge, dlq.VerbNote}),
	} {
		if c.LocalFlags().Lookup(name) != nil {
			_ = c.RegisterFlagCompletionFunc(name, with) // it fails where there is one already
		}
	}
	if c.ValidArgsFunction == nil {
		c.ValidArgsFunction = cobra.NoFileCompletions
	}
}
