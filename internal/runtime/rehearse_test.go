package runtime

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/classify"
	"github.com/evenkeel-go/evenkeel/internal/ledger"
	"github.com/evenkeel-go/evenkeel/internal/seam"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/memory"
	"github.com/evenkeel-go/evenkeel/internal/store/migrations"
	"github.com/evenkeel-go/evenkeel/internal/store/open"
	"github.com/evenkeel-go/evenkeel/testutil"
)

// part is a row of which one event touches several, and whose events keep the order of
// arrival.
type part struct {
	ID    string `gorm:"primaryKey"`
	Trail string
	guards.Guarded
}

// noted is what handlers write with SQL of their own.
type noted struct {
	ID   int64 `gorm:"primaryKey"`
	Note string
}

var errRehearsed = errors.New("not yet")

// mishap is what a handler does with some events: until it is mended with more of them.
func mishap(n int64, mended bool) error {
	switch {
	case n%23 == 0:
		panic("on the floor")
	case n%19 == 0:
		return errRehearsed
	case n%17 == 0 || !mended && n%3 == 0:
		return handlers.DeadLetter(errRehearsed)
	case n%13 == 0:
		return handlers.Discard("nobody wants it")
	}
	return nil
}

func rehearsedRegistry(mended, sql bool) *handlers.Registry {
	type d = handlers.Delivery[payload, mixed]
	try := func(do func(d *d)) func(context.Context, *d) error {
		return func(_ context.Context, d *d) error { do(d); return mishap(d.Payload.N, mended) }
	}
	reg := handlers.NewRegistry(guards.Timestamp(), guards.MaxFuture(10*time.Second), guards.MaxLateness(40*time.Second))
	handlers.Set(reg, "made", try(func(d *d) {
		d.Entity.Set1 = d.Payload.N
		d.Emit(event.Draft{Topic: "out", Type: "told", Key: d.Event.ID, Payload: payload{}})
	}), handlers.Creates(), handlers.Writes("Set1", "Set2"), handlers.Emits("out"))
	handlers.Set(reg, "set", try(func(d *d) { d.Entity.Set2 = d.Payload.N }), handlers.Writes("Set2"))
	handlers.Set(reg, "gone", try(func(d *d) { d.Delete() }), handlers.Writes())
	handlers.Modify(reg, "renamed", try(func(d *d) { d.Entity.Trail += fmt.Sprint(d.Payload.N, " ") }), guards.Timestamp(), handlers.Writes("Name", "Trail"))
	handlers.Modify(reg, "added", try(func(d *d) { d.Entity.N++; d.Entity.Sum += d.Payload.N }), guards.Once(guards.Memory(50*time.Second)), handlers.Writes("N", "Sum"))
	handlers.Modify(reg, "moved", try(func(d *d) { d.Entity.Numbers += fmt.Sprint(d.Event.Version, " ") }),
		guards.Sequence(guards.GapTimeout(20*time.Second), guards.MaxGap(1000)), handlers.Writes("Numbers"))
	handlers.Modify(reg, "packed", func(_ context.Context, d *handlers.Delivery[payload, part]) error {
		d.Entity.Trail += fmt.Sprint(d.Payload.N, " ")
		return mishap(d.Payload.N, mended)
	}, guards.None(), handlers.Writes("Trail"), handlers.Keys(func(p payload) []string {
		return []string{fmt.Sprint("p", p.N%2), "p2"}
	}))
	if sql {
		handlers.Set(reg, "noted", try(func(d *d) {
			d.Entity.Other = fmt.Sprint(d.Payload.N)
			if err := d.Tx().Create(&noted{Note: d.Event.ID}).Error; err != nil {
				panic(err)
			}
		}), handlers.Writes("Other"), handlers.UsesTx())
	}
	return reg
}

// theatre is a service of one lane and one sweeper.
type theatre struct {
	t      *testing.T
	rng    *rand.Rand
	db     *gorm.DB // nil in memory
	st     store.Store
	now    time.Time
	m      *Member
	log    []*event.Record
	led    ledger.State
	number map[string]int64
}

