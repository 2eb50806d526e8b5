package framework_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

func ExampleConfig() {
	cfg := framework.Config{
		Brokers: "localhost:9092", Group: "orders", Topics: []string{"orders"},
		DeadLetterTopic: "orders.dlq", Handlers: handlers.NewRegistry(),
		Codecs: map[string]event.Codec{"orders": event.CloudEvents()},
		Kafka:  map[string]any{"security.protocol": "SASL_SSL"}, // any librdkafka property but those that the framework owns
	}
	full := cfg.WithDefaults()
	fmt.Println(full.Protocol, full.Start, full.Codec.Name())
	fmt.Println("batches of", full.BatchSize, "and", full.MaxBytes>>20, "MiB in memory")
	fmt.Println("retries:", full.Retry.Attempts, "from", full.Retry.Initial, "to", full.Retry.Max)
	fmt.Println("stop:", full.ShutdownTimeout, "and at most", framework.HardStop)
	// Output:
	// classic earliest cloudevents
	// batches of 1000 and 256 MiB in memory
	// retries: 10 from 1s to 5m0s
	// stop: 20s and at most 8s
}

// All mistakes are reported together, before anything is asked of Kafka.
func ExampleNew_mistakes() {
	db, remove := openDatabase()
	defer remove()
	reg := handlers.NewRegistry()
	handlers.Set(reg, "order.created", created, handlers.Creates(), handlers.Writes("Costumer"))
	_, err := framework.New(db, &framework.Config{
		Brokers: "localhost", Group: "orders", Topics: []string{"orders"}, DeadLetterTopic: "orders",
		Kafka: map[string]any{"enable.auto.commit": true}, Handlers: reg,
	})
	fmt.Println(err)
	// Output:
	// evenkeel: the consumer can't be made:
	// Config.Brokers: found "localhost", expected host:port; add the port, e.g. "localhost:9092"
	// Config.DeadLetterTopic: found "orders", expected a topic that this consumer does not read; letters would be consumed as events; name another one
	// Config.Kafka["enable.auto.commit"]: found a value, expected it left out: the framework owns it; offsets are committed once their effect is in the database
	// evenkeel: 1 mistake in the handlers' wiring:
	//   - the handler of "order.created" on Order writes Costumer, which model Order does not have; its managed fields are Customer, PaidAt, Status
}

func ExampleFieldError() {
	_, err := framework.New(nil, &framework.Config{Brokers: "localhost:9092", Topics: []string{"orders"}})
	var f *framework.FieldError
	if errors.As(err, &f) { // the first of them
		fmt.Println(f.Field, "-", f.Found, "-", f.Expected, "-", f.Mend)
	}
	// Output:
	// Group - nothing - the consumer group's name - give all members of one service the same
}

func ExampleMissingTopicError() {
	fmt.Println(&framework.MissingTopicError{Topic: "orders.dlq", DeadLetter: true, Brokers: "localhost:9092"})
	// Output:
	// evenkeel: the dead-letter topic orders.dlq does not exist; make it with: kafka-topics.sh --bootstrap-server localhost:9092 --create --topic orders.dlq --partitions 3
}

func ExampleSlog() {
	withoutTime := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	handler := slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTime})
	logger := framework.Slog(slog.New(handler)) // for Config.Logger
	logger.Log(framework.LevelInfo, "partition assigned", "topic", "orders", "partition", 3)
	logger.Log(framework.LevelDebug, "not shown")
	// Output:
	// level=INFO msg="partition assigned" topic=orders partition=3
}

func ExampleLogrus() {
	l := logrus.New()
	l.SetOutput(os.Stdout)
	l.SetFormatter(&logrus.JSONFormatter{DisableTimestamp: true})
	logger := framework.Logrus(l) // for Config.Logger
	logger.Log(framework.LevelWarn, "the database is not available; trying on", "group", "orders")
	// Output:
	// {"group":"orders","level":"warning","msg":"the database is not available; trying on"}
}

// lines is a logger of one's own.
type lines struct{}

func (lines) Log(level framework.Level, text string, fields ...any) {
	if level >= framework.LevelWarn {
		fmt.Println(text, fields)
	}
}

func ExampleLogger() {
	var logger framework.Logger = lines{} // for Config.Logger
	logger.Log(framework.LevelError, "handlers ignore the end of their contexts", "group", "orders")
	// Output:
	// handlers ignore the end of their contexts [group orders]
}

// counters adapts Metrics to whatever you count with.
type counters map[string]int64

func (c counters) Count(name string, n int64, labels ...string) {
	c[name+"{"+strings.Join(labels, ",")+"}"] += n
}

func (c counters) Gauge(string, float64, ...string) {}

func ExampleMetrics() {
	seen := counters{}
	var m framework.Metrics = seen // for Config.Metrics
	m.Count("evenkeel_verdicts_total", 3, "action", "discard", "reason", "duplicate")
	m.Count("evenkeel_verdicts_total", 2, "action", "discard", "reason", "duplicate")
	m.Gauge("evenkeel_lag", 17, "topic", "orders", "partition", "0")
	fmt.Println(seen)
	// Output:
	// map[evenkeel_verdicts_total{action,discard,reason,duplicate}:5]
}

// pager is a hook that calls people. It hears of letters and of alarms, and of nothing
// else.
type pager struct{}

func (pager) OnLetter(l *dlq.Letter) {
	fmt.Println("letter:", l.EventType, l.EventID, l.Verdict)
}

func (pager) OnAlarm(a framework.Alarm) {
	fmt.Printf("alarm: %s on %s/%d: %s\n", a.Kind, a.Topic, a.Partition, a.Detail)
}

