package batch_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// sharedTickets are deleted while each version that nobody has seen wants it: an owner
// "gone" does.
func sharedTickets() *handlers.Registry {
	reg := handlers.NewRegistry(guards.Vector())
	handlers.Resolve(reg, "saved", func(x *ticket, siblings []handlers.Sibling[ticketFacts]) error {
		gone := true
		for _, s := range siblings {
			x.Title += s.ID
			gone = gone && s.Payload.Owner == "gone"
		}
		if gone {
			return fmt.Errorf("said by all: %w", handlers.Delete())
		}
		return nil
	}, guards.Vector(), handlers.Creates(), handlers.Writes("Title"))
	handlers.Set(reg, "noted", func(_ context.Context, d *ticketDelivery) error {
		d.Entity.Note = d.Payload.Note
		return nil
	}, handlers.Writes("Note"))
	return reg
}

// TestAResolverDeletes: whether the entity is deleted, and since when, is a function of the
// maximal versions alone, in every order; and what others wrote stays.
func TestAResolverDeletes(t *testing.T) {
	t.Parallel()
	deleted, revived := 0, 0
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 13))
		evs, vectors := history(rng, 2+rng.IntN(3))
		note := ev{"noted", "o1", 9, "note", fmt.Sprintf(`{"vector":"a=%d","note":"n"}`, 1+rng.IntN(4))}
		for i := range evs {
			evs[i].at = rng.IntN(9)
			if rng.IntN(2) == 0 {
				evs[i].data = strings.Replace(evs[i].data, "{", `{"owner":"gone",`, 1)
			}
		}
		newest, gone := maximalWish(evs, vectors)
		var first *store.Row
		permute(append(slices.Clone(evs), note), func(told []ev) {
			m := newMemory(t, sharedTickets())
			was := guards.Missing
			for len(told) > 0 {
				n := 1 + rng.IntN(len(told))
				m.run(m.log(told[:n]...))
				told = told[n:]
				if row := m.rows["tickets"]["o1"]; was == guards.Deleted && row.State == guards.Alive {
					revived++
				} else {
					was = row.State
				}
			}
			require.Empty(t, m.letters)
			row := m.rows["tickets"]["o1"]
			x := row.Entity.Interface().(*ticket)
			require.Equal(t, gone, row.State == guards.Deleted, "seed %d", seed)
			require.Equal(t, gone, x.DeletedAt.Valid)
			if gone {
				deleted++
				require.True(t, x.DeletedAt.Time.Equal(base.Add(time.Duration(newest.at)*time.Second)), "since the newest version")
			}
			require.Equal(t, "n", *x.Note, "what a Set wrote stays")
			if first == nil {
				first = row
			}
			require.Equal(t, first.Clocks, row.Clocks)
			require.Equal(t, first.Entity.Interface(), row.Entity.Interface(), "seed %d", seed)
		})
	}
	require.NotZero(t, deleted)
	require.NotZero(t, revived, "no order had a ticket that lived again")
}

// maximalWish is the newest of the versions that no other one has seen, and whether all of
// those want the ticket gone.
func maximalWish(evs []ev, vectors []event.Vector) (newest ev, gone bool) {
	gone = true
	var sum int64 = -1
	for i, v := range vectors {
		if slices.ContainsFunc(vectors, func(o event.Vector) bool { return v.Compare(o) == event.Before }) {
			continue
		}
		gone = gone && strings.Contains(evs[i].data, "gone")
		if s := v.Sum(); s > sum || s == sum && evs[i].id > newest.id {
			newest, sum = evs[i], s
		}
	}
	return newest, gone
}

// TestWhoMayDeleteThroughAResolver: only the resolver that creates.
func TestWhoMayDeleteThroughAResolver(t *testing.T) {
	t.Parallel()
	gone := func(*ticket, []handlers.Sibling[ticketFacts]) error { return handlers.Delete() }
	for _, c := range []struct {
		owner func(*handlers.Registry)
		want  string
	}{
		{func(*handlers.Registry) {}, "handlers.Creates is declared by no handler of the model"},
		{func(reg *handlers.Registry) {
			handlers.Resolve(reg, "other", gone, guards.Vector(), handlers.Creates(), handlers.Writes("Owner"))
		}, `whose rows are created by Resolve of "other"`},
	} {
		reg := handlers.NewRegistry()
		c.owner(reg)
		handlers.Resolve(reg, "saved", gone, guards.Vector(), handlers.Writes("Title"))
		m := newMemory(t, reg)
		m.run(m.log(saved("1", "a=1")))
		require.Equal(t, []string{"dead-letter/rejected"}, m.reasons())
		for _, l := range m.letters {
			require.Contains(t, l.Error, c.want)
		}
	}
	// What waits for the entity goes on when it is made as deleted, too.
	m := newMemory(t, sharedTickets())
	out := m.run(m.log(ev{"noted", "o1", 1, "n", `{"vector":"b=1","note":"n"}`}, saved("1", "a=1")))
	require.Equal(t, -1, out.Verdicts[1].Placeholder)
}
