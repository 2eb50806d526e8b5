package cli

import (
	"context"
	"io"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/evenkeel-go/evenkeel/framework"
)

// environment is what the commands know of the world, so that tests can say what it is.
type environment struct {
	getenv func(string) string
	now    func() time.Time
	// columns is the width of the terminal that w is, and 0 when it is none.
	columns func(w io.Writer) int
	// user is who runs the command.
	user func() string
}

// Command returns the command evenkeel with all its subcommands. Its errors are for
// people; [ExitCode] says how a process ends with them.
func Command(options ...Option) *cobra.Command {
	return command(environment{
		getenv:  os.Getenv,
		now:     time.Now, //nolint:forbidigo // the commands' one clock; tests give another
		columns: terminalColumns,
		user:    osUser,
	}, options...)
}

// osUser is the name of the user at the operating system, "" where it has none.
func osUser() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return os.Getenv("USER")
}

// Option says what a command is mounted in.
type Option func(*app)

// WithConfig gives the command the configuration of the service that it is mounted in, for
// what has to run handlers: evenkeel rebuild, and the verdicts of evenkeel dlq replay --dry-run.
func WithConfig(config *framework.Config) Option { return func(a *app) { a.config = config } }

// Execute runs root with the process's arguments, writes an error to its error output,
// and returns the exit code.
func Execute(ctx context.Context, root *cobra.Command) int {
	err := root.ExecuteContext(ctx)
	report(root.ErrOrStderr(), err)
	return ExitCode(err)
}

func command(env environment, options ...Option) *cobra.Command {
	a := &app{environment: env}
	for _, o := range options {
		o(a)
	}
	root := &cobra.Command{
		Use:   "evenkeel",
		Short: "Look after Kafka consumers that keep a database right",
		Long: `Evenkeel keeps a database right although Kafka's events arrive duplicated, late,
early and out of order. This command shows what could not be applied and why,
decides what becomes of it, and makes the tables that Evenkeel needs.

Flags may also be set by variables of the environment, as ` + dsnVariable + ` for
--dsn, or by keys of the file ` + settingsName + `, which is looked for here and in
$XDG_CONFIG_HOME/evenkeel: as, brokers, dsn, group, kafka, output and redact,
and contexts of these by name. A flag goes before a variable, that before the
file; what hides fields adds up. A rule of --redact is a path as
payload.card.number (* is any one field, ** any number of them), payload,
header.NAME, column.NAME, key or error. A path also hides the columns of rows
that have its last name.

Exit codes: 0 done, 1 error, 2 wrong usage, 3 partly done, 4 nothing found.`,
		Example: `  export ` + dsnVariable + `=postgres://orders@db.internal/orders
  evenkeel dlq list --since 1h
  evenkeel dlq show 5598dac7`,
	}
	group(root)
	flags := root.PersistentFlags()
	flags.StringVar(&a.dsn, "dsn", "", "database, postgres://… or file:/path")
	flags.StringVarP(&a.output, "output", "o", "table", "`format`: table, json, jsonl or yaml")
	flags.StringArrayVar(&a.redact, "redact", nil, "hide a `field` of payloads, or a header; may be repeated")
	flags.StringVar(&a.settings, "config", "", "read settings from this `file` (default "+settingsName+")")
	flags.StringVar(&a.context, "context", "", "take the settings of this `name` in the file")
	letters := &cobra.Command{
		Use:   "dlq",
		Short: "Look at dead letters, and decide what becomes of them",
		Long: `A dead letter is an event that Evenkeel could not or must not apply, kept in the
table evenkeel_dead_letters with its bytes, the reason and the numbers compared.

It is open until somebody decides: replay judges it once more, discard ends it
without effect, restore opens it again. ` + "`evenkeel audit`" + ` tells who did what.

Letters are chosen by flags that must all hold. --filter takes an expression in
CEL (https://cel.dev), over the fields of the letter as dlq show -o json names
them, the JSON payload, the headers by name, and now:

  letter.attempts >= 3 && payload.total > 100
  now - letter.created_at > duration("6h") && headers["tenant"] == "acme"

It reads all letters that the other flags choose. One whose payload has not what
it asks for is not chosen, and counted; has(payload.total) tells beforehand.`,
		Example: `  evenkeel dlq groups --since 1d
  evenkeel dlq discard --fingerprint 8f1d --why "test data" --dry-run`,
	}
	group(letters)
	letters.AddCommand(
		a.listCommand(),
		a.showCommand(),
		a.explainLetterCommand(),
		a.searchCommand(),
		a.groupsCommand(),
		a.statsCommand(),
		a.tailCommand(),
		a.topicsCommand(),
		a.moveCommand(replaying()),
		a.moveCommand(cancelling()),
		a.moveCommand(discarding()),
		a.moveCommand(restoring()),
		a.editCommand(),
		a.reissueCommand(),
		a.moveCommand(republishing()),
		a.purgeCommand(),
		a.noteCommand(),
		a.exportCommand(),
		a.importCommand(),
	)
	root.AddCommand(
		a.auditCommand(),
		a.consumerCommand(),
		a.doctorCommand(),
		a.entityCommand(),
		a.explainCommand(),
		a.jobsCommand(),
		a.migrateCommand(),
		letters,
		a.parkedCommand(),
		a.placeholdersCommand(),
		a.rebuildCommand(),
		a.streamsCommand(),
		a.versionCommand(),
	)
	// The subcommands inherit these two.
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), ".FlagUsages", ".FlagUsagesWrapped 80"))
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return usage(c, "%v", err) })
	a.finish(root)
	return root
}

// app carries the flags that all commands share.
type app struct {
	environment
	dsn      string
	output   string
	redact   []string
	settings string // the file's path
	context  string
	config   *framework.Config // nil in the stand-alone binary

	// from says where the settings come from that no flag gave, and hide what must not be
	// shown, once the command runs.
	from map[string]string
	hide *redactor
}

// finish gives all commands what they have in common: settings from elsewhere than flags,
// words to complete flags with, and errors that are left to the caller, also under a root
// that isn't ours.
func (a *app) finish(c *cobra.Command) {
	c.SilenceErrors, c.SilenceUsage = true, true
	complete(c)
	for _, sub := range c.Commands() {
		a.finish(sub)
	}
	if run := c.RunE; run != nil && !c.HasSubCommands() {
		c.RunE = func(c *cobra.Command, args []string) error {
			if err := a.settle(c); err != nil {
				return err
			}
			missed := withUnanswered(c)
			defer missed.tell(c)
			return run(c, args)
		}
	}
}

// group makes c a command that does nothing itself: alone it shows its help, and a word
// that is no subcommand is wrong usage.
func group(c *cobra.Command) {
	c.Args = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		hint := ""
		if names := c.SuggestionsFor(args[0]); len(names) > 0 {
			hint = `, did you mean "` + strings.Join(names, `" or "`) + `"?`
		}
		return usage(c, "there is no command %q%s", args[0], hint)
	}
	c.SuggestionsMinimumDistance = 2
	c.DisableFlagsInUseLine = true
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
}

func noArguments(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage(c, "%s takes no arguments, found %q", c.Name(), args[0])
	}
	return nil
}
