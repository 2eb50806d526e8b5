//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/parts/kclient"
	"github.com/evenkeel-go/evenkeel/internal/parts/measure"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/open"
)

const (
	group = "early"
	// age is when what waits is swept; longer than a run takes, until time passes.
	age = 1000 * time.Hour
	// chunk is how far the producer is ahead, and firstPoint what all is compared with.
	chunk      = 10_000
	firstPoint = 10_000
	points     = 20
	// patience is how long nothing may move.
	patience = 2 * time.Minute
)

// run is one run.
type run struct {
	n, partitions int
	mode          Mode
	brokers       string
	db            *gorm.DB
	out           io.Writer
	first         int           // where the first point is
	interval      time.Duration // of the sweeper; 0 is the framework's default

	store  store.Store
	table  store.Table
	client *kclient.Client
	topic  string
	took   took
	// assigned is how often the present consumer was given a partition.
	assigned atomic.Int64

	points []Point
	rate   float64 // events per second over all
	swept  int64
	sweep  time.Duration
	size   uint64
}

// OnPartition counts partitions that this consumer reads.
func (r *run) OnPartition(p framework.Partition) {
	if p.Assigned {
		r.assigned.Add(1)
	}
}

// took adds up batches.
type took struct {
	mu      sync.Mutex
	records int
	sum     time.Duration
}

func (t *took) OnBatch(b framework.Batch) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.records += b.Records
	t.sum += b.Took
}

// perThousand is the mean for 1,000 records since the last call.
func (t *took) perThousand() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.records == 0 {
		return 0
	}
	mean := t.sum * 1000 / time.Duration(t.records)
	t.records, t.sum = 0, 0
	return mean
}

func now() time.Time { return time.Now() }

func (r *run) do(ctx context.Context) (err error) {
	if err := r.prepare(ctx); err != nil {
		return err
	}
	defer r.client.Close()
	before := Progress{Mode: r.mode}
	if err := r.db.WithContext(ctx).Limit(1).Find(&before).Error; err != nil {
		return err
	}
	waiting, err := r.waiting(ctx)
	if err != nil {
		return err
	}
	// Of those that an interrupted sweep has cleared away only the note is left.
	have := max(int(waiting), before.Grown)
	if have > 0 {
		fmt.Fprintf(r.out, "%d are there already, of which %d still wait\n", have, waiting)
	}
	if have < r.n {
		if err := r.with(ctx, age, func(c *framework.Consumer) error { return r.grow(ctx, c, have) }); err != nil {
			return err
		}
	}
	if err := r.db.WithContext(ctx).Save(&Progress{Mode: r.mode, Grown: max(have, r.n)}).Error; err != nil {
		return err
	}
	r.size = r.bytes(ctx)
	return r.pass(ctx)
}

// prepare makes tables and topic.
func (r *run) prepare(ctx context.Context) (err error) {
	if r.store, err = open.Open(r.db); err != nil {
		return err
	}
	if err := framework.Migrate(ctx, r.db); err != nil {
		return err
	}
	if err := r.db.WithContext(ctx).AutoMigrate(&Early{}, &Numbered{}, &Progress{}); err != nil {
		return err
	}
	r.table = store.Table{Name: "earlies", Key: "id"} //nolint:misspell // GORM's plural
	index, err := r.store.MissingIndex(ctx, r.table, guards.Placeholder)
	if err != nil {
		return err
	}
	if index != "" {
		if err := r.db.WithContext(ctx).Exec(index).Error; err != nil {
			return err
		}
	}
	if r.client, err = kclient.New(r.brokers); err != nil {
		return err
	}
	r.topic = "early-" + strconv.FormatInt(now().UnixNano(), 36)
	for _, t := range []string{r.topic, r.topic + ".dlq"} {
		if err := r.client.CreateTopic(ctx, t, r.partitions, nil); err != nil {
			return err
		}
	}
	return nil
}

type silence struct{}

func (silence) Log(framework.Level, string, ...any) {}

// with runs a consumer whose waiting ends after the time.
func (r *run) with(ctx context.Context, wait time.Duration, do func(*framework.Consumer) error) error {
	r.assigned.Store(0)
	c, err := framework.New(r.db, &framework.Config{ //nolint:contextcheck // it takes none
		Brokers: r.brokers, Group: group, Topics: []string{r.topic}, DeadLetterTopic: r.topic + ".dlq",
		Handlers: registry(r.mode, wait), Codec: event.Envelope(event.EnvelopeConfig{}),
		PlaceholderAge: wait, PlaceholderPolicy: framework.PlaceholderDelete, SweepInterval: r.interval,
		Hooks: []any{r, &r.took}, Logger: silence{},
	})
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- c.Run(running) }()
	err = do(c)
	stop()
	return errors.Join(err, <-done)
}

