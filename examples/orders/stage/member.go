package stage

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/evenkeel-go/evenkeel/examples/orders/service"
	"github.com/evenkeel-go/evenkeel/framework"
)

// memberCommand is the hidden subcommand of a child process: one member of the group.
const memberCommand = "member"

// memberConfig is what a member is told on its standard input, in one line. Not on the
// command line, which anybody can read and which would show a database's password.
type memberConfig struct {
	DSN      string
	Settings service.Settings
}

// memberReport is what a member says on its standard output: a line after each batch, so
// that what it did before it was killed is known, and now and then.
type memberReport struct {
	Records, Made int64
	Partitions    int
	Verdicts      map[string]int64
	Error         string
}

const reportEvery = 100 * time.Millisecond

// batches hears of committed batches.
type batches chan struct{}

// OnBatch must not block: a report that is due already will tell of this batch too.
func (b batches) OnBatch(framework.Batch) {
	select {
	case b <- struct{}{}:
	default:
	}
}

// stopBound is how long a member may take to stop: the framework's own bounds, and a bit.
const stopBound = 20*time.Second + framework.HardStop + 10*time.Second

// member runs until its standard input ends, which happens too when the parent dies in
// whatever way.
func member(stdin io.Reader, stdout, stderr io.Writer) int {
	// Ctrl-C goes to the whole process group; only the parent decides.
	signal.Ignore(os.Interrupt)
	logrus.SetOutput(stderr)
	out := json.NewEncoder(stdout)
	fail := func(err error) int {
		fmt.Fprintln(stderr, err)
		out.Encode(memberReport{Error: err.Error()}) //nolint:errcheck,errchkjson // the parent is gone then
		return 1
	}
	in := bufio.NewReader(stdin)
	line, err := in.ReadBytes('\n')
	if err != nil {
		return fail(fmt.Errorf("a member is started by the demo itself: %w", err))
	}
	var config memberConfig
	if err := json.Unmarshal(line, &config); err != nil {
		return fail(err)
	}
	db, err := service.Open(config.DSN)
	if err != nil {
		return fail(err)
	}
	defer closeDB(db)
	heard := make(batches, 1)
	consumer, err := service.Consumer(db, config.Settings, heard)
	if err != nil {
		return fail(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		// Owned by the process: it ends with it.
		io.Copy(io.Discard, in) //nolint:errcheck // ends when the parent says so or dies
		cancel()
		late, stop := every(stopBound)
		defer stop()
		<-late
		os.Exit(1)
	}()
	done := make(chan error, 1)
	go func() { done <- consumer.Run(ctx) }()
	tick, stop := every(reportEvery)
	defer stop()
	for {
		select {
		case err := <-done:
			if err != nil {
				return fail(err)
			}
			out.Encode(reportOf(consumer)) //nolint:errcheck,errchkjson // as above
			return 0
		case <-heard:
		case <-tick:
		}
		if err := out.Encode(reportOf(consumer)); err != nil {
			cancel()
		}
	}
}

func reportOf(c *framework.Consumer) memberReport {
	s := c.Stats()
	return memberReport{
		Records: s.Records, Made: s.PlaceholdersMade,
		Partitions: len(s.Partitions), Verdicts: s.Verdicts,
	}
}
