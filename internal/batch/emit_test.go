package batch_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// children is the topic that the handlers of these tests emit to.
const children = "children"

// emitting is newMemory with an outbox, whose events it can also read.
func emitting(t testing.TB, reg *handlers.Registry) *memory {
	t.Helper()
	m := newMemory(t, reg)
	ce := event.CloudEvents()
	m.judge.Outbox = batch.Outbox{
		Encoder:  func(string) event.Encoder { return ce.(event.Encoder) },
		MaxBytes: func(string) int { return 2000 },
	}
	m.prepare.Codec = func(topic string) event.Codec {
		if topic == children {
			return ce
		}
		return m.events
	}
	return m
}

// child is the record of an emitted event at the end of the log.
func (m *memory) child(o *store.Outbound) *event.Record {
	r := &event.Record{Key: o.Key, Value: o.Value, Headers: o.Headers, Timestamp: m.now, TimestampType: event.TimestampCreate}
	r.Cluster, r.TopicID, r.Topic = "c", "u", o.Topic
	return r
}

// emitted takes what was emitted, decoded.
func (m *memory) emitted() (es []*event.Event) {
	for _, o := range m.outbox {
		it := m.prepare.Prepare(m.child(o))
		require.NoError(m.t, it.Err)
		require.Equal(m.t, o.ID, it.Event.ID)
		es = append(es, it.Event)
	}
	m.outbox = nil
	return es
}

func ids(es []*event.Event) (list []string) {
	for _, e := range es {
		list = append(list, e.ID)
	}
	return list
}

// credits is a registry whose orders, when they are paid, credit another one and themselves.
func credits(options ...guards.Guard) *handlers.Registry {
	reg := handlers.NewRegistry(append([]guards.Guard{guards.Timestamp()}, options...)...)
	handlers.Set(reg, "paid", func(_ context.Context, d *delivery) error {
		d.Entity.PaidAt = &d.Event.OccurredAt
		d.Entity.Note = &d.Event.ID
		d.Emit(event.Draft{Topic: children, Type: "credited", Key: "other", Payload: facts{Customer: "child of " + d.Event.ID}})
		d.Emit(event.Draft{Topic: children, Type: "noted", Key: d.Event.Key, Payload: facts{Customer: "child of " + d.Event.ID}})
		return nil
	}, handlers.Writes("PaidAt", "Note"), handlers.Emits(children))
	handlers.Set(reg, "credited", func(_ context.Context, d *delivery) error {
		d.Entity.Customer = d.Payload.Customer
		return nil
	}, handlers.Writes("Customer"))
	handlers.Set(reg, "noted", func(_ context.Context, d *delivery) error {
		d.Entity.Note = &d.Payload.Customer
		return nil
	}, handlers.Writes("Note"))
	return reg
}

func TestChildInherits(t *testing.T) {
	t.Parallel()
	m := emitting(t, credits())
	m.run(m.log(ev{"paid", "o1", 5, "shop/p", ""}))
	es := m.emitted()
	require.Len(t, es, 2)
	e := es[0]
	require.Equal(t, "credited", e.Type)
	require.Equal(t, "other", e.Key)
	require.Equal(t, "g", e.Source, "the group's name")
	require.Regexp(t, "^[0-9a-f]{32}$", e.ID)
	require.Equal(t, "p", e.CausationID)
	require.Equal(t, base.Add(5*time.Second), e.OccurredAt)
	require.EqualValues(t, 5, e.Lamport)
	require.False(t, e.HasVersion, "versions count per entity")
	require.Equal(t, "shop", e.Lineage.Source)
	require.Equal(t, "p", e.Lineage.ID)
	require.Equal(t, []event.Entity{{Type: "order", Key: "o1"}}, e.Lineage.Own)
	require.Len(t, e.Lineage.Path, 1)
	require.NotEqual(t, es[0].ID, es[1].ID)
	require.Less(t, es[0].Lineage.Path[0], es[1].Lineage.Path[0], "the second is newer")

	again := emitting(t, credits())
	again.run(again.log(ev{"paid", "o2", 5, "shop/p", ""}))
	require.NotContains(t, ids(again.emitted()), es[0].ID, "another unit's are others")
	again.run(again.log(ev{"paid", "o1", 5, "shop/p", ""}))
	require.Equal(t, ids(es), ids(again.emitted()), "the same unit's are the same, wherever it runs")
}

