package runtime

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm/schema"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/breaker"
	"github.com/evenkeel-go/evenkeel/internal/broker"
	"github.com/evenkeel-go/evenkeel/internal/classify"
	"github.com/evenkeel-go/evenkeel/internal/clocks"
	"github.com/evenkeel-go/evenkeel/internal/ledger"
	"github.com/evenkeel-go/evenkeel/internal/seam"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// instant is a clock on which every wait is over at once.
type instant struct{}

func (instant) Now() time.Time                                   { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }
func (instant) Sleep(ctx context.Context, _ time.Duration) error { return ctx.Err() }
func (instant) After(time.Duration) (<-chan time.Time, func()) {
	c := make(chan time.Time)
	close(c)
	return c, func() {}
}

func (instant) WithTimeout(ctx context.Context, _ time.Duration) (context.Context, context.CancelFunc) {
	return context.WithCancel(ctx)
}

type quiet struct{}

func (quiet) Assigned(broker.Partition, int64)      {}
func (quiet) Released(broker.Partition, bool)       {}
func (quiet) Alarm(broker.Partition, ledger.Alarm)  {}
func (quiet) Batch(Batch)                           {}
func (quiet) Swept([]batch.Judged)                  {}
func (quiet) Letter(*dlq.Letter)                    {}
func (quiet) Published(int)                         {}
func (quiet) Emitted([]*store.Outbound)             {}
func (quiet) Sent(string, int)                      {}
func (quiet) Conflict(broker.Partition)             {}
func (quiet) Placeholders(OldPlaceholders)          {}
func (quiet) Removed(string, guards.Existence, int) {}
func (quiet) Gap(batch.Gap)                         {}
func (quiet) Breaker(breaker.Status)                {}

type fakeStore struct {
	store.Store
	own    func() (ledger.State, bool, error)
	load   func(*store.Want) (*store.Loaded, error)
	commit func(*store.Batch) error
	lock   func() (store.Locked, error)
}

func (fakeStore) Topic(context.Context, string, string, string, string, int32) (int32, bool, error) {
	return 1, true, nil
}

func (f fakeStore) Own(_ context.Context, k ledger.Key, _, _ string) (ledger.State, bool, error) {
	s, found, err := f.own()
	s.Key = k
	return s, found, err
}
func (fakeStore) Unpublished(context.Context, ledger.Key) ([]*dlq.Letter, error) { return nil, nil }
func (fakeStore) Unsent(context.Context, ledger.Key) ([]*store.Outbound, error)  { return nil, nil }
func (fakeStore) Position(_ context.Context, s ledger.State) (ledger.State, error) {
	s.Rev++
	return s, nil
}

func (f fakeStore) Load(_ context.Context, w *store.Want) (*store.Loaded, error) {
	if f.load == nil {
		return &store.Loaded{}, nil
	}
	return f.load(w)
}
func (f fakeStore) Commit(_ context.Context, b *store.Batch) error { return f.commit(b) }
func (f fakeStore) Lock(context.Context, *store.Want) (store.Locked, error) {
	return f.lock()
}
func (fakeStore) Mark(context.Context, []store.Mark) error { return nil }

type fakeConsumer struct {
	broker.Consumer
	pos   broker.Position
	start func(int64)
}

func (fakeConsumer) Describe(context.Context, string) (broker.Topic, error) {
	return broker.Topic{Cluster: "c", ID: "t", Partitions: 1}, nil
}

func (f fakeConsumer) Find(context.Context, broker.Partition) (broker.Position, error) {
	return f.pos, nil
}

func (f fakeConsumer) Start(_ broker.Partition, at int64) error {
	if f.start != nil {
		f.start(at)
	}
	return nil
}
func (fakeConsumer) Commit(context.Context, []broker.Offset) error { return nil }
func (fakeConsumer) Pause(broker.Partition) error                  { return nil }
func (fakeConsumer) LogEnd(broker.Partition) int64                 { return -1 }

type lamp struct {
	ID string `gorm:"primaryKey"`
	On bool
	guards.Guarded
}

type nothing struct{}

type keyCodec struct{}

