//go:build unix

// Command letters shows what many dead letters cost those who look at them: it makes N of
// them, by importing, and says how long what people ask takes, and how large the process is.
//
//	letters -n 1000000 -dsn postgres://…
//
// Without -dsn the database is what EVENKEEL_TEST_POSTGRES names. It must be an empty one.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/dlq/letterfilter"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/parts/measure"
	"github.com/evenkeel-go/evenkeel/testutil"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "letters:", err)
		os.Exit(1)
	}
}

func command(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("letters", flag.ContinueOnError)
	dsn := flags.String("dsn", os.Getenv(testutil.PostgresEnv), "postgres://…; default: what "+testutil.PostgresEnv+" says")
	n := flags.Int("n", 1_000_000, "how many letters")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *dsn == "" {
		return errors.New("-dsn is empty, expected postgres://…")
	}
	db, err := gorm.Open(postgres.Open(*dsn), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		return err
	}
	if err := framework.Migrate(ctx, db); err != nil {
		return err
	}
	return ask(ctx, db, *n, out)
}

// now is the program's clock.
func now() time.Time { return time.Now() }

// ask makes the letters and asks what people ask.
func ask(ctx context.Context, db *gorm.DB, n int, out io.Writer) error {
	at := now()
	largest := peak()
	began := at
	imported, err := dlq.Import(ctx, db, made(n, at), nil)
	took := now().Sub(began)
	if err != nil {
		return err
	}
	if imported.New != int64(n) {
		return fmt.Errorf("%d letters are new, expected %d: is the database empty?", imported.New, n)
	}
	tell(out, "import", took, fmt.Sprintf("%.0f letters/s, RSS at most %s", float64(n)/took.Seconds(), largest()))

	hour := at.Add(-time.Hour)
	big, err := letterfilter.Compile("payload.total > 99900 && letter.attempts >= 3", at)
	if err != nil {
		return err
	}
	matches := func(l *dlq.Letter) (bool, error) { return big.Match(ctx, l) }
	list := func(f dlq.Filter) func() (string, error) {
		f.Brief = f.Match == nil
		return func() (string, error) {
			letters, err := dlq.List(ctx, db, f)
			return strconv.Itoa(len(letters)) + " shown", err
		}
	}
	counted := func(f dlq.Filter) func() (string, error) {
		return func() (string, error) {
			n, err := dlq.Count(ctx, db, f)
			return strconv.FormatInt(n, 10) + " counted", err
		}
	}
	groups := func(f dlq.Filter) func() (string, error) {
		return func() (string, error) {
			groups, err := dlq.Groups(ctx, db, f, at)
			return strconv.Itoa(len(groups)) + " groups", err
		}
	}
	for _, q := range []struct {
		what string
		ask  func() (string, error)
	}{
		{"groups", groups(dlq.Filter{Limit: 50})},
		{"groups --since 1h", groups(dlq.Filter{Limit: 50, Since: hour})},
		{"stats", func() (string, error) {
			s, err := dlq.ReadStats(ctx, db, dlq.Filter{})
			if err != nil {
				return "", err
			}
			return strconv.Itoa(len(s.ByState)) + " states", nil
		}},
		{"list", list(dlq.Filter{})},
		{"list --group --state open --reason late", list(dlq.Filter{Group: group, State: dlq.Open, Reason: guards.Late})},
		{"list --fingerprint", list(dlq.Filter{Fingerprint: causes()[3].fingerprint})},
		{"list --group --table --entity", list(dlq.Filter{Group: group, Table: "orders", Entity: "order-77"})},
		{"list --event-id", list(dlq.Filter{EventID: "e-777"})},
		{"list --since 1h", list(dlq.Filter{Since: hour})},
		{"list --type (no index)", list(dlq.Filter{EventType: "order.rare"})},
		{"count --fingerprint", counted(dlq.Filter{Fingerprint: causes()[3].fingerprint})},
		{"search TEXT (reads all)", counted(dlq.Filter{Text: "no such thing"})},
		{"list --filter (streams)", list(dlq.Filter{Match: matches})},
		{"count --filter (reads all)", counted(dlq.Filter{Match: matches})},
	} {
		largest := peak()
		var found string
		best, err := measure.Best(func() (err error) {
			found, err = q.ask()
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", q.what, err)
		}
		tell(out, q.what, best, found+", RSS at most "+largest())
	}
	largest = peak()
	began = now()
	exported, err := dlq.Export(ctx, db, io.Discard, dlq.Filter{})
	took = now().Sub(began)
	if err != nil {
		return err
	}
	tell(out, "export", took, fmt.Sprintf("%d letters, %.0f letters/s, RSS at most %s", exported, float64(exported)/took.Seconds(), largest()))
	return nil
}

func tell(out io.Writer, what string, took time.Duration, more string) {
	fmt.Fprintf(out, "%-40s %9.1f ms  %s\n", what, float64(took.Microseconds())/1000, more)
}

const group = "orders"

type cause struct {
	fingerprint, eventType, handler, text string
	reason                                guards.Reason
}

// causes are what the letters come from.
func causes() []cause {
	var all []cause
	for i, r := range []guards.Reason{guards.Exhausted, guards.Poison, guards.Late, guards.Rejected, guards.Constraint} {
		for j := range 8 {
			all = append(all, cause{
				fingerprint: fmt.Sprintf("%016x", 0xfee1<<16+i*100+j), reason: r, handler: "handler-" + strconv.Itoa(j),
				eventType: "order." + strconv.Itoa(j), text: fmt.Sprintf("%s: it failed in way %d", r, j),
			})
		}
	}
	return all
}

// made are letters of the last 30 days, nine of ten resolved, in no order.
func made(n int, at time.Time) iter.Seq2[*dlq.Letter, error] {
	return func(yield func(*dlq.Letter, error) bool) {
		rng := rand.New(rand.NewPCG(1, uint64(n))) //nolint:gosec // repeatable on purpose
		all := causes()
		stack := "goroutine 1 [running]:\n" + strings.Repeat("main.handler(0x1)\n\t/app/main.go:12 +0x1d\n", 12)
		for i := range n {
			c := all[min(rng.IntN(len(all)), rng.IntN(len(all)))]
			entity := fmt.Sprintf("order-%d", i%(n/10+1))
			made := at.Add(-time.Duration(rng.Int64N(int64(30 * 24 * time.Hour)))).Truncate(time.Microsecond)
			r := &event.Record{
				Coordinates: event.Coordinates{Cluster: "c", Topic: "orders", TopicID: "AAAAAAAAAAAAAAAAAAAAAQ", Partition: int32(i % 12), Offset: int64(i / 12)},
				Key:         []byte(entity), Timestamp: made.Add(-time.Minute), TimestampType: event.TimestampCreate,
				Value:   fmt.Appendf(nil, `{"id":"e-%d","total":%d,"customer":"c-%d","note":"%s"}`, i, rng.IntN(100_000), i%1000, strings.Repeat("x", 300)),
				Headers: []event.Header{{Key: "traceparent", Value: []byte("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")}},
			}
			l := &dlq.Letter{
				ID: dlq.UnitID(r.Coordinates, group, c.handler, entity), Rev: 1, State: dlq.Open, Place: int64(i),
				Group: group, Handler: c.handler, Table: "orders", Entity: entity,
				Verdict:   guards.Verdict{Action: guards.DeadLetter, Reason: c.reason, Detail: c.text},
				EventType: c.eventType, Source: "/shop", EventID: fmt.Sprintf("e-%d", i), OccurredAt: made.Add(-time.Hour),
				Stamp: event.Stamp{Time: made.Add(-time.Hour).UnixMicro()}, Attempts: 1 + rng.IntN(10),
				FirstFailed: made.Add(-time.Minute), LastFailed: made, ErrorType: "*main.Error", Error: c.text, Stack: stack,
				Fingerprint: c.fingerprint, ServiceVersion: "v1.4.2", CreatedAt: made, PublishedAt: made, Record: r,
			}
			if rng.IntN(10) > 0 {
				l.State, l.Outcome = dlq.Resolved, dlq.OutcomeApplied
			}
			if !yield(l, nil) {
				return
			}
		}
	}
}

// peak watches how large the process becomes until what it returns is called, which tells.
func peak() func() string {
	runtime.GC()
	done, most := make(chan struct{}), make(chan uint64)
	go func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		largest := measure.RSS()
		for {
			select {
			case <-done:
				most <- max(largest, measure.RSS())
				return
			case <-tick.C:
				largest = max(largest, measure.RSS())
			}
		}
	}()
	return func() string {
		close(done)
		return fmt.Sprintf("%d MiB", <-most>>20)
	}
}
