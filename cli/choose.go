package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/evenkeel-go/evenkeel/dlq"
)

// letterFlags are the flags that choose letters, the same for all commands.
type letterFlags struct {
	filter             dlq.Filter
	since, until, expr string
}

// flags adds them to a command; states: --state is one of them.
func (l *letterFlags) flags(c *cobra.Command, states bool) {
	f, flags := &l.filter, c.Flags()
	flags.StringVar(&f.Group, "group", "", "only of this consumer `group`")
	flags.StringVar((*string)(&f.Reason), "reason", "", "only with this `reason`, e.g. late, poison, exhausted")
	if states {
		flags.StringVar((*string)(&f.State), "state", "", "only in this `state`, e.g. open")
	}
	flags.StringVar(&f.EventType, "type", "", "only of this event `type`")
	flags.StringVar(&f.EventID, "event-id", "", "only of the event with this `id`")
	flags.StringVar(&f.Handler, "handler", "", "only of this handler `name`")
	flags.StringVar(&f.Table, "table", "", "only for entities of this `table`")
	flags.StringVar(&f.Entity, "entity", "", "only for the entity with this `key`")
	flags.StringVar(&f.Topic, "topic", "", "only of events that came from this `topic`")
	flags.StringVar(&f.Fingerprint, "fingerprint", "", "only with this `cause`, as dlq show tells it")
	flags.StringVar(&l.since, "since", "", "only letters made at or after this `time`")
	flags.StringVar(&l.until, "until", "", "only letters made before this `time`")
	flags.StringVar(&l.expr, "filter", "", "only where this CEL `expression` holds, see dlq --help")
}

// read takes the times and the expression from the flags, and looks at their words.
func (l *letterFlags) read(c *cobra.Command, now time.Time) error {
	if err := bounds(c, now, l.since, l.until, &l.filter.Since, &l.filter.Until); err != nil {
		return err
	}
	if s := l.filter.State; s != "" && !slices.Contains(dlq.States(), s) {
		return usage(c, "--state is one of %s, found %q", list(dlq.States()), s)
	}
	return l.readFilter(c, now)
}

// bounds reads --since and --until.
func bounds(c *cobra.Command, now time.Time, since, until string, from, to *time.Time) error {
	for _, b := range []struct {
		flag, text string
		at         *time.Time
	}{{"since", since, from}, {"until", until, to}} {
		if b.text == "" {
			continue
		}
		t, err := parseTime(now, b.text)
		if err != nil {
			return usage(c, "--%s: %v", b.flag, err)
		}
		*b.at = t
	}
	return nil
}

// words are the flags that were given to choose letters, as the audit keeps them: times as
// what they came to, and with what the settings add to them. None given is no word.
func (l *letterFlags) words(c *cobra.Command) string {
	var words []string
	own := &cobra.Command{}
	(&letterFlags{}).flags(own, true)
	given := c.Flags().Changed("all")
	c.Flags().Visit(func(f *pflag.Flag) { given = given || own.Flags().Lookup(f.Name) != nil })
	if !given {
		return ""
	}
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if own.Flags().Lookup(f.Name) == nil || f.Value.String() == "" {
			return
		}
		value := f.Value.String()
		switch f.Name {
		case "since":
			value = instant(l.filter.Since)
		case "until":
			value = instant(l.filter.Until)
		}
		words = append(words, fmt.Sprintf("%s %s", f.Name, value))
	})
	return strings.Join(words, ", ")
}
