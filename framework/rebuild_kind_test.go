package framework_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/testutil"
)

type Client struct {
	ID   string `gorm:"primaryKey"`
	Name string
	guards.Guarded
}

type named struct{ Name string }

// read counts records that were judged.
type read chan int

func (r read) OnBatch(b framework.Batch) { r <- b.Records }

// clients is a service whose handler may be declared under a guard of its own.
type clients struct {
	t     *testing.T
	db    *gorm.DB
	kafka *testutil.KafkaBroker
	base  framework.Config
}

func newClients(t *testing.T, db *gorm.DB) *clients {
	t.Helper()
	require.NoError(t, framework.Migrate(t.Context(), db))
	require.NoError(t, db.AutoMigrate(&Client{}))
	kafka := testutil.Kafka(t)
	return &clients{t: t, db: db, kafka: kafka, base: framework.Config{
		Brokers: kafka.Brokers, Group: kafka.Group("clients"), Topics: []string{kafka.Topic(t, "clients", 1)}, DeadLetterTopic: kafka.Topic(t, "clients.dlq", 1),
		Codec: event.Envelope(event.EnvelopeConfig{}), Logger: framework.Slog(slog.New(slog.DiscardHandler)),
	}}
}

func (c *clients) release(options ...handlers.Option) *framework.Config {
	reg := handlers.NewRegistry(guards.Timestamp())
	handlers.Set(reg, "named", func(_ context.Context, d *handlers.Delivery[named, Client]) error {
		d.Entity.Name = d.Payload.Name
		return nil
	}, append(options, handlers.Creates(), handlers.Writes("Name"))...)
	cfg := c.base
	cfg.Handlers = reg
	return &cfg
}

// send writes an event whose version and time need not agree.
func (c *clients) send(version, minute int) {
	c.t.Helper()
	value := fmt.Sprintf(`{"id":"e-%d","type":"named","source":"shop","key":"c-1","version":%d,"time":"2026-10-01T10:%02d:00Z","data":{"name":"v%d"}}`, version, version, minute, version)
	c.kafka.Produce(c.t, event.Record{Coordinates: event.Coordinates{Topic: c.base.Topics[0]}, Key: []byte("c-1"), Value: []byte(value)})
}

// run runs a member until it has judged n records, and then what is done beside it.
func (c *clients) run(cfg *framework.Config, n int, beside func()) {
	c.t.Helper()
	heard := make(read, 100)
	cfg.Hooks = []any{heard}
	member, err := framework.New(c.db, cfg)
	require.NoError(c.t, err)
	ctx, stop := context.WithCancel(c.t.Context())
	defer stop()
	done := make(chan error, 1)
	go func() { done <- member.Run(ctx) }()
	for n > 0 {
		select {
		case judged := <-heard:
			n -= judged
		case err := <-done:
			require.FailNow(c.t, "it ended", "%v", err)
		}
	}
	beside()
	stop()
	require.NoError(c.t, <-done)
}

func (c *clients) name() string {
	c.t.Helper()
	var row Client
	require.NoError(c.t, c.db.First(&row, "id = ?", "c-1").Error)
	return row.Name
}

// TestAnotherKindOfStamps: a release that orders by another kind of stamps would take every
// event for an old one, or for a new one (R4). It does not start, and a rebuild of the whole
// model mends it.
func TestAnotherKindOfStamps(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(testing.TB) *gorm.DB{"postgres": testutil.Postgres, "sqlite": testutil.SQLite} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClients(t, open(t))
			byTime, byVersion := c.release(), func() *framework.Config { return c.release(handlers.By(guards.Version())) }
			rebuild := func(keys ...string) error {
				_, err := framework.Rebuild(t.Context(), c.db, byVersion(), framework.RebuildOptions{Models: []string{"Client"}, Keys: keys})
				return err
			}
			refused := func(err error, says string) {
				t.Helper()
				var r *framework.RebuildRefusedError
				require.ErrorAs(t, err, &r)
				require.Len(t, r.Plan.Objections, 1)
				require.Equal(t, framework.RebuildStamps, r.Plan.Objections[0].Kind)
				require.ErrorContains(t, err, "the rows of clients have stamps of the kind timestamp and the handlers order by version, "+says)
			}
			c.send(3, 1)
			c.send(2, 2)
			c.run(byTime, 2, func() {
				require.Eventually(t, func() bool {
					groups, err := framework.Consumers(t.Context(), c.db, c.base.Group)
					return err == nil && len(groups) == 1 && len(groups[0].Members) == 1
				}, time.Minute, 5*time.Millisecond)
				refused(rebuild(), "and members run that write the old kind: ")
			})
			require.Equal(t, "v2", c.name(), "the newest by time")

			_, err := framework.New(c.db, byVersion())
			require.ErrorContains(t, err, "the rows of table clients (model Client) have stamps of the kind timestamp and the handlers order by version")
			refused(rebuild("c-1"), "which a rebuild of some entities can't change")
			require.NoError(t, rebuild())
			require.Equal(t, "v3", c.name(), "the newest by version")

			_, err = framework.New(c.db, c.release())
			require.ErrorContains(t, err, "have stamps of the kind version and the handlers order by timestamp")
			c.send(1, 3)
			c.send(9, 0)
			c.send(8, 4)
			c.run(byVersion(), 3, func() {})
			require.Equal(t, "v9", c.name())
		})
	}
}