func newTheatre(t *testing.T, seed uint64, db *gorm.DB) *theatre {
	t.Helper()
	th := &theatre{t: t, rng: rand.New(rand.NewPCG(seed, 7)), db: db, now: time.Unix(1_700_000_000, 0).UTC(), number: map[string]int64{}}
	if db == nil {
		th.st = memory.New(func() time.Time { return th.now })
	} else {
		require.NoError(t, migrations.Up(t.Context(), db))
		require.NoError(t, db.AutoMigrate(&mixed{}, &part{}, &noted{}))
		st, err := open.Open(db)
		require.NoError(t, err)
		th.st = st
	}
	th.release(false)
	var err error
	th.led, _, err = th.st.Own(t.Context(), ledger.Key{Cluster: "c", TopicID: "id", Group: mixedGroup}, "t", "me")
	require.NoError(t, err)
	th.led.Next, th.led.High = 0, 0
	th.led, err = th.st.Position(t.Context(), th.led)
	require.NoError(t, err)
	return th
}

// release starts the service with its handlers as they are, or mended.
func (th *theatre) release(mended bool) {
	w, err := rehearsedRegistry(mended, th.db != nil).Wire(schema.NamingStrategy{})
	require.NoError(th.t, err)
	prepare := &batch.Preparer{Wiring: w, Codec: func(string) event.Codec { return event.Envelope(event.EnvelopeConfig{}) }}
	layouts, err := th.st.Claim(th.t.Context(), mixedGroup, w.Models, false)
	require.NoError(th.t, err)
	th.m = New(Options{
		Group: mixedGroup, Store: th.st, Clock: stageClock{th}, Spawn: &seam.Group{}, Models: w.Models, Layouts: batch.LayoutsOf(w.Models, layouts),
		Judge: &batch.Judge{
			Wiring: w, Group: mixedGroup, Prepare: prepare, Classify: classify.Handler, MissingFor: time.Hour, MaxParkedPerKey: 1000,
			Delay:               func(n int) (time.Duration, bool) { return time.Second, n < 3 },
			DeadLetterUnhandled: !mended,
			Outbox: batch.Outbox{
				Encoder:  func(string) event.Encoder { return event.CloudEvents().(event.Encoder) },
				MaxBytes: func(string) int { return 0 },
			},
		},
		Prepare: prepare, BatchSize: 10, MaxBytes: 1 << 20, MaxUnpublished: 10,
		Log: func(Level, string, ...any) {}, Observe: quiet{},
	})
}

// stageClock stands until somebody sleeps.
type stageClock struct{ th *theatre }

func (c stageClock) Now() time.Time { return c.th.now }
func (c stageClock) Sleep(ctx context.Context, _ time.Duration) error {
	return ctx.Err()
}
func (c stageClock) After(time.Duration) (<-chan time.Time, func()) { return nil, func() {} }
func (c stageClock) WithTimeout(ctx context.Context, _ time.Duration) (context.Context, context.CancelFunc) {
	return context.WithCancel(ctx)
}

// send writes an event, sometimes twice; some numbers never come, some events are late, some
// bytes are none.
func (th *theatre) send(n int) {
	k := th.rng.IntN(3)
	types := []string{"made", "set", "gone", "renamed", "added", "moved", "moved", "packed", "unknown"}
	if th.db != nil {
		types = append(types, "noted")
	}
	typ := types[th.rng.IntN(len(types))]
	version := ""
	if typ == "moved" {
		key := fmt.Sprint(k)
		if th.number[key]++; th.rng.IntN(8) == 0 {
			th.number[key]++
		}
		version = fmt.Sprintf(`"version":%d,`, th.number[key])
	}
	at := th.now.Add(time.Duration(n-th.rng.IntN(4)) * time.Millisecond)
	if th.rng.IntN(10) == 0 {
		at = at.Add(-5 * time.Minute)
	}
	value := fmt.Sprintf(`{"id":"e%d","source":"s","type":%q,"key":"%d",%s"time":%q,"data":{"n":%d}}`, n, typ, k, version, at.Format(time.RFC3339Nano), n)
	if th.rng.IntN(20) == 0 {
		value = "no event"
	}
	for range 1 + th.rng.IntN(2) {
		r := &event.Record{Key: []byte(fmt.Sprint(k)), Value: []byte(value), Timestamp: at}
		r.Coordinates = event.Coordinates{Cluster: "c", TopicID: "id", Topic: "t", Offset: int64(len(th.log))}
		th.log = append(th.log, r)
	}
}

