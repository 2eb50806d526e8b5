package cli

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/framework"
)

func (a *app) reissueCommand() *cobra.Command {
	var f repairFlags
	var r dlq.Reissue
	var at, data string
	var number int64
	c := &cobra.Command{
		Use:   "reissue ID",
		Short: "Discard a letter and send a new event in its place",
		Long: `Discard an open letter and send a new event in its place, with a new id and what
else you say, in one step with one line in the audit. It is for what edit can't
change: type, source, key, time, number. The payload is the letter's, with its
edits, unless --data-file says otherwise.

A running member of the group sends it, most often within 15 seconds. Every
group that reads the topic gets it. The letter can't be restored afterwards.
When there is no such letter the exit code is 4.`,
		Example: `  evenkeel dlq reissue 5598dac7 --key order-18 --why "wrong order"
  evenkeel dlq reissue 5598dac7 --time now --why "its clock was wrong" --dry-run`,
	}
	flags := c.Flags()
	flags.StringVar(&r.Topic, "to", "", "send it to this `topic` (default the letter's)")
	flags.StringVar(&r.ID, "event-id", "", "the new event's `id` (default a random one)")
	flags.StringVar(&r.Type, "type", "", "the new event's `type`")
	flags.StringVar(&r.Source, "source", "", "the new event's `source`")
	flags.StringVar(&r.Key, "key", "", "the new event's `key`")
	flags.StringVar(&at, "time", "", "when it occurred: a `time`, or how long ago, or now")
	flags.Int64Var(&number, "number", 0, "the new event's `number` or version")
	flags.StringVar(&data, "data-file", "", "take the payload from this `file`")
	f.flags(c)
	c.RunE = func(c *cobra.Command, args []string) (err error) {
		if len(args) != 1 {
			return usage(c, "reissue takes one letter id, found %d arguments", len(args))
		}
		if at == "now" {
			r.OccurredAt = a.now()
		} else if at != "" {
			if r.OccurredAt, err = parseTime(a.now(), at); err != nil {
				return usage(c, "--time: %v", err)
			}
		}
		if c.Flags().Changed("number") {
			r.Version = &number
		}
		if data != "" {
			if r.Data, err = os.ReadFile(data); err != nil { //nolint:gosec // the file that the user names
				return &problem{code: codeError, what: err.Error(), next: "nothing was changed", err: err}
			}
		}
		return a.reissue(c, &f, r, args[0])
	}
	return c
}

func (a *app) reissue(c *cobra.Command, f *repairFlags, r dlq.Reissue, id string) error {
	begun, err := f.begin(a, c, id)
	if err != nil {
		return err
	}
	defer begun.closeDB()
	l := begun.letter
	r.Ref, r.Codec = l.Ref(), a.codecFor(l)
	m, newID, err := r.Message(l)
	if err != nil {
		return refusal(c, err)
	}
	r.ID = newID
	fmt.Fprintf(c.ErrOrStderr(), "%s\nto be discarded, and sent to %s as event %s:\n%s", a.line(l), safe(m.Topic), safe(newID),
		a.diff(l.Revised(), &event.Record{Value: m.Value, Headers: m.Headers}))
	out := repairedJSON{Letter: l.ID, DryRun: f.dryRun, EventID: newID, Topic: m.Topic}
	if ok, err := f.goAhead(c, "reissue"); err != nil {
		return err
	} else if !ok {
		return writeDone(c, begun.format, out, dryRunText)
	}
	done, err := framework.Reissue(c.Context(), begun.db, r, begun.act)
	if err != nil {
		return refusal(c, err)
	}
	out.Done, out.EventID, out.Topic = true, done.ID, done.Topic
	return writeDone(c, begun.format, out, fmt.Sprintf("reissued as event %s on %s; a running member of %s sends it", safe(done.ID), safe(done.Topic), safe(l.Group)))
}

// republishing sends records to where they came from.
func republishing() moving {
	var to, brokers string
	var properties []string
	return moving{
		verb: "republish", past: "handed over to be sent", from: dlq.Open, why: true,
		short: "Send letters' records to their topic once more",
		long: `Send the records of letters to their topic once more, or to another one, as they
came and whatever their edits say. Every group that reads the topic gets them,
also those that had no trouble with them: to judge letters again in their own
group alone, replay them. The letters stay as they are.

Before you are asked you are told how many go to which topic, and which groups
read it: those of this database, and with --brokers all that have a position in
it. A running member of the letters' group sends them, with the headers
evenkeel-replay-id and evenkeel-hops. What has become a letter more than 3 times
is refused.`,
		example: `  evenkeel dlq republish 5598dac7 --why "billing lost it, ticket 4711"
  evenkeel dlq republish --type order.paid --to orders.again --why "for billing"`,
		warns: func(c *cobra.Command, db *gorm.DB, refs []dlq.Ref) (err error) {
			topics := []dlq.TopicCount{{Topic: to, Letters: int64(len(refs))}}
			if to == "" {
				if topics, err = dlq.SourceTopics(c.Context(), db, refs); err != nil {
					return err
				}
			}
			return tellReaders(c, db, topics, brokers, properties)
		},
		flags: func(c *cobra.Command) {
			c.Flags().StringVar(&to, "to", "", "send them to this `topic` (default where they came from)")
			c.Flags().StringVar(&brokers, "brokers", "", "ask these `brokers` which groups read the topic")
			kafkaFlag(c, &properties)
		},
		act: republisher(&to),
	}
}

// tellReaders says whom records reach that are sent to topics. Brokers that don't answer keep
// nobody from sending: a member does that.
func tellReaders(c *cobra.Command, db *gorm.DB, topics []dlq.TopicCount, brokers string, properties []string) error {
	kafka, err := kafkaProperties(c, properties)
	if err != nil {
		return err
	}
	groups, err := framework.Consumers(c.Context(), db, "")
	if err != nil {
		return err
	}
	w, asked := c.ErrOrStderr(), brokers != ""
	fmt.Fprintln(w, "every group that reads a topic gets what is sent there:")
	for _, t := range topics {
		known := "groups of this database: " + cmp.Or(strings.Join(readersOf(groups, t.Topic), ", "), "none")
		if brokers != "" {
			found, err := framework.TopicReaders(c.Context(), brokers, t.Topic, kafka)
			if err != nil {
				known += "; others could not be learned from " + brokers + ": " + err.Error()
				brokers = "" // nor would the next ones
			} else {
				known = "groups that have a position in it: " + cmp.Or(strings.Join(found, ", "), "none")
			}
		}
		fmt.Fprintf(w, "  %s to %s; %s\n", letters(int(t.Letters)), orNone(t.Topic), safe(known))
	}
	if !asked {
		fmt.Fprint(w, "groups with another database are not known here: give --brokers, or ask\n`kafka-consumer-groups.sh --describe --all-groups`\n")
	}
	return nil
}

// readersOf are the groups that have read the topic into the database.
func readersOf(groups []framework.ConsumerGroup, topic string) (names []string) {
	for _, g := range groups {
		if slices.ContainsFunc(g.Partitions, func(p framework.ConsumerPartition) bool { return p.Topic == topic }) {
			names = append(names, g.Group)
		}
	}
	return names
}
