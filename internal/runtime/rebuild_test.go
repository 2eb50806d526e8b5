package runtime

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm/schema"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/broker"
	"github.com/evenkeel-go/evenkeel/internal/ledger"
	"github.com/evenkeel-go/evenkeel/internal/seam"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/memory"
)

// mixed has a column under each rule that a rebuild must keep.
type mixed struct {
	ID             string `gorm:"primaryKey"`
	Set1, Set2     int64
	Name, Trail    string
	N, Sum         int64
	Numbers, Other string
	guards.Guarded
}

type payload struct {
	N int64 `json:"n"`
}

func mixedRegistry(bug int64, stamper guards.Stamper) *handlers.Registry {
	type d = handlers.Delivery[payload, mixed]
	told := func(d *d) {
		d.Emit(event.Draft{Topic: "out", Type: "told", Key: d.Event.ID, Payload: payload{}})
	}
	refused := func(d *d) error {
		if bug != 0 && d.Payload.N%4 == 0 {
			return handlers.DeadLetter(errors.New("bug"))
		}
		return nil
	}
	reg := handlers.NewRegistry(stamper)
	handlers.Set(reg, "made", func(_ context.Context, d *d) error {
		d.Entity.Set1 = d.Payload.N + bug
		told(d)
		return refused(d)
	}, handlers.Creates(), handlers.Writes("Set1"), handlers.Emits("out"))
	handlers.Set(reg, "set", func(_ context.Context, d *d) error { d.Entity.Set2 = d.Payload.N + bug; told(d); return nil }, handlers.Writes("Set2"), handlers.Emits("out"))
	handlers.Modify(reg, "renamed", func(_ context.Context, d *d) error {
		if d.Payload.N%3 == 0 {
			d.Entity.Name = fmt.Sprint(d.Payload.N + bug)
		}
		told(d)
		d.Entity.Trail += fmt.Sprint(d.Payload.N+bug, " ")
		return nil
	}, stamper, handlers.Writes("Name", "Trail"), handlers.Emits("out"))
	handlers.Modify(reg, "added", func(_ context.Context, d *d) error {
		told(d)
		d.Entity.N++
		d.Entity.Sum += d.Payload.N + bug
		return refused(d)
	}, guards.Once(guards.Memory(time.Hour)), handlers.Writes("N", "Sum"), handlers.Emits("out"))
	handlers.Modify(reg, "moved", func(_ context.Context, d *d) error {
		told(d)
		d.Entity.Numbers += fmt.Sprint(d.Event.Version+bug, " ")
		return refused(d)
	}, guards.Sequence(guards.GapTimeout(1000*time.Hour), guards.MaxGap(1000)), handlers.Writes("Numbers"), handlers.Emits("out"))
	return reg
}

// bench is a service on a store in memory: a log of two partitions, and what a lane and a
// sweeper do with it, one step at a time. It is the Reader of its rebuilds, too.
type bench struct {
	t       *testing.T
	rng     *rand.Rand
	st      *memory.Store
	now     time.Time
	wiring  *handlers.Wiring
	judge   *batch.Judge
	prepare *batch.Preparer
	layouts batch.Layouts
	logs    [2][]*event.Record
	ledgers [2]ledger.State
	numbers map[string]int64
	sent    int
	reading [2]int64
	ended   [2]bool
	mended  bool
	// stamper orders the events; stopped: no member runs.
	stamper guards.Stamper
	stopped bool
}

const mixedGroup = "g"

func newBench(t *testing.T, seed uint64) *bench {
	t.Helper()
	b := &bench{t: t, rng: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(1_700_000_000, 0).UTC(), numbers: map[string]int64{}, stamper: guards.Timestamp()}
	b.st = memory.New(func() time.Time { return b.now })
	b.release(1000)
	for p := range b.ledgers {
		var err error
		b.ledgers[p], _, err = b.st.Own(t.Context(), ledger.Key{Cluster: "c", TopicID: "id", Group: mixedGroup, Partition: int32(p)}, "t", "me")
		require.NoError(t, err)
		b.ledgers[p].Next, b.ledgers[p].High = 0, 0
	}
	return b
}

