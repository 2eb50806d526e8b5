package runtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm/schema"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/broker"
	"github.com/evenkeel-go/evenkeel/internal/classify"
	"github.com/evenkeel-go/evenkeel/internal/ledger"
	"github.com/evenkeel-go/evenkeel/internal/seam"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/memory"
)

// job is a row of the tests of slow handlers: Trace and N under Once, Log under None, State
// under Set.
type job struct {
	ID    string `gorm:"primaryKey"`
	N     int
	Trace string
	Log   string
	State string
	guards.Guarded
}

// tally counts under Sequence.
type tally struct {
	ID    string `gorm:"primaryKey"`
	Trace string
	guards.Guarded
}

// said is an event of these tests, and its payload.
type said struct {
	ID, Type, Key string
	Keys          []string
	At            time.Duration
	Number        int64
	Fail          bool
}

type saidCodec struct{}

func (saidCodec) Name() string { return "said" }
func (saidCodec) Decode(r *event.Record, e *event.Event) error {
	var s said
	if err := json.Unmarshal(r.Value, &s); err != nil {
		return err
	}
	e.ID, e.Source, e.Type, e.Key, e.Data = s.ID, "s", s.Type, s.Key, r.Value
	e.OccurredAt = instant{}.Now().Add(s.At)
	e.Version, e.HasVersion = s.Number, s.Number > 0
	return nil
}

// standing is a clock whose time stands while its waits are real.
type standing struct{ seam.Clock }

func (standing) Now() time.Time { return instant{}.Now() }

// ticking is one that handlers move.
type ticking struct {
	standing
	passed atomic.Int64
}

func (c *ticking) Now() time.Time { return instant{}.Now().Add(time.Duration(c.passed.Load())) }

// hurried is one whose sleeps are over at once, when told.
type hurried struct {
	standing
	now atomic.Bool
}

func (c *hurried) Sleep(ctx context.Context, d time.Duration) error {
	if c.now.Load() {
		return ctx.Err()
	}
	return c.standing.Sleep(ctx, d)
}

// slowWorld is a log, a store, and handlers that wait at a gate.
type slowWorld struct {
	t       testing.TB
	slow    bool
	memory  *memory.Store
	wiring  *handlers.Wiring
	layouts batch.Layouts
	log     []*event.Record
	// before is asked before each COMMIT, and after once more after it.
	before, after func() error

	mu       sync.Mutex
	finished map[int64]bool // offsets in the ledger
	verdicts []string
	runs     map[string]int
	most     int
	keys     []string
	// waiting are handlers at the gate; nil lets everybody through.
	waiting map[chan struct{}]string
	// broken lets all handlers fail.
	broken bool
	// idempotency are the keys that a record's runs were given, renewed who has renewed its claims.
	idempotency map[string]bool
	// sent is what was sent for the first time, by topic and key.
	sent    map[string][]string
	renewed chan string
	// tick moves the clock by what a handler takes.
	tick func()
}

