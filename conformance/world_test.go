package conformance

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/testutil"
	"github.com/evenkeel-go/evenkeel/testutil/oracle"
)

// world is one broker, one database, one topic and one group: what a test has to itself.
type world struct {
	t          testing.TB
	at         combination
	broker     *testutil.KafkaBroker
	db         *gorm.DB
	dsn        string
	topic      string
	dlq        string
	group      string
	partitions int // that the topic began with
	log        *logBook
	began      time.Time
	registry   func() *handlers.Registry
	label      string // of the goroutines that begin now, see marked
}

// newWorld sets up a world whose topic has so many partitions.
func newWorld(t testing.TB, at combination, partitions int, options ...testutil.KafkaOption) *world {
	t.Helper()
	return newWorldOn(t, at, partitions, testutil.Kafka(t, options...))
}

// newWorldOn is newWorld on a broker of the test's own.
func newWorldOn(t testing.TB, at combination, partitions int, broker *testutil.KafkaBroker) *world {
	t.Helper()
	w := &world{t: t, at: at, began: time.Now(), registry: registry, log: &logBook{t: t}, broker: broker, partitions: partitions}
	w.topic = w.broker.Topic(t, "orders", partitions)
	w.dlq = w.broker.Topic(t, "orders.dlq", 3)
	w.group = w.broker.Group("orders")
	switch at.store {
	case storeSQLite:
		w.dsn = testutil.SQLiteDSN(t)
	case storePostgres:
		w.dsn = testutil.PostgresDSN(t)
	}
	w.db = openDB(t, at.store, w.dsn)
	w.migrate()
	return w
}

func (w *world) migrate() {
	w.t.Helper()
	require.NoError(w.t, framework.Migrate(context.Background(), w.db))
	require.NoError(w.t, w.db.AutoMigrate(&Order{}, &Stock{}))
}

// config is a configuration that fails and retries quickly.
func (w *world) config() *framework.Config {
	return &framework.Config{
		Brokers: w.broker.Brokers, Group: w.group, Topics: []string{w.topic}, DeadLetterTopic: w.dlq,
		Handlers: w.registry(), Codec: codec(), Protocol: w.at.protocol, Logger: w.log,
		Kafka:           w.at.client(),
		SweepInterval:   50 * time.Millisecond,
		Retry:           framework.Retry{Initial: 50 * time.Millisecond, Max: 200 * time.Millisecond, Attempts: 4},
		RevokeTimeout:   2 * time.Second,
		ShutdownTimeout: 5 * time.Second,
	}
}

// unbroken is for tests in which a handler fails on everything, and each event is to become a
// letter or a retry all the same.
func unbroken(c *framework.Config) { c.Breaker.Off = true }

// member is one running consumer.
type member struct {
	w        *world
	consumer *framework.Consumer
	cancel   context.CancelFunc
	done     chan error
	once     sync.Once
}

// start runs a member until the test ends, or stop.
func (w *world) start(change ...func(*framework.Config)) *member {
	w.t.Helper()
	cfg := w.config()
	for _, c := range change {
		c(cfg)
	}
	ctx, cancel := context.WithCancel(context.Background())
	m := &member{w: w, cancel: cancel, done: make(chan error, 1)}
	w.marked(func() {
		c, err := framework.New(w.db, cfg)
		require.NoError(w.t, err)
		m.consumer = c
		go func() { m.done <- c.Run(ctx) }()
	})
	w.t.Cleanup(m.stop)
	return m
}

// stop ends the member and checks that Run returned nil within its bound.
func (m *member) stop() {
	m.once.Do(func() {
		m.cancel()
		select {
		case err := <-m.done:
			require.NoError(m.w.t, err)
		case <-time.After(bound):
			m.w.t.Error("Run did not return within its bound")
		}
	})
}

// final stops the member and returns all that it has counted. It counts what it has committed,
// and so a moment after the tables and Kafka have it: to look at a running member's counts
// for something that they show is a race.
func (m *member) final() framework.Stats {
	m.w.t.Helper()
	m.stop()
	return m.consumer.Stats()
}

// record makes a record of the world's topic.
func (w *world) record(partition int32, key, value string) event.Record {
	r := event.Record{Key: []byte(key), Value: []byte(value), Timestamp: time.Now()}
	r.Topic, r.Partition = w.topic, partition
	return r
}

