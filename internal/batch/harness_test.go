package batch_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm/schema"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/classify"
	"github.com/evenkeel-go/evenkeel/internal/clocks"
	"github.com/evenkeel-go/evenkeel/internal/ledger"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// order is the model of these tests.
type order struct {
	ID       string `gorm:"primaryKey"`
	Status   string
	Customer string
	Note     *string
	PaidAt   *time.Time
	Count    int
	Limit    int
	guards.Guarded
}

type facts struct {
	Customer string  `json:"customer"`
	Note     *string `json:"note"`
	Keep     bool    `json:"keep"`
	Limit    int     `json:"limit"`
}

var base = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// ev is an event of a test: type, entity, seconds after base, id, which may be source/id.
type ev struct {
	typ, key string
	at       int
	id       string
	data     string
}

// codec reads an ev that sits in the record by its number in Value.
type codec struct{ events []ev }

// noNumber is the data of an event without one.
const noNumber = "null"

var errPoison = errors.New("not an event")

func (codec) Name() string { return "test" }

func (c codec) Decode(r *event.Record, e *event.Event) error {
	var n int
	if _, err := fmt.Sscan(string(r.Value), &n); err != nil {
		return errPoison
	}
	v := c.events[n]
	e.ID, e.Source, e.Type, e.Key = v.id, "src", v.typ, v.key
	if source, id, ok := strings.Cut(v.id, "/"); ok {
		e.Source, e.ID = source, id
	}
	e.OccurredAt = base.Add(time.Duration(v.at) * time.Second)
	e.Version, e.HasVersion = int64(v.at), v.data != noNumber
	e.Lamport, e.HasLamport = int64(v.at), true
	e.Data = []byte(cmp.Or(v.data, "{}"))
	var more struct{ Vector string }
	if json.Unmarshal(e.Data, &more) == nil && more.Vector != "" {
		vector, err := event.ParseVector(more.Vector)
		e.Vector = vector
		return err
	}
	return nil
}

// memory is a database of one partition and the tables of the models.
type memory struct {
	t       testing.TB
	judge   *batch.Judge
	prepare *batch.Preparer
	layouts batch.Layouts
	events  *codec
	rows    map[string]map[string]*store.Row
	parked  map[string]*store.Parked
	letters map[string]*dlq.Letter
	ids     map[store.IDKey]*store.ID
	memos   map[store.MemoKey]*store.Memo
	origins map[store.OriginKey][]*store.Origin
	gaps    []batch.Gap
	outbox  []*store.Outbound
	// rowsAtOnce is store.StreamRows where a test wants fewer; woken counts streams that
	// were made due.
	rowsAtOnce, woken int
	verdict           []batch.Judged
	led               ledger.State
	now               time.Time
}

func newMemory(t testing.TB, reg *handlers.Registry) *memory {
	t.Helper()
	w, err := reg.Wire(schema.NamingStrategy{})
	require.NoError(t, err)
	m := &memory{
		t: t, events: &codec{}, layouts: batch.Layouts{}, now: base.Add(time.Hour),
		rows: map[string]map[string]*store.Row{}, parked: map[string]*store.Parked{}, letters: map[string]*dlq.Letter{},
		ids: map[store.IDKey]*store.ID{}, memos: map[store.MemoKey]*store.Memo{}, origins: map[store.OriginKey][]*store.Origin{},
	}
	for _, model := range w.Models {
		gens := map[string]int32{}
		for _, n := range clocks.Names(model) {
			gens[n] = 1
		}
		m.layouts[model] = clocks.NewLayout(model, gens, 1)
		m.rows[model.Table] = map[string]*store.Row{}
	}
	m.judge = &batch.Judge{
		Wiring: w, Group: "g", Classify: classify.Handler, MissingFor: time.Hour, MaxParkedPerKey: 3,
		Delay: func(attempt int) (time.Duration, bool) { return time.Second, attempt < 3 },
	}
	m.prepare = &batch.Preparer{Wiring: w, Codec: func(string) event.Codec { return m.events }}
	m.judge.Prepare = m.prepare
	return m
}

// log turns events into records at the end of the log.
func (m *memory) log(evs ...ev) []*event.Record {
	var rs []*event.Record
	for _, e := range evs {
		m.events.events = append(m.events.events, e)
		rs = append(rs, m.record(fmt.Sprint(len(m.events.events)-1)))
	}
	return rs
}

func (m *memory) record(value string) *event.Record {
	r := &event.Record{Value: []byte(value), Timestamp: m.now, TimestampType: event.TimestampCreate}
	r.Cluster, r.TopicID, r.Topic = "c", "t", "orders"
	r.Offset = -1
	return r
}

// number gives records the offsets from next on.
func (m *memory) run(rs []*event.Record) *batch.Outcome {
	for i, r := range rs {
		r.Offset = m.led.Next + int64(i)
	}
	return m.judgeAt(rs)
}

func (m *memory) judgeAt(rs []*event.Record) *batch.Outcome {
	var items []*batch.Item
	for _, r := range rs {
		items = append(items, m.prepare.Prepare(r))
	}
	out, err := m.judge.Live(context.Background(), items, m.layouts, m.recall(items...), m.led, m.now)
	require.NoError(m.t, err)
	m.commit(out)
	return out
}

