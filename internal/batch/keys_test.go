package batch_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// shelf is a place with a number, of which an event names several.
type shelf struct {
	ID   int64 `gorm:"primaryKey"`
	Seen string
	N    int64
	guards.Guarded
}

type moved struct {
	Shelves []string `json:"shelves"`
}

type shelfDelivery = handlers.Delivery[moved, shelf]

func shelvesOf(m moved) []string { return m.Shelves }

func (m *memory) shelf(key string) *shelf {
	r := m.rows["shelves"][key]
	if r == nil {
		return nil
	}
	return r.Entity.Interface().(*shelf)
}

// stocked is a Set handler on the shelves of an event; broken names shelves that fail.
func stocked(broken map[int64]bool) *handlers.Registry {
	reg := handlers.NewRegistry()
	handlers.Set(reg, "moved", func(_ context.Context, d *shelfDelivery) error {
		if broken[d.Entity.ID] {
			return errFlaky
		}
		d.Entity.Seen = d.Event.ID
		return nil
	}, handlers.Creates(), handlers.Keys(shelvesOf), handlers.Writes("Seen"))
	return reg
}

func shelves(list string) string { return `{"shelves":[` + list + `]}` }

// TestOneUnitPerKey: which entities an event touches, and what becomes of what is no key.
func TestOneUnitPerKey(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rule, list string
		touched    []string
		reasons    []string
		letters    int
	}{
		{"each key is a unit", `"1","2","3"`, []string{"1", "2", "3"}, []string{"apply/applied", "apply/applied", "apply/applied"}, 0},
		{"a repeated key counts once", `"1","2","1"`, []string{"1", "2"}, []string{"apply/applied", "apply/applied"}, 0},
		{"in another spelling too", `"7","007"`, []string{"7"}, []string{"apply/applied"}, 0},
		{"no key is a verdict", ``, nil, []string{"discard/no-entity"}, 0},
		{"an empty key is poison by itself", `"1","","2"`, []string{"1", "2"}, []string{"apply/applied", "dead-letter/poison", "apply/applied"}, 1},
		{"so is one that is no number, each once", `"x","1","y","x",""`, []string{"1"}, []string{"dead-letter/poison", "apply/applied", "dead-letter/poison", "dead-letter/poison"}, 3},
	} {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			m := newMemory(t, stocked(nil))
			m.run(m.log(ev{"moved", "van", 1, "a", shelves(c.list)}))
			require.Equal(t, c.reasons, m.reasons())
			require.Len(t, m.rows["shelves"], len(c.touched))
			for _, key := range c.touched {
				require.Equal(t, "a", m.shelf(key).Seen)
			}
			require.Len(t, m.letters, c.letters, "each letter has an id of its own")

			// A rewind finds the same units.
			m.led.Next = 0
			m.judgeAt(m.lastRecords(1))
			for _, reason := range m.reasons() {
				require.Contains(t, []string{"discard/duplicate", "discard/redelivered", "discard/no-entity"}, reason)
			}
			require.Len(t, m.letters, c.letters)
		})
	}
}

// lastRecords are the last n records of the log, at their offsets.
func (m *memory) lastRecords(n int) (rs []*event.Record) {
	for i := len(m.events.events) - n; i < len(m.events.events); i++ {
		r := m.record(fmt.Sprint(i))
		r.Offset = int64(i)
		rs = append(rs, r)
	}
	return rs
}

// TestEachEntityHasItsOwnClocks: a newer event about one shelf leaves the others alone.
func TestEachEntityHasItsOwnClocks(t *testing.T) {
	t.Parallel()
	events := []ev{
		{"moved", "van", 1, "a", shelves(`"1","2"`)},
		{"moved", "van", 2, "b", shelves(`"2","3"`)},
		{"moved", "car", 3, "c", shelves(`"3"`)},
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		m := newMemory(t, stocked(nil))
		for _, r := range m.log(shuffled(rng, append(events, events...))...) {
			m.run([]*event.Record{r})
		}
		require.Equal(t, []string{"a", "b", "c"}, []string{m.shelf("1").Seen, m.shelf("2").Seen, m.shelf("3").Seen})
	}
}

