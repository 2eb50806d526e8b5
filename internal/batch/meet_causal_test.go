package batch_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// noSQL is a transaction for handlers that use none of it.
type noSQL struct{ store.Tx }

func (noSQL) Savepoint(context.Context) (store.Savepoint, error) { return noSavepoint{}, nil }
func (noSQL) Flush(context.Context, *store.Batch) error          { return nil }

type noSavepoint struct{}

func (noSavepoint) DB(context.Context) *gorm.DB { return nil }
func (noSavepoint) Close() store.Ended          { return store.Ended{} }
func (noSavepoint) Keep(context.Context) error  { return nil }
func (noSavepoint) Undo(context.Context) error  { return nil }

// TestACausalEventWithSQLHoldsItsID: while it waits for its causes, nobody may forget that
// it came, or a duplicate of it would run as well (R8, R19).
func TestACausalEventWithSQLHoldsItsID(t *testing.T) {
	t.Parallel()
	runs := map[string]int{}
	reg := handlers.NewRegistry(causal())
	handlers.Set(reg, "saved", func(_ context.Context, d *delivery) error {
		runs[d.Event.ID]++
		d.Tx()
		return nil
	}, handlers.Writes("Customer"), handlers.UsesTx())
	m := patientMemory(t, reg)
	run := func(evs ...ev) {
		items := m.items(evs...)
		l := m.recall(items...)
		l.Tx = noSQL{}
		out, err := m.judge.Live(t.Context(), items, m.layouts, l, m.led, m.now)
		require.NoError(t, err)
		m.commit(out)
	}
	sweep := func() {
		var units []*batch.Unit
		var items []*batch.Item
		for _, p := range m.inPlaces() {
			row := *p
			u := m.prepare.PrepareParked(&row)
			units, items = append(units, u), append(items, u.Item)
		}
		l := m.recall(items...)
		l.Tx = noSQL{}
		out, err := m.judge.Waiting(t.Context(), units, m.layouts, l, m.now, func(p *store.Parked) bool { return !p.Due.After(m.now) }, nil)
		require.NoError(t, err)
		m.commit(out)
	}
	run(by("a", "two", "a=2"))
	require.Equal(t, []string{"two gap"}, m.waiting())
	held, all := m.heldIDs()
	require.Equal(t, [2]int{1, 1}, [2]int{held, all})
	run(by("a", "one", "a=1"))
	for range 3 {
		m.now = m.now.Add(time.Second)
		sweep()
	}
	require.Empty(t, m.waiting())
	held, all = m.heldIDs()
	require.Equal(t, [2]int{0, 2}, [2]int{held, all})
	run(by("a", "two", "a=2"))
	require.Equal(t, map[string]int{"one": 1, "two": 1}, runs)

	// In one batch it needs no second look.
	run(by("a", "four", "a=4"), by("a", "three", "a=3"))
	require.Empty(t, m.waiting())
	held, all = m.heldIDs()
	require.Equal(t, [2]int{0, 4}, [2]int{held, all})
}

// TestTheTimeOfACauseRunsBesideOthersLetters: what stands behind a letter of another handler,
// and has nothing to do with causes, does not stop it.
func TestTheTimeOfACauseRunsBesideOthersLetters(t *testing.T) {
	t.Parallel()
	reg := handlers.NewRegistry(causal())
	handlers.Set(reg, "saved", created, handlers.Writes("Customer"))
	handlers.Modify(reg, "logged", func(_ context.Context, d *delivery) error {
		if d.Event.ID == "bad" {
			return handlers.DeadLetter(errFlaky)
		}
		return nil
	}, guards.None(), handlers.Writes("Count"))
	m := patientMemory(t, reg)
	m.run(m.log(by("a", "bad", "a=1").as("logged"), by("a", "behind", "a=2").as("logged"), by("b", "waits", "b=2")))
	require.Equal(t, []string{"waits gap", "behind behind"}, m.waiting())
	for range 5 {
		m.now = m.now.Add(patience)
		m.sweep()
	}
	require.Equal(t, []string{"behind behind"}, m.waiting())
}

func (e ev) as(typ string) ev {
	e.typ = typ
	return e
}

// TestCausalFollowersTakeNoLongerThanTheBatchMay: what slow handlers leave is due at once.
func TestCausalFollowersTakeNoLongerThanTheBatchMay(t *testing.T) {
	t.Parallel()
	m := patientMemory(t, modifyCausal())
	m.run(m.log(by("a", "d", "a=4"), by("a", "c", "a=3"), by("a", "b", "a=2")))
	m.reasons()
	calls := 0
	enough := func() bool { calls++; return calls > 1 }
	items := []*batch.Item{m.prepare.Prepare(m.log(by("a", "a", "a=1"))[0])}
	items[0].Record.Offset = m.led.Next
	led := m.led.Clone()
	m.judge.Admit(items[0], &led, led.Next, m.now)
	out, err := m.judge.Admitted(t.Context(), items, m.layouts, m.recall(items...), m.now, enough)
	require.NoError(t, err)
	out.Batch.Ledger = &led
	m.commit(out)
	require.Equal(t, []string{"c gap", "d gap"}, m.waiting())
	for _, p := range m.parked {
		require.False(t, p.Due.After(m.now), "due at once")
	}
	// Nor does one become a letter whose time has ended before its turn has come.
	m.now = m.now.Add(time.Hour)
	var units []*batch.Unit
	items = nil
	for _, p := range m.inPlaces() {
		row := *p
		u := m.prepare.PrepareParked(&row)
		units, items = append(units, u), append(items, u.Item)
	}
	calls = 0
	out, err = m.judge.Waiting(t.Context(), units, m.layouts, m.recall(items...), m.now, func(*store.Parked) bool { return true }, enough)
	require.NoError(t, err)
	m.commit(out)
	require.Equal(t, []string{"d gap"}, m.waiting())
	m.sweep()
	require.Empty(t, m.waiting())
	require.Empty(t, m.letters)
	require.Equal(t, "abcd", m.order("o1").Customer)
}
