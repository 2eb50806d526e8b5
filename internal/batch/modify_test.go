package batch_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

var errFlaky = errors.New("the other service is away")

// counter fails while broken names its event.
func counterRegistry(guard guards.Stamper, broken map[string]bool, runs map[string]int) *handlers.Registry {
	reg := handlers.NewRegistry()
	handlers.Modify(reg, "count", func(_ context.Context, d *delivery) error {
		runs[d.Event.ID]++
		if broken[d.Event.ID] {
			d.Entity.Count = -1
			return errFlaky
		}
		d.Entity.Count++
		d.Entity.Customer += d.Event.ID
		return nil
	}, guard, handlers.Writes("Count", "Customer"))
	return reg
}

func TestModifyUnderTimestampDiscardsWhatIsOvertaken(t *testing.T) {
	t.Parallel()
	m := newMemory(t, counterRegistry(guards.Timestamp(), nil, map[string]int{}))
	m.run(m.log(ev{"count", "o1", 1, "a", ""}, ev{"count", "o1", 3, "c", ""}, ev{"count", "o1", 2, "b", ""}, ev{"count", "o1", 3, "c", ""}))
	require.Equal(t, []string{"apply/applied", "apply/applied", "discard/superseded", "discard/duplicate"}, m.reasons())
	require.Equal(t, "ac", m.order("o1").Customer)
}

// TestRetryKeepsTheOrderOfItsKey is R9: what comes after a parked event of the same key
// waits behind it, other keys go on, and the sweep runs them in their order.
func TestRetryKeepsTheOrderOfItsKey(t *testing.T) {
	t.Parallel()
	for _, guard := range []guards.Stamper{guards.Timestamp(), guards.Version(), guards.None()} {
		t.Run(guard.Name(), func(t *testing.T) {
			t.Parallel()
			broken, runs := map[string]bool{"a": true}, map[string]int{}
			m := newMemory(t, counterRegistry(guard, broken, runs))
			m.run(m.log(ev{"count", "o1", 1, "a", ""}, ev{"count", "o2", 1, "x", ""}, ev{"count", "o1", 2, "b", ""}))
			require.Equal(t, []string{"park/retry", "apply/applied", "park/behind"}, m.reasons())
			require.Equal(t, 2, runs["a"], "one quick try in memory")
			m.run(m.log(ev{"count", "o1", 3, "c", ""}))
			require.Equal(t, []string{"park/behind"}, m.reasons())
			require.Zero(t, m.order("o1").Count)

			broken["a"] = false
			m.now = m.now.Add(time.Second)
			m.sweep()
			require.Equal(t, []string{"apply/applied", "apply/applied", "apply/applied"}, m.reasons())
			require.Equal(t, "abc", m.order("o1").Customer)
			require.Empty(t, m.parked)
		})
	}
}

func TestScheduleEndsInALetter(t *testing.T) {
	t.Parallel()
	runs := map[string]int{}
	m := newMemory(t, counterRegistry(guards.Timestamp(), map[string]bool{"a": true}, runs))
	m.run(m.log(ev{"count", "o1", 1, "a", ""}))
	for range 3 {
		m.now = m.now.Add(time.Minute)
		m.sweep()
	}
	require.Empty(t, m.parked)
	require.Len(t, m.letters, 1)
	for _, l := range m.letters {
		require.Equal(t, guards.Exhausted, l.Verdict.Reason)
		require.Equal(t, 3, l.Attempts)
		require.Equal(t, errFlaky.Error(), l.Error)
		require.Equal(t, m.now.Add(-3*time.Minute), l.FirstFailed)
	}
}

// TestLettersHoldTheirKeyUnderNone is R9's list of who waits for letters.
func TestLettersHoldTheirKeyUnderNone(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		guard guards.Stamper
		want  string
	}{{guards.None(), "park/behind"}, {guards.Timestamp(), "apply/applied"}} {
		reg := handlers.NewRegistry()
		handlers.Modify(reg, "count", func(_ context.Context, d *delivery) error {
			if d.Event.ID == "a" {
				return handlers.DeadLetter(errFlaky)
			}
			d.Entity.Count++
			return nil
		}, c.guard, handlers.Writes("Count"))
		m := newMemory(t, reg)
		m.run(m.log(ev{"count", "o1", 1, "a", ""}, ev{"count", "o1", 2, "b", ""}))
		require.Equal(t, []string{"dead-letter/rejected", c.want}, m.reasons(), c.guard.Name())
	}
}

func TestTooManyBehindBecomeLetters(t *testing.T) {
	t.Parallel()
	m := newMemory(t, counterRegistry(guards.Timestamp(), map[string]bool{"a": true}, map[string]int{}))
	m.run(m.log(ev{"count", "o1", 1, "a", ""}, ev{"count", "o1", 2, "b", ""}, ev{"count", "o1", 3, "c", ""}, ev{"count", "o1", 4, "d", ""}))
	require.Equal(t, []string{"park/retry", "park/behind", "park/behind", "dead-letter/behind"}, m.reasons())
}

