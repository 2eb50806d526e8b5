package framework

import (
	"maps"
	"runtime/debug"
	"strconv"
	"sync"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/breaker"
	"github.com/evenkeel-go/evenkeel/internal/broker"
	"github.com/evenkeel-go/evenkeel/internal/ledger"
	"github.com/evenkeel-go/evenkeel/internal/runtime"
	"github.com/evenkeel-go/evenkeel/internal/seam"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// observer turns what the runtime tells into counters, metrics and hooks.
type observer struct {
	metrics Metrics
	hooks   []any
	log     Logger
	letters *letterLog

	mu    sync.Mutex
	stats Stats
}

var _ runtime.Observer = (*observer)(nil)

func newObserver(m Metrics, hooks []any, log Logger) *observer {
	return &observer{metrics: m, hooks: hooks, log: log, letters: newLetterLog(log, seam.System()), stats: Stats{
		Verdicts: map[string]int64{}, Letters: map[string]int64{}, Alarms: map[string]int64{}, Gaps: map[string]int64{},
	}}
}

func (o *observer) snapshot() Stats {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.stats
	s.Verdicts, s.Letters, s.Alarms = maps.Clone(s.Verdicts), maps.Clone(s.Letters), maps.Clone(s.Alarms)
	s.Gaps = maps.Clone(s.Gaps)
	return s
}

// recovered keeps a panic of a hook or of Metrics from ending the service: they observe and
// decide nothing.
func (o *observer) recovered() {
	if r := recover(); r != nil && o.log != nil { //nolint:revive // each caller defers this
		o.log.Log(LevelError, "a hook or Metrics panicked", "panic", r, "stack", string(debug.Stack()))
	}
}

func (o *observer) count(name string, n int64, labels ...string) {
	if o.metrics != nil {
		o.metrics.Count(name, n, labels...)
	}
}

func labels(p broker.Partition, more ...string) []string {
	return append([]string{"topic", p.Topic, "partition", strconv.Itoa(int(p.Number))}, more...)
}

func (o *observer) Assigned(p broker.Partition, next int64) {
	defer o.recovered()
	for _, h := range o.hooks {
		if h, ok := h.(PartitionHook); ok {
			h.OnPartition(Partition{Topic: p.Topic, Partition: p.Number, Assigned: true, Next: next})
		}
	}
}

func (o *observer) Released(p broker.Partition, lost bool) {
	defer o.recovered()
	for _, h := range o.hooks {
		if h, ok := h.(PartitionHook); ok {
			h.OnPartition(Partition{Topic: p.Topic, Partition: p.Number, Lost: lost})
		}
	}
}

func (o *observer) Alarm(p broker.Partition, a ledger.Alarm) {
	defer o.recovered()
	o.mu.Lock()
	o.stats.Alarms[string(a.Kind)]++
	o.mu.Unlock()
	o.count("evenkeel_alarms_total", 1, labels(p, "kind", string(a.Kind))...)
	for _, h := range o.hooks {
		if h, ok := h.(AlarmHook); ok {
			h.OnAlarm(Alarm{Topic: p.Topic, Partition: p.Number, Kind: string(a.Kind), Detail: a.Detail})
		}
	}
}

func (o *observer) Batch(b runtime.Batch) {
	defer o.recovered()
	o.mu.Lock()
	o.stats.Records += int64(b.Records)
	o.stats.Batches++
	o.mu.Unlock()
	o.verdicts(b.Verdicts)
	o.count("evenkeel_records_total", int64(b.Records), labels(b.Partition)...)
	o.count("evenkeel_batches_total", 1, labels(b.Partition)...)
	for _, h := range o.hooks {
		if h, ok := h.(BatchHook); ok {
			h.OnBatch(Batch{Topic: b.Partition.Topic, Partition: b.Partition.Number, Records: b.Records, Next: b.Next, Took: b.Took, Attempts: b.Attempts})
		}
	}
}

func (o *observer) Swept(vs []batch.Judged) {
	defer o.recovered()
	o.verdicts(vs)
}

func (o *observer) verdicts(vs []batch.Judged) {
	type word struct{ action, reason string }
	counts := map[word]int64{}
	o.mu.Lock()
	for i := range vs {
		v := &vs[i]
		w := word{v.Verdict.Action.String(), string(v.Verdict.Reason)}
		counts[w]++
		switch {
		case v.Placeholder > 0:
			o.stats.PlaceholdersMade++
		case v.Placeholder < 0:
			o.stats.PlaceholdersCompleted++
		}
	}
	for w, n := range counts {
		o.stats.Verdicts[w.action+"/"+w.reason] += n
	}
	o.mu.Unlock()
	for w, n := range counts {
		o.count("evenkeel_verdicts_total", n, "action", w.action, "reason", w.reason)
	}
	for _, h := range o.hooks {
		h, ok := h.(VerdictHook)
		if !ok {
			continue
		}
		for i := range vs {
			v := &vs[i]
			h.OnVerdict(Verdict{Event: v.Item.Event, Record: v.Item.Record, Handler: v.Handler, Entity: v.Entity, Verdict: v.Verdict})
		}
	}
}

func (o *observer) Letter(l *dlq.Letter) {
	defer o.recovered()
	o.mu.Lock()
	o.stats.Letters[string(l.Verdict.Reason)]++
	o.mu.Unlock()
	o.count("evenkeel_letters_total", 1, "reason", string(l.Verdict.Reason))
	o.letters.letter(l)
	for _, h := range o.hooks {
		if h, ok := h.(LetterHook); ok {
			h.OnLetter(l)
		}
	}
}

func (o *observer) Published(n int) {
	defer o.recovered()
	o.mu.Lock()
	o.stats.Published += int64(n)
	o.mu.Unlock()
	o.count("evenkeel_letters_published_total", int64(n))
}

func (o *observer) Emitted(events []*store.Outbound) {
	defer o.recovered()
	o.mu.Lock()
	o.stats.Emitted += int64(len(events))
	o.mu.Unlock()
	topics := map[string]int64{}
	for _, e := range events {
		topics[e.Topic]++
	}
	for t, n := range topics {
		o.count("evenkeel_emitted_total", n, "topic", t)
	}
}

func (o *observer) Sent(topic string, n int) {
	defer o.recovered()
	o.mu.Lock()
	o.stats.EmittedPublished += int64(n)
	o.mu.Unlock()
	o.count("evenkeel_emitted_published_total", int64(n), "topic", topic)
}

func (o *observer) Conflict(p broker.Partition) {
	defer o.recovered()
	o.mu.Lock()
	o.stats.Conflicts++
	o.mu.Unlock()
	o.count("evenkeel_conflicts_total", 1, labels(p)...)
}

func (o *observer) Placeholders(p runtime.OldPlaceholders) {
	defer o.recovered()
	if o.metrics != nil {
		o.metrics.Gauge("evenkeel_placeholders_old", float64(p.Count), "table", p.Table)
	}
	found := OldPlaceholders{Table: p.Table, Model: p.Model, Count: p.Count}
	if p.Oldest != nil {
		found.OldestKey, found.OldestBorn = p.Oldest.Key, p.Oldest.Born
	}
	for _, h := range o.hooks {
		if h, ok := h.(PlaceholderHook); ok {
			h.OnPlaceholders(found)
		}
	}
}

func (o *observer) Breaker(s breaker.Status) {
	defer o.recovered()
	open := 0.0
	if s.State == breaker.Open {
		open = 1
	}
	if o.metrics != nil {
		o.metrics.Gauge("evenkeel_breaker_open", open, "handler", s.Handler)
	}
	for _, h := range o.hooks {
		if h, ok := h.(BreakerHook); ok {
			h.OnBreaker(breakerOf(s))
		}
	}
}

func (o *observer) Removed(table string, state guards.Existence, n int) {
	defer o.recovered()
	name, sum := "evenkeel_placeholders_swept_total", &o.stats.PlaceholdersSwept
	if state == guards.Deleted {
		name, sum = "evenkeel_tombstones_purged_total", &o.stats.TombstonesPurged
	}
	o.mu.Lock()
	*sum += int64(n)
	o.mu.Unlock()
	o.count(name, int64(n), "table", table)
}

func (o *observer) Gap(g batch.Gap) {
	defer o.recovered()
	bound := "time"
	if g.Full {
		bound = "count"
	}
	o.mu.Lock()
	o.stats.Gaps[g.Policy.String()+"/"+bound]++
	o.mu.Unlock()
	o.count("evenkeel_gaps_total", 1, "policy", g.Policy.String(), "bound", bound)
	for _, h := range o.hooks {
		if h, ok := h.(GapHook); ok {
			h.OnGap(Gap(g))
		}
	}
}
