package batch_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/batch"
)

// A projection that can't stand a blank row: the unit that is refused for it becomes a
// letter or parks, and must not bring the projection's panic along once more by the
// placeholder that holds its place (R18). Otherwise the partition waits for ever.
func TestRefusedUnitDoesNotProjectItsPlaceholder(t *testing.T) {
	t.Parallel()
	reg := handlers.NewRegistry()
	handlers.Modify(reg, "count", func(_ context.Context, d *delivery) error {
		d.Entity.Count++
		return nil
	}, guards.Timestamp(), handlers.Writes("Count"))
	handlers.Set(reg, "paid", func(_ context.Context, d *delivery) error {
		at := d.Event.OccurredAt
		d.Entity.PaidAt = &at
		return nil
	}, handlers.Writes("PaidAt"), handlers.Creates())
	handlers.Project(reg, func(o *order) { o.Status = o.PaidAt.Format(time.RFC3339) }, handlers.Writes("Status"))
	m := newMemory(t, reg)
	rs := m.log(ev{"count", "o1", 1, "a", ""})
	rs[0].Offset = 0
	it := m.prepare.Prepare(rs[0])
	_, err := m.judge.Live(t.Context(), []*batch.Item{it}, m.layouts, m.load(), m.led, m.now)
	var p *batch.ProjectionError
	require.ErrorAs(t, err, &p)
	it.Units[0].Refused = err // as runtime.suspects does once the record stands alone
	_, err = m.judge.Live(t.Context(), []*batch.Item{it}, m.layouts, m.load(), m.led, m.now)
	require.NoError(t, err, "the partition can't get past this record")
}

type panicGuard struct{}

func (panicGuard) Name() string { return "mine" }
func (panicGuard) Judge(e *event.Event, _ *guards.State) guards.Verdict {
	if e.ID == "bad" {
		panic("guard")
	}
	return guards.Pass()
}

func TestGuardPanicIsCaught(t *testing.T) {
	t.Parallel()
	reg := handlers.NewRegistry(panicGuard{})
	handlers.Set(reg, "note", func(context.Context, *delivery) error { return nil }, handlers.Writes("Note"))
	m := newMemory(t, reg)
	require.NotPanics(t, func() { m.run(m.log(ev{"note", "o1", 1, "bad", "{}"})) })
}

type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }

// The classic: a nil *nilError as an error.
func TestErrorThatPanicsIsCaught(t *testing.T) {
	t.Parallel()
	reg := handlers.NewRegistry()
	handlers.Set(reg, "note", func(context.Context, *delivery) error {
		var e *nilError
		return e
	}, handlers.Writes("Note"))
	m := newMemory(t, reg)
	require.NotPanics(t, func() { m.run(m.log(ev{"note", "o1", 1, "a", "{}"})) })
}

// MissingFor bounds the wait of every event that waits for its row, also of one that stood
// behind another before.
func TestMissingAfterBehindExpires(t *testing.T) {
	t.Parallel()
	reg := handlers.NewRegistry()
	broken := true
	handlers.Modify(reg, "first", func(context.Context, *delivery) error {
		if broken {
			return errFlaky
		}
		return handlers.Discard("not needed any more")
	}, guards.None(), handlers.Writes("Limit"), handlers.Creates())
	handlers.Modify(reg, "second", func(_ context.Context, d *delivery) error {
		d.Entity.Count++
		return nil
	}, guards.None(), handlers.Writes("Count"), handlers.OnMissing(handlers.MissingPark))
	m := newMemory(t, reg)
	m.run(m.log(ev{"first", "o1", 1, "a", ""}, ev{"second", "o1", 2, "b", ""}))
	require.Equal(t, []string{"park/retry", "park/behind"}, m.reasons())
	broken = false
	for range 40 { // each sweep an hour later; MissingFor is one hour
		m.now = m.now.Add(time.Hour)
		m.sweep()
	}
	require.Empty(t, m.parked, "it waits for ever: %v", m.reasons())
}

type lines struct{ Numbers []int }

type basket struct {
	ID    string `gorm:"primaryKey"`
	Lines lines  `gorm:"serializer:json"`
	guards.Guarded
}

// The quick second try begins from the row, not from what the first one left of it.
func TestSecondTrySeesNothingOfTheFirst(t *testing.T) {
	t.Parallel()
	reg := handlers.NewRegistry()
	tries := 0
	handlers.Modify(reg, "made", func(_ context.Context, d *handlers.Delivery[facts, basket]) error {
		d.Entity.Lines.Numbers = []int{1}
		return nil
	}, guards.Timestamp(), handlers.Writes("Lines"))
	handlers.Modify(reg, "more", func(_ context.Context, d *handlers.Delivery[facts, basket]) error {
		d.Entity.Lines.Numbers[0]++
		if tries++; tries == 1 {
			return errors.New("once")
		}
		return nil
	}, guards.Timestamp(), handlers.Writes("Lines"))
	m := newMemory(t, reg)
	m.run(m.log(ev{"made", "b1", 1, "a", ""}, ev{"more", "b1", 2, "b", ""}))
	row := m.rows["baskets"]["b1"]
	require.Equal(t, []int{2}, row.Entity.Interface().(*basket).Lines.Numbers)
}

// R9: a poison letter whose event could be decoded, so that its entity is known, holds up
// the entity under None; here the payload is broken and the key is the event's own.
func TestBrokenPayloadHoldsItsKeyUnderNone(t *testing.T) {
	t.Parallel()
	m := newMemory(t, counterRegistry(guards.None(), nil, map[string]int{}))
	m.run(m.log(ev{"count", "o1", 1, "a", `{"limit": "many"}`}, ev{"count", "o1", 2, "b", ""}))
	require.Equal(t, []string{"dead-letter/poison", "park/behind"}, m.reasons())
}

// scribbler is a guard that writes into what it is shown.
type scribbler struct{ phase guards.Phase }

func (scribbler) Name() string          { return "scribbler" }
func (s scribbler) Phase() guards.Phase { return s.phase }

func (scribbler) Judge(_ *event.Event, s *guards.State) guards.Verdict {
	*s = guards.State{Now: s.Now, Duplicate: true, Seen: true, Existence: guards.Deleted}
	return guards.Pass()
}

// TestGuardsCantChangeWhatComesAfterThem: what one phase's guards do to their State says
// nothing about the event.
func TestGuardsCantChangeWhatComesAfterThem(t *testing.T) {
	t.Parallel()
	for _, phase := range []guards.Phase{guards.PhaseDecode, guards.PhaseAdmission, guards.PhaseRow} {
		reg := handlers.NewRegistry(scribbler{phase}, guards.MaxLateness(10*time.Minute))
		handlers.Modify(reg, "counted", func(_ context.Context, d *handlers.Delivery[facts, order]) error {
			d.Entity.Count++
			return nil
		}, guards.Once(), handlers.Writes("Count"))
		m := newMemory(t, reg)
		if phase == guards.PhaseDecode {
			m.run(m.log(ev{"counted", "o-1", 1000, "1", ""}, ev{"counted", "o-1", 1, "2", ""}))
			require.Equal(t, []string{"apply/applied", "dead-letter/late"}, m.reasons(), phase)
			continue
		}
		m.run(m.log(ev{"counted", "o-1", 1000, "1", ""}, ev{"counted", "o-1", 1001, "2", ""}))
		require.Equal(t, []string{"apply/applied", "apply/applied"}, m.reasons(), phase)
	}
}
