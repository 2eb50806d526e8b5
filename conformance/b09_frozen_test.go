package conformance

import (
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/parts/kclient"
)

// A member stops between two instructions of a handler, long enough for the group to give
// its partition away, and goes on as if nothing had been: with a batch to commit under an
// owner epoch that is over. Whether it hears first that it has lost the partition, or is
// refused by the ledger, nothing comes of that batch.
func TestB09FrozenMemberIsRefused(t *testing.T) {
	t.Parallel()
	each(t, "B09", func(t *testing.T, at combination) {
		t.Parallel()
		w := newTallyWorld(t, at, 1)
		w.produce(0, stream(0, 400, 40, 0, w.began.Add(-time.Hour)))
		sleeper := w.spawn(func(s *childSpec) { s.Fault, s.Nth, s.BatchSize = freezeAtHandler, 130, 25 })
		w.eventually(func() bool { return frozen(sleeper.pid) }, sleeper.text)
		before := w.positions()[0].Next
		require.Less(t, before, int64(130), "the batch under way is not committed")

		entered, let := w.heldUp()
		heir := w.start(quick)
		select {
		case <-entered:
		case <-time.After(bound):
			t.Fatalf("nobody took the partition over\n%s", w.log.tail(60))
		}
		require.EqualValues(t, before, w.positions()[0].Next)

		asleep := len(sleeper.text())
		sleeper.signal(syscall.SIGCONT)
		sleeper.line("awake")
		refused := func() (meanwhile string, ok bool) {
			after := sleeper.text()[asleep:]
			for _, said := range []string{"the lane lost its hold", "partition lost"} {
				if meanwhile, _, ok = strings.Cut(after, said); ok {
					return meanwhile, ok
				}
			}
			return after, false
		}
		w.eventually(func() bool { _, ok := refused(); return ok }, sleeper.text)
		meanwhile, _ := refused()
		require.NotContains(t, meanwhile, "committed", "the transaction of the frozen member")
		require.EqualValues(t, before, w.positions()[0].Next)

		let()
		w.drain(1)
		w.checkTallied()

		// Both are members now, and nothing of the old member's sits anywhere.
		w.eventually(func() bool { return heir.consumer.Stats().Records == 400-before }, func() string {
			return fmt.Sprintf("%d of %d read by the heir", heir.consumer.Stats().Records, 400-before)
		})
		w.produce(0, stream(400, 100, 40, 0, w.began.Add(-time.Hour)))
		w.drain(1)
		w.checkTallied()
	})
}

// The end of a batch's transaction, with COMMIT, reaches the server when the partition has
// a new owner, and nothing in the old one could keep it back. The new owner stands in a
// handler of its first batch, so that the ledger has the revision that the old one expects:
// the epoch is all that tells them apart.
func TestB09LateTransactionIsRefused(t *testing.T) {
	t.Parallel()
	each(t, "B09 fence", func(t *testing.T, at combination) {
		t.Parallel()
		w := newTallyWorld(t, at, 1)
		p := newProxy(t, w.dsn)
		w.produce(0, stream(0, 100, 20, 0, w.began.Add(-time.Hour)))
		p.arm(holdLedger, 1)
		sleeper := w.spawn(func(s *childSpec) { s.DSN, s.BatchSize = p.dsn, 25 })
		w.eventually(func() bool { return p.harmed() == 1 }, sleeper.text)
		sleeper.signal(syscall.SIGSTOP)
		w.eventually(func() bool { return frozen(sleeper.pid) }, sleeper.text)
		require.Equal(t, 1, w.writers(), "the frozen member's transaction is open")

		entered, let := w.heldUp()
		w.start(quick)
		select {
		case <-entered:
		case <-time.After(25 * time.Second): // before the server ends the transaction
			t.Fatalf("nobody took the partition over\n%s", w.log.tail(60))
		}
		p.letGo()
		w.eventually(func() bool { return w.writers() == 0 }, func() string { return "the transaction has ended" })
		require.Zero(t, w.positions()[0].Next, "the old owner's transaction")
		require.Zero(t, w.done(), "the old owner's transaction")
		let()
		w.drain(1)
		sleeper.signal(syscall.SIGCONT)
		w.produce(0, stream(100, 50, 20, 0, w.began.Add(-time.Hour)))
		w.drain(1)
		w.checkTallied()
	})
}