func newSlowWorld(t testing.TB, slow bool) *slowWorld {
	t.Helper()
	w := &slowWorld{
		t: t, slow: slow, memory: memory.New(instant{}.Now), layouts: batch.Layouts{},
		finished: map[int64]bool{}, runs: map[string]int{}, idempotency: map[string]bool{}, sent: map[string][]string{}, renewed: make(chan string, 1),
	}
	reg := handlers.NewRegistry(guards.MaxLateness(time.Hour))
	opts := func(slowly bool, more ...handlers.Option) []handlers.Option {
		if slowly && slow {
			more = append(more, handlers.Slow())
		}
		return more
	}
	// Both topics have a line for each key, whose events have the entity in common.
	send := func(emit func(event.Draft), topic, key string) {
		emit(event.Draft{Topic: topic, Type: "child", Key: key, Payload: said{}})
	}
	emits := handlers.Emits("jobs.out")
	trace := handlers.Writes("N", "Trace")
	work := func(ctx context.Context, d *handlers.Delivery[said, job]) error {
		d.Entity.N++
		send(d.Emit, "jobs.out", d.Entity.ID)
		d.Entity.Trace += d.Payload.ID + " "
		w.given(d.IdempotencyKey())
		return w.run(ctx, d.Event, "job "+d.Entity.ID, d.Payload.Fail)
	}
	handlers.Modify(reg, "work", work, guards.Once(), opts(true, trace, emits)...)
	handlers.Modify(reg, "quick", work, guards.Once(), trace, emits)
	handlers.Modify(reg, "pair", work, guards.Once(), opts(true, trace, emits, handlers.Keys(func(s said) []string { return s.Keys }))...)
	handlers.Modify(reg, "note", func(ctx context.Context, d *handlers.Delivery[said, job]) error {
		d.Entity.Log += d.Payload.ID + " "
		return w.run(ctx, d.Event, "job "+d.Entity.ID, d.Payload.Fail)
	}, guards.None(), opts(true, handlers.Writes("Log"))...)
	handlers.Set(reg, "told", func(ctx context.Context, d *handlers.Delivery[said, job]) error {
		d.Entity.State = d.Payload.ID
		send(d.Emit, "jobs.out", d.Entity.ID)
		return w.run(ctx, d.Event, "job "+d.Entity.ID, d.Payload.Fail)
	}, handlers.Writes("State"), emits)
	handlers.Set(reg, "asked", func(ctx context.Context, d *handlers.Delivery[said, job]) error {
		d.Entity.State = d.Payload.ID
		send(d.Emit, "jobs.out", d.Entity.ID)
		w.given(d.IdempotencyKey())
		return w.run(ctx, d.Event, "job "+d.Entity.ID, d.Payload.Fail)
	}, opts(true, handlers.Writes("State"), emits)...)
	handlers.Modify(reg, "count", func(ctx context.Context, d *handlers.Delivery[said, tally]) error {
		d.Entity.Trace += fmt.Sprint(d.Event.Version, " ")
		send(d.Emit, "tallies.out", d.Entity.ID)
		return w.run(ctx, d.Event, "tally "+d.Entity.ID, d.Payload.Fail)
	}, guards.Sequence(), opts(true, handlers.Writes("Trace"), handlers.Creates(), handlers.Emits("tallies.out"))...)
	var err error
	w.wiring, err = reg.Wire(schema.NamingStrategy{})
	require.NoError(t, err)
	layouts, err := w.memory.Claim(t.Context(), "g", w.wiring.Models, false)
	require.NoError(t, err)
	for i, m := range w.wiring.Models {
		w.layouts[m] = layouts[i]
	}
	return w
}

// run is what every handler does at its end.
func (w *slowWorld) run(ctx context.Context, e *event.Event, key string, fail bool) error {
	h := w.wiring.Handlers(e.Type)[0]
	if w.tick != nil {
		w.tick()
	}
	w.mu.Lock()
	if w.finished[e.Record.Offset] && h.Stream == nil { // what was parked follows
		w.t.Errorf("offset %d runs again after it was committed", e.Record.Offset)
	}
	w.runs[fmt.Sprint(e.Record.Offset, " ", key)]++
	if h.Slow {
		for _, k := range w.keys {
			if k == key {
				w.t.Errorf("two runs of %s at once", key)
			}
		}
		w.keys = append(w.keys, key)
		w.most = max(w.most, len(w.keys))
	}
	var gate chan struct{}
	if h.Slow && w.waiting != nil {
		gate = make(chan struct{})
		w.waiting[gate] = key
	}
	w.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.waiting, gate)
	if h.Slow {
		w.keys = slices.Delete(w.keys, slices.Index(w.keys, key), slices.Index(w.keys, key)+1)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if w.broken {
		return errPlain
	}
	if fail {
		return handlers.DeadLetter(errPlain)
	}
	return nil
}

func (w *slowWorld) given(key string) {
	w.mu.Lock()
	w.idempotency[key] = true
	w.mu.Unlock()
}

// atGate lists who stands there.
func (w *slowWorld) atGate() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Values(w.waiting))
}

// ran is how often handlers were called about a record and key.
func (w *slowWorld) ran(offset int64, key string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.runs[fmt.Sprint(offset, " ", key)]
}

func (w *slowWorld) job(id string) job {
	w.t.Helper()
	r, ok := w.memory.Row(w.wiring.Models[0], id)
	if !ok {
		return job{}
	}
	return *r.Entity.Interface().(*job)
}

// open lets through whoever stands at the gate and is meant. nil means anybody, and from now
// on: one that runs while the store is locked must not stand there when the store is looked at.
func (w *slowWorld) open(meant func(key string) bool) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for gate, key := range w.waiting {
		if meant == nil || meant(key) {
			delete(w.waiting, gate)
			close(gate)
			n++
		}
	}
	if meant == nil {
		w.waiting = nil
	}
	return n
}

