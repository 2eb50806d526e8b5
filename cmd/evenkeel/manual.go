package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// manual writes the man pages: for packagers, so it is not in the list of commands.
func manual(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "man DIRECTORY",
		Short: "Write the manual, a page for each command",
		Long: `Write the man pages of all commands into a directory that exists, one file for
each: evenkeel.1, evenkeel-dlq.1 and so on.`,
		Example: `  evenkeel man /usr/local/share/man/man1
  man -l man/evenkeel-dlq-replay.1`,
		Hidden: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("man takes one directory that exists, e.g. evenkeel man man")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if info, err := os.Stat(args[0]); err != nil || !info.IsDir() {
				return fmt.Errorf("%s is no directory; make it first: mkdir -p %s", args[0], args[0])
			}
			// The same release gives the same pages, whenever they are made.
			never := time.Unix(0, 0).UTC()
			root.DisableAutoGenTag = true
			return doc.GenManTree(root, &doc.GenManHeader{Title: "EVENKEEL", Section: "1", Source: "Evenkeel", Manual: "Evenkeel's commands", Date: &never}, args[0])
		},
	}
}
