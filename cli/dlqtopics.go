package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/framework"
)

type topicFlags struct {
	brokers    string
	group      string
	properties []string
}

func (a *app) topicsCommand() *cobra.Command {
	var t topicFlags
	c := &cobra.Command{
		Use:   "topics",
		Short: "List the dead-letter topics that groups use",
		Long: `List the dead-letter topics that groups have used, with how many of the group's
letters are to be dealt with (LEFT) and how many are not on the topic yet
(UNSENT).

With --brokers the brokers are asked, too: how many partitions and records a
topic has (a compacted one has fewer than RECORDS), from when to when, its
cleanup.policy, and whose letter its newest record is. Nothing is committed.
When no topic is known the exit code is 4.`,
		Example: `  evenkeel dlq topics
  evenkeel dlq topics --brokers kafka:9092 -o jsonl | jq -r .topic`,
		Args: noArguments,
	}
	flags := c.Flags()
	flags.StringVar(&t.group, "group", "", "only of this consumer `group`")
	flags.StringVar(&t.brokers, "brokers", "", "ask these `brokers`, host:port,host:port")
	flags.StringArrayVar(&t.properties, "kafka", nil, "pass a librdkafka property, `name=value`; may be repeated")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if t.brokers == "" && c.Flags().Changed("kafka") {
			return usage(c, "--kafka is for asking brokers: give --brokers")
		}
		properties, err := kafkaProperties(c, t.properties)
		if err != nil {
			return err
		}
		return a.topics(c, &t, properties)
	}
	return c
}

// knownTopic is a topic with what the brokers tell of it.
type knownTopic struct {
	dlq.Topic
	state   *framework.TopicState // nil where the brokers were not asked
	missing bool
	dialect string // of the newest record
}

func (a *app) topics(c *cobra.Command, t *topicFlags, properties map[string]any) error {
	f, db, closeDB, err := a.open(c)
	if err != nil {
		return err
	}
	defer closeDB()
	topics, err := dlq.Topics(c.Context(), db)
	if err != nil {
		return err
	}
	known := []knownTopic{}
	for _, topic := range topics {
		if t.group != "" && topic.Group != t.group {
			continue
		}
		k := knownTopic{Topic: topic}
		if t.brokers != "" && topic.Name != "" {
			if err := k.ask(c.Context(), t.brokers, properties); err != nil {
				return topicProblem(err)
			}
		}
		known = append(known, k)
	}
	w := c.OutOrStdout()
	switch {
	case f != formatTable:
		err = writeAll(w, f, known, newTopicJSON)
	case len(known) > 0:
		err = a.writeTopics(w, known, t.brokers != "")
	}
	if err == nil && len(known) == 0 {
		err = &problem{code: codeNothing, what: "no dead-letter topic is known: a service notes its own when it starts"}
	}
	return err
}

func (k *knownTopic) ask(ctx context.Context, brokers string, properties map[string]any) error {
	state, err := framework.InspectTopic(ctx, brokers, k.Name, properties)
	var missing *framework.MissingTopicError
	if k.missing = errors.As(err, &missing); k.missing {
		return nil
	}
	if err != nil {
		return err
	}
	k.state = &state
	if state.Newest != nil {
		k.dialect = "none known"
		if reading := dlq.ReadRecord(state.Newest); reading != nil {
			k.dialect = reading.Dialect
		}
	}
	return nil
}

func (a *app) writeTopics(w io.Writer, known []knownTopic, asked bool) error {
	now := a.now()
	heading := []string{"GROUP", "TOPIC", "USED", "LEFT", "UNSENT"}
	if asked {
		heading = append(heading, "PARTITIONS", "RECORDS", "FIRST", "LAST", "CLEANUP", "NEWEST IS OF")
	}
	rows := make([][]string, 0, len(known))
	for i := range known {
		k := &known[i]
		used := "-"
		if !k.Seen.IsZero() {
			used = ago(now, k.Seen)
		}
		name := orNone(k.Name)
		if k.Name == "" {
			name = unknown
		}
		row := []string{orNone(k.Group), name, used, strconv.FormatInt(k.Left, 10), strconv.FormatInt(k.Unpublished, 10)}
		switch s := k.state; {
		case !asked:
		case k.missing:
			row = append(row, "there is none", "-", "-", "-", "-", "-")
		case s == nil:
			row = append(row, "-", "-", "-", "-", "-", "-")
		default:
			first, last := "-", "-"
			if s.Newest != nil {
				first, last = ago(now, s.Earliest), ago(now, s.Latest)
			}
			row = append(row, fmt.Sprint(s.Partitions), strconv.FormatInt(s.Records, 10), first, last, orNone(s.Cleanup), orNone(k.dialect))
		}
		rows = append(rows, row)
	}
	return table(w, a.width(w), a.emphasis(w), heading, rows)
}

// topicJSON is a dead-letter topic for programs. Names and meanings are stable; new ones may
// come. All are always there; what isn't known, or was not asked, is null, or "" for texts.
type topicJSON struct {
	Group      string  `json:"group"`
	Topic      string  `json:"topic"`
	Seen       *string `json:"seen"`
	Left       int64   `json:"left"`
	Unsent     int64   `json:"unsent"`
	Exists     *bool   `json:"exists"`
	Partitions *int32  `json:"partitions"`
	Records    *int64  `json:"records"` // offsets; after compaction there are fewer records
	Earliest   *string `json:"earliest"`
	Latest     *string `json:"latest"`
	Cleanup    string  `json:"cleanup"`
	Dialect    string  `json:"dialect"` // of the newest record
}

func newTopicJSON(k knownTopic) topicJSON {
	j := topicJSON{Group: k.Group, Topic: k.Name, Seen: timeJSON(k.Seen), Left: k.Left, Unsent: k.Unpublished, Dialect: k.dialect}
	if s := k.state; s != nil || k.missing {
		exists := !k.missing
		j.Exists = &exists
	}
	if s := k.state; s != nil {
		j.Partitions, j.Records, j.Earliest, j.Latest, j.Cleanup = &s.Partitions, &s.Records, timeJSON(s.Earliest), timeJSON(s.Latest), s.Cleanup
	}
	return j
}