// openOne lets one through at random and reports whether there was any.
func (w *slowWorld) openOne(rng *rand.Rand) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	gates := slices.SortedFunc(maps.Keys(w.waiting), func(a, b chan struct{}) int {
		if w.waiting[a] < w.waiting[b] {
			return -1
		}
		return 1
	})
	if len(gates) == 0 {
		return false
	}
	gate := gates[rng.IntN(len(gates))]
	delete(w.waiting, gate)
	close(gate)
	return true
}

func (w *slowWorld) add(events ...said) {
	for _, s := range events {
		value, err := json.Marshal(s)
		require.NoError(w.t, err)
		w.record(value)
	}
}

func (w *slowWorld) record(value []byte) {
	r := &event.Record{Value: value, Timestamp: instant{}.Now(), TimestampType: event.TimestampCreate}
	r.Topic, r.Offset = "o", 0
	if n := len(w.log); n > 0 {
		r.Offset = w.log[n-1].Offset + 1
	}
	w.log = append(w.log, r)
}

func (w *slowWorld) end() int64 { return w.log[len(w.log)-1].Offset + 1 }

// spiedStore is the memory store that the world looks at.
type spiedStore struct {
	*memory.Store
	w *slowWorld
}

func (s spiedStore) Commit(ctx context.Context, b *store.Batch) error {
	if f := s.w.before; f != nil {
		if err := f(); err != nil {
			return err
		}
	}
	if err := s.Store.Commit(ctx, b); err != nil {
		return err
	}
	s.w.committed(b)
	if f := s.w.after; f != nil {
		return f()
	}
	return nil
}

func (s spiedStore) Renew(ctx context.Context, group, owner string, until time.Time) error {
	if until.Equal(instant{}.Now().Add(lease)) {
		s.w.renewed <- owner
	}
	return s.Store.Renew(ctx, group, owner, until)
}

func (w *slowWorld) committed(b *store.Batch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, v := range b.Verdicts {
		w.verdicts = append(w.verdicts, fmt.Sprint(v.Coordinates.Offset, " ", v.Handler, " ", v.Entity, " ", v.Verdict.Action, " ", v.Verdict.Reason))
	}
	if b.Ledger == nil {
		return
	}
	for _, r := range w.log {
		if r.Offset < b.Ledger.Next || b.Ledger.Done.Contains(r.Offset) {
			w.finished[r.Offset] = true
		}
	}
}

// lane is a lane of a member of its own, assigned just now.
func (w *slowWorld) lane(change func(*Options)) *lane {
	o := Options{
		Group: "g", Store: spiedStore{w.memory, w}, Clock: standing{seam.System()}, Spawn: &seam.Group{},
		Models: w.wiring.Models, Layouts: w.layouts,
		Judge: &batch.Judge{
			Wiring: w.wiring, Group: "g", Classify: classify.Handler, MissingFor: time.Hour, MaxParkedPerKey: 1000,
			Delay: func(n int) (time.Duration, bool) { return time.Second, n < 3 },
			Outbox: batch.Outbox{
				Encoder:  func(string) event.Encoder { return event.CloudEvents().(event.Encoder) },
				MaxBytes: func(string) int { return 0 },
			},
		},
		Sender:    w,
		Prepare:   &batch.Preparer{Wiring: w.wiring, Codec: func(string) event.Codec { return saidCodec{} }},
		BatchSize: 20, Parallel: 4, MaxBytes: 1 << 30, MaxUnpublished: 10_000, RevokeTimeout: time.Second,
		Log: func(Level, string, ...any) {}, Observe: quiet{},
	}
	o.Judge.Prepare = o.Prepare
	if change != nil {
		change(&o)
	}
	var l *lane
	o.Consumer = fakeConsumer{pos: broker.Position{LogEnd: w.end()}, start: func(at int64) {
		for _, r := range w.log {
			if again := *r; r.Offset >= at {
				l.m.bytes.Add(l.queue.offer(&again))
			}
		}
	}}
	m := New(o)
	l = newLane(m, broker.Partition{Topic: "o", Number: 0})
	m.lanes[l.p] = l
	m.Spawn.Go("lane", l.run)
	m.Spawn.Go("relay", func() { m.events.run(m.hard) })
	w.t.Cleanup(func() {
		l.abandon()
		<-l.done
		m.cancel()
	})
	return l
}

