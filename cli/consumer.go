package cli

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/framework"
)

func (a *app) consumerCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "consumer",
		Short: "Look at consumer groups, pause them, and let them go on",
		Long: `Consumer groups as the database knows them: their members, which say every few
seconds that they live, where they stand in each partition, breakers that have
opened, and pauses. No broker is asked; members follow a pause within seconds.`,
		Example: `  evenkeel consumer list
  evenkeel consumer pause orders --why "the warehouse is being moved"`,
	}
	group(c)
	c.AddCommand(a.consumerListCommand(), a.consumerShowCommand(), a.controlCommand(pausing()), a.controlCommand(resuming()))
	return c
}

func (a *app) consumerListCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List consumer groups",
		Long: `List the consumer groups that the database knows. LAG is what their living
members knew of the ends of the logs when they last spoke, SEEN when the last of
them did. STATE also tells when members handle different event types: show has
them. When there is no group the exit code is 4.`,
		Example: `  evenkeel consumer list
  evenkeel consumer list -o json`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			f, db, closeDB, err := a.open(c)
			if err != nil {
				return err
			}
			defer closeDB()
			groups, err := framework.Consumers(c.Context(), db, "")
			if err != nil {
				return err
			}
			a.hideBreakers(groups)
			w := c.OutOrStdout()
			switch {
			case f != formatTable:
				err = writeAll(w, f, groups, newConsumerJSON)
			case len(groups) > 0:
				err = a.writeConsumers(w, groups)
			}
			if err == nil && len(groups) == 0 {
				err = &problem{code: codeNothing, what: "no consumer group has used this database"}
			}
			return err
		},
	}
}

func (a *app) hideBreakers(groups []framework.ConsumerGroup) {
	for _, g := range groups {
		for _, m := range g.Members {
			for i := range m.Breakers {
				m.Breakers[i].Error = a.hide.text(m.Breakers[i].Error)
			}
		}
	}
}

func (a *app) writeConsumers(w io.Writer, groups []framework.ConsumerGroup) error {
	now := a.now()
	var rows [][]string
	for i := range groups {
		g := &groups[i]
		living, lag, knownLag := 0, int64(0), false
		var seen time.Time
		for _, m := range g.Members {
			if !m.Silent {
				living++
			}
			if m.Seen.After(seen) {
				seen = m.Seen
			}
		}
		for _, p := range g.Partitions {
			if p.Lag >= 0 {
				lag, knownLag = lag+p.Lag, true
			}
		}
		rows = append(rows, []string{safe(g.Group), strconv.Itoa(living), strconv.Itoa(len(g.Partitions)), known(lag, knownLag), since(now, seen), standing(g)})
	}
	return tableKeeping(w, 0, a.width(w), a.emphasis(w), []string{"GROUP", "MEMBERS", "PARTITIONS", "LAG", "SEEN", "STATE"}, rows)
}

// standing says how a group is, the worst first.
func standing(g *framework.ConsumerGroup) string {
	var words []string
	for _, p := range g.Pauses {
		words = append(words, safe("paused: "+p.String()))
	}
	open := map[string]bool{}
	for _, m := range g.Members {
		for _, b := range m.Breakers {
			if !m.Silent && b.State == framework.BreakerOpen && !open[b.Handler] {
				open[b.Handler] = true
				words = append(words, safe("breaker open: "+b.Handler))
			}
		}
	}
	var types []string
	for _, d := range g.Differences {
		types = append(types, d.EventType)
	}
	if types = slices.Compact(types); len(types) > 0 {
		word := "members differ: " + types[0]
		if len(types) > 1 {
			word += fmt.Sprintf(" and %d more", len(types)-1)
		}
		words = append(words, safe(word))
	}
	switch {
	case len(words) > 0:
		return strings.Join(words, ", ")
	case len(g.Members) == 0:
		return "nobody runs"
	case !slices.ContainsFunc(g.Members, func(m framework.ConsumerMember) bool { return !m.Silent }):
		return "all members are silent"
	}
	return "runs"
}

func known(n int64, is bool) string {
	if !is {
		return "-"
	}
	return strconv.FormatInt(n, 10)
}

// since is how long ago a time was, or that there is none.
func since(now, at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return ago(now, at)
}

func (a *app) consumerShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show GROUP",
		Short: "Show one consumer group",
		Long: `Show a group's members, breakers that are not closed, pauses, event types and
handlers that only some of the members have, and where it stands in each
partition: NEXT is the offset after the last record whose effect is in the
database. HELD says that its member fetches nothing, since it is paused or waits
for a breaker. When there is no such group the exit code is 4.`,
		Example: `  evenkeel consumer show orders
  evenkeel consumer show orders -o json`,
		RunE: func(c *cobra.Command, args []string) error {
			name, err := groupArgument(c, args)
			if err != nil {
				return err
			}
			f, db, closeDB, err := a.open(c)
			if err != nil {
				return err
			}
			defer closeDB()
			groups, err := framework.Consumers(c.Context(), db, name)
			if err != nil {
				return err
			}
			if len(groups) == 0 {
				return noGroup(name)
			}
			a.hideBreakers(groups)
			if f != formatTable {
				return writeJSON(c.OutOrStdout(), f, newConsumerJSON(groups[0]))
			}
			return a.writeConsumer(c.OutOrStdout(), &groups[0])
		},
	}
}

