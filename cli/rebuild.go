package cli

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/framework"
)

// errNoHandlers is what the stand-alone binary says.
var errNoHandlers = &problem{
	code: codeError, what: "a rebuild runs your handlers, and this binary has none",
	next: `mount the commands in your service and run it there:

    func main() {
        root := cli.Command(cli.WithConfig(config())) // the service's *framework.Config
        os.Exit(cli.Execute(context.Background(), root))
    }`,
}

type rebuildFlags struct {
	framework.RebuildOptions
	allow, keys              []string
	yes, dry, cancel, status bool
	group                    string
}

func (a *app) rebuildCommand() *cobra.Command {
	var f rebuildFlags
	c := &cobra.Command{
		Use:   "rebuild MODEL...",
		Short: "Make rows anew from the log, after a handler was mended",
		Long: `Make the rows of models anew: they forget what they have seen, and the log is
read again with the handlers as they are now. The service works on meanwhile; it
must have the mended handlers already. MODEL is the name of a Go type or table.

First the plan is shown: which rows and columns become zero, what is read, and
what stands against it. Nothing is touched before you agree, with y or --yes.
A model whose handlers order by another kind of stamps than before (as by
version after time) is rebuilt whole while no member of the group runs; the new
release can start once the rows have been cleared.
Ctrl-C interrupts; the same command goes on from there. With --dry-run only the
plan is shown. --status shows the rebuild that is under way, and --cancel ends
it: the rows stay half built then. When --status finds none the exit code is 4.`,
		Example: `  evenkeel rebuild Order
  evenkeel rebuild stock --key A-17 --key B-2 --dry-run
  evenkeel rebuild --status --group orders`,
	}
	flags := c.Flags()
	flags.StringArrayVar(&f.keys, "key", nil, "only this `entity` of the model; may be repeated")
	flags.StringSliceVar(&f.allow, "allow", nil, "accept these `objections`: lost-events, external, foreign-rows")
	flags.BoolVarP(&f.yes, "yes", "y", false, "don't ask")
	flags.BoolVar(&f.dry, "dry-run", false, "show the plan and touch nothing")
	flags.BoolVar(&f.TakeOver, "take-over", false, "go on with a rebuild whose process is gone, without waiting")
	flags.BoolVar(&f.cancel, "cancel", false, "end the rebuild that is under way; rows stay half built")
	flags.BoolVar(&f.status, "status", false, "show the rebuild that is under way")
	flags.StringVar(&f.group, "group", "", "with --status: the consumer `group` (default that of the service)")
	c.RunE = func(c *cobra.Command, args []string) error {
		f.Models, f.Keys, f.Allow = args, f.keys, nil
		for _, kind := range f.allow {
			f.Allow = append(f.Allow, framework.RebuildObjectionKind(kind))
			known := []framework.RebuildObjectionKind{framework.RebuildLostEvents, framework.RebuildExternal, framework.RebuildForeignRows}
			if !slices.Contains(known, framework.RebuildObjectionKind(kind)) {
				return usage(c, "--allow is lost-events, external or foreign-rows, found %q", kind)
			}
		}
		only := 0
		for _, set := range []bool{f.cancel, f.status, f.dry} {
			if set {
				only++
			}
		}
		switch {
		case only > 1:
			return usage(c, "--dry-run, --status and --cancel exclude each other")
		case (f.cancel || f.status) && len(args) > 0:
			return usage(c, "--status and --cancel take no model, found %q", args)
		case !f.cancel && !f.status && len(args) == 0:
			return usage(c, "a rebuild takes at least one model, found none")
		}
		return a.rebuild(c, &f)
	}
	return c
}

func (a *app) rebuild(c *cobra.Command, f *rebuildFlags) error {
	if f.status {
		return a.rebuildStatus(c, f.group)
	}
	if a.config == nil {
		return errNoHandlers
	}
	form, db, closeDB, err := a.open(c)
	if err != nil {
		return err
	}
	defer closeDB()
	w := c.OutOrStdout()
	switch {
	case f.dry:
		plan, err := framework.PlanRebuild(c.Context(), db, a.config, f.RebuildOptions)
		if err != nil {
			return err
		}
		if form != formatTable {
			return writeJSON(w, form, plan)
		}
		a.showPlan(w, plan)
		return nil
	case f.cancel:
		status, err := framework.CancelRebuild(c.Context(), db, a.config, nil)
		if err != nil {
			return err
		}
		return a.rebuilt(c, form, &status)
	}
	return a.runRebuild(c, form, db, f)
}