// live lets the lane take what there is, a few records at a time.
func (th *theatre) live() {
	ctx := th.t.Context()
	for th.led.Next < int64(len(th.log)) {
		rs := th.log[th.led.Next:]
		var items []*batch.Item
		for _, r := range rs[:min(1+th.rng.IntN(4), len(rs))] {
			items = append(items, th.m.Prepare.Prepare(r))
		}
		for again := true; again; {
			locked, err := th.st.Lock(ctx, batch.Gather(mixedGroup, items, th.m.Layouts, func(o int64) bool { first, _, _ := th.led.FirstSight(o); return first }))
			require.NoError(th.t, err)
			out, err := th.m.Judge.Live(ctx, items, th.m.Layouts, locked.Loaded(), th.led, th.now)
			require.NoError(th.t, err)
			if again = out.Incomplete; again {
				locked.Rollback()
				continue
			}
			require.NoError(th.t, locked.Commit(ctx, out.Batch))
			th.led = *out.Batch.Ledger
			th.led.Rev++
		}
	}
}

// sweep judges all that is due, and returns the handlers' events beside the letters'.
func (th *theatre) sweep() {
	s := &sweeper{m: th.m}
	for range 200 {
		n, more, err := s.sweep(th.t.Context(), th.t.Context())
		require.NoError(th.t, err)
		if n == 0 && !more {
			return
		}
	}
	th.t.Fatal("the sweep finds no end")
}

func (th *theatre) letters() map[string]*dlq.Letter {
	all := map[string]*dlq.Letter{}
	if th.db == nil {
		for _, l := range th.st.(*memory.Store).Content().Letters {
			all[l.ID] = l
		}
		return all
	}
	refs, err := dlq.Refs(th.t.Context(), th.db, dlq.Filter{Group: mixedGroup})
	require.NoError(th.t, err)
	for _, ref := range refs {
		l, err := dlq.Get(th.t.Context(), th.db, ref.ID)
		require.NoError(th.t, err)
		all[l.ID] = l
	}
	return all
}

// beside are the rows of what is parked and no letter, by id.
func (th *theatre) beside() map[string]rowKey {
	all := map[string]rowKey{}
	if th.db == nil {
		for _, p := range th.st.(*memory.Store).Content().Parked {
			if p.Cause != store.CauseReplay {
				all[p.ID] = rowKey{p.Table, p.Entity}
			}
		}
		return all
	}
	var found []struct{ ID, Tbl, Entity string }
	require.NoError(th.t, th.db.Raw("SELECT id, tbl, entity FROM evenkeel_parked WHERE cause <> 'replay'").Scan(&found).Error)
	for _, p := range found {
		all[p.ID] = rowKey{p.Tbl, p.Entity}
	}
	return all
}

// parked is what waits to be replayed.
func (th *theatre) parked() map[string]*store.Parked {
	letters := th.letters()
	r, err := th.st.Rehearse(th.t.Context())
	require.NoError(th.t, err)
	defer r.End()
	all := map[string]*store.Parked{}
	for id := range letters {
		p, err := r.Parked(th.t.Context(), id)
		require.NoError(th.t, err)
		if p != nil && p.Cause == store.CauseReplay {
			all[id] = p
		}
	}
	return all
}

// everything is all that the database holds, as text, and how far its sequences have come.
func (th *theatre) everything() string {
	if th.db == nil {
		c := th.st.(*memory.Store).Content()
		var b strings.Builder
		for _, r := range c.Rows {
			fmt.Fprintf(&b, "%s %+v\n", r.Key, r.Entity.Elem().Interface())
		}
		for _, p := range c.Parked {
			fmt.Fprintf(&b, "%+v\n", *p)
		}
		for _, l := range c.Letters {
			fmt.Fprintf(&b, "%+v\n", *l)
		}
		for _, i := range c.IDs {
			fmt.Fprintf(&b, "%+v\n", *i)
		}
		for _, m := range c.Memos {
			fmt.Fprintf(&b, "%+v\n", *m)
		}
		fmt.Fprintf(&b, "%d", len(c.Outbox))
		return b.String()
	}
	return everything(th.t, th.db)
}

