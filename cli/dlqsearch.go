package cli

import (
	"strings"

	"github.com/spf13/cobra"
)

func (a *app) searchCommand() *cobra.Command {
	var chosen letterFlags
	c := &cobra.Command{
		Use:   "search TEXT",
		Short: "Find dead letters by a text",
		Long: `List the letters that have a text in their error, detail, entity, or in the
event's id or source, newest first; case does not matter. It reads all letters
that the flags choose, so give --since where there are many; the flags are those
of ` + "`evenkeel dlq list`" + `. When none is found the exit code is 4.`,
		Example: `  evenkeel dlq search "card declined" --since 1d
  evenkeel dlq search order-17 -o jsonl | jq -r .id`,
	}
	chosen.flags(c, true)
	c.Flags().IntVarP(&chosen.filter.Limit, "limit", "n", 50, "show at most this many")
	full := c.Flags().Bool("full", false, "with -o json or jsonl: with stack and record")
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) != 1 || strings.TrimSpace(args[0]) == "" {
			return usage(c, "search takes one text, in quotes if it has spaces, found %d arguments", len(args))
		}
		if err := chosen.read(c, a.now()); err != nil {
			return err
		}
		if chosen.filter.Limit < 1 {
			return usage(c, "--limit is 1 or more, found %d", chosen.filter.Limit)
		}
		chosen.filter.Text, chosen.filter.Brief = args[0], !*full
		return a.list(c, chosen.filter)
	}
	return c
}
