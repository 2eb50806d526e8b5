package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/framework"
)

func (a *app) noteCommand() *cobra.Command {
	var as, fingerprint string
	var dryRun bool
	c := &cobra.Command{
		Use:   "note [ID] TEXT",
		Short: "Note what you have found out about a letter, or about a group",
		Long: `Keep a note about one letter, or with --fingerprint about all letters with one
cause, also those to come. ` + "`evenkeel dlq show`" + ` tells both. It changes nothing
about the letters. When there is no such letter the exit code is 4.`,
		Example: `  evenkeel dlq note 5598dac7 "the bank says it is their fault, ticket 4711"
  evenkeel dlq note --fingerprint 0123456789abcdef "mended in v1.4.3"`,
	}
	c.Flags().StringVar(&as, "as", "", "`name` for the audit (default your user name)")
	c.Flags().StringVar(&fingerprint, "fingerprint", "", "about all letters with this `cause`")
	c.Flags().BoolVar(&dryRun, "dry-run", false, "only see whether it is about something")
	c.RunE = func(c *cobra.Command, args []string) error {
		by, err := a.actor(c, as)
		if err != nil {
			return err
		}
		n := dlq.Note{By: by, Fingerprint: fingerprint}
		want := 2
		if fingerprint != "" {
			want = 1
		}
		if len(args) != want {
			return usage(c, "note takes a letter's id and a text in quotes, or --fingerprint and a text, found %d arguments", len(args))
		}
		n.Body = args[want-1]
		return a.note(c, n, args[:want-1], dryRun)
	}
	return c
}

// notedJSON is what was noted about, for programs.
type notedJSON struct {
	Letter      string `json:"letter,omitempty"`
	Fingerprint string `json:"fingerprint,omitempty"`
	DryRun      bool   `json:"dry_run"`
}

func (a *app) note(c *cobra.Command, n dlq.Note, id []string, dryRun bool) error {
	format, db, closeDB, err := a.open(c)
	if err != nil {
		return err
	}
	defer closeDB()
	if len(id) > 0 {
		l, err := dlq.Get(c.Context(), db, strings.ToLower(id[0]))
		if err != nil {
			return explain(c, err)
		}
		n.Letter = l.ID
	} else {
		some, err := dlq.Count(c.Context(), db, dlq.Filter{Fingerprint: n.Fingerprint})
		if err != nil {
			return err
		}
		if some == 0 {
			return &problem{code: codeNothing, what: fmt.Sprintf("no letter has the cause %q", n.Fingerprint), next: "`evenkeel dlq groups` lists them"}
		}
	}
	text := "dry run: nothing was noted"
	if !dryRun {
		if err := framework.AddNote(c.Context(), db, n); err != nil {
			return err
		}
		text = "noted"
	}
	if format != formatTable {
		return writeJSON(c.OutOrStdout(), format, notedJSON{n.Letter, n.Fingerprint, dryRun})
	}
	_, err = fmt.Fprintln(c.OutOrStdout(), text)
	return err
}