// bound is how long a test waits for what must come: longer than any machine takes that is
// busy with all the others, so that only what never comes meets it.
const bound = 3 * time.Minute

// eventually waits for a condition; what describes the state at a failure.
func (w *world) eventually(condition func() bool, what func() string) {
	w.t.Helper()
	deadline := time.NewTimer(bound)
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond) // each look costs what the members need, too
	defer tick.Stop()
	for {
		if condition() {
			return
		}
		select {
		case <-deadline.C:
			w.t.Fatalf("after %s still not so: %s\n%s", bound, what(), w.log.tail(60))
		case <-tick.C:
		}
	}
}

// position is where the group stands in a partition: the ledger's next and Kafka's
// committed offset, each -1 if there is none.
func (w *world) position(partition int32) (next, committed, end int64) {
	w.t.Helper()
	next = -1
	if n, ok := w.ledger()[partition]; ok {
		next = n
	}
	committed, _ = w.broker.Committed(w.t, w.group, w.topic, partition)
	_, end = w.broker.Span(w.t, w.topic, partition)
	return next, committed, end
}

// ledger is the offset after the last record that is finished, by partition.
func (w *world) ledger() map[int32]int64 {
	w.t.Helper()
	var rows []struct {
		Partition  int32
		NextOffset int64
	}
	if w.db.Raw("SELECT partition, max(next_offset) AS next_offset FROM evenkeel_ledger WHERE grp = ? AND topic = ? GROUP BY partition", w.group, w.topic).Scan(&rows).Error != nil {
		return nil // a database that is away just now
	}
	next := make(map[int32]int64, len(rows))
	for _, r := range rows {
		next[r.Partition] = r.NextOffset
	}
	return next
}

// finished reports whether the ledger is at the end of every partition's log.
func (w *world) finished(partitions int) bool {
	w.t.Helper()
	next := w.ledger()
	for p := range int32(partitions) {
		if _, end := w.broker.Span(w.t, w.topic, p); next[p] < end {
			return false
		}
	}
	return true
}

// atEnd waits until the ledger is at the end of every partition, whatever is parked.
func (w *world) atEnd(partitions int) {
	w.t.Helper()
	w.eventually(func() bool { return w.finished(partitions) }, func() string { return w.where(partitions) })
}

// drain waits until the group has finished everything: the ledger and Kafka's offset are at
// the end of every partition, and nothing is parked.
func (w *world) drain(partitions int) {
	w.t.Helper()
	w.eventually(func() bool {
		if !w.finished(partitions) {
			return false
		}
		for p := range int32(partitions) {
			if _, committed, end := w.position(p); committed < end && end > 0 {
				return false
			}
		}
		var parked int64
		return w.db.Table("evenkeel_parked").Where("grp = ?", w.group).Count(&parked).Error == nil && parked == 0
	}, func() string { return w.where(partitions) })
}

// where tells how far the group has come.
func (w *world) where(partitions int) string {
	var b strings.Builder
	for p := range int32(partitions) {
		next, committed, end := w.position(p)
		fmt.Fprintf(&b, "partition %d: ledger %d, committed %d, end %d; ", p, next, committed, end)
	}
	_, parked, _, err := oracle.ReadGroup(context.Background(), w.db, w.group)
	fmt.Fprintf(&b, "parked %d (%v)", len(parked), err)
	return b.String()
}

// logBook keeps what a consumer logs.
type logBook struct {
	t     testing.TB
	mu    sync.Mutex
	lines []logLine
}

type logLine struct {
	level framework.Level
	text  string
}

func (l *logBook) Log(level framework.Level, text string, fields ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, logLine{level, text + " " + fmt.Sprint(fields...)})
}

// count returns how many lines above debug contain text.
func (l *logBook) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, line := range l.lines {
		if line.level > framework.LevelDebug && strings.Contains(line.text, text) {
			n++
		}
	}
	return n
}

func (l *logBook) tail(n int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	for _, line := range l.lines[max(0, len(l.lines)-n):] {
		fmt.Fprintln(&b, line.level, line.text)
	}
	return b.String()
}

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		os.Exit(child())
	}
	printMatrix(os.Stdout)
	os.Exit(m.Run())
}