// release makes it a service with handlers that add bug to what they write.
func (b *bench) release(bug int64) {
	b.wire(bug)
	ls, err := b.st.Claim(b.t.Context(), mixedGroup, b.wiring.Models, false)
	require.NoError(b.t, err)
	b.layouts = batch.Layouts{b.wiring.Models[0]: ls[0]}
}

// wire makes the handlers of a release.
func (b *bench) wire(bug int64) {
	b.mended = bug == 0
	w, err := mixedRegistry(bug, b.stamper).Wire(schema.NamingStrategy{})
	require.NoError(b.t, err)
	b.wiring = w
	b.prepare = &batch.Preparer{Wiring: w, Codec: func(string) event.Codec { return event.Envelope(event.EnvelopeConfig{}) }}
	b.judge = &batch.Judge{
		Wiring: w, Group: mixedGroup, Prepare: b.prepare, MissingFor: time.Hour, MaxParkedPerKey: 1000,
		Classify: func(error) (bool, guards.Reason) { return false, "" },
		Delay:    func(int) (time.Duration, bool) { return time.Second, true },
		Outbox: batch.Outbox{
			Encoder:  func(string) event.Encoder { return event.CloudEvents().(event.Encoder) },
			MaxBytes: func(string) int { return 0 },
		},
	}
}

// send writes one more event, some of them twice; numbers come in pairs, the higher first.
func (b *bench) send() {
	b.sent++
	k := b.rng.IntN(3)
	typ := []string{"made", "set", "renamed", "added", "moved"}[b.rng.IntN(5)]
	version := ""
	if typ == "moved" {
		key := fmt.Sprint(k)
		version = fmt.Sprintf(`"version":%d,`, b.numbers[key]^1+1)
		b.numbers[key]++
	}
	at := b.now.Add(time.Duration(b.sent-b.rng.IntN(4)) * time.Millisecond)
	value := fmt.Sprintf(`{"id":"e%d","source":"s","type":%q,"key":"%d",%s"lamport":%d,"time":%q,"data":{"n":%d}}`, b.sent, typ, k, version, b.sent^6, at.Format(time.RFC3339Nano), b.sent)
	for range 1 + b.rng.IntN(2) {
		p := k % 2
		r := &event.Record{Key: []byte(fmt.Sprint(k)), Value: []byte(value), Timestamp: at}
		r.Coordinates = event.Coordinates{Cluster: "c", TopicID: "id", Topic: "t", Partition: int32(p), Offset: int64(len(b.logs[p]))}
		b.logs[p] = append(b.logs[p], r)
	}
}

// live lets a lane take a few records.
func (b *bench) live(p, n int) {
	l := &b.ledgers[p]
	rs := b.logs[p][l.Next:]
	var items []*batch.Item
	for _, r := range rs[:min(n, len(rs))] {
		items = append(items, b.prepare.Prepare(r))
	}
	if len(items) == 0 {
		return
	}
	for {
		loaded, err := b.st.Load(b.t.Context(), batch.Gather(mixedGroup, items, b.layouts, func(o int64) bool { first, _, _ := l.FirstSight(o); return first }))
		require.NoError(b.t, err)
		out, err := b.judge.Live(b.t.Context(), items, b.layouts, loaded, *l, b.now)
		require.NoError(b.t, err)
		if err = b.st.Commit(b.t.Context(), out.Batch); err == nil {
			*l = *out.Batch.Ledger
			l.Rev++
			return
		}
		require.ErrorIs(b.t, err, store.ErrConflict)
	}
}