// TestDryRunTellsWhatAReplayComesTo in histories of everything at once: nothing changes, and
// then the replay does to each letter and each row what was told.
func TestDryRunTellsWhatAReplayComesTo(t *testing.T) {
	t.Parallel()
	for name, world := range map[string]struct {
		db    func(testing.TB) *gorm.DB
		seeds uint64
	}{
		"memory":   {nil, 60},
		"sqlite":   {testutil.SQLite, 5},
		"postgres": {testutil.Postgres, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			outcomes := map[string]int{}
			for seed := range world.seeds {
				var db *gorm.DB
				if world.db != nil {
					db = world.db(t)
				}
				rehearseOne(t, seed, db, outcomes)
			}
			t.Log(outcomes)
			for _, o := range []string{"applied", "obsolete", "duplicate", "fails", "retries", "waits", "refused", "rows", "edited"} {
				if world.db == nil {
					require.NotZero(t, outcomes[o], "%s is never seen: %v", o, outcomes)
				}
			}
		})
	}
}

// edit gives some letters a revision: of another number, which may be another entity's, or
// an event where there was none.
func (th *theatre) edit() (edited int) {
	letters := th.letters()
	for i, id := range slices.Sorted(maps.Keys(letters)) {
		l := letters[id]
		value, known := strings.CutSuffix(string(l.Record.Value), "}}")
		if value += fmt.Sprint(th.rng.IntN(3), "}}"); !known {
			value = fmt.Sprintf(`{"id":"mended%d","source":"s","type":"set","key":%q,"time":%q,"data":{"n":%d}}`, i, l.Record.Key, th.now.Format(time.RFC3339Nano), 1000+i)
		}
		if l.State != dlq.Open || th.rng.IntN(4) > 0 {
			continue
		}
		edited++
		require.NoError(th.t, th.st.MoveLetter(th.t.Context(), &store.LetterMove{
			Ref: l.Ref(), Move: dlq.MoveEdit, By: dlq.Actor{Name: "ann"}, Reason: "typo", Revision: &dlq.Revision{Value: []byte(value), Headers: l.Record.Headers},
		}))
	}
	return edited
}

// rehearseOne counts what it has seen, and the rows that it has compared.
func rehearseOne(t *testing.T, seed uint64, db *gorm.DB, outcomes map[string]int) {
	t.Helper()
	th := newTheatre(t, seed, db)
	ctx := t.Context()
	for n := 1; n <= 60; n++ {
		if th.send(n); th.rng.IntN(6) == 0 {
			th.live()
			th.now = th.now.Add(time.Duration(th.rng.IntN(20)) * time.Second)
			th.sweep()
		}
	}
	th.live()
	for range 4 {
		th.now = th.now.Add(30 * time.Second)
		th.sweep()
	}
	for _, memory := range batch.Memories(th.m.Judge.Wiring, []string{"t"}) {
		_, err := th.st.Forget(ctx, mixedGroup, memory.Scope, event.Micros(th.now.Add(-90*time.Second)), 100)
		require.NoError(t, err)
	}
	th.release(true)
	outcomes["edited"] += th.edit()
	judge := *th.m.Judge
	judge.Rehearses = true
	r := &Rehearsal{
		Group: mixedGroup, Store: th.st, Clock: stageClock{th}, Judge: &judge, Prepare: th.m.Prepare, Layouts: th.m.Layouts, AcceptForgotten: seed%2 == 0,
	}
	var chosen []*Candidate
	before := th.letters()
	for _, id := range slices.Sorted(maps.Keys(before)) {
		if th.rng.IntN(5) > 0 {
			ref := before[id].Ref()
			if th.rng.IntN(15) == 0 {
				ref.Rev += 5 // somebody was first
			}
			chosen = append(chosen, r.Candidate(ref, before[id]))
		}
	}
	beside := th.beside()
	was := th.everything()
	told := map[string]*Forecast{}
	rows := map[rowKey]*Picture{}
	for _, portion := range Portions(chosen) {
		forecasts, err := r.Rehearse(ctx, portion)
		require.NoError(t, err)
		require.Len(t, forecasts, len(portion))
		for _, f := range forecasts {
			told[f.Ref.ID] = f
			for _, c := range f.Rows {
				rows[rowKey{c.Model.Table, c.Key}] = c.After
			}
		}
	}
	require.Equal(t, was, th.everything(), "seed %d: a dry run changes nothing", seed)

	for _, c := range chosen {
		err := th.st.MoveLetter(ctx, r.move(c.Ref))
		require.Equal(t, err != nil, told[c.Ref.ID].Err != nil, "seed %d: %v", seed, err)
	}
	th.sweep()
	after, waiting := th.letters(), th.parked()
	for id, f := range told {
		l, p := after[id], waiting[id]
		is := fmt.Sprintf("seed %d: %s %s %s told %+v, is %s %s %v", seed, id, l.EventType, l.Entity, f, l.State, l.Outcome, p)
		switch {
		case f.Err != nil:
			outcomes["refused"]++
			require.Equal(t, dlq.Open, l.State, is)
		case f.Retry != nil && l.State == dlq.Open: // others have woken it until it was exhausted
			require.Equal(t, f.Retry.Error, l.Error, is)
		case f.Retry != nil:
			outcomes["retries"]++
			require.Equal(t, dlq.Replaying, l.State, is)
			require.Equal(t, f.Retry.Error, p.Error, is)
			require.GreaterOrEqual(t, p.Attempts, f.Retry.Attempts, is)
		case f.Resolution == nil:
			outcomes["waits"]++
			require.Equal(t, dlq.Replaying, l.State, is)
			require.Zero(t, p.Attempts, is)
			require.NotEmpty(t, f.Waits, is)
		case f.Resolution.Outcome == "":
			outcomes["fails"]++
			require.Equal(t, dlq.Open, l.State, is)
			require.Equal(t, f.Resolution.Failed.Error, l.Error, is)
			require.Equal(t, f.Resolution.Failed.Verdict.Reason, l.Verdict.Reason, is)
		default:
			outcomes[string(f.Resolution.Outcome)]++
			require.Equal(t, dlq.Resolved, l.State, is)
			require.Equal(t, f.Resolution.Outcome, l.Outcome, is)
			if th.db != nil {
				last, err := th.st.LastMove(ctx, id)
				require.NoError(t, err)
				require.Equal(t, f.Resolution.Why, last.Reason, is)
			}
		}
	}
	left := th.beside()
	for id, k := range beside {
		if _, waits := left[id]; !waits {
			delete(rows, k) // an event that a letter has let go may have changed it since
		}
	}
	for _, f := range told {
		for _, j := range f.Verdicts { // of a whole record's units each may wait for itself
			if j.Verdict.Action == guards.Park {
				maps.DeleteFunc(rows, func(k rowKey, _ *Picture) bool { return k.key == j.Entity })
			}
		}
	}
	outcomes["rows"] += len(rows)
	for k, told := range rows {
		require.Equal(t, fieldsOf(told), fieldsOf(th.picture(k)), "seed %d: row %v", seed, k)
	}
}