func (a *app) runRebuild(c *cobra.Command, form format, db *gorm.DB, f *rebuildFlags) error {
	said := c.ErrOrStderr()
	o := f.RebuildOptions
	o.Confirm = func(p *framework.RebuildPlan) error {
		a.showPlan(said, p)
		if f.yes {
			return nil
		}
		fmt.Fprint(said, "Go on? [y/N] ")
		answer, err := bufio.NewReader(c.InOrStdin()).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
			return &problem{code: codeError, what: "nothing was touched", next: "answer y, or give --yes"}
		}
		return nil
	}
	var last time.Time
	phase := ""
	o.Progress = func(s framework.RebuildStatus) {
		if now := a.now(); s.Phase != phase || now.Sub(last) >= time.Second {
			last, phase = now, s.Phase
			fmt.Fprintf(said, "%s: %d rows cleared, %d of %d records read, %d rows ended\n", cmp.Or(s.Phase, "done"), s.Cleared, s.Read, s.Records, s.Ended)
		}
	}
	status, err := framework.Rebuild(c.Context(), db, a.config, o)
	if err != nil {
		return err
	}
	return a.rebuilt(c, form, &status)
}

// rebuilt says how a rebuild has ended.
func (a *app) rebuilt(c *cobra.Command, form format, s *framework.RebuildStatus) error {
	w := c.OutOrStdout()
	if form != formatTable {
		return writeJSON(w, form, s)
	}
	what := "has ended"
	if s.Cancelled {
		what = "is cancelled, and its rows stay half built"
	}
	fmt.Fprintf(w, "Rebuild %s of %s %s: %d rows cleared, %d records read, %d rows ended.\n", s.ID, orNone(strings.Join(s.Tables, ", ")), what, s.Cleared, s.Read, s.Ended)
	if s.Parked > 0 || s.Letters > 0 {
		fmt.Fprintf(w, "%d events were parked on the way and %d became dead letters; `evenkeel parked` and `evenkeel dlq list` show them.\n", s.Parked, s.Letters)
	}
	return nil
}

func (a *app) rebuildStatus(c *cobra.Command, group string) error {
	if group == "" && a.config != nil {
		group = a.config.Group
	}
	if group == "" {
		return usage(c, "--status needs --group")
	}
	form, db, closeDB, err := a.open(c)
	if err != nil {
		return err
	}
	defer closeDB()
	s, err := framework.OpenRebuild(c.Context(), db, group)
	if err != nil {
		return err
	}
	if s == nil {
		return &problem{code: codeNothing, what: "no rebuild is under way"}
	}
	w := c.OutOrStdout()
	if form != formatTable {
		return writeJSON(w, form, s)
	}
	what := orNone(strings.Join(s.Tables, ", "))
	if s.Keys > 0 {
		what += fmt.Sprintf(" (%d keys)", s.Keys)
	}
	return table(w, a.width(w), a.emphasis(w), []string{"ID", "OF", "PHASE", "ROWS", "READ", "RECORDS", "BEGAN", "SEEN", "OWNER"}, [][]string{{
		orNone(s.ID), what, s.Phase, fmt.Sprint(s.Cleared), fmt.Sprint(s.Read), fmt.Sprint(s.Records), ago(a.now(), s.Began), ago(a.now(), s.Seen), orNone(s.Owner),
	}})
}

// showPlan writes a plan as people read it.
func (a *app) showPlan(w io.Writer, p *framework.RebuildPlan) {
	fmt.Fprintf(w, "A rebuild in the group %s.\n", orNone(p.Group))
	if p.Open != nil {
		fmt.Fprintf(w, "Rebuild %s of %s is under way, last seen %s (%s): the same models and keys go on with it.\n", p.Open.ID, strings.Join(p.Open.Tables, ", "), ago(a.now(), p.Open.Seen), orNone(p.Open.Owner))
	}
	for i := range p.Models {
		m := &p.Models[i]
		fmt.Fprintf(w, "\n%s (table %s", orNone(m.Model), orNone(m.Table))
		if m.Keys > 0 {
			fmt.Fprintf(w, ", %d keys", m.Keys)
		}
		fmt.Fprintln(w, ")")
		var states []string
		for _, state := range slices.Sorted(maps.Keys(m.Rows)) {
			states = append(states, fmt.Sprintf("%d %s", m.Rows[state], state))
		}
		fmt.Fprintf(w, "  rows           %s\n", orNone(strings.Join(states, ", ")))
		fmt.Fprintf(w, "  become zero    %s\n", orNone(strings.Join(m.Columns, ", ")))
		fmt.Fprintf(w, "  forgotten      %d ids; %d streams of numbers begin anew\n", m.IDs, m.Streams)
		fmt.Fprintf(w, "  left alone     %d parked events and %d open dead letters keep their outcome\n", m.Parked, m.Letters)
		if len(m.Wait) > 0 {
			fmt.Fprintf(w, "  wait meanwhile new events of %s\n", orNone(strings.Join(m.Wait, ", ")))
		}
	}
	fmt.Fprintf(w, "\nRead again: %d records of %d partitions\n", p.Records, len(p.Partitions))
	for _, part := range p.Partitions {
		fmt.Fprintf(w, "  %s/%d from %d to %d\n", orNone(part.Topic), part.Partition, part.From, part.To)
	}
	for _, o := range p.Objections {
		what := "Objection"
		if o.Allowed {
			what = "Allowed"
		}
		fmt.Fprintf(w, "\n%s (%s): %s\n  next: %s\n", what, o.Kind, safeLines(o.Detail), safeLines(o.Mend))
	}
}
