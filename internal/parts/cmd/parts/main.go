//go:build unix

// Command parts starts Apache Kafka and PostgreSQL for the Makefile:
//
//	parts check                          says in one line what Apache Kafka needs and is missing
//	parts kafka [-port N] [-brokers N]   until Ctrl-C
//	parts postgres [-port N]             until Ctrl-C
//	parts run [-kafka] [-postgres] COMMAND…   for as long as the command takes, with the
//	                                          environment that package testutil reads
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/evenkeel-go/evenkeel/internal/parts/kafka"
	"github.com/evenkeel-go/evenkeel/internal/parts/postgres"
	"github.com/evenkeel-go/evenkeel/testutil"
)

const usage = "usage: parts check|kafka|postgres|run [options]; parts kafka -h lists them"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		os.Exit(max(exit.ExitCode(), 1)) // the command has said what is wrong
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	switch name, args := args[0], args[1:]; name {
	case "check":
		return kafka.Check(ctx)
	case "kafka":
		return runKafka(ctx, args, out)
	case "postgres":
		return runPostgres(ctx, args, out)
	case "run":
		return runCommand(ctx, args, out)
	default:
		return errors.New(usage)
	}
}

func runKafka(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("kafka", flag.ContinueOnError)
	var config kafka.Config
	flags.IntVar(&config.Port, "port", 0, "port of the first broker (default: a free one)")
	flags.IntVar(&config.Brokers, "brokers", 1, "how many brokers")
	if err := flags.Parse(args); err != nil {
		return err
	}
	fmt.Fprintf(out, "Apache Kafka %s is starting …\n", kafka.Version)
	cluster, err := kafka.Start(ctx, config)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "bootstrap.servers: %s\nCtrl-C stops it; what is in it is then gone.\n", cluster.Brokers())
	<-ctx.Done()
	return cluster.Close()
}

func runPostgres(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("postgres", flag.ContinueOnError)
	port := flags.Int("port", 0, "port (default: a free one)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	fmt.Fprintf(out, "PostgreSQL %s is starting …\n", postgres.Version)
	server, err := testutil.StartPostgres(ctx, testutil.PostgresPort(*port))
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "DSN: %s\nCtrl-C stops it; what is in it is then gone.\n", server.DSN())
	<-ctx.Done()
	return server.Close()
}

// runCommand starts what is asked for, runs the command and stops it all.
func runCommand(ctx context.Context, args []string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("run", flag.ContinueOnError)
	withKafka := flags.Bool("kafka", false, "start Apache Kafka and set "+testutil.KafkaEnv)
	withPostgres := flags.Bool("postgres", false, "start PostgreSQL and set "+testutil.PostgresEnv)
	if err := flags.Parse(args); err != nil {
		return err
	}
	command := flags.Args()
	if len(command) == 0 {
		return errors.New("usage: parts run [-kafka] [-postgres] COMMAND…")
	}
	env := os.Environ()
	if *withKafka {
		fmt.Fprintf(out, "Apache Kafka %s is starting …\n", kafka.Version)
		cluster, startErr := kafka.Start(ctx, kafka.Config{})
		if startErr != nil {
			return startErr
		}
		defer func() { err = errors.Join(err, cluster.Close()) }()
		env = append(env, testutil.KafkaEnv+"="+cluster.Brokers())
	}
	if *withPostgres {
		fmt.Fprintf(out, "PostgreSQL %s is starting …\n", postgres.Version)
		server, startErr := postgres.Start(ctx, postgres.Config{})
		if startErr != nil {
			return startErr
		}
		defer func() { err = errors.Join(err, server.Close()) }()
		env = append(env, testutil.PostgresEnv+"="+server.DSN())
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...) //nolint:gosec // G204: what the user asks for
	// Ctrl-C reaches the command by itself, and it may have something to finish.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = env, os.Stdin, out, os.Stderr
	return cmd.Run()
}