// sweep looks at what is due after a while, and forgets ids.
func (b *bench) sweep(after time.Duration) {
	b.now = b.now.Add(after)
	rows, err := b.st.Due(b.t.Context(), &store.DueQuery{Group: mixedGroup, Now: b.now, Lease: lease, Limit: 10, PerKey: 50})
	require.NoError(b.t, err)
	var units []*batch.Unit
	var items []*batch.Item
	for _, p := range rows {
		u := b.prepare.PrepareParked(p)
		units, items = append(units, u), append(items, u.Item)
	}
	if len(units) > 0 {
		loaded, err := b.st.Load(b.t.Context(), batch.Gather(mixedGroup, items, b.layouts, nil))
		require.NoError(b.t, err)
		out, err := b.judge.Waiting(b.t.Context(), units, b.layouts, loaded, b.now, func(p *store.Parked) bool { return !p.Due.After(b.now) }, nil)
		require.NoError(b.t, err)
		if err := b.st.Commit(b.t.Context(), out.Batch); err != nil {
			require.ErrorIs(b.t, err, store.ErrConflict)
		}
	}
	upTo := b.now
	for p, l := range b.ledgers {
		for _, r := range b.logs[p][l.Next:] { // what is behind the horizon would be late
			if r.Timestamp.Before(upTo) {
				upTo = r.Timestamp
			}
		}
	}
	for _, m := range batch.Memories(b.wiring, []string{"t"}) {
		_, err := b.st.Forget(b.t.Context(), mixedGroup, m.Scope, event.Micros(upTo.Add(-time.Second)), 100)
		require.NoError(b.t, err)
	}
}

// something happens in the service.
func (b *bench) something() {
	if b.stopped {
		return
	}
	switch b.rng.IntN(5) {
	case 4:
		b.replay(false)
	case 0:
		b.sweep(time.Duration(b.rng.IntN(10)) * time.Second)
	case 1:
		b.send()
	default:
		b.live(b.rng.IntN(2), 1+b.rng.IntN(4))
	}
}

// replay takes some letters of the release with the bug in hand, or all.
func (b *bench) replay(all bool) {
	if !b.mended {
		return
	}
	for _, l := range b.st.Content().Letters {
		if l.State == dlq.Open && (all || b.rng.IntN(2) == 0) {
			require.NoError(b.t, b.st.MoveLetter(b.t.Context(), &store.LetterMove{Ref: l.Ref(), Move: dlq.MoveReplay}))
		}
	}
}

// settle works off everything.
func (b *bench) settle() {
	b.replay(true)
	for p := range b.logs {
		for b.ledgers[p].Next < int64(len(b.logs[p])) {
			b.live(p, 5)
		}
	}
	for i := 0; ; i++ {
		if _, waits := b.st.LastDue(); !waits {
			return
		}
		require.Less(b.t, i, 500, "something waits for ever")
		b.sweep(time.Second)
	}
}

// even sends what is missing of the pairs of numbers.
func (b *bench) even() {
	for slices.ContainsFunc([]string{"0", "1", "2"}, func(k string) bool { return b.numbers[k]%2 != 0 }) {
		b.send()
	}
}

func (b *bench) rows() map[string]string {
	all := map[string]string{}
	for _, k := range []string{"0", "1", "2"} {
		loaded, err := b.st.Load(b.t.Context(), &store.Want{Group: mixedGroup, Rows: []store.WantRows{{Model: b.wiring.Models[0], Layout: b.layouts[b.wiring.Models[0]], Keys: []string{k}}}})
		require.NoError(b.t, err)
		if r := loaded.Rows["mixeds"][k]; r != nil {
			m := *r.Entity.Interface().(*mixed)
			m.Guarded = guards.Guarded{}
			all[k] = fmt.Sprintf("%+v %v %v %+v", m, r.State, r.Rebuilding, r.Clocks)
		}
	}
	return all
}

// The bench as a broker.Reader.
func (b *bench) Assign(at []broker.Offset) error {
	b.ended = [2]bool{true, true}
	for _, o := range at {
		b.reading[o.Number], b.ended[o.Number] = o.Next, false
	}
	return nil
}

func (b *bench) Poll(time.Duration) broker.Polled {
	p := b.rng.IntN(2)
	if o := b.reading[p]; !b.ended[p] && o < int64(len(b.logs[p])) {
		b.reading[p]++
		r := *b.logs[p][o]
		return broker.Polled{Record: &r}
	} else if !b.ended[p] {
		return broker.Polled{End: &broker.Offset{Partition: broker.Partition{Topic: "t", Number: int32(p)}, Next: o}}
	}
	return broker.Polled{}
}

func (b *bench) Describe(context.Context, string) (broker.Topic, error) {
	return broker.Topic{Cluster: "c", ID: "id", Partitions: 2}, nil
}

