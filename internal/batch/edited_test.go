package batch_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// edit gives the open letter a revision in which a text is replaced.
func (m *memory) edit(old, now string) {
	m.t.Helper()
	for _, l := range m.letters {
		value := strings.Replace(string(l.Revised().Value), old, now, 1)
		require.NotEqual(m.t, string(l.Revised().Value), value)
		l.Edits = append(slices.Clone(l.Edits), dlq.Revision{N: len(l.Edits) + 1, Value: []byte(value), Headers: l.Record.Headers})
	}
}

// written are the events as envelopes, which an edit can change.
func (m *memory) written(evs ...ev) (rs []*event.Record) {
	m.prepare.Codec = func(string) event.Codec { return event.Envelope(event.EnvelopeConfig{}) }
	for _, e := range evs {
		at := base.Add(time.Duration(e.at) * time.Second).Format(time.RFC3339)
		rs = append(rs, m.record(fmt.Sprintf(`{"id":%q,"type":%q,"key":%q,"time":%q,"version":%d,"data":%s}`, e.id, e.typ, e.key, at, e.at, e.data)))
	}
	return rs
}

// naming takes customers of at least two letters, under Set or under Modify.
func naming(guard guards.Stamper, options ...handlers.Option) *handlers.Registry {
	reg := handlers.NewRegistry()
	handlers.Modify(reg, "count", func(_ context.Context, d *handlers.Delivery[facts, order]) error {
		if len(d.Payload.Customer) < 2 {
			return handlers.DeadLetter(errNoName)
		}
		d.Entity.Customer += d.Payload.Customer
		return nil
	}, guard, append([]handlers.Option{handlers.Writes("Customer"), handlers.OnMissing(handlers.MissingPlaceholder)}, options...)...)
	return reg
}

var errNoName = nameError("no name")

type nameError string

func (e nameError) Error() string { return string(e) }

// An edited event is judged with its new payload, in its old place, under each guard.
func TestEditedLettersAreReplayedWithTheEdit(t *testing.T) {
	t.Parallel()
	for name, guard := range map[string]guards.Stamper{"None": guards.None(), "Once": guards.Once(), "Sequence": guards.Sequence()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMemory(t, naming(guard))
			m.judge.MaxParkedPerKey = 10
			m.run(m.written(ev{"count", "o1", 1, "a", `{"customer":"x"}`}, ev{"count", "o1", 2, "b", `{"customer":"bob"}`}))
			m.edit(`"customer":"x"`, `"customer":"y"`)
			m.replay(false)
			require.Equal(t, ends{"a": "open"}, m.ends(), "the edit is refused as what came was")
			m.edit(`"customer":"y"`, `"customer":"ann"`)
			m.now = m.now.Add(time.Hour)
			m.replay(false)
			require.Equal(t, ends{"a": "applied"}, m.ends())
			want := "annbob"
			if name == "Once" {
				want = "bobann"
			}
			require.Equal(t, want, m.order("o1").Customer)
			require.Empty(t, m.parked)
		})
	}
}

// What makes another event of it fails the replay, and says what was changed.
func TestEditsThatMakeAnotherEvent(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ old, now, says string }{
		"id":     {`"id":"a"`, `"id":"z"`, `revision 1: the edit makes another event of it: its id was "a" and is now "z"`},
		"type":   {`"type":"count"`, `"type":"other"`, `its type was "count" and is now "other"`},
		"key":    {`"key":"o1"`, `"key":"o2"`, `its key was "o1" and is now "o2"`},
		"no id":  {`"id":"a",`, ``, "revision 1: envelope: id: expected"},
		"broken": {`{"`, `"`, "revision 1: envelope: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMemory(t, naming(guards.None()))
			m.run(m.written(ev{"count", "o1", 1, "a", `{"customer":"x"}`}))
			m.edit(c.old, c.now)
			m.replay(false)
			require.Equal(t, ends{"a": "open"}, m.ends())
			for _, l := range m.letters {
				require.Equal(t, guards.Poison, l.Verdict.Reason)
				require.Contains(t, l.Error, c.says)
			}
			if row := m.order("o1"); row != nil {
				require.Empty(t, row.Customer)
			}
			require.Nil(t, m.order("o2"))
			require.Empty(t, m.parked)
		})
	}
	t.Run("entities", func(t *testing.T) {
		t.Parallel()
		reg := naming(guards.None(), handlers.Key(func(f facts) string { return f.Customer }))
		m := newMemory(t, reg)
		m.run(m.written(ev{"count", "o1", 1, "a", `{"customer":"x"}`}))
		m.edit(`"customer":"x"`, `"customer":"ann"`)
		m.replay(false)
		require.Equal(t, ends{"a": "open"}, m.ends())
		for _, l := range m.letters {
			require.Contains(t, l.Error, `the edit changes the entities of handler`)
		}
	})
}

// Bytes that were no event become the one that the edit says.
func TestAnEditMendsPoison(t *testing.T) {
	t.Parallel()
	m := newMemory(t, naming(guards.None()))
	rs := m.written(ev{"count", "o1", 1, "a", `{"customer":"ann"}`})
	rs[0].Value = []byte("!" + string(rs[0].Value))
	m.run(rs)
	require.Equal(t, ends{"": "open"}, m.ends())
	m.edit("!", "")
	m.replay(false)
	require.Equal(t, ends{"": "applied"}, m.ends())
	require.Equal(t, "ann", m.order("o1").Customer)
}