func (keyCodec) Name() string { return "key" }
func (keyCodec) Decode(r *event.Record, e *event.Event) error {
	e.ID, e.Source, e.Type, e.Key = string(r.Key), "s", "on", string(r.Key)
	e.OccurredAt = instant{}.Now()
	e.Data = []byte("{}")
	return nil
}

func testLane(t *testing.T, s fakeStore, c *fakeConsumer) *lane {
	t.Helper()
	reg := handlers.NewRegistry()
	handlers.Set(reg, "on", func(_ context.Context, d *handlers.Delivery[nothing, lamp]) error {
		d.Entity.On = true
		return nil
	}, handlers.Writes("On"), handlers.Creates())
	w, err := reg.Wire(schema.NamingStrategy{})
	require.NoError(t, err)
	layouts := batch.Layouts{}
	for _, m := range w.Models {
		gens := map[string]int32{}
		for _, n := range clocks.Names(m) {
			gens[n] = 1
		}
		layouts[m] = clocks.NewLayout(m, gens, 1)
	}
	m := New(Options{
		Group: "g", Store: s, Consumer: c, Clock: instant{}, Spawn: &seam.Group{}, Models: w.Models, Layouts: layouts,
		Judge: &batch.Judge{
			Wiring: w, Group: "g", Classify: classify.Handler, MissingFor: time.Hour, MaxParkedPerKey: 10,
			Delay: func(n int) (time.Duration, bool) { return time.Second, n < 3 },
		},
		Prepare:   &batch.Preparer{Wiring: w, Codec: func(string) event.Codec { return keyCodec{} }},
		BatchSize: 10, MaxBytes: 1 << 20, MaxUnpublished: 10,
		Log: func(Level, string, ...any) {}, Observe: quiet{},
	})
	l := newLane(m, broker.Partition{Topic: "o", Number: 0})
	m.lanes[l.p] = l
	return l
}

func keyed(offset int64, key string) *event.Record {
	r := &event.Record{Key: []byte(key), Value: []byte("{}"), Timestamp: instant{}.Now(), TimestampType: event.TimestampCreate}
	r.Topic, r.Offset = "o", offset
	return r
}

// A transaction whose COMMIT was lost may arrive after Settle has said no (store.Settle
// says so); then the batch that is sent again is fenced by the revision although the epoch
// is our own. The same answer meets the rightful owner after a zombie has raised the epoch
// late. The group still gives the partition to this member, so nobody else will read it.
func TestFencedLaneThatIsStillAssignedOwnsAgain(t *testing.T) {
	t.Parallel()
	owned, again := 0, make(chan struct{})
	var l *lane
	c := &fakeConsumer{pos: broker.Position{LogEnd: 100}}
	s := fakeStore{
		own: func() (ledger.State, bool, error) {
			if owned++; owned == 2 {
				close(again)
			}
			return ledger.State{Epoch: int64(owned)}, true, nil
		},
		commit: func(*store.Batch) error {
			if owned == 1 {
				return store.ErrFenced
			}
			return nil
		},
	}
	c.start = func(at int64) { l.queue.offer(keyed(at, "k")) }
	l = testLane(t, s, c)
	go l.run()
	select {
	case <-again:
		l.stop()
		l.abandon()
		<-l.done
	case <-l.done:
		t.Fatal("the lane has ended, but the partition is still assigned to this member: nobody reads it until the next rebalance")
	}
}

// R18: what Load refuses about one key is that record's fault.
func TestKeyThatLoadRefusesDoesNotHoldThePartition(t *testing.T) {
	t.Parallel()
	loads := 0
	var l *lane
	var letters []*dlq.Letter
	s := fakeStore{
		load: func(w *store.Want) (*store.Loaded, error) {
			if loads++; loads > 50 {
				l.abandon()
			}
			for _, r := range w.Rows {
				for _, k := range r.Keys {
					if k == "not-a-uuid" { // SELECT … u.k::uuid
						return nil, &store.DataError{State: "22P02", Err: errPlain}
					}
				}
			}
			return &store.Loaded{}, nil
		},
		commit: func(b *store.Batch) error {
			letters = append(letters, b.Letters...)
			return nil
		},
	}
	s.lock = func() (store.Locked, error) {
		return nil, &store.DataError{State: "22P02", Err: errPlain}
	}
	l = testLane(t, s, &fakeConsumer{})
	locks := 0
	inner := s.lock
	s.lock = func() (store.Locked, error) {
		if locks++; locks > 50 {
			l.abandon()
		}
		return inner()
	}
	l.m.Store = s
	l.setPosition(ledger.State{Epoch: 1})
	err := l.process([]*event.Record{keyed(0, "not-a-uuid"), keyed(1, "fine")})
	require.NoError(t, err, "tried %d times", loads+locks)
	require.Len(t, letters, 1)
}

