package postgres_test

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
	"github.com/evenkeel-go/evenkeel/internal/classify"
	"github.com/evenkeel-go/evenkeel/internal/ledger"
	"github.com/evenkeel-go/evenkeel/internal/store/migrations"
	"github.com/evenkeel-go/evenkeel/internal/store/postgres"
	"github.com/evenkeel-go/evenkeel/testutil"
)

// meter is counted under Once and under Timestamp.
type meter struct {
	ID      string `gorm:"primaryKey"`
	Counted int64
	Latest  int64
	guards.Guarded
}

// plain reads a record whose key is the entity and whose value is the type.
type plain struct{}

func (plain) Name() string { return "plain" }

func (plain) Decode(r *event.Record, e *event.Event) error {
	e.ID, e.Source, e.Type, e.Key = fmt.Sprintf("0197f3c2-0000-7000-8000-%012d", r.Offset), "https://example.com/meters", string(r.Value), string(r.Key)
	e.OccurredAt, e.Data = now.Add(time.Duration(r.Offset)*time.Microsecond), []byte(`{}`)
	return nil
}

// BenchmarkOnceAgainstTimestamp runs batches of 1,000 events about 50,000 rows, in turns
// under either guard, from the record to the commit. The ratio is what the memory of ids
// costs.
func BenchmarkOnceAgainstTimestamp(b *testing.B) {
	const entities, size = 50_000, 1000
	db := testutil.Postgres(b)
	require.NoError(b, migrations.Up(b.Context(), db))
	require.NoError(b, db.AutoMigrate(&meter{}))
	reg := handlers.NewRegistry()
	handlers.Modify(reg, "once", func(_ context.Context, d *handlers.Delivery[struct{}, meter]) error {
		d.Entity.Counted++
		return nil
	}, guards.Once(), handlers.Writes("Counted"))
	handlers.Modify(reg, "timestamp", func(_ context.Context, d *handlers.Delivery[struct{}, meter]) error {
		d.Entity.Latest++
		return nil
	}, guards.Timestamp(), handlers.Writes("Latest"))
	w, err := reg.Wire(db.NamingStrategy)
	require.NoError(b, err)
	s, err := postgres.New(db)
	require.NoError(b, err)
	layouts, err := s.Claim(b.Context(), "g", w.Models, false)
	require.NoError(b, err)
	led, _, err := s.Own(b.Context(), ledger.Key{Cluster: "c", TopicID: "t", Group: "g"}, "meters", "me")
	require.NoError(b, err)
	led.Next, led.High = 0, 0
	judge := &batch.Judge{Wiring: w, Group: "g", Classify: classify.Handler, MaxParkedPerKey: 1000}
	prepare := &batch.Preparer{Wiring: w, Codec: func(string) event.Codec { return plain{} }}
	byModel := batch.Layouts{w.Models[0]: layouts[0]}
	entity := 0
	one := func(typ string, size int) time.Duration {
		items := make([]*batch.Item, size)
		began := time.Now()
		for i := range items {
			entity = (entity + 7919) % entities
			r := &event.Record{Key: fmt.Appendf(nil, "meter-%08d", entity), Value: []byte(typ)}
			r.Cluster, r.TopicID, r.Topic, r.Offset = "c", "t", "meters", led.Next+int64(i)
			items[i] = prepare.Prepare(r)
		}
		loaded, err := s.Load(b.Context(), batch.Gather("g", items, byModel, func(int64) bool { return true }))
		require.NoError(b, err)
		out, err := judge.Live(b.Context(), items, byModel, loaded, led, now)
		require.NoError(b, err)
		require.Empty(b, out.Batch.Verdicts)
		require.NoError(b, s.Commit(b.Context(), out.Batch))
		led = *out.Batch.Ledger
		led.Rev++
		return time.Since(began)
	}
	for range entities / 5000 {
		one("timestamp", 5000)
	}
	for range 20 { // ids that are there already
		one("once", 5000)
	}
	require.NoError(b, db.Exec("VACUUM ANALYZE meters").Error)
	require.NoError(b, db.Exec("VACUUM ANALYZE evenkeel_ids").Error)
	var once, timestamp time.Duration
	b.ResetTimer()
	for range b.N {
		timestamp += one("timestamp", size)
		once += one("once", size)
	}
	n := float64(size * b.N)
	b.ReportMetric(n/once.Seconds(), "once/s")
	b.ReportMetric(n/timestamp.Seconds(), "timestamp/s")
	b.ReportMetric(once.Seconds()/timestamp.Seconds(), "ratio")
}
