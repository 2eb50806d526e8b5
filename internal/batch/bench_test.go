package batch_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/ledger"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// benchmarkJudge is what a batch of 1,000 events for as many rows costs but for the database:
// decoding, admission, gathering, the guards and the handler.
func benchmarkJudge(b *testing.B, reg *handlers.Registry) {
	b.Helper()
	const size = 1000
	m := newMemory(b, reg)
	codec := event.CloudEvents()
	m.prepare.Codec = func(string) event.Codec { return codec }
	rows := map[string]*store.Row{}
	records := make([]*event.Record, size)
	for i := range records {
		key := fmt.Sprintf("order-%08d", i)
		r := &event.Record{Key: []byte(key), Value: []byte(`{"customer":"Ada Lovelace","note":"please ring twice","keep":false,"limit":17}`)}
		r.Cluster, r.TopicID, r.Topic = "c", "t", "orders"
		r.Headers = []event.Header{
			{Key: "ce_specversion", Value: []byte("1.0")},
			{Key: "ce_source", Value: []byte("https://example.com/orders")},
			{Key: "ce_type", Value: []byte("order.changed")},
			{Key: "content-type", Value: []byte("application/json")},
			{Key: "ce_id"},
			{Key: "ce_time"},
		}
		records[i] = r
	}
	at, now := int64(0), base
	one := func() {
		now = now.Add(time.Second)
		items := make([]*batch.Item, size)
		for i, r := range records {
			r.Offset = at
			r.Headers[4].Value = fmt.Appendf(nil, "0197f3c2-0000-7000-8000-%012d", at)
			r.Headers[5].Value = now.AppendFormat(nil, time.RFC3339Nano)
			items[i] = m.prepare.Prepare(r)
			at++
		}
		batch.Gather("g", items, m.layouts, nil)
		out, err := m.judge.Live(b.Context(), items, m.layouts, &store.Loaded{Rows: map[string]map[string]*store.Row{"orders": rows}}, m.led, now)
		if err != nil || len(out.Verdicts) != size || !out.Verdicts[0].Verdict.Passed() {
			b.Fatal("not applied", err)
		}
		for _, r := range out.Batch.Insert {
			rows[r.Key] = r
		}
		m.led = *out.Batch.Ledger
	}
	m.led = ledger.State{}
	one()
	require.Len(b, rows, size)
	b.ReportAllocs()
	for b.Loop() {
		one()
	}
}

func BenchmarkJudgeSet(b *testing.B) {
	reg := handlers.NewRegistry()
	handlers.Set(reg, "order.changed", func(_ context.Context, d *handlers.Delivery[facts, order]) error {
		d.Entity.Customer, d.Entity.Note, d.Entity.Limit = d.Payload.Customer, d.Payload.Note, d.Payload.Limit
		return nil
	}, handlers.Creates(), handlers.Writes("Customer", "Note", "Limit"))
	benchmarkJudge(b, reg)
}

func BenchmarkJudgeModify(b *testing.B) {
	reg := handlers.NewRegistry()
	handlers.Modify(reg, "order.changed", func(_ context.Context, d *handlers.Delivery[facts, order]) error {
		d.Entity.Customer, d.Entity.Note = d.Payload.Customer, d.Payload.Note
		d.Entity.Count++
		return nil
	}, guards.Timestamp(), handlers.Writes("Customer", "Note", "Count"))
	benchmarkJudge(b, reg)
}
