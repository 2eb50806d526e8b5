package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/evenkeel-go/evenkeel/examples/orders/stage"
)

// demo is `make demo` in the binary. Its arguments are its own: no database and no broker of
// the environment is ever taken for it.
func demo(code *int) *cobra.Command {
	return &cobra.Command{
		Use:   "demo [flags]",
		Short: "Run the demo; nothing is needed",
		Long: `Run the demo: a stream of a shop's events in which everything goes wrong,
consumed by Evenkeel while members are killed and added, and by a naive consumer
beside it; an oracle that reads the same log counts what is right. Broker and
database are in this process; settings of other commands don't count.

Its own flags are listed by ` + "`evenkeel demo --help`" + `. Exit codes: 0 Evenkeel is
right and the naive consumer is not, 1 anything else, 2 wrong usage.`,
		Example: `  evenkeel demo
  evenkeel demo --events 5000 --orders 500 --seed 7`,
		DisableFlagParsing:    true,
		DisableFlagsInUseLine: true,
		RunE: func(c *cobra.Command, args []string) error {
			self, err := os.Executable()
			if err != nil {
				return err
			}
			*code = stage.Run(args, []string{self, c.Name()}, c.InOrStdin(), c.OutOrStdout(), c.ErrOrStderr())
			return nil
		},
	}
}