// sweep judges everything that is parked.
func (m *memory) sweep() *batch.Outcome {
	var units []*batch.Unit
	var items []*batch.Item
	for place := int64(0); place < 100; place++ {
		for _, p := range m.parked {
			if p.Place == place {
				row := *p
				u := m.prepare.PrepareParked(&row)
				units, items = append(units, u), append(items, u.Item)
			}
		}
	}
	out, err := m.judge.Waiting(context.Background(), units, m.layouts, m.recall(items...), m.now, func(p *store.Parked) bool { return !p.Due.After(m.now) }, nil)
	require.NoError(m.t, err)
	m.commit(out)
	return out
}

// recall is load with the ids and memos that the items ask for, and no others.
func (m *memory) recall(items ...*batch.Item) *store.Loaded {
	l := m.load()
	l.IDs, l.Memos = map[store.IDKey]*store.ID{}, map[store.MemoKey]*store.Memo{}
	want := batch.Gather("g", items, m.layouts, nil)
	for _, k := range want.IDs {
		if have := m.ids[k]; have != nil {
			id := *have
			id.Known = true
			l.IDs[k] = &id
		}
	}
	for _, k := range want.Memos {
		if memo, ok := m.memos[k]; ok {
			l.Memos[k] = memo
		}
	}
	return l
}

func (m *memory) load() *store.Loaded {
	l := &store.Loaded{Rows: m.rows, Queues: map[string]map[string]*store.Queue{}}
	queue := func(table, key string) *store.Queue {
		if l.Queues[table] == nil {
			l.Queues[table] = map[string]*store.Queue{}
		}
		if l.Queues[table][key] == nil {
			l.Queues[table][key] = &store.Queue{}
		}
		return l.Queues[table][key]
	}
	for place := int64(0); place < 100; place++ {
		for _, p := range m.parked {
			l.Judged(p.ID, false)
			if p.Place == place {
				q := queue(p.Table, p.Entity)
				q.Parked = append(q.Parked, store.QueueEntry{ID: p.ID, Handler: p.Handler, Cause: p.Cause, Place: p.Place, Due: p.Due, Stream: p.Stream})
				if p.Stream == "" {
					q.LastPlace = max(q.LastPlace, p.Place)
				}
			}
		}
	}
	for _, x := range m.letters {
		l.Judged(x.ID, store.HadEffect(x.Outcome))
		if x.Blocking && x.State.Unresolved() && x.Stream == "" {
			q := queue(x.Table, x.Entity)
			q.Letters = append(q.Letters, store.QueueEntry{ID: x.ID, Handler: x.Handler, Place: x.Place})
			q.LastPlace = max(q.LastPlace, x.Place)
		}
	}
	m.loadStreams(l)
	return l
}

// commit stores what a batch leaves, through the clocks' text form as a database would.
func (m *memory) commit(out *batch.Outcome) {
	b := out.Batch
	m.verdict = append(m.verdict, out.Verdicts...)
	m.outbox = append(m.outbox, b.Outbox...)
	for _, r := range append(append([]*store.Row{}, b.Insert...), b.Update...) {
		stored := *r
		decoded, err := r.Layout.Decode(r.Layout.Encode(r.Clocks), r.State)
		require.NoError(m.t, err)
		require.Equal(m.t, r.Clocks, decoded, "%+v", r.Layout.Encode(r.Clocks))
		if stored.Rev++; r.Rev == 0 {
			stored.Rev = b.Now.UnixMicro()
		}
		m.rows[r.Model.Table][r.Key] = &stored
	}
	for _, p := range append(append([]*store.Parked{}, b.Park...), b.Repark...) {
		m.parked[p.ID] = p
	}
	for _, mark := range b.Release {
		delete(m.parked, mark.ID)
	}
	m.commitStreams(out)
	for _, l := range slices.Concat(b.Letters, b.SweptLetters) {
		require.Nil(m.t, m.letters[l.ID], "a second letter %s", l.ID)
		m.letters[l.ID] = l
	}
	m.resolve(b.Resolve)
	for _, r := range b.Delete {
		delete(m.rows[r.Model.Table], r.Key)
	}
	for _, o := range b.Origins {
		m.origins[o.OriginKey] = append(m.origins[o.OriginKey], o)
	}
	for _, k := range b.Forget {
		delete(m.origins, k)
	}
	if b.Ledger != nil {
		m.led = *b.Ledger
	}
}

func (m *memory) order(key string) *order {
	r := m.rows["orders"][key]
	if r == nil {
		return nil
	}
	return r.Entity.Interface().(*order)
}

// reasons lists the verdicts so far.
func (m *memory) reasons() []string {
	var out []string
	for _, v := range m.verdict {
		out = append(out, v.Verdict.Action.String()+"/"+string(v.Verdict.Reason))
	}
	m.verdict = nil
	return out
}

func shuffled[T any](rng *rand.Rand, in []T) []T {
	out := append([]T{}, in...)
	rng.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// permute calls do with every order of the set.
func permute[T any](set []T, do func([]T)) {
	order := slices.Clone(set)
	var from func(int)
	from = func(k int) {
		if k == len(order) {
			do(order)
			return
		}
		for i := k; i < len(order); i++ {
			order[k], order[i] = order[i], order[k]
			from(k + 1)
			order[k], order[i] = order[i], order[k]
		}
	}
	from(0)
}