func ExampleLetterHook() {
	cfg := framework.Config{Hooks: []any{pager{}}}
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, h := range cfg.Hooks { // as the consumer does
		if h, ok := h.(framework.LetterHook); ok {
			h.OnLetter(&dlq.Letter{EventType: "order.paid", EventID: "e-7", Verdict: guards.Verdict{
				Action: guards.DeadLetter, Reason: guards.Late,
				Numbers: guards.Comparison{What: "watermark", Event: noon.Add(-25 * time.Hour).UnixMicro(), Against: noon.UnixMicro(), Bound: (24 * time.Hour).Microseconds()},
			}})
		}
	}
	// Output:
	// letter: order.paid e-7 dead-letter (late): watermark: event 2026-02-28T11:00:00Z, against 2026-03-01T12:00:00Z, allowed 24h0m0s
}

func ExampleAlarmHook() {
	var h framework.AlarmHook = pager{} // in Config.Hooks
	h.OnAlarm(framework.Alarm{Topic: "orders", Partition: 3, Kind: "records-gone", Detail: "records 10 to 19 are gone"})
	// Output:
	// alarm: records-gone on orders/3: records 10 to 19 are gone
}

// progress is a hook that follows batches and partitions.
type progress struct{}

func (progress) OnBatch(b framework.Batch) {
	fmt.Printf("%s/%d: %d records up to %d in %s\n", b.Topic, b.Partition, b.Records, b.Next, b.Took)
}

func (progress) OnPartition(p framework.Partition) {
	if p.Assigned {
		fmt.Printf("%s/%d: mine, from %d\n", p.Topic, p.Partition, p.Next)
		return
	}
	fmt.Printf("%s/%d: gone, lost %t\n", p.Topic, p.Partition, p.Lost)
}

type gapBell struct{}

func (gapBell) OnGap(g framework.Gap) {
	fmt.Printf("%s %s: number %d is missing, %d waits: %s\n", g.Stream, g.Entity, g.Missing, g.Waiting, g.Policy)
}

func ExampleGapHook() {
	var h framework.GapHook = gapBell{} // goes into Config.Hooks
	h.OnGap(framework.Gap{Stream: "orders", Entity: "o-17", Missing: 4, Waiting: 6, Policy: guards.GapDeadLetter})
	// Output: orders o-17: number 4 is missing, 6 waits: dead-letter
}

type watchman struct{}

func (watchman) OnBreaker(b framework.BreakerStats) {
	fmt.Printf("%s is %s: %d of %d failed, %s\n", b.Handler, b.State, b.Failed, b.Of, b.Error)
}

func ExampleBreakerHook() {
	var h framework.BreakerHook = watchman{} // goes into Config.Hooks
	h.OnBreaker(framework.BreakerStats{Handler: "invoice", State: framework.BreakerOpen, Failed: 20, Of: 31, Error: "billing: connection refused"})
	// Output: invoice is open: 20 of 31 failed, billing: connection refused
}

func ExamplePartitionHook() {
	var h framework.PartitionHook = progress{} // in Config.Hooks
	h.OnPartition(framework.Partition{Topic: "orders", Partition: 3, Assigned: true, Next: 40})
	h.OnPartition(framework.Partition{Topic: "orders", Partition: 3, Lost: true})
	// Output:
	// orders/3: mine, from 40
	// orders/3: gone, lost true
}

func ExampleBatchHook() {
	var h framework.BatchHook = progress{} // in Config.Hooks
	h.OnBatch(framework.Batch{Topic: "orders", Partition: 3, Records: 1000, Next: 1040, Took: 12 * time.Millisecond, Attempts: 1})
	// Output:
	// orders/3: 1000 records up to 1040 in 12ms
}

func ExampleVerdictHook() {
	var h framework.VerdictHook = &journal{enough: func() {}} // in Config.Hooks
	h.OnVerdict(framework.Verdict{
		Event: &event.Event{ID: "e-7", Type: "order.paid"}, Handler: "order.paid→Order", Entity: "o-1",
		Verdict: guards.Verdict{Action: guards.Discard, Reason: guards.Superseded},
	})
	// Output:
	// e-7 order.paid: discard (superseded)
}

func ExampleMigrationSQL() {
	sql, err := framework.MigrationSQL("postgres")
	if err != nil {
		fmt.Println(err)
	}
	var tables []string
	for line := range strings.Lines(sql) {
		if rest, ok := strings.CutPrefix(line, "CREATE TABLE "); ok {
			name, _, _ := strings.Cut(rest, " ")
			tables = append(tables, name)
		}
	}
	slices.Sort(tables)
	fmt.Println(strings.Join(tables, "\n"))
	_, err = framework.MigrationSQL("oracle")
	fmt.Println(err)
	// Output:
	// evenkeel_audit
	// evenkeel_claims
	// evenkeel_controls
	// evenkeel_dead_letters
	// evenkeel_ids
	// evenkeel_job_letters
	// evenkeel_jobs
	// evenkeel_ledger
	// evenkeel_letter_topics
	// evenkeel_members
	// evenkeel_memos
	// evenkeel_models
	// evenkeel_notes
	// evenkeel_origins
	// evenkeel_outbox
	// evenkeel_parked
	// evenkeel_schema
	// evenkeel_topics
	// evenkeel_verdicts
	// evenkeel: the database is not ready:
	//   - the database handle's dialect is "oracle"; Evenkeel knows "postgres" (gorm.io/driver/postgres) and "sqlite" (gorm.io/driver/sqlite)
}
