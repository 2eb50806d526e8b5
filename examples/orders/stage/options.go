package stage

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// options are what the command line says.
type options struct {
	brokers, dsn    string
	topic, group    string
	events, orders  int
	partitions      int
	seed            uint64
	json, arms      bool
	clean           bool
	helped          bool
	batch           int
	embeddedBroker  bool
	embeddedStorage bool
}

const usage = `The Evenkeel demo: a stream of a shop's events in which everything goes wrong,
consumed by Evenkeel while members are killed and added, and by a naive
consumer; an oracle that reads the same log counts what is right.

With no flags it needs nothing: broker and database are in this process.

  --events N       records, a fifth of them about shipments (default 50000)
  --orders N       orders that the others are about (default 5000)
  --partitions N   partitions of each topic (default 6)
  --seed N         the same seed makes the same stream (default 1)
  --brokers LIST   host:port,… of a real Kafka instead of the one in the process
  --dsn DSN        postgres://… of a real PostgreSQL instead of SQLite in a
                   temporary file
  --topic NAME     the orders' topic to make; also names the other topics and the
                   group (default: a new name each run)
  --clean          remove topics, groups and tables from real parts in the end;
                   without it they stay, so that you can look at them, and their
                   names are printed
  --arms           also keep the orders by hand: one transaction and one commit
                   per event
  --json           print the report as one JSON object; the result line goes to
                   stderr
  --help           this text

The last line is "result: evenkeel wrong=0 lost=0 duplicate=0 stale=0 stuck=0;
naive wrong=N"; the exit code is 0 only if Evenkeel's numbers are all 0 and N is
not.
`

func (o *options) shipmentsTopic() string { return o.topic + "-shipments" }
func (o *options) topics() []string       { return []string{o.topic, o.shipmentsTopic()} }

// flagError says which flag is wrong, what was expected and what helps.
type flagError struct{ name, found, expected, mend string }

func (f *flagError) Error() string {
	s := fmt.Sprintf("--%s: found %s, expected %s", f.name, f.found, f.expected)
	if f.mend != "" {
		s += "; " + f.mend
	}
	return s
}

// parseOptions reads the flags and reports all mistakes together.
func parseOptions(args []string) (*options, error) {
	o := &options{events: 50_000, orders: 5_000, partitions: 6, seed: 1}
	fs := flag.NewFlagSet("orders", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	var errs []error
	number := func(name string, to *int) {
		fs.Func(name, "", func(s string) error {
			n, err := strconv.Atoi(s)
			if err == nil {
				*to = n
			} else {
				errs = append(errs, &flagError{name, strconv.Quote(s), "a whole number", "e.g. --" + name + " " + strconv.Itoa(*to)})
			}
			return nil
		})
	}
	number("events", &o.events)
	number("orders", &o.orders)
	number("partitions", &o.partitions)
	fs.Func("seed", "", func(s string) error {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			errs = append(errs, &flagError{"seed", strconv.Quote(s), "a whole number from 0 on", ""})
		}
		o.seed = n
		return nil
	})
	fs.StringVar(&o.brokers, "brokers", "", "")
	fs.StringVar(&o.dsn, "dsn", "", "")
	fs.StringVar(&o.topic, "topic", "", "")
	fs.BoolVar(&o.clean, "clean", false, "")
	fs.BoolVar(&o.arms, "arms", false, "")
	fs.BoolVar(&o.json, "json", false, "")

	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		o.helped = true
		return o, nil
	case err != nil:
		return nil, fmt.Errorf("%w; --help lists the flags", err)
	case fs.NArg() > 0:
		errs = append(errs, fmt.Errorf("found the argument %q, expected flags only; --help lists them", fs.Arg(0)))
	}
	errs = append(errs, o.check()...)
	o.embeddedBroker, o.embeddedStorage = o.brokers == "", o.dsn == ""
	// Some fifty transactions whatever the size, so that the kill hits one under way.
	o.batch = min(max(o.events/50, 20), 1000)
	return o, errors.Join(errs...)
}

func (o *options) check() []error {
	var errs []error
	bad := func(name, found, expected, mend string) {
		errs = append(errs, &flagError{name, found, expected, mend})
	}
	if o.events < minEvents || o.events > 50_000_000 {
		bad("events", strconv.Itoa(o.events), fmt.Sprintf("a number from %d to 50000000", minEvents), "fewer hold too few of each mishap")
	}
	if o.orders < 1 || o.orders*minPerOrder > o.events {
		bad("orders", strconv.Itoa(o.orders), fmt.Sprintf("a number from 1 to %d, with %d events for each", max(o.events/minPerOrder, 1), minPerOrder), "lower --orders or raise --events")
	}
	if o.partitions < 1 || o.partitions > 1000 {
		bad("partitions", strconv.Itoa(o.partitions), "a number from 1 to 1000", "")
	}
	for b := range strings.SplitSeq(o.brokers, ",") {
		if host, port, ok := strings.Cut(b, ":"); o.brokers != "" && (!ok || host == "" || port == "") {
			bad("brokers", strconv.Quote(b), "host:port, several separated by commas", "e.g. --brokers localhost:9092")
		}
	}
	if o.dsn != "" && !strings.HasPrefix(o.dsn, "postgres://") && !strings.HasPrefix(o.dsn, "postgresql://") {
		// Not the value: it may hold a password.
		bad("dsn", "something else", "a URL that begins with postgres://", "e.g. --dsn postgres://user:password@localhost:5432/database")
	}
	if strings.Trim(o.topic, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") != "" || len(o.topic) > 200 {
		bad("topic", strconv.Quote(o.topic), "up to 200 letters, digits, dots, underscores and hyphens", "")
	}
	return errs
}
