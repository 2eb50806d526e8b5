package batch_test

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// A Set with SQL of its own runs once for each event: ids tell, and behind their horizon
// the ledger (R19). Where it is to run, the judge asks for a transaction, which there is
// none here; what else it can do the store's suite and C10 show.
func TestWhetherSQLOfASetRuns(t *testing.T) {
	t.Parallel()
	const scope = "once:noted→order"
	for _, c := range []struct {
		rule   string
		at     int
		again  bool // not at first sight
		known  bool
		reason string // empty: it runs
	}{
		{rule: "at first sight", at: 61},
		{rule: "at first sight behind the horizon: the ledger knows that it never ran", at: 1},
		{rule: "known", at: 61, known: true, reason: "discard/duplicate"},
		{rule: "known, and behind the horizon", at: 1, known: true, reason: "discard/duplicate"},
		{rule: "read again, known", at: 61, again: true, known: true, reason: "discard/duplicate"},
		{rule: "read again behind the horizon: it may have run", at: 60, again: true, reason: "discard/redelivered"},
		{rule: "read again for a handler that is new", at: 61, again: true},
	} {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			reg := handlers.NewRegistry()
			handlers.Set(reg, "noted", func(context.Context, *handlers.Delivery[facts, order]) error { return nil },
				handlers.Writes("Note"), handlers.UsesTx())
			m := newMemory(t, reg)
			e := ev{typ: "noted", key: "o1", at: c.at, id: "a"}
			if c.known {
				_, err := m.live(e)
				require.ErrorIs(t, err, batch.ErrNeedsTx)
				k := m.want(e).IDs[0]
				require.Equal(t, scope, k.Scope)
				m.know(k, base.Add(time.Duration(c.at)*time.Second))
			}
			m.forgetNone(scope, 60)
			if c.again {
				m.led.High = 10
			}
			require.True(t, m.want(e).Tx, "the runtime is told beforehand")
			out, err := m.live(e)
			if c.reason == "" {
				require.ErrorIs(t, err, batch.ErrNeedsTx)
				return
			}
			require.NoError(t, err)
			v := out.Verdicts[0].Verdict
			require.Equal(t, c.reason, v.Action.String()+"/"+string(v.Reason))
			require.Empty(t, out.Batch.Letters)
			require.Empty(t, out.Batch.Insert)
		})
	}
}

// A Modify remembers nothing: its guard knows what has run.
func TestSQLOfAModifyNeedsNoIDs(t *testing.T) {
	t.Parallel()
	for _, g := range []guards.Stamper{guards.Timestamp(), guards.Version(), guards.None()} {
		reg := handlers.NewRegistry()
		handlers.Modify(reg, "noted", func(context.Context, *handlers.Delivery[facts, order]) error { return nil }, g,
			handlers.Writes("Note"), handlers.UsesTx())
		m := newMemory(t, reg)
		w := m.want(ev{typ: "noted", key: "o1", at: 1, id: "a"})
		require.True(t, w.Tx)
		require.Empty(t, w.IDs)
	}
}

func (m *memory) items(evs ...ev) (items []*batch.Item) {
	for i, r := range m.log(evs...) {
		r.Offset = m.led.Next + int64(i)
		items = append(items, m.prepare.Prepare(r))
	}
	return items
}

// want is what Gather asks for.
func (m *memory) want(evs ...ev) *store.Want {
	return batch.Gather("g", m.items(evs...), m.layouts, nil)
}

// live judges events without committing.
func (m *memory) live(evs ...ev) (*batch.Outcome, error) {
	items := m.items(evs...)
	return m.judge.Live(context.Background(), items, m.layouts, m.recall(items...), m.led, m.now)
}

func (m *memory) know(k store.IDKey, at time.Time) {
	m.ids[k] = &store.ID{IDKey: k, At: at, Known: true}
}

// forgetNone moves a horizon, and leaves the ids that are there.
func (m *memory) forgetNone(scope string, upTo int) {
	ids := maps.Clone(m.ids)
	m.forget(scope, upTo)
	m.ids = ids
}