// TestOneEntityFailsTheOthersStand: the unit that fails is parked under its own entity, and
// finds it again.
func TestOneEntityFailsTheOthersStand(t *testing.T) {
	t.Parallel()
	broken := map[int64]bool{2: true}
	m := newMemory(t, stocked(broken))
	m.run(m.log(ev{"moved", "van", 1, "a", shelves(`"1","2","3"`)}))
	require.Equal(t, []string{"apply/applied", "park/retry", "apply/applied"}, m.reasons())
	require.Len(t, m.parked, 1)
	for _, p := range m.parked {
		require.Equal(t, "2", p.Entity)
	}
	broken[2] = false
	m.now = m.now.Add(time.Minute)
	m.sweep()
	require.Equal(t, []string{"apply/applied"}, m.reasons(), "the one unit alone")
	require.Equal(t, "a", m.shelf("2").Seen)
	require.Empty(t, m.parked)
}

// TestParkedUnitWhoseKeysHaveChanged: the handler's new release does not name the entity.
func TestParkedUnitWhoseKeysHaveChanged(t *testing.T) {
	t.Parallel()
	for rule, c := range map[string]struct{ data, detail string }{
		"it names others":      {shelves(`"5","x"`), "does not name the entity \"2\""},
		"it names none":        {shelves(``), "does not name the entity \"2\""},
		"an empty one is none": {shelves(`""`), "does not name the entity \"2\""},
		"it is no payload":     {`{"shelves":7}`, "shelves"},
	} {
		t.Run(rule, func(t *testing.T) {
			t.Parallel()
			m := newMemory(t, stocked(map[int64]bool{2: true}))
			m.run(m.log(ev{"moved", "van", 1, "a", shelves(`"2"`)}))
			m.events.events[0].data = c.data
			m.now = m.now.Add(time.Minute)
			m.sweep()
			require.Empty(t, m.parked)
			require.Len(t, m.letters, 1)
			for _, l := range m.letters {
				require.Equal(t, guards.Poison, l.Verdict.Reason)
				require.Contains(t, l.Verdict.Detail, c.detail)
				require.Equal(t, "2", l.Entity)
			}
		})
	}
}

// TestARecordIsADuplicateIfAnyUnitIs is R2 for several entities: a late event one of whose
// entities carries it is no letter.
func TestARecordIsADuplicateIfAnyUnitIs(t *testing.T) {
	t.Parallel()
	reg := handlers.NewRegistry(guards.MaxLateness(10 * time.Minute))
	handlers.Set(reg, "moved", func(_ context.Context, d *shelfDelivery) error {
		d.Entity.Seen = d.Event.ID
		return nil
	}, handlers.Creates(), handlers.Keys(shelvesOf), handlers.Writes("Seen"))
	m := newMemory(t, reg)
	first := ev{"moved", "van", 0, "a", shelves(`"1","2"`)}
	m.run(m.log(first, ev{"moved", "van", 5, "b", shelves(`"1"`)}, ev{"moved", "van", 3000, "c", shelves(`"9"`)}))
	m.reasons()
	m.run(m.log(first, ev{"moved", "van", 1, "d", shelves(`"1","2"`)}))
	require.Equal(t, []string{"discard/superseded", "discard/duplicate", "dead-letter/late"}, m.reasons())
}

func TestKeyFunctionThatPanics(t *testing.T) {
	t.Parallel()
	reg := handlers.NewRegistry()
	handlers.Set(reg, "moved", func(context.Context, *shelfDelivery) error { return nil },
		handlers.Creates(), handlers.Writes("Seen"), handlers.Keys(func(m moved) []string { return m.Shelves[:9] }))
	m := newMemory(t, reg)
	m.run(m.log(ev{"moved", "van", 1, "a", shelves(`"1"`)}))
	require.Equal(t, []string{"dead-letter/poison"}, m.reasons())
	for _, l := range m.letters {
		require.Equal(t, "panic", l.ErrorType)
		require.Contains(t, l.Error, "out of range")
	}
}