func (b *bench) Find(_ context.Context, p broker.Partition) (broker.Position, error) {
	return broker.Position{LogEnd: int64(len(b.logs[p.Number]))}, nil
}
func (b *bench) Pause(broker.Partition) error  { return nil }
func (b *bench) Resume(broker.Partition) error { return nil }

// meddling is the store as a rebuild sees it: the service works between its reads and its
// writes, and a commit may be refused or cut off after it took effect.
type meddling struct {
	*memory.Store
	b *bench
}

var errTorn = context.DeadlineExceeded

func (m meddling) Commit(ctx context.Context, batch *store.Batch) error {
	for m.b.rng.IntN(3) == 0 {
		m.b.something()
	}
	cut := m.b.rng.IntN(15)
	if cut == 0 {
		return &store.UnknownError{Err: errTorn}
	}
	err := m.Store.Commit(ctx, batch)
	if err == nil && cut == 1 {
		return &store.UnknownError{Err: errTorn}
	}
	return err
}

// TestRebuildBesideTheService plays random schedules: a service with a bug, its mended
// release, and a rebuild that is interrupted again and again while events come, are swept and
// forgotten. Then the rows are those of the mended release on an empty database.
func TestRebuildBesideTheService(t *testing.T) {
	t.Parallel()
	replayed := map[dlq.Outcome]int{} //nolint:exhaustive // counted up from none
	for seed := range uint64(100) {
		b := newBench(t, seed)
		for range 60 {
			b.something()
		}
		b.release(0)
		for range b.rng.IntN(20) {
			b.something()
		}
		taken := &Rebuild{}
		for round := 0; ; round++ {
			r := b.rebuild()
			if err := r.Begin(t.Context(), true); err != nil {
				var unknown *store.UnknownError
				require.ErrorAs(t, err, &unknown)
				continue
			}
			if taken.Store != nil { // the one that was interrupted wakes up
				_, err := taken.Run(t.Context())
				require.ErrorIs(t, err, ErrRebuildTaken, "seed %d", seed)
			}
			ctx, interrupt := context.WithCancel(t.Context())
			steps := b.rng.IntN(12)
			r.Progress = func(RebuildState) {
				b.something()
				if steps--; steps == 0 && round < 6 {
					interrupt()
				}
			}
			_, err := r.Run(ctx)
			interrupt()
			if err == nil {
				break
			}
			require.ErrorIs(t, err, context.Canceled, "seed %d", seed)
			taken = r
		}
		b.even()
		b.settle()
		empty := newBench(t, seed)
		empty.release(0)
		empty.logs, empty.now = b.logs, b.now
		empty.settle()
		require.Equal(t, empty.rows(), b.rows(), "seed %d", seed)
		require.Equal(t, empty.told(), b.told(), "seed %d: what a rebuild lets go is told like anything else", seed)
		for _, l := range b.st.Content().Letters {
			require.Equal(t, dlq.Resolved, l.State, "seed %d", seed)
			replayed[l.Outcome]++
		}
	}
	require.Greater(t, replayed[dlq.OutcomeApplied], 100, "%v", replayed)
}

// told are the ids of what was emitted.
func (b *bench) told() (ids []string) {
	for _, o := range b.st.Content().Outbox {
		ids = append(ids, o.ID)
	}
	slices.Sort(ids)
	return ids
}

func (b *bench) rebuild() *Rebuild {
	return &Rebuild{
		Group: mixedGroup, Owner: "me", Topics: []string{"t"}, Store: meddling{b.st, b}, Reader: b, Clock: still{seam.System(), b},
		Judge: b.judge, Prepare: b.prepare, Models: b.wiring.Models, Layouts: b.layouts,
		Scope: batch.Scope{b.wiring.Models[0]: nil}, BatchSize: 3, MaxBytes: 1 << 20, Log: func(Level, string, ...any) {},
	}
}

// still is a clock whose sleeps take no time.
type still struct {
	seam.Clock
	b *bench
}

func (s still) Now() time.Time                                   { return s.b.now }
func (s still) Sleep(ctx context.Context, _ time.Duration) error { return ctx.Err() }
