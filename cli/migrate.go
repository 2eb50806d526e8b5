package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/evenkeel-go/evenkeel/framework"
)

func (a *app) migrateCommand() *cobra.Command {
	var show, check bool
	var dialect string
	c := &cobra.Command{
		Use:   "migrate",
		Short: "Make Evenkeel's tables, or bring them up to date",
		Long: `Make the tables evenkeel_* in the database, or bring them to the version that
this release needs, in one transaction. Running it again does nothing. The ek_*
columns of your own tables belong to your own migrations.

With --check nothing is changed: the exit code is 0 when the tables are as they
must be. With --print the SQL is shown and not run, and no database is needed.`,
		Example: `  evenkeel migrate --dsn postgres://orders@db.internal/orders
  evenkeel migrate --print --dialect postgres > evenkeel.sql`,
		Args: noArguments,
	}
	c.Flags().BoolVar(&check, "check", false, "only say whether the tables are up to date")
	c.Flags().BoolVar(&show, "print", false, "show the SQL and run nothing")
	c.Flags().StringVar(&dialect, "dialect", "", "with --print: postgres or sqlite (default that of the DSN, else postgres)")
	c.RunE = func(c *cobra.Command, _ []string) error {
		switch {
		case show && check:
			return usage(c, "--print and --check exclude each other")
		case dialect != "" && !show:
			return usage(c, "--dialect goes with --print")
		case show:
			return a.printSQL(c, dialect)
		}
		return a.migrate(c, check)
	}
	return c
}

func (a *app) printSQL(c *cobra.Command, dialect string) error {
	if dialect == "" {
		dsn, _ := a.resolve()
		dialect = dialectOf(dsn)
	}
	switch dialect {
	case "":
		dialect = dialectPostgres
	case dialectPostgres, dialectSQLite:
	default:
		return usage(c, "--dialect is postgres or sqlite, found %q", dialect)
	}
	text, err := framework.MigrationSQL(dialect)
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(c.OutOrStdout(), text)
	return err
}

func (a *app) migrate(c *cobra.Command, check bool) error {
	db, closeDB, err := a.connect(c.Context(), !check)
	if err != nil {
		return err
	}
	defer closeDB()
	before := framework.CheckSchema(c.Context(), db)
	if check && before != nil {
		return before
	}
	if before == nil {
		fmt.Fprintln(c.OutOrStdout(), "Evenkeel's tables are up to date.")
		return nil
	}
	if err := framework.Migrate(c.Context(), db); err != nil {
		return err
	}
	fmt.Fprintln(c.OutOrStdout(), "Evenkeel's tables are made and up to date.")
	return nil
}