// A rebuild applies what the letter was resolved with, and the rest of the record as it is.
func TestRebuildTakesTheEdit(t *testing.T) {
	t.Parallel()
	m := newMemory(t, naming(guards.None()))
	rs := m.written(ev{"count", "o1", 1, "a", `{"customer":"x"}`})
	rs[0].Offset = 0
	it := m.prepare.Prepare(rs[0])
	e := &store.EditedLetter{Handler: it.Units[0].Handler.Name, Entity: "o1", Coordinates: rs[0].Coordinates}
	e.ID = dlq.UnitID(e.Coordinates, "g", e.Handler, e.Entity)
	e.Revision = dlq.Revision{N: 2, Value: []byte(strings.Replace(string(rs[0].Value), `"x"`, `"ann"`, 1)), Headers: rs[0].Headers}
	require.True(t, m.prepare.Revise("g", it, []*store.EditedLetter{e}))
	require.False(t, m.prepare.Revise("g", it, []*store.EditedLetter{e}), "it has it")
	require.Equal(t, "ann", it.Units[0].Payload.(*facts).Customer)
	require.Equal(t, rs[0].Value, it.Record.Value)
	whole := *e
	whole.Handler, whole.Entity, whole.Revision.N = "", "", 1
	poison := *rs[0]
	poison.Value = []byte("!")
	it = m.prepare.Prepare(&poison)
	require.Error(t, it.Err)
	require.True(t, m.prepare.Revise("g", it, []*store.EditedLetter{&whole}))
	require.NoError(t, it.Err)
	require.Equal(t, "ann", it.Units[0].Payload.(*facts).Customer)
	require.Same(t, it, it.Units[0].Item)
}

// rebuild makes rows anew from records, as a rebuild's steps do (R20).
func (m *memory) rebuild(rs ...*event.Record) {
	m.t.Helper()
	for _, r := range m.rows["orders"] {
		r.Entity.Interface().(*order).Customer, r.Rebuilding = "", true
		r.Clocks = r.Layout.New()
	}
	for k, id := range m.ids {
		if !id.Held {
			delete(m.ids, k)
		}
	}
	for _, r := range rs {
		it := m.prepare.Prepare(r)
		var edits []*store.EditedLetter
		for _, l := range m.letters {
			if store.HadEffect(l.Outcome) && len(l.Edits) > 0 && l.Record.Offset == r.Offset {
				edits = append(edits, &store.EditedLetter{ID: l.ID, Handler: l.Handler, Entity: l.Entity, Revision: l.Edits[len(l.Edits)-1], Coordinates: r.Coordinates})
			}
		}
		m.prepare.Revise("g", it, edits)
		out, err := m.judge.Replay(m.t.Context(), []*batch.Item{it}, m.layouts, m.recall(it), m.now)
		require.NoError(m.t, err)
		m.commit(out)
	}
}

// Of an edited record the letters that its units have by now keep their outcome in a rebuild,
// whatever that is.
func TestRebuildLeavesTheLettersOfAnEditedRecord(t *testing.T) {
	t.Parallel()
	for _, state := range []dlq.State{dlq.Open, dlq.Discarded} {
		x, reg := mend("o2"), handlers.NewRegistry(guards.Timestamp())
		handlers.Set(reg, "count", func(_ context.Context, d *handlers.Delivery[facts, order]) error {
			if x.refuses[d.Entity.ID] {
				return handlers.DeadLetter(errNoName)
			}
			d.Entity.Customer = d.Event.ID
			return nil
		}, handlers.Writes("Customer"), handlers.Keys(func(f facts) []string { return strings.Fields(f.Customer) }))
		m := newMemory(t, reg)
		rs := m.written(ev{"count", "k", 1, "a", `{"customer":"o1 o2"}`})
		rs[0].Value = []byte("!" + string(rs[0].Value))
		m.run(rs)
		m.edit("!", "")
		m.replay(false)
		require.Equal(t, "a", m.order("o1").Customer)
		for _, l := range m.letters {
			if l.State == dlq.Open {
				require.Equal(t, "o2", l.Entity)
				l.State = state
			}
		}
		x.refuses["o2"] = false
		m.rebuild(rs...)
		require.Equal(t, "a", m.order("o1").Customer)
		if row := m.order("o2"); row != nil {
			require.Empty(t, row.Customer, "its letter is %s", state)
		}
		require.Len(t, m.letters, 2)
	}
}

// An event that named no entity until it was edited has its effect in a rebuild, too.
func TestRebuildTakesTheEditThatNamedTheEntity(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ came, edited string }{
		"payload": {`{"limit":"1","customer":"7"}`, `{"limit":1,"customer":"7"}`},
		"key":     {`{"customer":"seven"}`, `{"customer":"7"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reg := handlers.NewRegistry()
			handlers.Modify(reg, "count", func(_ context.Context, d *handlers.Delivery[facts, numberedOrder]) error {
				d.Entity.Customer += d.Event.ID
				return nil
			}, guards.Once(), handlers.Writes("Customer"), handlers.Key(func(f facts) string { return f.Customer }))
			m := newMemory(t, reg)
			rs := m.written(ev{"count", "k", 1, "a", c.came})
			m.run(rs)
			require.Equal(t, ends{"a": "open"}, m.ends())
			m.edit(c.came, c.edited)
			m.replay(false)
			require.Equal(t, ends{"a": "applied"}, m.ends())
			row := func() *numberedOrder { return m.rows["numbered_orders"]["7"].Entity.Interface().(*numberedOrder) }
			require.Equal(t, "a", row().Customer)
			row().Customer, m.rows["numbered_orders"]["7"].Rebuilding = "", true
			m.rebuild(rs...)
			require.Equal(t, ends{"a": "applied"}, m.ends())
			require.Equal(t, "a", row().Customer)
		})
	}
}

// numberedOrder has keys that not every text is.
type numberedOrder struct {
	ID       int64 `gorm:"primaryKey"`
	Customer string
	guards.Guarded
}