func groupArgument(c *cobra.Command, args []string) (string, error) {
	if len(args) != 1 || args[0] == "" {
		return "", usage(c, "name one consumer group, found %d", len(args))
	}
	return args[0], nil
}

func noGroup(name string) error {
	return &problem{code: codeNothing, what: fmt.Sprintf("no consumer group %q has used this database", name), next: "`evenkeel consumer list` shows those that have"}
}

func (a *app) writeConsumer(w io.Writer, g *framework.ConsumerGroup) error {
	now := a.now()
	fmt.Fprintf(w, "group %s: %s\n", safe(g.Group), standing(g))
	var members, breakers, pauses, differences, partitions [][]string
	for _, m := range g.Members {
		state := "runs"
		if m.Silent {
			state = "silent"
		}
		members = append(members, []string{orNone(m.Owner), orNone(m.Version), since(now, m.Started), since(now, m.Seen), strconv.Itoa(m.Partitions), state})
		for _, b := range m.Breakers {
			probe := "-"
			if b.State == framework.BreakerOpen {
				probe = until(now, b.NextProbe)
			}
			breakers = append(breakers, []string{orNone(b.Handler), safe(string(b.State)), since(now, b.Since), fmt.Sprintf("%d of %d", b.Failed, b.Of), strconv.Itoa(b.Probes), probe, orNone(m.Owner), orNone(b.Error)})
		}
	}
	for _, p := range g.Pauses {
		pauses = append(pauses, []string{safe(p.String()), since(now, p.Since), orNone(p.By), orNone(p.Reason)})
	}
	for _, d := range g.Differences {
		differences = append(differences, []string{orNone(d.EventType), orNone(d.Handler), orNone(strings.Join(d.With, ", ")), orNone(strings.Join(d.Without, ", ")), missedBy(&d)})
	}
	for _, p := range g.Partitions {
		held := "-"
		if p.Held {
			held = "held"
		}
		partitions = append(partitions, []string{orNone(p.Topic), strconv.Itoa(int(p.Partition)), known(p.Next, p.Next >= 0), known(p.Lag, p.Lag >= 0), since(now, p.Watermark), held, orNone(p.Owner), since(now, p.Owned)})
	}
	for _, t := range []struct {
		heading []string
		rows    [][]string
	}{
		{[]string{"PAUSED", "SINCE", "BY", "WHY"}, pauses},
		{[]string{"BREAKER", "STATE", "SINCE", "FAILED", "PROBES", "NEXT", "MEMBER", "ERROR"}, breakers},
		{[]string{"ONLY SOME HANDLE", "HANDLER", "WITH", "WITHOUT", "WHERE IT IS MISSING"}, differences},
		{[]string{"MEMBER", "VERSION", "STARTED", "SEEN", "PARTITIONS", "STATE"}, members},
		{[]string{"TOPIC", "PARTITION", "NEXT", "LAG", "WATERMARK", "HELD", "OWNER", "SINCE"}, partitions},
	} {
		if len(t.rows) == 0 {
			continue
		}
		fmt.Fprintln(w)
		if err := table(w, a.width(w), a.emphasis(w), t.heading, t.rows); err != nil {
			return err
		}
	}
	if len(g.Differences) > 0 {
		fmt.Fprintf(w, "\nmembers differ in what they handle\n  next: %s\n", safe(g.Differences[0].Next))
	}
	return nil
}

// missedBy is what becomes of events where a member lacks what others have.
func missedBy(d *framework.ConsumerDifference) string {
	switch {
	case d.Letters:
		return "dead letters"
	case d.Handler == "":
		return "discarded as unhandled"
	}
	return "handled without it"
}

// control is a command that tells members something.
type control struct {
	verb, short, long, example string
	why                        bool // must be said
}

func pausing() control {
	return control{
		verb: "pause", why: true,
		short: "Let a group, a topic or a partition be",
		long: `Tell all members of a group, also those that start later, to let everything, a
topic or a partition be until resume. They follow within seconds, finish the
batch under way, and keep their partitions; records wait in Kafka. What is
parked is still tried when its time comes, unless the whole group is paused.`,
		example: `  evenkeel consumer pause orders --why "the warehouse is being moved"
  evenkeel consumer pause orders --topic orders --partition 3 --why "INC-17"`,
	}
}