// grow produces and waits, chunk by chunk, so that the broker holds little.
func (r *run) grow(ctx context.Context, c *framework.Consumer, have int) error {
	r.head()
	began, since, last, from := now(), now(), have, have
	next := r.first
	for done := have; done < r.n; {
		n := min(chunk, r.first, r.n-done)
		if err := r.produce(ctx, done, n); err != nil {
			return err
		}
		done += n
		if err := r.until(ctx, int64(done-from), func() (int64, bool) {
			records := c.Stats().Records
			return records, records >= int64(done-from)
		}); err != nil {
			return err
		}
		if err := r.forget(ctx, c); err != nil {
			return err
		}
		if done < next && done < r.n {
			continue
		}
		p := Point{Events: done, PerSecond: float64(done-last) / now().Sub(since).Seconds(), Batch: r.took.perThousand()}
		looked := now()
		if err := r.probe(ctx, &p); err != nil {
			return err
		}
		began = began.Add(now().Sub(looked)) // nothing comes meanwhile
		r.points = append(r.points, p)
		r.tell(p)
		last, since = done, now()
		next = done + max(r.n/points, r.first)
	}
	r.rate = float64(r.n-from) / now().Sub(began).Seconds()
	return nil
}

// produce writes events from the key number from on. Runs on one database have keys of
// their own: an interrupted one has not left the first of its keys.
func (r *run) produce(ctx context.Context, from, n int) error {
	at := now().UTC().Format(time.RFC3339Nano)
	records := make([]event.Record, n)
	for i := range records {
		id := r.topic + "-" + strconv.Itoa(from+i)
		records[i] = event.Record{
			Coordinates: event.Coordinates{Topic: r.topic, Partition: -1}, Key: []byte("key-" + id),
			Value: []byte(`{"id":"e-` + id + `","source":"early","type":"told","key":"key-` + id + `","time":"` + at + `","version":2,"data":{"note":"what came early"}}`),
		}
	}
	_, err := r.client.Produce(ctx, records...)
	return err
}

// forget deletes what the consumer has finished from the log.
func (r *run) forget(ctx context.Context, c *framework.Consumer) error {
	for _, p := range c.Stats().Partitions {
		if p.Committed <= 0 {
			continue
		}
		if err := r.client.DeleteRecords(ctx, p.Topic, p.Partition, p.Committed); err != nil {
			return err
		}
	}
	return nil
}

var errStuck = errors.New("nothing has moved")

// until waits for the condition, as long as something moves.
func (r *run) until(ctx context.Context, want int64, holds func() (int64, bool)) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	moved, mark := now(), int64(-1)
	for {
		at, ok := holds()
		switch {
		case ok:
			return nil
		case at != mark:
			moved, mark = now(), at
		case now().Sub(moved) > patience:
			return fmt.Errorf("%w for %s: %d of %d", errStuck, patience, at, want)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// pass lets the time come for all that waits, and waits until it is swept.
func (r *run) pass(ctx context.Context) error {
	left, err := r.waiting(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(r.out, "time passes; the sweeper has", left, "to clear away")
	return r.with(ctx, time.Second, func(c *framework.Consumer) error {
		// A member that has just begun is patient with gaps.
		err := r.until(ctx, int64(r.partitions), func() (int64, bool) {
			n := r.assigned.Load()
			return n, n >= int64(r.partitions)
		})
		if err != nil {
			return err
		}
		began, told := now(), now()
		gone := func() int64 { return c.Stats().PlaceholdersSwept }
		if r.mode == gaps {
			gone = func() int64 { return c.Stats().Gaps["skip/time"] }
			// A bound is stored with what waits for it.
			if err := r.db.WithContext(ctx).Exec("UPDATE evenkeel_parked SET due = 0, expires = 0").Error; err != nil {
				return err
			}
			// That left each row twice, which the passing of time does not.
			if r.db.Name() == "postgres" {
				if err := r.db.WithContext(ctx).Exec("VACUUM evenkeel_parked").Error; err != nil {
					return err
				}
			}
			began = now()
		}
		err = r.until(ctx, left, func() (int64, bool) {
			n := gone()
			if now().Sub(told) > 10*time.Second {
				told = now()
				fmt.Fprintf(r.out, "%10d swept, RSS %d MiB\n", n, measure.RSS()/mib)
			}
			return n, n >= left
		})
		r.swept, r.sweep = gone(), now().Sub(began)
		return err
	})
}

// bytes is how large the database is, 0 where it does not say.
func (r *run) bytes(ctx context.Context) (n uint64) {
	text := "SELECT pg_database_size(current_database())"
	if r.db.Name() == "sqlite" {
		text = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
	}
	r.db.WithContext(ctx).Raw(text).Scan(&n)
	return n
}