// TestOrderOfChildren is R11: an event after the root beats its child whenever it arrives, at
// equal time the entity's own event beats a child from elsewhere, and a child on its root's
// own entity beats the root.
func TestOrderOfChildren(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		other     ev
		customer  string
		ownNote   string
		ownNewest bool
	}{
		"a later primary":        {other: ev{"credited", "other", 6, "a", `{"customer":"primary"}`}, customer: "primary", ownNote: "child of p"},
		"an equal primary":       {other: ev{"credited", "other", 5, "a", `{"customer":"primary"}`}, customer: "primary", ownNote: "child of p"},
		"an earlier primary":     {other: ev{"credited", "other", 4, "z", `{"customer":"primary"}`}, customer: "child of p", ownNote: "child of p"},
		"a later own one":        {other: ev{"noted", "o1", 6, "a", `{"customer":"primary"}`}, customer: "child of p", ownNote: "primary"},
		"an equal one before it": {other: ev{"noted", "o1", 5, "a", `{"customer":"primary"}`}, customer: "child of p", ownNote: "child of p"},
		"an equal one after it":  {other: ev{"noted", "o1", 5, "z", `{"customer":"primary"}`}, customer: "child of p", ownNote: "primary"},
	} {
		first := emitting(t, credits())
		first.run(first.log(ev{"paid", "o1", 5, "p", ""}))
		sent := first.outbox
		m := emitting(t, credits())
		rs := m.log(ev{"paid", "o1", 5, "p", ""}, c.other)
		for _, o := range sent {
			rs = append(rs, m.child(o))
		}
		permute(rs, func(order []*event.Record) {
			fresh := emitting(t, credits())
			fresh.events.events = m.events.events
			for _, r := range order {
				copied := *r
				fresh.run([]*event.Record{&copied})
			}
			require.Equal(t, c.customer, fresh.order("other").Customer, name)
			require.Equal(t, c.ownNote, *fresh.order("o1").Note, name)
		})
	}
}

// TestEmissionsDoNotDependOnOrder: overtaken events and duplicates emit the same.
func TestEmissionsDoNotDependOnOrder(t *testing.T) {
	t.Parallel()
	modify := func(guard guards.Stamper) *handlers.Registry {
		reg := handlers.NewRegistry(guards.Timestamp())
		handlers.Modify(reg, "paid", func(_ context.Context, d *delivery) error {
			d.Entity.Customer = d.Event.ID
			d.Emit(event.Draft{Topic: children, Type: "credited", Key: "other", Payload: []byte(d.Event.ID)})
			return nil
		}, guard, handlers.Writes("Customer"), handlers.Emits(children))
		return reg
	}
	for name, wire := range map[string]func() *handlers.Registry{
		"set":       func() *handlers.Registry { return credits() },
		"timestamp": func() *handlers.Registry { return modify(guards.Timestamp()) },
		"version":   func() *handlers.Registry { return modify(guards.Version()) },
		"lamport":   func() *handlers.Registry { return modify(guards.Lamport()) },
		"once":      func() *handlers.Registry { return modify(guards.Once()) },
		"sequence":  func() *handlers.Registry { return modify(guards.Sequence()) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := []ev{{"paid", "o1", 1, "a", ""}, {"paid", "o1", 2, "b", ""}, {"paid", "o1", 3, "c", ""}, {"paid", "o1", 2, "b", ""}}
			var want []string
			permute(set, func(order []ev) {
				m := emitting(t, wire())
				for _, e := range order {
					m.run(m.log(e))
				}
				got := ids(m.emitted())
				slices.Sort(got)
				got = slices.Compact(got)
				if want == nil {
					want = got
				}
				require.Equal(t, want, got)
				require.Empty(t, m.letters)
				if name != "set" && name != "once" {
					require.Equal(t, "c", m.order("o1").Customer, "what an overtaken event writes is masked")
				}
			})
			require.Len(t, want, map[bool]int{true: 6, false: 3}[name == "set"])
		})
	}
}

// TestBaselineHidesNoChildren: what a whole state has covered still emits.
func TestBaselineHidesNoChildren(t *testing.T) {
	t.Parallel()
	set := []ev{{"moved", "o1", 1, "a", ""}, {"moved", "o1", 2, "b", ""}, {"state", "o1", 3, "c", ""}, {"moved", "o1", 4, "d", ""}}
	permute(set, func(order []ev) {
		reg := handlers.NewRegistry()
		emit := func(_ context.Context, d *delivery) error {
			d.Entity.Customer = d.Event.ID
			d.Emit(event.Draft{Topic: children, Type: "credited", Key: d.Event.ID})
			return nil
		}
		handlers.Modify(reg, "moved", emit, guards.Sequence(), handlers.Writes("Customer"), handlers.Emits(children))
		handlers.Modify(reg, "state", emit, guards.Sequence(), handlers.Writes("Customer"), handlers.Emits(children), handlers.Baseline())
		m := emitting(t, reg)
		for _, e := range order {
			m.run(m.log(e))
		}
		var keys []string
		for _, e := range m.emitted() {
			keys = append(keys, e.Key)
		}
		slices.Sort(keys)
		require.Equal(t, []string{"a", "b", "c", "d"}, keys, "%v", order)
		require.Equal(t, "d", m.order("o1").Customer)
	})
}

