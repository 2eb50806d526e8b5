package framework

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/breaker"
	"github.com/evenkeel-go/evenkeel/internal/broker"
	"github.com/evenkeel-go/evenkeel/internal/ledger"
	"github.com/evenkeel-go/evenkeel/internal/runtime"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// register adds up what it gets, by name and labels.
type register struct {
	mu    sync.Mutex
	sums  map[string]int64
	gauge map[string]float64
}

func newRegister() *register { return &register{sums: map[string]int64{}, gauge: map[string]float64{}} }

func (r *register) Count(name string, n int64, labels ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sums[name+" "+strings.Join(labels, ",")] += n
}

func (r *register) Gauge(name string, value float64, labels ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gauge[name+" "+strings.Join(labels, ",")] = value
}

// heard implements every hook.
type heard struct{ lines []string }

func (h *heard) add(format string, args ...any) {
	h.lines = append(h.lines, fmt.Sprintf(format, args...))
}

func (h *heard) OnVerdict(v Verdict) { h.add("verdict %s %s %s", v.Handler, v.Entity, v.Verdict) }
func (h *heard) OnBatch(b Batch) {
	h.add("batch %s/%d %d next %d in %s, %d", b.Topic, b.Partition, b.Records, b.Next, b.Took, b.Attempts)
}
func (h *heard) OnLetter(l *dlq.Letter) { h.add("letter %s", l.ID) }
func (h *heard) OnPartition(p Partition) {
	h.add("partition %s/%d %t %t %d", p.Topic, p.Partition, p.Assigned, p.Lost, p.Next)
}

func (h *heard) OnAlarm(a Alarm) { h.add("alarm %s/%d %s: %s", a.Topic, a.Partition, a.Kind, a.Detail) }

func (h *heard) OnPlaceholders(p OldPlaceholders) {
	h.add("placeholders of %s (%s): %d, %q born %d", p.Table, p.Model, p.Count, p.OldestKey, p.OldestBorn.UnixMicro())
}

func TestObserverOfRowsThatStandLong(t *testing.T) {
	t.Parallel()
	metrics, hook := newRegister(), &heard{}
	o := newObserver(metrics, []any{hook, onlyAlarms{}}, nil)
	o.Removed("orders", guards.Placeholder, 3)
	o.Removed("orders", guards.Deleted, 2)
	o.Placeholders(runtime.OldPlaceholders{Table: "orders", Model: "Order", Count: 7, Oldest: &store.Aged{Key: "o-1", Born: time.UnixMicro(5)}})
	require.Equal(t, map[string]float64{"evenkeel_placeholders_old table,orders": 7}, metrics.gauge)
	o.Placeholders(runtime.OldPlaceholders{Table: "orders", Model: "Order"})
	require.Zero(t, metrics.gauge["evenkeel_placeholders_old table,orders"])
	require.Equal(t, map[string]int64{"evenkeel_placeholders_swept_total table,orders": 3, "evenkeel_tombstones_purged_total table,orders": 2}, metrics.sums)
	require.EqualValues(t, 3, o.snapshot().PlaceholdersSwept)
	require.EqualValues(t, 2, o.snapshot().TombstonesPurged)
	require.Equal(t, []string{`placeholders of orders (Order): 7, "o-1" born 5`, fmt.Sprintf(`placeholders of orders (Order): 0, "" born %d`, time.Time{}.UnixMicro())}, hook.lines)
}

func (h *heard) OnGap(g Gap) {
	h.add("gap %s %s %d before %d, %s, full %t", g.Stream, g.Entity, g.Missing, g.Waiting, g.Policy, g.Full)
}

func (h *heard) OnBreaker(b BreakerStats) {
	h.add("breaker of %s %s: %d of %d", b.Handler, b.State, b.Failed, b.Of)
}

func TestObserverOfBreakers(t *testing.T) {
	t.Parallel()
	metrics, hook := newRegister(), &heard{}
	o := newObserver(metrics, []any{hook, onlyAlarms{}}, nil)
	o.Breaker(breaker.Status{Handler: "h", State: breaker.Open, Failed: 20, Of: 31})
	require.Equal(t, map[string]float64{"evenkeel_breaker_open handler,h": 1}, metrics.gauge)
	o.Breaker(breaker.Status{Handler: "h", Of: 50})
	require.Equal(t, map[string]float64{"evenkeel_breaker_open handler,h": 0}, metrics.gauge)
	require.Equal(t, []string{"breaker of h open: 20 of 31", "breaker of h closed: 0 of 50"}, hook.lines)
}

