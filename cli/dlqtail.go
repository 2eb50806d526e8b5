package cli

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/framework"
)

type tailFlags struct {
	chosen        letterFlags
	brokers, from string
	properties    []string
	full          bool
}

func (a *app) tailCommand() *cobra.Command {
	var t tailFlags
	f := &t.chosen.filter
	c := &cobra.Command{
		Use:   "tail",
		Short: "Follow dead letters as they come",
		Long: `Show the last dead letters, and then each new one as it comes, until Ctrl-C. The
flags that choose letters are those of ` + "`evenkeel dlq list`" + `; with --since it
begins with all letters since then.

Letters come from the table, which is looked at each second; imported ones, and
those written more than 15 minutes after their time, don't show. With --from
they come from a dead-letter topic, and -n counts for each of its partitions:
its letters may be Evenkeel's or those of other libraries, and the copies of
letters that have changed come, too. It is read without a group, nothing is
committed, and no database is needed. What is no letter is named and passed
over.`,
		Example: `  evenkeel dlq tail --group orders
  evenkeel dlq tail --since 10m -o jsonl | jq -r .error
  evenkeel dlq tail --brokers kafka:9092 --from orders.dlq`,
		Args: noArguments,
	}
	t.chosen.flags(c, true)
	flags := c.Flags()
	flags.IntVarP(&f.Limit, "limit", "n", 10, "begin with this many of those that are there; 0 for none")
	flags.StringVar(&t.from, "from", "", "read this dead-letter `topic` instead of the table")
	flags.StringVar(&t.brokers, "brokers", "", "the topic's `brokers`, host:port,host:port")
	flags.StringArrayVar(&t.properties, "kafka", nil, "pass a librdkafka property, `name=value`; may be repeated")
	flags.BoolVar(&t.full, "full", false, "with -o jsonl: with stack and record")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := t.chosen.read(c, a.now()); err != nil {
			return err
		}
		if t.from == "" && !c.Flags().Changed("brokers") && !c.Flags().Changed("kafka") {
			t.brokers, t.properties = "", nil // those of the settings are for topics
		}
		format, err := a.format(c)
		switch {
		case err != nil:
			return err
		case format == formatJSON || format == formatYAML:
			return usage(c, "what never ends is no document; use -o jsonl")
		case f.Limit < 0:
			return usage(c, "--limit is 0 or more, found %d", f.Limit)
		case (t.from == "") != (t.brokers == ""):
			return usage(c, "a topic is read with --brokers and --from, found only one of them")
		case t.from == "" && len(t.properties) > 0:
			return usage(c, "--kafka is for reading a topic: give --brokers and --from")
		}
		if t.from != "" {
			return a.tailTopic(c, format, &t)
		}
		return a.tailTable(c, format, &t)
	}
	return c
}

func (a *app) tailTable(c *cobra.Command, f format, t *tailFlags) error {
	db, closeDB, err := a.migrated(c.Context())
	if err != nil {
		return err
	}
	defer closeDB()
	filter := t.chosen.filter
	filter.Brief = (f == formatTable || !t.full) && !a.hide.any() // what an error quotes of a record is hidden with the record
	if filter.Limit == 0 {
		filter.Limit = -1 // in a filter 0 is a default
	}
	said := ""
	for l, err := range framework.TailLetters(c.Context(), db, filter) {
		switch {
		case err == nil:
			said = ""
			if err := a.writeTail(c.OutOrStdout(), f, l, t.full); err != nil {
				return err
			}
		case said != err.Error(): // once, and it is tried again
			said = err.Error()
			fmt.Fprintln(c.ErrOrStderr(), safe(said))
		}
	}
	return nil
}

func (a *app) tailTopic(c *cobra.Command, f format, t *tailFlags) error {
	properties, err := kafkaProperties(c, t.properties)
	if err != nil {
		return err
	}
	filter := t.chosen.filter
	records := framework.FollowTopic(c.Context(), t.brokers, t.from, properties, filter.Since, int64(filter.Limit))
	filter.Since = time.Time{} // that of the records, which are where the letters begin
	return a.tailRecords(c, f, dlq.FromRecords(records, a.now()), &filter, t.full)
}

func (a *app) tailRecords(c *cobra.Command, f format, letters iter.Seq2[*dlq.Letter, error], filter *dlq.Filter, full bool) error {
	refused := namer(c.ErrOrStderr())
	for l, err := range letters {
		var none *dlq.RecordError
		switch {
		case errors.As(err, &none):
			if err := refused(err); err != nil {
				return err
			}
		case err != nil:
			return topicProblem(err)
		default:
			chosen, err := filter.Matches(l)
			if err == nil && chosen {
				err = a.writeTail(c.OutOrStdout(), f, l, full)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// topicProblem is an error of reading a topic, with what to do.
func topicProblem(err error) error {
	var missing *framework.MissingTopicError
	if errors.As(err, &missing) {
		return &problem{
			code: codeError, what: "the topic " + missing.Topic + " does not exist at " + missing.Brokers,
			next: "`evenkeel dlq topics` lists those that groups use", err: err,
		}
	}
	return &problem{code: codeError, what: err.Error(), next: "check --brokers, and with SASL or TLS --kafka", err: err}
}

// Columns of a tail: the lines before and after are not known when one is written.
const (
	tailReason = 11
	tailType   = 20
	tailEntity = 20
)

func (a *app) writeTail(w io.Writer, f format, l *dlq.Letter, full bool) error {
	l = a.hide.letter(l)
	if f != formatTable {
		return writeJSON(w, f, newLetterJSON(l, full))
	}
	made := "unknown"
	if !l.CreatedAt.IsZero() {
		made = l.CreatedAt.UTC().Format(time.RFC3339)
	}
	pad := func(s string, n int) string {
		s = fit(s, n)
		return s + strings.Repeat(" ", n-cells(s))
	}
	line := strings.Join([]string{
		pad(made, len("2006-01-02T15:04:05Z")), safe(l.ID[:min(shortID, len(l.ID))]), pad(safe(string(l.Verdict.Reason)), tailReason),
		pad(orNone(l.EventType), tailType), pad(orNone(l.Entity), tailEntity), orNone(why(l)),
	}, "  ")
	if limit := a.width(w); limit > 0 {
		line = fit(line, limit)
	}
	_, err := fmt.Fprintln(w, line)
	return err
}
