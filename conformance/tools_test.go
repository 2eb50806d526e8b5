package conformance

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/framework"
)

// said is an event of a test whose payload is the test's own.
type said struct {
	id, typ, source, key string
	at                   time.Time
	version              int64
	data                 string
}

// value is the event as codec() reads it.
func (s said) value() string {
	env := map[string]any{"id": s.id, "type": s.typ, "source": s.source, "key": s.key, "time": s.at.UTC().Format(time.RFC3339Nano)}
	if s.version != 0 {
		env["version"] = s.version
	}
	env["data"] = json.RawMessage(cmp.Or(s.data, "{}"))
	b, err := json.Marshal(env)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// tell produces events to one partition in their order, or, below zero, to that of each
// key.
func (w *world) tell(partition int32, events ...said) []event.Record {
	w.t.Helper()
	records := make([]event.Record, len(events))
	for i, e := range events {
		records[i] = w.record(partition, e.key, e.value())
	}
	return w.broker.Produce(w.t, records...)
}

// tables makes the tables of further models.
func (w *world) tables(models ...any) {
	w.t.Helper()
	require.NoError(w.t, w.db.AutoMigrate(models...))
}

// letters reads the group's dead letters in the order of the log.
func (w *world) letters() []*dlq.Letter {
	w.t.Helper()
	ls, err := dlq.List(context.Background(), w.db, dlq.Filter{Group: w.group, Limit: 10_000})
	require.NoError(w.t, err)
	inLogOrder(ls)
	return ls
}

func inLogOrder(ls []*dlq.Letter) {
	slices.SortFunc(ls, func(a, b *dlq.Letter) int {
		if a.Record.Partition != b.Record.Partition {
			return int(a.Record.Partition - b.Record.Partition)
		}
		if a.Record.Offset != b.Record.Offset {
			return int(a.Record.Offset - b.Record.Offset)
		}
		return slices.Compare([]byte(a.Handler), []byte(b.Handler))
	})
}

// copies waits until every letter is on the dead-letter topic, and returns the records
// there, and the letters that they decode to, in the order of the log that they came from.
func (w *world) copies(letters int) ([]event.Record, []*dlq.Letter) {
	w.t.Helper()
	var records []event.Record
	w.eventually(func() bool {
		records = w.broker.Consume(w.t, w.dlq)
		return len(records) >= letters
	}, func() string { return fmt.Sprintf("%d of %d letters on the dead-letter topic", len(records), letters) })
	require.Len(w.t, records, letters, "the dead-letter topic")
	ls := make([]*dlq.Letter, len(records))
	byID := map[string]event.Record{}
	for i := range records {
		l, fit, err := dlq.Decode(&records[i])
		require.NoError(w.t, err)
		require.Equal(w.t, dlq.FitWhole, fit)
		ls[i], byID[l.ID] = l, records[i]
	}
	inLogOrder(ls)
	for i, l := range ls {
		records[i] = byID[l.ID]
	}
	return records, ls
}

// judgements counts the verdict journal's lines about an event, by reason.
func (w *world) judgements(eventID string) map[string]int {
	w.t.Helper()
	var lines []struct {
		Reason string
		N      int
	}
	require.NoError(w.t, w.db.Raw("SELECT reason, count(*) AS n FROM evenkeel_verdicts WHERE grp = ? AND event_id = ? GROUP BY reason", w.group, eventID).Scan(&lines).Error)
	counts := map[string]int{}
	for _, l := range lines {
		counts[l.Reason] = l.N
	}
	return counts
}

// waiting returns the causes of the group's parked events by event id.
func (w *world) waiting() map[string]string {
	w.t.Helper()
	var lines []struct{ EventID, Cause string }
	require.NoError(w.t, w.db.Raw("SELECT event_id, cause FROM evenkeel_parked WHERE grp = ?", w.group).Scan(&lines).Error)
	causes := map[string]string{}
	for _, l := range lines {
		causes[l.EventID] = l.Cause
	}
	return causes
}

// all reads every row of a model, by the key that of gives.
func all[E any](w *world, key func(*E) string) map[string]E {
	w.t.Helper()
	var rows []E
	require.NoError(w.t, w.db.Find(&rows).Error)
	byKey := make(map[string]E, len(rows))
	for i := range rows {
		byKey[key(&rows[i])] = rows[i]
	}
	return byKey
}

// permutations calls with for each order of the numbers below n.
func permutations(n int, with func(order []int)) {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	var from func(k int)
	from = func(k int) {
		if k == n {
			with(slices.Clone(order))
			return
		}
		for i := k; i < n; i++ {
			order[k], order[i] = order[i], order[k]
			from(k + 1)
			order[k], order[i] = order[i], order[k]
		}
	}
	from(0)
}

// smallBatches make events of one row meet in the database and not only in memory.
func smallBatches(n int) func(*framework.Config) {
	return func(c *framework.Config) { c.BatchSize = n }
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, seed)) }

// patient is a configuration whose retries do not end.
func (w *world) patient() func(*framework.Config) {
	return func(c *framework.Config) { c.Retry.Attempts = 10_000 }
}

// attempts adds up how often the units of a parked event have been tried.
func (w *world) attempts(eventID string) (n int) {
	w.t.Helper()
	require.NoError(w.t, w.db.Raw("SELECT coalesce(sum(attempts), 0) FROM evenkeel_parked WHERE grp = ? AND event_id = ?", w.group, eventID).Scan(&n).Error)
	return n
}