func (th *theatre) picture(k rowKey) *Picture {
	for _, m := range th.m.Models {
		if m.Table != k.table {
			continue
		}
		loaded, err := th.st.Load(th.t.Context(), &store.Want{Group: mixedGroup, Rows: []store.WantRows{{Model: m, Layout: th.m.Layouts[m], Keys: []string{k.key}}}})
		require.NoError(th.t, err)
		return pictures(loaded)[k]
	}
	return nil
}

func fieldsOf(p *Picture) (texts []string) {
	if p == nil {
		return nil
	}
	texts = append(texts, p.State.String())
	for _, c := range p.Fields {
		v := "NULL"
		if c.Value != nil {
			v = *c.Value
		}
		texts = append(texts, c.Column+"="+v)
	}
	return texts
}

// everything is what all tables hold, in any order that stays the same.
func everything(t *testing.T, db *gorm.DB) string {
	t.Helper()
	var b strings.Builder
	tables, err := db.Migrator().GetTables()
	require.NoError(t, err)
	slices.Sort(tables)
	for _, table := range tables {
		var rows []map[string]any
		require.NoError(t, db.Table(table).Find(&rows).Error)
		texts := make([]string, len(rows))
		for i, r := range rows {
			for k, v := range r {
				if at, ok := v.(*any); ok { // of columns without a type
					r[k] = *at
				}
			}
			texts[i] = fmt.Sprint(r)
		}
		slices.Sort(texts)
		fmt.Fprintln(&b, table, len(rows), strings.Join(texts, "\n"))
	}
	if db.Name() == "postgres" {
		// What the database has given out of its sequences stays given, but for ours.
		var last []string
		require.NoError(t, db.Raw("SELECT sequencename || ' ' || coalesce(last_value, 0) FROM pg_sequences WHERE sequencename LIKE 'evenkeel%' ORDER BY 1").Scan(&last).Error)
		fmt.Fprintln(&b, last)
	}
	return b.String()
}
