package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/framework"
)

// maxRefused is how many things that are no letters are named one by one.
const maxRefused = 20

type importSource struct {
	file, brokers, topic string
	properties           []string
	stop, dryRun         bool
}

// errDryRun undoes an import.
var errDryRun = errors.New("dry run")

func (a *app) importCommand() *cobra.Command {
	var from importSource
	c := &cobra.Command{
		Use:   "import",
		Short: "Read dead letters from a file or a topic into the table",
		Long: `Read dead letters into the table evenkeel_dead_letters: from a file that
` + "`evenkeel dlq export`" + ` wrote, or from a dead-letter topic, from its start to its
end. A letter that the table has is left as it is, so that nothing that was
dealt with comes up again, and an import can be run twice.

A topic's letters may be Evenkeel's or those of other libraries (Spring, Kafka
Connect, Kafka Streams, Watermill and others, known by their headers). Those of
others get the reason "foreign"; what they don't tell is unknown. The topic is
read without a group and nothing is committed.

What is no letter is named, with line or offset, and passed over; the exit code
is then 1. With --stop the first one ends the import.`,
		Example: `  evenkeel dlq import --file letters.jsonl
  gunzip -c letters.jsonl.gz | evenkeel dlq import --file -
  evenkeel dlq import --brokers kafka:9092 --topic orders.dlq`,
		Args: noArguments,
	}
	flags := c.Flags()
	flags.StringVarP(&from.file, "file", "f", "", "read from this `file`; - is standard input")
	flags.StringVar(&from.brokers, "brokers", "", "read from a topic of these `brokers`, host:port,host:port")
	flags.StringVar(&from.topic, "topic", "", "read from this dead-letter `topic`")
	kafkaFlag(c, &from.properties)
	flags.BoolVar(&from.stop, "stop", false, "end at the first thing that is no letter")
	flags.BoolVar(&from.dryRun, "dry-run", false, "undo it all in the end, and only tell; others wait to write letters meanwhile, on SQLite anything")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if from.file != "" && !c.Flags().Changed("brokers") && !c.Flags().Changed("kafka") {
			from.brokers, from.properties = "", nil // those of the settings are for topics
		}
		properties, err := from.check(c)
		if err != nil {
			return err
		}
		format, db, closeDB, err := a.open(c)
		if err != nil {
			return err
		}
		defer closeDB()
		bar := a.progress(c, "read", 0)
		defer bar.end()
		letters, closeFile, err := a.letters(c, from, properties, bar)
		if err != nil {
			return err
		}
		defer closeFile()
		var refused func(error) error
		if !from.stop {
			refused = namer(bar.above(c.ErrOrStderr()))
		}
		done, err := from.read(c.Context(), db, letters, refused)
		bar.end()
		if err := a.imported(c, format, done, from.dryRun); err != nil {
			return err
		}
		var record *dlq.RecordError
		var letter *dlq.LetterError
		if err != nil && from.file == "" && !errors.As(err, &record) && !errors.As(err, &letter) {
			return &problem{
				code: codeError, what: fmt.Sprintf("can't import the topic %s of %s: %v", from.topic, from.brokers, err), err: err,
				next: "check --brokers, --topic and, with SASL or TLS, --kafka, then run the import again; letters that are there are left as they are",
			}
		}
		if err != nil {
			return &problem{code: codeError, what: err.Error(), next: "mend it and run the import again; letters that are there are left as they are", err: err}
		}
		if done.Refused > 0 {
			return &problem{
				code: codeError, what: fmt.Sprintf("%s no letters", are(done.Refused, "line", "record", from.file != "")),
				next: "see above what is wrong with each; mend it and run the import again",
			}
		}
		return nil
	}
	return c
}

// read imports the letters, or only sees what that would come to.
func (s *importSource) read(ctx context.Context, db *gorm.DB, letters iter.Seq2[*dlq.Letter, error], refused func(error) error) (done dlq.Imported, err error) {
	if !s.dryRun {
		return dlq.Import(ctx, db, letters, refused)
	}
	err = db.WithContext(ctx).Transaction(func(tx *gorm.DB) (err error) {
		if done, err = dlq.Import(ctx, tx, letters, refused); err == nil {
			err = errDryRun
		}
		return err
	})
	if errors.Is(err, errDryRun) {
		err = nil
	}
	return done, err
}