func resuming() control {
	return control{
		verb:  "resume",
		short: "Let a group, a topic or a partition go on",
		long: `Take back the pauses of a group, of one topic or of one partition: a topic's
with those of its partitions, a group's with all. Members also close all
breakers that are open, and so try everything again, within seconds.`,
		example: `  evenkeel consumer resume orders
  evenkeel consumer resume orders --topic orders --why "fixed in 1.4.2"`,
	}
}

func (a *app) controlCommand(k control) *cobra.Command {
	var f struct {
		topic, as, why string
		partition      int32
		yes, dryRun    bool
	}
	c := &cobra.Command{
		Use:     k.verb + " GROUP",
		Short:   k.short,
		Long:    k.long + "\n\nExit codes: 0 done, 1 error, 4 no such group or nothing to change.",
		Example: k.example,
	}
	flags := c.Flags()
	flags.StringVar(&f.topic, "topic", "", "only this `topic`")
	flags.Int32Var(&f.partition, "partition", 0, "only this `number` of the topic")
	flags.BoolVarP(&f.yes, "yes", "y", false, "don't ask")
	flags.BoolVar(&f.dryRun, "dry-run", false, "only show what would be done")
	flags.StringVar(&f.as, "as", "", "`name` for the audit (default your user name)")
	why := "`text` for the audit that says why"
	if k.why {
		why += " (required)"
	}
	flags.StringVar(&f.why, "why", "", why)
	c.RunE = func(c *cobra.Command, args []string) error {
		name, err := groupArgument(c, args)
		if err != nil {
			return err
		}
		act := framework.ConsumerAct{Group: name, Topic: f.topic, By: dlq.Actor{Name: strings.TrimSpace(f.as), Via: "cli"}, Reason: f.why}
		if c.Flags().Changed("partition") {
			act.Partition = &f.partition
		}
		if act.By.Name == "" {
			act.By.Name = a.user()
		}
		switch {
		case act.By.Name == "":
			return usage(c, "your user has no name; give one with --as, for the audit")
		case act.Partition != nil && act.Topic == "":
			return usage(c, "--partition needs its --topic")
		case k.why && strings.TrimSpace(f.why) == "" && !f.dryRun:
			return usage(c, "--why is required: everybody who wonders is shown it")
		}
		return a.tellMembers(c, k, act, f.yes, f.dryRun)
	}
	return c
}

// toldJSON is what came of a word to the members, for programs.
type toldJSON struct {
	Changed int64 `json:"changed"` // pauses that were made or taken back
	DryRun  bool  `json:"dry_run"`
}

func (a *app) tellMembers(c *cobra.Command, k control, act framework.ConsumerAct, yes, dryRun bool) error {
	f, db, closeDB, err := a.open(c)
	if err != nil {
		return err
	}
	defer closeDB()
	groups, err := framework.Consumers(c.Context(), db, act.Group)
	if err != nil {
		return err
	}
	if len(groups) == 0 {
		return noGroup(act.Group)
	}
	of := framework.ConsumerPause{Topic: act.Topic, Partition: -1}
	if act.Partition != nil {
		of.Partition = *act.Partition
	}
	errOut := c.ErrOrStderr()
	fmt.Fprintf(errOut, "%s %s of group %s, which now is: %s\n", k.verb, safe(of.String()), safe(act.Group), standing(&groups[0]))
	told := toldJSON{DryRun: dryRun}
	if dryRun {
		return writeDone(c, f, told, dryRunText)
	}
	if !yes && !confirmed(c.InOrStdin(), errOut, k.verb) {
		return &problem{code: codeError, what: "nothing was changed", next: "answer y, or give --yes"}
	}
	var text string
	if k.verb == pausing().verb {
		changed, failed := framework.PauseConsumer(c.Context(), db, act)
		if err = failed; changed {
			told.Changed = 1
		}
		text = "paused; members follow within seconds"
	} else {
		told.Changed, err = framework.ResumeConsumer(c.Context(), db, act)
		text = fmt.Sprintf("%d taken back of what was paused; members go on, and close their breakers, within seconds", told.Changed)
	}
	var wrong *framework.ConsumerActError
	if errors.As(err, &wrong) {
		return &problem{code: codeNothing, what: fmt.Sprintf("%s: found %s, expected %s", "--"+strings.ToLower(wrong.Field), wrong.Found, wrong.Expected), next: "`evenkeel consumer show " + act.Group + "` shows what there is", err: err}
	}
	if err != nil {
		return err
	}
	if k.why && told.Changed == 0 {
		return &problem{code: codeNothing, what: of.String() + " of group " + act.Group + " was paused already", next: "`evenkeel consumer show " + act.Group + "` shows by whom"}
	}
	return writeDone(c, f, told, text)
}