// Send is broker.Sender's.
func (w *slowWorld) Send(_ context.Context, messages []broker.Message) []error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range messages {
		line := m.Topic + " " + string(m.Key)
		for _, h := range m.Headers {
			if h.Key == "ce_id" && !slices.Contains(w.sent[line], string(h.Value)) {
				w.sent[line] = append(w.sent[line], string(h.Value))
			}
		}
	}
	return make([]error, len(messages))
}

// allSent waits until nothing of the lane is left to be sent, and returns what was, in its
// order. What was swept may be left to those who look for leftovers, as time stands still.
func (w *slowWorld) allSent() map[string][]string {
	w.t.Helper()
	left := func() []*store.Outbound { return w.memory.Content().Outbox }
	w.until("all is sent", func() bool {
		return !slices.ContainsFunc(left(), func(o *store.Outbound) bool { return !o.Swept })
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	sent := maps.Clone(w.sent)
	for _, o := range left() {
		if line := o.Topic + " " + string(o.Key); !slices.Contains(sent[line], o.ID) {
			sent[line] = append(slices.Clone(sent[line]), o.ID)
		}
	}
	for line, ids := range sent {
		if strings.HasPrefix(line, "tallies") { // of which some are swept
			sent[line] = slices.Sorted(slices.Values(ids))
		}
	}
	return sent
}

// offsetWaits: Kafka is not told of an offset whose event is still to be sent (R10).
func (w *slowWorld) offsetWaits(l *lane) {
	w.t.Helper()
	at, ok := l.committable()
	if !ok {
		return
	}
	left := w.memory.Content().Outbox
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range left {
		if slices.Contains(w.sent[o.Topic+" "+string(o.Key)], o.ID) {
			continue // and not noted yet
		}
		require.True(w.t, o.Swept || o.Origin.Offset >= at.Next, "offset %d is not sent, and Kafka would be told %d", o.Origin.Offset, at.Next)
	}
}

// until waits for a condition.
func (w *slowWorld) until(what string, so func() bool) {
	w.t.Helper()
	bound := time.Now().Add(60 * time.Second)
	for !so() {
		if time.Now().After(bound) {
			w.t.Fatalf("it has not come to this: %s", what)
		}
		pause()
	}
}

// is is what the world has come to.
type is struct {
	Rows, Parked, Letters, IDs, Memos []string
	Verdicts                          []string
	Ledger                            ledger.State
}

func (w *slowWorld) now() is {
	c := w.memory.Content()
	var x is
	for _, r := range c.Rows {
		g := r.Guarded
		x.Rows = append(x.Rows, fmt.Sprintf("%+v %v %v %x %s", noGuard(r.Entity.Interface()), g.EkState, g.EkTime, g.EkTie, g.EkFields))
	}
	for _, p := range c.Parked {
		x.Parked = append(x.Parked, fmt.Sprint(p.Record.Offset, p.Handler, p.Entity, p.Cause, p.Place, p.Attempts, p.Due))
	}
	for _, l := range c.Letters {
		x.Letters = append(x.Letters, fmt.Sprint(l.Record.Offset, l.Handler, l.Entity, l.Verdict.Reason, l.Blocking, l.Place))
	}
	for _, i := range c.IDs {
		x.IDs = append(x.IDs, fmt.Sprintf("%+v", *i))
	}
	for _, m := range c.Memos {
		x.Memos = append(x.Memos, fmt.Sprint(m.MemoKey, m.Body))
	}
	w.mu.Lock()
	x.Verdicts = slices.Sorted(slices.Values(w.verdicts))
	w.mu.Unlock()
	var err error
	x.Ledger, err = w.memory.Settle(context.Background(), ledger.Key{Cluster: "c", TopicID: "t", Group: "g"})
	require.NoError(w.t, err)
	require.Empty(w.t, x.Ledger.Done)
	x.Ledger.Epoch, x.Ledger.Rev, x.Ledger.Done = 0, 0, nil
	return x
}

func noGuard(e any) any {
	switch e := e.(type) {
	case *job:
		c := *e
		c.Guarded = guards.Guarded{}
		return c
	case *tally:
		c := *e
		c.Guarded = guards.Guarded{}
		return c
	}
	return e
}

var errCut = &store.UnknownError{Err: errors.New("the connection was cut")}