// TestWhatHasNoEffectEmitsNothing: neither what failed or waits, nor what is refused before
// its handler runs.
func TestWhatHasNoEffectEmitsNothing(t *testing.T) {
	t.Parallel()
	broken := true
	reg := handlers.NewRegistry(guards.Timestamp(), guards.MaxLateness(10*time.Minute), guards.MaxFuture(time.Minute))
	handlers.Set(reg, "paid", func(_ context.Context, d *delivery) error {
		d.Emit(event.Draft{Topic: children, Type: "credited", Key: "k"})
		switch {
		case d.Event.ID == "letter":
			return handlers.DeadLetter(errFlaky)
		case d.Event.ID == "discard":
			return handlers.Discard("no")
		case d.Event.ID == "flaky" && broken:
			return errFlaky
		}
		return nil
	}, handlers.Writes("Note"), handlers.Emits(children))
	m := emitting(t, reg)
	m.run(append(m.log(
		ev{"paid", "o1", 3000, "letter", ""}, ev{"paid", "o2", 3000, "discard", ""}, ev{"paid", "o3", 3000, "flaky", ""},
		ev{"paid", "o4", 1, "late", ""}, ev{"paid", "o5", 9000, "future", ""}, ev{"paid", "o6", 3000, "poison", `"`},
	), m.record("no event")))
	require.Empty(t, m.emitted())
	broken = false
	m.now = m.now.Add(time.Minute)
	m.sweep()
	require.Len(t, m.outbox, 1, "what was parked, when it runs")
	require.True(t, m.outbox[0].Swept, "no lane's offset waits for it")
	m.run(m.log(ev{"paid", "o7", 3000, "good", ""}))
	require.Len(t, m.outbox, 2)
	require.False(t, m.outbox[1].Swept)
	require.Equal(t, m.led.Next-1, m.outbox[1].Origin.Offset)
	require.Equal(t, m.now, m.outbox[1].CreatedAt)
}

// TestDerivedEventsAreNotLate: nor do they make others late (R6). MaxFuture holds.
func TestDerivedEventsAreNotLate(t *testing.T) {
	t.Parallel()
	wire := func() *handlers.Registry {
		return credits(guards.MaxLateness(10*time.Minute), guards.MaxFuture(time.Minute))
	}
	first := emitting(t, wire())
	first.now = base.Add(5 * time.Hour)
	first.run(first.log(ev{"paid", "o1", 1, "old", ""}))
	first.run(first.log(ev{"paid", "o1", 4 * 3600, "new", ""}))
	sent := first.outbox

	m := emitting(t, wire())
	m.now = base.Add(5 * time.Hour)
	m.run(m.log(ev{"paid", "o9", 3600, "x", ""}))
	before := m.led.Watermark
	for _, o := range sent {
		m.run([]*event.Record{m.child(o)})
	}
	require.Empty(t, m.letters)
	require.Equal(t, before, m.led.Watermark)
	m.run(m.log(ev{"paid", "o9", 3601, "y", ""}))
	require.Empty(t, m.letters)

	m = emitting(t, wire())
	m.now = base.Add(time.Hour)
	m.run([]*event.Record{m.child(sent[2])})
	require.Equal(t, []string{"dead-letter/future"}, m.reasons())
}

