package cli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/evenkeel-go/evenkeel/dlq"
)

// filterFlags gives c the flags that choose letters. The function that it returns fills in
// what depends on the time.
func (a *app) filterFlags(c *cobra.Command, f *dlq.Filter) func() error {
	var since, until string
	flags := c.Flags()
	flags.StringVar(&f.Group, "group", "", "only of this consumer `group`")
	flags.StringVar((*string)(&f.Reason), "reason", "", "only with this `reason`, e.g. late, poison, exhausted")
	flags.StringVar((*string)(&f.State), "state", "", "only in this `state`, e.g. open")
	flags.StringVar(&f.EventType, "type", "", "only of this event `type`")
	flags.StringVar(&f.EventID, "event-id", "", "only of the event with this `id`")
	flags.StringVar(&f.Handler, "handler", "", "only of this handler `name`")
	flags.StringVar(&f.Table, "table", "", "only for entities of this `table`")
	flags.StringVar(&f.Entity, "entity", "", "only for the entity with this `key`")
	flags.StringVar(&f.Topic, "topic", "", "only of events that came from this `topic`")
	flags.StringVar(&f.Fingerprint, "fingerprint", "", "only with this `cause`, as dlq show tells it")
	flags.StringVar(&since, "since", "", "only letters made at or after this `time`")
	flags.StringVar(&until, "until", "", "only letters made before this `time`")
	return func() error {
		now := a.now()
		for _, bound := range []struct {
			flag, text string
			at         *time.Time
		}{{"since", since, &f.Since}, {"until", until, &f.Until}} {
			if bound.text == "" {
				continue
			}
			t, err := parseTime(now, bound.text)
			if err != nil {
				return usage(c, "--%s: %v", bound.flag, err)
			}
			*bound.at = t
		}
		return nil
	}
}