func TestObserver(t *testing.T) {
	t.Parallel()
	metrics, hook := newRegister(), &heard{}
	o := newObserver(metrics, []any{hook}, nil)
	p := broker.Partition{Topic: "orders", Number: 3}
	item := &batch.Item{Record: &event.Record{}, Event: &event.Event{Type: "order.paid"}}
	unit := func(v guards.Verdict, placeholder int) batch.Judged {
		return batch.Judged{Item: item, Handler: "order.paid→Order", Entity: "o-1", Verdict: v, Placeholder: placeholder}
	}
	superseded := guards.Verdict{Action: guards.Discard, Reason: guards.Superseded}
	verdicts := []batch.Judged{unit(guards.Pass(), 1), unit(guards.Pass(), -1), unit(guards.Pass(), 0), unit(superseded, 0)}

	o.Assigned(p, 40)
	o.Batch(runtime.Batch{Partition: p, Records: 4, Verdicts: verdicts, Next: 44, Took: time.Second, Attempts: 2})
	o.Swept([]batch.Judged{unit(guards.Pass(), -1)})
	o.Letter(&dlq.Letter{ID: "l-1", Verdict: guards.Verdict{Action: guards.DeadLetter, Reason: guards.Late}})
	o.Published(1)
	o.Conflict(p)
	o.Alarm(p, ledger.Alarm{Kind: ledger.AlarmRewound, Detail: "back"})
	o.Gap(batch.Gap{Stream: "orders", Entity: "o-1", Missing: 3, Waiting: 5, Policy: guards.GapSkip, Full: true})
	o.Gap(batch.Gap{Stream: "orders", Entity: "o-1", Missing: 6, Waiting: 7, Policy: guards.GapDeadLetter})
	o.Released(p, true)

	s := o.snapshot()
	require.Equal(t, Stats{
		Records: 4, Batches: 1, Conflicts: 1, Published: 1, PlaceholdersMade: 1, PlaceholdersCompleted: 2,
		Verdicts: map[string]int64{"apply/applied": 4, "discard/superseded": 1},
		Letters:  map[string]int64{"late": 1}, Alarms: map[string]int64{"offset-rewound": 1},
		Gaps: map[string]int64{"skip/count": 1, "dead-letter/time": 1},
	}, s)
	// A snapshot is the caller's own.
	s.Verdicts["apply/applied"], s.Letters["late"], s.Alarms["offset-rewound"] = 0, 0, 0
	require.EqualValues(t, 4, o.snapshot().Verdicts["apply/applied"])

	const at = "topic,orders,partition,3"
	require.Equal(t, map[string]int64{
		"evenkeel_records_total " + at: 4, "evenkeel_batches_total " + at: 1,
		"evenkeel_verdicts_total action,apply,reason,applied": 4, "evenkeel_verdicts_total action,discard,reason,superseded": 1,
		"evenkeel_letters_total reason,late": 1, "evenkeel_letters_published_total ": 1,
		"evenkeel_conflicts_total " + at: 1, "evenkeel_alarms_total " + at + ",kind,offset-rewound": 1,
		"evenkeel_gaps_total policy,skip,bound,count": 1, "evenkeel_gaps_total policy,dead-letter,bound,time": 1,
	}, metrics.sums)

	const applied = "verdict order.paid→Order o-1 apply (applied)"
	require.Equal(t, []string{
		"partition orders/3 true false 40",
		applied, applied, applied, "verdict order.paid→Order o-1 discard (superseded)",
		"batch orders/3 4 next 44 in 1s, 2",
		applied,
		"letter l-1",
		"alarm orders/3 offset-rewound: back",
		"gap orders o-1 3 before 5, skip, full true",
		"gap orders o-1 6 before 7, dead-letter, full false",
		"partition orders/3 false true 0",
	}, hook.lines)
}

// TestObserverWithoutEars: without metrics, and with hooks that hear other things, nothing
// but the counters happens.
func TestObserverWithoutEars(t *testing.T) {
	t.Parallel()
	o := newObserver(nil, []any{onlyAlarms{}}, nil)
	p := broker.Partition{Topic: "orders"}
	o.Assigned(p, 0)
	o.Batch(runtime.Batch{Partition: p, Records: 2})
	o.Letter(&dlq.Letter{})
	o.Conflict(p)
	o.Released(p, false)
	require.EqualValues(t, 2, o.snapshot().Records)
}

type onlyAlarms struct{}

func (onlyAlarms) OnAlarm(Alarm) {}

// TestLoggersAgree: both adapters write each level under its own name, with the fields, and
// nothing below the level that is set.
func TestLoggersAgree(t *testing.T) {
	t.Parallel()
	type sink struct {
		out   bytes.Buffer
		log   Logger
		quiet func()
	}
	l := logrus.New()
	lr := &sink{quiet: func() { l.SetLevel(logrus.WarnLevel) }, log: Logrus(l)}
	l.SetOutput(&lr.out)
	l.SetLevel(logrus.DebugLevel)
	l.SetFormatter(&logrus.TextFormatter{DisableTimestamp: true, DisableColors: true})

	level := &slog.LevelVar{}
	level.Set(slog.LevelDebug)
	sl := &sink{quiet: func() { level.Set(slog.LevelWarn) }}
	sl.log = Slog(slog.New(slog.NewTextHandler(&sl.out, &slog.HandlerOptions{Level: level})))

	for _, s := range []*sink{lr, sl} {
		for i, level := range []Level{LevelDebug, LevelInfo, LevelWarn, LevelError} {
			s.log.Log(level, "line", "n", i, "topic", "orders")
		}
		text := strings.ToLower(s.out.String())
		lines := strings.Split(strings.TrimSpace(text), "\n")
		require.Len(t, lines, 4)
		for i, word := range []string{"level=debug", "level=info", "level=warn", "level=error"} {
			require.Contains(t, lines[i], word)
			require.Contains(t, lines[i], fmt.Sprintf("n=%d", i))
			require.Contains(t, lines[i], "topic=orders")
		}
		s.out.Reset()
		s.quiet()
		s.log.Log(LevelInfo, "quiet")
		require.Empty(t, s.out.String())
		s.log.Log(LevelError, "odd", "without a value") // a caller's slip loses the field and not the line
		require.Contains(t, s.out.String(), "odd")
		require.Equal(t, 1, strings.Count(s.out.String(), "\n"))
	}
}

type loudHook struct{}

func (loudHook) OnAlarm(Alarm) { panic("boom") }

type lastLine struct{ text string }

func (l *lastLine) Log(_ Level, text string, _ ...any) { l.text = text }

func TestPanicOfAHookEndsInTheLog(t *testing.T) {
	t.Parallel()
	log := &lastLine{}
	o := newObserver(nil, []any{loudHook{}}, log)
	o.Alarm(broker.Partition{}, ledger.Alarm{})
	require.Equal(t, "a hook or Metrics panicked", log.text)
}