// TestUnsendable: what can't be sent is the unit's failure, before anything is written, and
// says what to declare.
func TestUnsendable(t *testing.T) {
	t.Parallel()
	with := func(d event.Draft) func(*delivery) { return func(x *delivery) { x.Emit(d) } }
	ok := event.Draft{Topic: children, Type: "credited", Key: "k"}
	changed := func(change func(*event.Draft)) func(*delivery) { d := ok; change(&d); return with(d) }
	for name, c := range map[string]struct {
		emit    func(*delivery)
		options []handlers.Option
		text    string
	}{
		"undeclared":     {emit: with(ok), text: `handler paid→order emits "credited" to the topic "children", which it does not declare; add handlers.Emits("children")`},
		"another topic":  {emit: changed(func(d *event.Draft) { d.Topic = "elsewhere" }), options: []handlers.Option{handlers.Emits(children)}, text: `add handlers.Emits("elsewhere")`},
		"too large":      {emit: changed(func(d *event.Draft) { d.Payload = strings.Repeat("x", 2000) }), options: []handlers.Option{handlers.Emits(children)}, text: "and the topic at most 2000 (max.message.bytes)"},
		"no type":        {emit: changed(func(d *event.Draft) { d.Type = "" }), options: []handlers.Option{handlers.Emits(children)}, text: "type: expected a text that is not empty"},
		"a long key":     {emit: changed(func(d *event.Draft) { d.Key = strings.Repeat("x", 1025) }), options: []handlers.Option{handlers.Emits(children)}, text: "key: expected at most 1024 bytes"},
		"no JSON":        {emit: changed(func(d *event.Draft) { d.Payload = func() {} }), options: []handlers.Option{handlers.Emits(children)}, text: `the payload of "credited" can't be written as JSON`},
		"our own header": {emit: changed(func(d *event.Draft) { d.Headers = []event.Header{{Key: "evenkeel-lineage"}} }), options: []handlers.Option{handlers.Emits(children)}, text: "which is Evenkeel's own; give it another name"},
		"no vector":      {emit: changed(func(d *event.Draft) { d.Vector = event.Vector{{Node: "a", Count: -1}} }), options: []handlers.Option{handlers.Emits(children)}, text: "vector"},
		"a panic":        {emit: changed(func(d *event.Draft) { d.Payload = panics{} }), options: []handlers.Option{handlers.Emits(children)}, text: "panic"},
		"too many": {emit: func(d *delivery) {
			for range handlers.MaxEmitted + 1 {
				d.Emit(ok)
			}
		}, options: []handlers.Option{handlers.Emits(children)}, text: "more than 1000 events"},
	} {
		for verb, register := range map[string]func(*handlers.Registry, func(context.Context, *delivery) error){
			"set": func(reg *handlers.Registry, fn func(context.Context, *delivery) error) {
				handlers.Set(reg, "paid", fn, append(c.options, handlers.Writes("Note"))...)
			},
			"modify": func(reg *handlers.Registry, fn func(context.Context, *delivery) error) {
				handlers.Modify(reg, "paid", fn, guards.None(), append(c.options, handlers.Writes("Note"))...)
			},
		} {
			reg := handlers.NewRegistry()
			register(reg, func(_ context.Context, d *delivery) error { c.emit(d); return nil })
			m := emitting(t, reg)
			m.run(m.log(ev{"paid", "o1", 1, "p", ""}))
			for range 3 {
				m.now = m.now.Add(time.Hour)
				m.sweep()
			}
			require.Empty(t, m.outbox, name)
			require.Len(t, m.letters, 1, name)
			for _, l := range m.letters {
				require.Contains(t, l.Error+l.ErrorType, c.text, "%s, %s", name, verb)
				if name != "a panic" {
					require.Equal(t, guards.Rejected, l.Verdict.Reason)
				}
			}
			if row := m.order("o1"); row != nil {
				require.Nil(t, row.Note)
			}
		}
	}
}

type panics struct{}

func (panics) MarshalJSON() ([]byte, error) { panic("no") }

// TestDepthIsCapped: a circle ends with a letter of the handler that would go on.
func TestDepthIsCapped(t *testing.T) {
	t.Parallel()
	reg := handlers.NewRegistry()
	handlers.Set(reg, "ping", func(_ context.Context, d *delivery) error {
		d.Emit(event.Draft{Topic: children, Type: "ping", Key: d.Event.Key + "x"})
		return nil
	}, handlers.Writes("Note"), handlers.Emits(children))
	m := emitting(t, reg)
	m.run(m.log(ev{"ping", "o", 1, "p", ""}))
	own := []event.Entity{{Type: "order", Key: "o"}}
	for depth := 1; len(m.outbox) > 0; depth++ {
		require.LessOrEqual(t, depth, event.MaxDepth)
		sent := m.outbox
		require.Equal(t, own, m.emitted()[0].Lineage.Own, "the root's, all the way down")
		m.run([]*event.Record{m.child(sent[0])})
	}
	require.Len(t, m.letters, 1)
	for _, l := range m.letters {
		require.Equal(t, guards.Rejected, l.Verdict.Reason)
		require.Contains(t, l.Error, "derived 8 deep already")
	}
	require.NotNil(t, m.rows["orders"]["oxxxxxxx"])
}

