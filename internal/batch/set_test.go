package batch_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/clocks"
)

type delivery = handlers.Delivery[facts, order]

func created(_ context.Context, d *delivery) error {
	d.Entity.Customer = d.Payload.Customer
	return nil
}

func paid(_ context.Context, d *delivery) error {
	at := d.Event.OccurredAt
	d.Entity.PaidAt = &at
	return nil
}

func noted(_ context.Context, d *delivery) error {
	d.Entity.Note = d.Payload.Note // null is a value
	if d.Payload.Keep {
		d.Keep("Limit")
	}
	d.Entity.Limit = d.Payload.Limit
	return nil
}

func cancelled(_ context.Context, d *delivery) error {
	d.Delete()
	return nil
}

func project(o *order) {
	o.Status = "new"
	if o.PaidAt != nil {
		o.Status = "paid"
	}
}

func setRegistry() *handlers.Registry {
	reg := handlers.NewRegistry(guards.Timestamp())
	handlers.Set(reg, "created", created, handlers.Creates(), handlers.Writes("Customer"))
	handlers.Set(reg, "paid", paid, handlers.Writes("PaidAt"))
	handlers.Set(reg, "noted", noted, handlers.Writes("Note", "Limit"))
	handlers.Set(reg, "deleted", cancelled, handlers.Writes("Customer"))
	handlers.Project(reg, project, handlers.Writes("Status"))
	return reg
}

// TestAnyOrderGivesOneRow is R1 and R2: random sets of events, with duplicates, ties and
// batch boundaries anywhere, give one row, one set of clocks and one existence.
func TestAnyOrderGivesOneRow(t *testing.T) {
	t.Parallel()
	types := []string{"created", "paid", "noted", "deleted", "noted"}
	datas := []string{
		`{"customer":"a"}`, `{"note":"x","limit":3}`, `{"note":null,"keep":true,"limit":9}`, `{}`, `{"customer":"b","limit":0}`,
	}
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 7))
		var set []ev
		for i := range 2 + rng.IntN(5) {
			set = append(set, ev{typ: types[rng.IntN(len(types))], key: "o1", at: rng.IntN(3), id: string(rune('a' + i)), data: datas[rng.IntN(len(datas))]})
		}
		var want *order
		var wantClocks clocks.Stored
		var wantState guards.Existence
		for try := range 12 {
			m := newMemory(t, setRegistry())
			stream := shuffled(rng, append(append([]ev{}, set...), set[rng.IntN(len(set))]))
			for len(stream) > 0 {
				n := 1 + rng.IntN(len(stream))
				m.run(m.log(stream[:n]...))
				stream = stream[n:]
			}
			row := m.rows["orders"]["o1"]
			if try == 0 {
				want, wantState, wantClocks = m.order("o1"), row.State, row.Layout.Encode(row.Clocks)
				continue
			}
			require.Equal(t, want, m.order("o1"), "seed %d: %+v", seed, set)
			require.Equal(t, wantState, row.State, "seed %d: %+v", seed, set)
			require.Equal(t, wantClocks, row.Layout.Encode(row.Clocks), "seed %d: %+v", seed, set)
			require.Empty(t, m.letters)
		}
	}
}

func TestEarlyEventMakesAPlaceholderThatItsCreationCompletes(t *testing.T) {
	t.Parallel()
	m := newMemory(t, setRegistry())
	m.run(m.log(ev{"paid", "o1", 20, "p", `{}`}))
	require.Equal(t, guards.Placeholder, m.rows["orders"]["o1"].State)
	require.Equal(t, "paid", m.order("o1").Status)
	m.run(m.log(ev{"created", "o1", 10, "c", `{"customer":"ann"}`}))
	require.Equal(t, guards.Alive, m.rows["orders"]["o1"].State)
	require.Equal(t, "ann", m.order("o1").Customer)
	require.Equal(t, base.Add(20*time.Second), *m.order("o1").PaidAt)
}

func TestVerdictsOfSet(t *testing.T) {
	t.Parallel()
	m := newMemory(t, setRegistry())
	m.run(m.log(
		ev{"noted", "o1", 20, "n1", `{"note":"x","limit":2}`},
		ev{"noted", "o1", 20, "n1", `{"note":"x","limit":2}`},
		ev{"noted", "o1", 10, "n0", `{"note":"y","limit":1}`},
		ev{"noted", "o1", 30, "n2", `{"note":"z","limit":7,"keep":true}`},
		ev{"noted", "o1", 25, "n3", `{"note":"w","limit":5}`},
		ev{"nobody", "o1", 25, "n4", `{}`},
	))
	require.Equal(t, []string{
		"apply/applied", "discard/duplicate", "discard/superseded", "apply/applied", "apply/applied", "discard/unhandled",
	}, m.reasons())
	require.Equal(t, "z", *m.order("o1").Note)
	require.Equal(t, 5, m.order("o1").Limit) // n2 kept it, n3 is newer than n1
}