func TestHandlersSteerByTheirError(t *testing.T) {
	t.Parallel()
	reg := handlers.NewRegistry()
	handlers.Set(reg, "x", func(_ context.Context, d *delivery) error {
		switch d.Event.ID {
		case "discard":
			return handlers.Discard("not ours")
		case "later":
			return handlers.RetryAfter(time.Hour, errFlaky)
		case "dead":
			return handlers.DeadLetter(errFlaky)
		case "panic":
			panic("boom")
		}
		return nil
	}, handlers.Creates(), handlers.Writes("Customer"))
	m := newMemory(t, reg)
	m.run(m.log(ev{"x", "o1", 1, "discard", ""}, ev{"x", "o1", 2, "later", ""}, ev{"x", "o1", 3, "dead", ""}, ev{"x", "o1", 4, "panic", ""}, ev{"x", "o1", 5, "good", ""}))
	require.Equal(t, []string{"discard/refused", "park/retry", "dead-letter/rejected", "park/retry", "apply/applied"}, m.reasons())
	for _, p := range m.parked {
		switch p.EventID {
		case "later":
			require.Equal(t, m.now.Add(time.Hour), p.Due)
		case "panic":
			require.Equal(t, "panic", p.ErrorType)
			// The user's frames, and no others of every panic.
			require.Regexp(t, `^goroutine .*\n.*\n\t.*modify_test.go`, p.Stack)
			require.NotContains(t, p.Stack, "failure.go")
			require.NotContains(t, p.Stack, "modify.go")
		}
	}
}

// TestOneUnitFailsTheOtherStands: two handlers of one event on two models.
type stock struct {
	SKU  string `gorm:"primaryKey"`
	Sold int
	guards.Guarded
}

func TestOneUnitFailsTheOtherStands(t *testing.T) {
	t.Parallel()
	reg := handlers.NewRegistry()
	handlers.Set(reg, "created", created, handlers.Creates(), handlers.Writes("Customer"))
	handlers.Modify(reg, "created", func(context.Context, *handlers.Delivery[facts, stock]) error {
		return handlers.DeadLetter(errFlaky)
	}, guards.Timestamp(), handlers.Writes("Sold"), handlers.Key(func(facts) string { return "sku-1" }))
	m := newMemory(t, reg)
	m.run(m.log(ev{"created", "o1", 1, "a", `{"customer":"ann"}`}))
	require.Equal(t, "ann", m.order("o1").Customer)
	require.Len(t, m.letters, 1)
	for _, l := range m.letters {
		require.Equal(t, "created→stock", l.Handler)
		require.Equal(t, "sku-1", l.Entity)
	}
}

func TestOnMissing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		policy handlers.OnMissingPolicy
		want   string
	}{
		{handlers.MissingPlaceholder, "apply/applied"},
		{handlers.MissingPark, "park/missing"},
		{handlers.MissingDeadLetter, "dead-letter/missing"},
		{handlers.MissingDiscard, "discard/missing"},
	} {
		t.Run(c.policy.String(), func(t *testing.T) {
			t.Parallel()
			reg := handlers.NewRegistry()
			handlers.Set(reg, "created", created, handlers.Creates(), handlers.Writes("Customer"))
			handlers.Set(reg, "paid", paid, handlers.Writes("PaidAt"), handlers.OnMissing(c.policy))
			m := newMemory(t, reg)
			m.run(m.log(ev{"paid", "o1", 5, "p", ""}))
			require.Equal(t, []string{c.want}, m.reasons())
		})
	}
}

func TestMissingRowIsAwaited(t *testing.T) {
	t.Parallel()
	reg := handlers.NewRegistry()
	handlers.Set(reg, "created", created, handlers.Creates(), handlers.Writes("Customer"))
	handlers.Set(reg, "paid", paid, handlers.Writes("PaidAt"), handlers.OnMissing(handlers.MissingPark))
	m := newMemory(t, reg)
	out := m.run(m.log(ev{"paid", "o1", 5, "p", ""}, ev{"paid", "o9", 5, "q", ""}))
	require.Len(t, out.Batch.Absent, 2, "the keys' locks are taken where no row serialises")
	out = m.run(m.log(ev{"created", "o1", 1, "c", ""}))
	require.Equal(t, []store.QueueKey{{Table: "orders", Entity: "o1"}}, out.Batch.Wake)
	require.Equal(t, 1, out.Batch.Absent[0].Parked, "who makes the row looks at the queue under the same lock")
	m.now = m.now.Add(2 * time.Second)
	m.reasons()
	m.sweep()
	require.NotNil(t, m.order("o1").PaidAt)
	require.Len(t, m.parked, 1)
	m.now = m.now.Add(2 * time.Hour)
	m.sweep()
	require.Empty(t, m.parked)
	require.Len(t, m.letters, 1)
	for _, l := range m.letters {
		require.Equal(t, guards.MissingRow, l.Verdict.Reason)
	}
}

// TestRowsShownToModifyAreGuarded is R15: whatever came out of it.
func TestRowsShownToModifyAreGuarded(t *testing.T) {
	t.Parallel()
	reg := handlers.NewRegistry()
	handlers.Modify(reg, "count", func(_ context.Context, d *delivery) error {
		if d.Event.ID == "a" {
			d.Entity.Count = 1
			return nil
		}
		return handlers.Discard("seen enough")
	}, guards.Timestamp(), handlers.Writes("Count"))
	m := newMemory(t, reg)
	m.run(m.log(ev{"count", "o1", 1, "a", ""}))
	out := m.run(m.log(ev{"count", "o1", 2, "b", ""}))
	require.Len(t, out.Batch.Update, 1)
	require.Equal(t, "o1", out.Batch.Update[0].Key)
}

func TestParkedUnitOfAVanishedHandlerIsKeptAsALetter(t *testing.T) {
	t.Parallel()
	m := newMemory(t, counterRegistry(guards.Timestamp(), map[string]bool{"a": true}, map[string]int{}))
	m.run(m.log(ev{"count", "o1", 1, "a", ""}))
	for _, p := range m.parked {
		p.Handler = "gone"
		p.Due = m.now
	}
	m.sweep()
	require.Empty(t, m.parked)
	require.Len(t, m.letters, 1)
	for _, l := range m.letters {
		require.Equal(t, "gone", l.Handler)
		require.Contains(t, l.Verdict.Detail, "registered")
	}
}