// TestBrokenLineageIsPoison: an event that says it is derived, but not from what, has no
// place in history.
func TestBrokenLineageIsPoison(t *testing.T) {
	t.Parallel()
	m := emitting(t, credits())
	r := m.log(ev{"paid", "o1", 1, "p", ""})
	r[0].Headers = []event.Header{{Key: event.LineageHeader, Value: []byte("{")}}
	m.run(r)
	require.Equal(t, []string{"dead-letter/poison"}, m.reasons())
	require.Empty(t, m.rows["orders"])
}

// TestParkedUnitKnowsAllOwnEntities: the pairs of the root are those of all its handlers, and
// not only of the unit that waited.
func TestParkedUnitKnowsAllOwnEntities(t *testing.T) {
	t.Parallel()
	failing := true
	reg := handlers.NewRegistry()
	handlers.Set(reg, "paid", func(_ context.Context, d *delivery) error {
		if failing {
			return errFlaky
		}
		d.Emit(event.Draft{Topic: children, Type: "credited", Key: "k"})
		return nil
	}, handlers.Writes("Note"), handlers.Emits(children))
	handlers.Set(reg, "paid", func(context.Context, *delivery) error { return nil }, handlers.Writes("Customer"),
		handlers.Keys(func(f facts) []string { return []string{f.Customer, "", f.Customer, "x"} }), handlers.Name("others"))
	m := emitting(t, reg)
	m.run(m.log(ev{"paid", "o1", 1, "p", `{"customer":"c"}`}))
	failing = false
	m.now = m.now.Add(time.Hour)
	m.sweep()
	require.Equal(t, []event.Entity{{Type: "order", Key: "o1"}, {Type: "order", Key: "c"}, {Type: "order", Key: "x"}}, m.emitted()[0].Lineage.Own)
}

// TestFamiliesInAnyOrder: random families of events over a few entities, children and
// grandchildren included, come out the same in every order of arrival.
func TestFamiliesInAnyOrder(t *testing.T) {
	t.Parallel()
	wire := func() *handlers.Registry {
		reg := handlers.NewRegistry(guards.Timestamp())
		handlers.Set(reg, "said", func(_ context.Context, d *delivery) error {
			note := d.Event.Source + d.Event.ID
			d.Entity.Note, d.Entity.Customer = &note, d.Payload.Customer
			if d.Payload.Limit > 0 {
				for _, k := range []string{"o1", "o2"} {
					d.Emit(event.Draft{Topic: children, Type: "said", Key: k, Payload: facts{Customer: d.Payload.Customer + k, Limit: d.Payload.Limit - 1}})
				}
			}
			return nil
		}, handlers.Writes("Note", "Customer"), handlers.Emits(children))
		return reg
	}
	for seed := range uint64(10) {
		rng := rand.New(rand.NewPCG(seed, 11))
		var roots []ev
		for i := range 4 {
			roots = append(roots, ev{"said", fmt.Sprintf("o%d", 1+rng.IntN(3)), rng.IntN(2), fmt.Sprintf("%d", i), fmt.Sprintf(`{"customer":"%d","limit":%d}`, i, rng.IntN(3))})
		}
		var want map[string]string
		for range 12 {
			m := emitting(t, wire())
			pending := m.log(roots...)
			seen := map[string]bool{}
			for len(pending) > 0 {
				i := rng.IntN(len(pending))
				r := pending[i]
				pending = slices.Delete(pending, i, i+1)
				m.run([]*event.Record{r})
				for _, o := range m.outbox {
					if !seen[o.ID] {
						seen[o.ID] = true
						pending = append(pending, m.child(o))
					}
				}
				m.outbox = nil
			}
			got := map[string]string{"ids": strings.Join(slices.Sorted(maps.Keys(seen)), " ")}
			for k := range m.rows["orders"] {
				got[k] = m.order(k).Customer + " " + *m.order(k).Note
			}
			if want == nil {
				want = got
			}
			require.Equal(t, want, got, "seed %d", seed)
		}
	}
}

// TestTwinsAreTwo: what a handler emits twice in one run are two events.
func TestTwinsAreTwo(t *testing.T) {
	t.Parallel()
	reg := handlers.NewRegistry()
	handlers.Set(reg, "paid", func(_ context.Context, d *delivery) error {
		for range 2 {
			d.Emit(event.Draft{Topic: children, Type: "credited", Key: "k"})
		}
		return nil
	}, handlers.Writes("Note"), handlers.Emits(children))
	m := emitting(t, reg)
	m.run(m.log(ev{"paid", "o1", 1, "p", ""}))
	es := m.emitted()
	require.Len(t, es, 2)
	require.NotEqual(t, es[0].ID, es[1].ID)
}
