package conformance

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// Profile is written by handlers that state the whole row and by others that state one
// field.
type Profile struct {
	ID    string `gorm:"primaryKey"`
	Name  string
	Email *string
	Score int64
	Label *string
	guards.Guarded
}

type profileData struct {
	Name  string  `json:"name"`
	Email *string `json:"email"`
	Score int64   `json:"score"`
	Label *string `json:"label"`
}

type profileDelivery = handlers.Delivery[profileData, Profile]

func profiles() *handlers.Registry {
	reg := handlers.NewRegistry(guards.Timestamp())
	whole := func(_ context.Context, d *profileDelivery) error {
		p := d.Payload
		d.Entity.Name, d.Entity.Email, d.Entity.Score, d.Entity.Label = p.Name, p.Email, p.Score, p.Label
		return nil
	}
	handlers.Set(reg, "profile.created", whole, handlers.Creates()) // no Writes: all columns
	handlers.Set(reg, "profile.imported", whole)
	handlers.Set(reg, "profile.mailed", func(_ context.Context, d *profileDelivery) error {
		d.Entity.Email = d.Payload.Email
		return nil
	}, handlers.Writes("Email"))
	handlers.Set(reg, "profile.scored", func(_ context.Context, d *profileDelivery) error {
		d.Entity.Score = d.Payload.Score
		return nil
	}, handlers.Writes("Score"))
	return reg
}

// TestB03Placeholder walks through the life of one placeholder, with a look at the row
// after each step.
func TestB03AnEarlyEventMakesAPlaceholderThatItsCreatingEventCompletes(t *testing.T) {
	t.Parallel()
	each(t, "B03", func(t *testing.T, at combination) {
		t.Parallel()
		w := newWorld(t, at, 1)
		m := w.start()
		began := time.Now().Add(-time.Hour).Truncate(time.Microsecond)
		step := func(seconds int, typ, data string) Order {
			t.Helper()
			w.tell(0, said{id: typ, source: "shop", typ: typ, key: "o-1", at: began.Add(time.Duration(seconds) * time.Second), data: data})
			w.drain(1)
			return all(w, func(o *Order) string { return o.ID })["o-1"]
		}

		early := step(30, "order.paid", "")
		require.Equal(t, guards.Placeholder, early.EkState)
		require.Equal(t, "paid", early.Status, "a projection runs on a placeholder too")
		require.True(t, began.Add(30*time.Second).Equal(*early.PaidAt))
		w.eventually(func() bool { return m.consumer.Stats().PlaceholdersMade == 1 }, func() string { return "the placeholder is counted" })
		require.Zero(t, m.consumer.Stats().PlaceholdersCompleted)

		noted := step(20, "order.noted", `{"note":"early too"}`)
		require.Equal(t, guards.Placeholder, noted.EkState)
		require.Equal(t, early.EkRev+1, noted.EkRev)
		require.Equal(t, early.EkTime, noted.EkTime, "the row's clock is its newest stamp")

		whole := step(0, "order.placed", `{"customer":"ann","note":null,"amount":5}`)
		require.Equal(t, guards.Alive, whole.EkState)
		require.Equal(t, "ann", whole.Customer)
		require.EqualValues(t, 5, whole.Amount)
		require.Equal(t, "early too", *whole.Note, "the note is newer than the creating event")
		require.True(t, began.Add(30*time.Second).Equal(*whole.PaidAt), "the early event's field stays")
		require.Equal(t, early.EkBorn, whole.EkBorn)
		s := m.final()
		require.EqualValues(t, 1, s.PlaceholdersMade)
		require.EqualValues(t, 1, s.PlaceholdersCompleted)
		require.Empty(t, w.letters())
		w.check()
	})
}

// TestB03WholeRowAndFieldHandlers: six events about one model in all 720 orders. They hold
// what goes wrong when NULL, zero and equal values are treated as "nothing said": each of
// the winners is one of them, and has an older rival that would win else.
func TestB03WholeRowsAndFieldsMixInAnyOrder(t *testing.T) {
	t.Parallel()
	each(t, "B03", func(t *testing.T, at combination) {
		t.Parallel()
		const partitions = 3
		w := newWorld(t, at, partitions)
		w.registry = profiles
		w.tables(&Profile{})
		began := time.Now().Add(-time.Hour)
		said6 := []said{
			{typ: "profile.created", at: began.Add(10 * time.Second), data: `{"name":"ann","email":"a@x","score":1,"label":"gold"}`},
			// The same name again, a zero score, no label.
			{typ: "profile.imported", at: began.Add(30 * time.Second), data: `{"name":"ann","email":"b@x","score":0,"label":null}`},
			{typ: "profile.scored", at: began.Add(35 * time.Second), data: `{"score":9}`},
			{typ: "profile.scored", at: began.Add(40 * time.Second), data: `{"score":0}`}, // equal to the import's
			{typ: "profile.mailed", at: began.Add(45 * time.Second), data: `{"email":"c@x"}`},
			{typ: "profile.mailed", at: began.Add(50 * time.Second), data: `{"email":null}`}, // NULL wins
		}
		var records []event.Record
		keys, early := 0, 0
		permutations(len(said6), func(order []int) {
			key := fmt.Sprintf("p-%d", keys)
			for _, i := range order {
				e := said6[i]
				e.id, e.source, e.key = fmt.Sprintf("%s-%d", key, i), "crm", key
				records = append(records, w.record(int32(keys%partitions), key, e.value()))
			}
			if order[0] != 0 {
				early++
			}
			keys++
		})
		w.broker.Produce(t, records...)
		m := w.start(smallBatches(97))
		w.drain(partitions)

		rows := all(w, func(p *Profile) string { return p.ID })
		require.Len(t, rows, keys)
		for key, p := range rows {
			require.Equal(t, guards.Alive, p.EkState, key)
			require.Equal(t, "ann", p.Name, key)
			require.Nil(t, p.Email, key)
			require.Zero(t, p.Score, key)
			require.Nil(t, p.Label, key)
			require.Equal(t, began.Add(50*time.Second).UnixMicro(), p.EkTime, key)
			require.Equal(t, event.Tie(true, "crm", key+"-5"), string(p.EkTie), key)
		}
		s := m.final()
		require.EqualValues(t, early, s.PlaceholdersMade)
		require.EqualValues(t, early, s.PlaceholdersCompleted)
		require.Empty(t, w.letters())
	})
}