func TestSetHandlerMayNotWriteWhatItDoesNotDeclare(t *testing.T) {
	t.Parallel()
	reg := handlers.NewRegistry()
	handlers.Set(reg, "x", func(_ context.Context, d *delivery) error {
		d.Entity.Count = 7
		return nil
	}, handlers.Creates(), handlers.Writes("Customer"))
	handlers.Modify(reg, "y", func(_ context.Context, d *delivery) error {
		d.Entity.Customer = "stolen"
		return nil
	}, guards.Timestamp(), handlers.Writes("Count"))
	m := newMemory(t, reg)
	m.run(m.log(ev{"x", "o1", 1, "a", `{}`}, ev{"y", "o1", 2, "b", `{}`}))
	require.Len(t, m.letters, 2)
	for _, l := range m.letters {
		require.Equal(t, guards.Rejected, l.Verdict.Reason)
		require.Contains(t, l.Error, "not among its handlers.Writes")
	}
	require.Zero(t, m.order("o1").Count)
	require.Zero(t, m.order("o1").Customer)
}

// TestRedeliveredRecordsChangeNothing is R6: below high, admission does not run again and
// what had a letter has none a second time.
func TestRedeliveredRecordsChangeNothing(t *testing.T) {
	t.Parallel()
	reg := handlers.NewRegistry(guards.Timestamp(), guards.MaxLateness(time.Hour))
	handlers.Set(reg, "created", created, handlers.Creates(), handlers.Writes("Customer"))
	m := newMemory(t, reg)
	rs := m.log(
		ev{"created", "o1", 10_000, "a", `{"customer":"ann"}`},
		ev{"created", "o2", 0, "late", `{"customer":"bob"}`},
		ev{"created", "o3", 100_000, "future", `{"customer":"eve"}`},
	)
	m.now = base.Add(10_000 * time.Second)
	rs = append(rs, m.record("not a number"))
	m.run(rs)
	require.Equal(t, []string{"apply/applied", "dead-letter/late", "dead-letter/future", "dead-letter/poison"}, m.reasons())
	require.Len(t, m.letters, 3)
	require.Equal(t, base.Add(10_000*time.Second).UnixMicro(), m.led.Watermark, "the future one did not move it")

	m.led.Next = 0 // an operator's rewind
	m.judgeAt(rs)
	require.Equal(t, []string{"discard/duplicate", "discard/redelivered", "discard/redelivered", "discard/redelivered"}, m.reasons())
	require.Len(t, m.letters, 3)
	require.Nil(t, m.order("o2"))
	require.EqualValues(t, 4, m.led.Next)
}

func TestDuplicateOfAnOldEventIsNotLate(t *testing.T) {
	t.Parallel()
	reg := handlers.NewRegistry(guards.Timestamp(), guards.MaxLateness(time.Hour))
	handlers.Set(reg, "created", created, handlers.Creates(), handlers.Writes("Customer"))
	m := newMemory(t, reg)
	m.now = base.Add(10_000 * time.Second)
	m.run(m.log(ev{"created", "o1", 0, "a", `{}`}, ev{"created", "o2", 9000, "b", `{}`}, ev{"created", "o1", 0, "a", `{}`}))
	require.Equal(t, []string{"apply/applied", "apply/applied", "discard/duplicate"}, m.reasons())
}

func TestDeletedRowIsNotRaisedByAnOlderEvent(t *testing.T) {
	t.Parallel()
	m := newMemory(t, setRegistry())
	m.run(m.log(
		ev{"created", "o1", 1, "a", `{"customer":"ann"}`},
		ev{"deleted", "o1", 10, "d", `{}`},
		ev{"noted", "o1", 12, "n", `{"note":"after"}`},
		ev{"created", "o1", 5, "b", `{"customer":"bob"}`},
	))
	require.Equal(t, guards.Deleted, m.rows["orders"]["o1"].State)
	require.Empty(t, m.order("o1").Customer)
	require.Equal(t, "after", *m.order("o1").Note)
	m.run(m.log(ev{"created", "o1", 20, "c", `{"customer":"cay"}`}))
	require.Equal(t, guards.Alive, m.rows["orders"]["o1"].State)
	require.Equal(t, "cay", m.order("o1").Customer)
	require.Equal(t, "after", *m.order("o1").Note, "re-creation zeroes nothing")
}

func TestCompactionMarkerAndNullValueWithHeaders(t *testing.T) {
	t.Parallel()
	m := newMemory(t, setRegistry())
	marker := m.record("")
	marker.Value = nil
	empty := m.record("")
	empty.Value, empty.Headers = nil, []event.Header{{Key: "h", Value: nil}}
	m.run([]*event.Record{marker, empty})
	require.Equal(t, []string{"discard/compaction-marker", "dead-letter/poison"}, m.reasons())
}