// check sees that the flags name one source.
func (s *importSource) check(c *cobra.Command) (map[string]any, error) {
	switch topic := s.brokers != "" || s.topic != "" || len(s.properties) > 0; {
	case s.file == "" && s.topic == "" && !c.Flags().Changed("brokers"):
		return nil, usage(c, "where are the letters? give --file, or --brokers and --topic")
	case s.file != "" && topic:
		return nil, usage(c, "--file and --brokers, --topic or --kafka are two sources; give one")
	case topic && (s.brokers == "" || s.topic == ""):
		return nil, usage(c, "a topic is read with --brokers and --topic, found only one of them")
	}
	return kafkaProperties(c, s.properties)
}

// kafkaFlag adds --kafka.
func kafkaFlag(c *cobra.Command, to *[]string) {
	c.Flags().StringArrayVar(to, "kafka", nil, "pass a librdkafka property, `name=value`; may be repeated")
}

// kafkaProperties reads name=value; the last one of a name counts.
func kafkaProperties(c *cobra.Command, from []string) (map[string]any, error) {
	properties := map[string]any{}
	for _, p := range from {
		name, value, ok := strings.Cut(p, "=")
		if !ok || name == "" {
			// It may hold a password, so it isn't shown.
			return nil, usage(c, "--kafka takes name=value, e.g. security.protocol=SSL")
		}
		properties[name] = value
	}
	return properties, nil
}

func (a *app) letters(c *cobra.Command, from importSource, properties map[string]any, bar *progress) (iter.Seq2[*dlq.Letter, error], func(), error) {
	source := &countingReader{r: c.InOrStdin()}
	at := func() int64 { return source.n }
	switch from.file {
	case "":
		records := framework.ReadTopic(c.Context(), from.brokers, from.topic, properties)
		return bar.read(dlq.FromRecords(records, a.now()), at), func() {}, nil
	case standard:
		return bar.read(dlq.NewLineReader(source).Letters(), at), func() {}, nil
	}
	file, err := os.Open(from.file)
	if err != nil {
		next := "check the path in --file and who may read it"
		if errors.Is(err, os.ErrNotExist) {
			next = "check the path in --file; `evenkeel dlq export --file` makes one"
		}
		return nil, nil, &problem{code: codeError, what: fmt.Sprintf("can't read the file %s: %v", from.file, err), next: next, err: err}
	}
	if info, err := file.Stat(); err == nil {
		bar.total = info.Size()
	}
	source.r = file
	return bar.read(dlq.NewLineReader(source).Letters(), at), func() { _ = file.Close() }, nil
}

// namer writes what is no letter, up to a number.
func namer(w io.Writer) func(error) error {
	n := 0
	return func(err error) error {
		switch n++; {
		case n <= maxRefused:
			fmt.Fprintln(w, safe(err.Error()))
		case n == maxRefused+1:
			fmt.Fprintln(w, "more follow and are not named")
		}
		return nil
	}
}

// importedJSON is what an import did, for programs.
type importedJSON struct {
	New      int64 `json:"new"`
	Present  int64 `json:"present"`
	Copies   int64 `json:"copies"`
	Refused  int64 `json:"refused"`
	Reopened int64 `json:"reopened"`
	DryRun   bool  `json:"dry_run"`
}

func (a *app) imported(c *cobra.Command, f format, done dlq.Imported, dryRun bool) error {
	w := c.OutOrStdout()
	if f != formatTable {
		return writeJSON(w, f, importedJSON{done.New, done.Present, done.Copies, done.Refused, done.Reopened, dryRun})
	}
	text := "imported " + count(done.New, "letter")
	if dryRun {
		text = "dry run: nothing was changed; would import " + count(done.New, "letter")
	}
	if done.Present > 0 {
		text += fmt.Sprintf("; %d in the table already, left as they are", done.Present)
	}
	if done.Copies > 0 {
		text += fmt.Sprintf("; %d further copies", done.Copies)
	}
	if done.Reopened > 0 {
		text += fmt.Sprintf("; %d had been under replay, and are open: replay them again", done.Reopened)
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

func are(n int64, line, record string, isFile bool) string {
	noun := record
	if isFile {
		noun = line
	}
	if n == 1 {
		return "1 " + noun + " is"
	}
	return fmt.Sprintf("%d %ss are", n, noun)
}