type slowLocked struct{ store.Locked }

func (slowLocked) Loaded() *store.Loaded { return &store.Loaded{} }
func (slowLocked) Rollback()             {}
func (slowLocked) Commit(context.Context, *store.Batch) error {
	// 25P03: the handlers took longer than idle_in_transaction_session_timeout.
	return &store.TransientError{Err: errPlain}
}

// A batch whose handlers take longer than the locked transaction may idle commits only
// without locks; once three tries have failed (a database restart) it must still get such
// a try.
func TestLockedTriesAreNotForEver(t *testing.T) {
	t.Parallel()
	commits, locks := 0, 0
	var l *lane
	s := fakeStore{
		commit: func(*store.Batch) error {
			if commits++; commits <= 2 {
				return &store.TransientError{Away: true, Err: errPlain}
			}
			return nil
		},
		lock: func() (store.Locked, error) {
			if locks++; locks > 50 {
				l.abandon()
			}
			return slowLocked{}, nil
		},
	}
	l = testLane(t, s, &fakeConsumer{})
	l.setPosition(ledger.State{Epoch: 1})
	require.NoError(t, l.process([]*event.Record{keyed(0, "k")}), "%d locked tries", locks)
}

// The broker's "out of range" does not say whose position it was, so every lane asks where
// it stands. Meanwhile the poll goroutine goes on delivering to those that are well.
func TestRepositionLosesNothingThatArrivesMeanwhile(t *testing.T) {
	t.Parallel()
	var l *lane
	c := &arriving{}
	offer := func(offsets ...int64) { // as Member.poll does
		if c.paused {
			return
		}
		for _, o := range offsets {
			l.m.bytes.Add(l.queue.offer(keyed(o, "k")))
		}
	}
	c.find = func() { offer(10, 11) } // while the lane waits for the broker's answer
	c.start = func(at int64) {
		offer(12) // polled just before the seek
		c.paused = false
		for o := at; o < 14; o++ {
			offer(o) // what the seek brings back
		}
	}
	l = testLane(t, fakeStore{}, &c.fakeConsumer)
	l.m.Consumer = c
	l.setPosition(ledger.State{Key: ledger.Key{Cluster: "c", TopicID: "t", Group: "g"}, Epoch: 1, Next: 10, High: 10})
	l.queue.start(10)
	l.recheck.Store(true)
	require.NoError(t, l.reposition())
	records, bytes, _ := l.queue.take(10)
	var got []int64
	for _, r := range records {
		got = append(got, r.Offset)
	}
	require.Equal(t, []int64{10, 11, 12, 13}, got, "the position moves over what is missing")
	l.m.bytes.Add(-bytes)
	require.Zero(t, l.m.bytes.Load(), "bytes that nobody gives back count against MaxBytes for ever")
}

type arriving struct {
	fakeConsumer
	find   func()
	start  func(int64)
	paused bool
}

func (a *arriving) Find(context.Context, broker.Partition) (broker.Position, error) {
	a.find()
	return broker.Position{LogEnd: 100}, nil
}

func (a *arriving) Start(_ broker.Partition, at int64) error {
	a.start(at)
	return nil
}

func (a *arriving) Pause(broker.Partition) error {
	a.paused = true
	return nil
}

// tryOwn adds the unpublished letters before what may fail (the commit to Kafka), and runs
// again: the letters' bytes must count once, or the lane holds 16 MiB that nobody gives
// back and never takes a record again.
func TestTrackerCountsALetterOnce(t *testing.T) {
	t.Parallel()
	tr := newTracker()
	for range 3 {
		tr.add([]*dlq.Letter{letterAt("a", 1, 40)})
	}
	tr.published("a", 1)
	n, bytes := tr.size()
	require.Zero(t, n)
	require.Zero(t, bytes)
}
