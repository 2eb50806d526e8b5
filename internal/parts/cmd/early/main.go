//go:build unix

// Command early shows what many early events cost: N events for as many keys, whose
// predecessors never come. They make placeholders, or wait for a number (-mode gap), while
// a consumer runs as it does in production. Every so often a line says how large the
// process is and how long the queries take that look at what waits; then time passes, and
// the sweeper has to clear it all away.
//
//	early -n 10000000 -dsn postgres://… [-brokers host:port] [-mode placeholder|gap]
//
// Without -brokers the broker is in the process; what has been read is deleted there, so
// that the process grows only with the consumer. Without -dsn the database is what
// EVENKEEL_TEST_POSTGRES names, else SQLite in a temporary file. A run that was interrupted goes on where it was when it is given the
// same database; -n is then still how many there are to be in the end.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"gorm.io/driver/postgres"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/evenkeel-go/evenkeel/testutil"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "early:", err)
		os.Exit(1)
	}
}

func command(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("early", flag.ContinueOnError)
	r := &run{out: os.Stdout, first: firstPoint}
	mode := string(placeholders)
	dsn := flags.String("dsn", os.Getenv(testutil.PostgresEnv), "postgres://… or file:…; default: what "+testutil.PostgresEnv+" says, else SQLite in a temporary file")
	flags.IntVar(&r.n, "n", 200_000, "how many early events")
	flags.StringVar(&r.brokers, "brokers", "", "host:port of Kafka; default: one in the process")
	flags.StringVar(&mode, "mode", mode, "placeholder, or gap for numbers that never come")
	flags.IntVar(&r.partitions, "partitions", 4, "partitions of the topic")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if r.mode = Mode(mode); r.mode != placeholders && r.mode != gaps {
		return fmt.Errorf("-mode: found %q, expected placeholder or gap", mode)
	}
	if r.n < firstPoint {
		return fmt.Errorf("-n: found %d, expected %d or more, since all is compared with what it is then", r.n, firstPoint)
	}
	if *dsn == "" {
		dir, err := os.MkdirTemp("", "evenkeel-early-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir) //nolint:errcheck // the system's own clean-up is next
		*dsn = "file:" + filepath.Join(dir, "early.db") + "?_journal_mode=WAL&_busy_timeout=20000&_txlock=immediate&_synchronous=normal"
	}
	if r.brokers == "" {
		b, err := testutil.StartKafka()
		if err != nil {
			return err
		}
		defer b.Close()
		r.brokers = b.Brokers
	}
	dialector := postgres.Open(*dsn)
	if strings.HasPrefix(*dsn, "file:") {
		dialector = sqlite.Open(*dsn)
	}
	r.db, err = gorm.Open(dialector, &gorm.Config{Logger: logger.Discard})
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	pool, err := r.db.DB()
	if err != nil {
		return err
	}
	pool.SetMaxIdleConns(20) // lanes and sweepers use several at once, again and again
	if err := r.do(ctx); err != nil {
		return err
	}
	r.compare()
	return nil
}