// writers is how many transactions have written to orders and are still open.
func (w *world) writers() (n int) {
	w.t.Helper()
	require.NoError(w.t, w.db.Raw("SELECT count(DISTINCT pid) FROM pg_locks WHERE relation = 'orders'::regclass AND mode = 'RowExclusiveLock'").Scan(&n).Error)
	return n
}

// heldUp makes the handlers of the members that are started from now on wait until let is
// called; entered is closed when the first of them is there.
func (w *world) heldUp() (entered <-chan struct{}, let func()) {
	w.t.Helper()
	var enter, release sync.Once
	there, hold := make(chan struct{}), make(chan struct{})
	w.registry = func() *handlers.Registry {
		return tallied(func(int64, *handlers.Delivery[body, Tally]) {
			enter.Do(func() { close(there) })
			<-hold
		})
	}
	let = func() { release.Do(func() { close(hold) }) }
	w.t.Cleanup(let)
	return there, let
}

// A commit to Kafka that comes late, with the token of an owner that is over, is taken by
// a broker that knows no better. The next start goes by the ledger.
func TestB09LateCommitRewindsNothing(t *testing.T) {
	t.Parallel()
	each(t, "B09 commit", func(t *testing.T, at combination) {
		t.Parallel()
		w := newTallyWorld(t, at, 1)
		base := w.began.Add(-time.Hour)
		w.produce(0, stream(0, 50, 10, 0, base))
		m := w.start(quick)
		w.drain(1)
		m.stop()
		offset, token := w.broker.Committed(t, w.group, w.topic, 0)
		require.EqualValues(t, 50, offset)
		require.NotEmpty(t, token)

		w.produce(0, stream(50, 50, 10, 0, base))
		m = w.start(quick)
		w.drain(1)
		m.stop()

		kafka, err := kclient.New(w.broker.Brokers)
		require.NoError(t, err)
		defer kafka.Close()
		require.NoError(t, kafka.Commit(t.Context(), w.group, w.topic, 0, offset, token))

		w.produce(0, stream(100, 20, 10, 0, base))
		m = w.start(quick)
		w.drain(1)
		w.checkTallied()
		s := m.final()
		require.EqualValues(t, 20, s.Records, "only what is new is read")
		require.Empty(t, s.Alarms)
	})
}

// A member freezes inside its transaction, its rows written and locked, the ledger not yet
// touched: the new owner takes the partition at once, and the rows when the server ends the
// old one's transaction.
func TestB09FrozenInsideItsTransaction(t *testing.T) {
	t.Parallel()
	each(t, "B09 inside", func(t *testing.T, at combination) {
		t.Parallel()
		w := newTallyWorld(t, at, 1)
		p := newProxy(t, w.dsn)
		base := w.began.Add(-time.Hour)
		w.produce(0, stream(0, 100, 20, 0, base))
		p.arm(holdLedger, 1)
		sleeper := w.spawn(func(s *childSpec) { s.DSN, s.BatchSize = p.dsn, 25 })
		w.eventually(func() bool { return p.harmed() == 1 }, sleeper.text)
		sleeper.signal(syscall.SIGSTOP)
		w.eventually(func() bool { return frozen(sleeper.pid) }, sleeper.text)
		require.Equal(t, 1, w.writers(), "the frozen member's transaction holds rows")

		heir := w.start(quick)
		w.eventually(func() bool {
			s := heir.consumer.Stats()
			return len(s.Partitions) == 1 && s.Partitions[0].Epoch > 1
		}, func() string { return "the new owner has taken the ledger" })
		require.Zero(t, w.positions()[0].Next, "the frozen member's transaction is still open")

		// The rows stay locked until the server ends that transaction. It waits for the
		// rest of a pipeline, which is no idle transaction to PostgreSQL.
		w.drain(1)
		w.checkTallied()

		p.letGo()
		sleeper.signal(syscall.SIGCONT)
		w.produce(0, stream(100, 50, 20, 0, base))
		w.drain(1)
		w.checkTallied()
	})
}
