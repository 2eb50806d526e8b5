package batch_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/clocks"
)

// ticket is a model with a soft delete.
type ticket struct {
	ID        string `gorm:"primaryKey"`
	Title     string
	Owner     string
	Note      *string
	DeletedAt gorm.DeletedAt
	guards.Guarded
}

type ticketFacts struct {
	Title string  `json:"title"`
	Owner string  `json:"owner"`
	Note  *string `json:"note"`
}

type ticketDelivery = handlers.Delivery[ticketFacts, ticket]

func tickets(more ...guards.Guard) *handlers.Registry {
	reg := handlers.NewRegistry(append(more, guards.Timestamp())...)
	handlers.Set(reg, "opened", func(_ context.Context, d *ticketDelivery) error {
		d.Entity.Title = d.Payload.Title
		return nil
	}, handlers.Creates(), handlers.Writes("Title"))
	handlers.Set(reg, "assigned", func(_ context.Context, d *ticketDelivery) error {
		d.Entity.Owner = d.Payload.Owner
		return nil
	}, handlers.Writes("Owner"))
	handlers.Set(reg, "noted", func(_ context.Context, d *ticketDelivery) error {
		d.Entity.Note = d.Payload.Note
		return nil
	}, handlers.Writes("Note"))
	handlers.Set(reg, "closed", func(_ context.Context, d *ticketDelivery) error {
		d.Delete()
		d.Entity.Note = d.Payload.Note // said after the zeroing, so it stays
		return nil
	}, handlers.Writes("Note"))
	return reg
}

func opened(at int, title string) ev {
	return ev{typ: "opened", key: "t1", at: at, id: "open " + title, data: `{"title":"` + title + `"}`}
}

func assigned(at int, owner string) ev {
	return ev{typ: "assigned", key: "t1", at: at, id: "assign " + owner, data: `{"owner":"` + owner + `"}`}
}

func closed(at int, note string) ev {
	return ev{typ: "closed", key: "t1", at: at, id: "close " + note, data: `{"note":"` + note + `"}`}
}

// TestDeletes is R13, one line each.
func TestDeletes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		events  []ev
		state   guards.Existence
		title   string
		owner   string
		deleted int // when, in seconds; 0 for no DeletedAt
	}{
		"a delete zeroes what was written before it":      {[]ev{opened(1, "a"), assigned(2, "ann"), closed(9, "")}, guards.Deleted, "", "", 9},
		"an older event can't raise it":                   {[]ev{closed(9, ""), opened(1, "a"), assigned(2, "ann")}, guards.Deleted, "", "", 9},
		"a newer creation does":                           {[]ev{opened(1, "a"), closed(9, ""), opened(12, "b")}, guards.Alive, "b", "", 0},
		"re-creation zeroes nothing":                      {[]ev{opened(1, "a"), closed(9, ""), assigned(11, "bob"), opened(12, "b")}, guards.Alive, "b", "bob", 0},
		"a re-creation that is older than the delete":     {[]ev{opened(1, "a"), closed(9, ""), opened(8, "b")}, guards.Deleted, "", "", 9},
		"a field set since stays, on the tombstone too":   {[]ev{opened(1, "a"), assigned(11, "bob"), closed(9, "")}, guards.Deleted, "", "bob", 9},
		"a delete that is late zeroes what is older":      {[]ev{opened(1, "a"), assigned(2, "ann"), opened(12, "b"), closed(9, "")}, guards.Alive, "b", "", 0},
		"of two deletes the newest tells the time":        {[]ev{opened(1, "a"), closed(9, "x"), closed(7, "y")}, guards.Deleted, "", "", 9},
		"a delete before anything else makes a tombstone": {[]ev{closed(9, "")}, guards.Deleted, "", "", 9},
		"a delete ends a placeholder":                     {[]ev{assigned(2, "ann"), closed(9, "")}, guards.Deleted, "", "", 9},
		"deleted, made and deleted again":                 {[]ev{opened(1, "a"), closed(9, "x"), opened(12, "b"), closed(15, "y")}, guards.Deleted, "", "", 15},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMemory(t, tickets())
			for _, e := range c.events {
				m.run(m.log(e))
			}
			row := m.rows["tickets"]["t1"]
			got := row.Entity.Interface().(*ticket)
			require.Equal(t, c.state, row.State)
			require.Equal(t, c.title, got.Title)
			require.Equal(t, c.owner, got.Owner)
			var want gorm.DeletedAt
			if c.deleted != 0 {
				want = gorm.DeletedAt{Time: base.Add(time.Duration(c.deleted) * time.Second), Valid: true}
			}
			require.Equal(t, want, got.DeletedAt)
			require.Empty(t, m.letters)
		})
	}
}

// TestDeletesInAnyOrder runs sets with deletes and re-creations in every order, one event
// a batch and all in one, and compares with what the rule says of the set.
func TestDeletesInAnyOrder(t *testing.T) {
	t.Parallel()
	pool := []ev{opened(1, "a"), assigned(2, "ann"), closed(4, "x"), opened(6, "b"), assigned(7, "bob"), closed(8, "y"), opened(8, "c")}
	sets := 0
	for choice := 1; choice < 1<<len(pool); choice++ {
		var set []ev
		for i, e := range pool {
			if choice&(1<<i) != 0 {
				set = append(set, e)
			}
		}
		if len(set) > 5 {
			continue
		}
		sets++
		want, state := expectTicket(set)
		var clock clocks.Stored
		first := true
		permute(set, func(order []ev) {
			for _, whole := range []bool{false, true} {
				if whole && len(set) == 5 {
					continue // the same code, and the suite is long
				}
				m := newMemory(t, tickets())
				if whole {
					m.run(m.log(order...))
				} else {
					for _, e := range order {
						m.run(m.log(e))
					}
				}
				row := m.rows["tickets"]["t1"]
				require.Equal(t, want, *row.Entity.Interface().(*ticket), "%+v", order)
				require.Equal(t, state, row.State, "%+v", order)
				stored := row.Layout.Encode(row.Clocks)
				if first {
					clock, first = stored, false
				}
				require.Equal(t, clock, stored, "%+v", order)
			}
		})
	}
	require.Equal(t, 127-7-1, sets)
}

// expectTicket takes for each field the newest of the events that say something of it,
// and a delete says of each that it is empty. Equal times are told apart by id.
func expectTicket(set []ev) (want ticket, state guards.Existence) {
	want.ID, state = "t1", guards.Placeholder
	newest := func(about func(ev) bool) (found ev, ok bool) {
		for _, e := range set {
			if about(e) && (!ok || e.at > found.at || e.at == found.at && e.id > found.id) {
				found, ok = e, true
			}
		}
		return found, ok
	}
	of := func(types ...string) func(ev) bool {
		return func(e ev) bool { return e.typ == types[0] || e.typ == types[1] }
	}
	said := func(e ev, prefix string) string { return e.id[len(prefix):] }
	if e, ok := newest(of("opened", "closed")); ok {
		state = guards.Alive
		if e.typ == "closed" {
			state = guards.Deleted
			want.DeletedAt = gorm.DeletedAt{Time: base.Add(time.Duration(e.at) * time.Second), Valid: true}
		} else {
			want.Title = said(e, "open ")
		}
	}
	if e, ok := newest(of("assigned", "closed")); ok && e.typ == "assigned" {
		want.Owner = said(e, "assign ")
	}
	if e, ok := newest(of("closed", "closed")); ok {
		note := said(e, "close ")
		want.Note = &note
	}
	return want, state
}

// TestALateDuplicateOfADelete: a delete leaves its stamp on fields that its handler does
// not declare, and the row remembers it by those as well (R2, R6).
func TestALateDuplicateOfADelete(t *testing.T) {
	t.Parallel()
	m := newMemory(t, tickets(guards.MaxLateness(time.Hour)))
	m.now = base.Add(3 * time.Hour)
	m.run(m.log(
		assigned(1, "ann"), closed(9, "x"),
		// The one field that the delete's handler declares moves on, and so does existence.
		ev{typ: "noted", key: "t1", at: 10, id: "n", data: `{"note":"z"}`}, opened(11, "b"),
		ev{typ: "opened", key: "t2", at: 9000, id: "far"},
	))
	m.reasons()
	m.run(m.log(closed(9, "x")))
	require.Equal(t, []string{"discard/duplicate"}, m.reasons())
}

// TestModifyDeletes: under guards.None whoever creates by Modify deletes by Modify.
func TestModifyDeletes(t *testing.T) {
	t.Parallel()
	reg := handlers.NewRegistry()
	handlers.Modify(reg, "opened", func(_ context.Context, d *ticketDelivery) error {
		d.Entity.Title = d.Payload.Title
		return nil
	}, guards.None(), handlers.Creates(), handlers.Writes("Title"))
	handlers.Modify(reg, "closed", func(_ context.Context, d *ticketDelivery) error {
		d.Delete()
		d.Entity.Title = ""
		return nil
	}, guards.None(), handlers.Writes("Title"))
	handlers.Set(reg, "wiped", func(_ context.Context, d *ticketDelivery) error {
		d.Delete()
		return nil
	}, handlers.Writes("Owner"))
	m := newMemory(t, reg)
	m.run(m.log(opened(1, "a"), closed(9, "x")))
	require.Equal(t, guards.Deleted, m.rows["tickets"]["t1"].State)
	require.True(t, m.rows["tickets"]["t1"].Entity.Interface().(*ticket).DeletedAt.Valid)
	m.run(m.log(opened(12, "b")))
	require.Equal(t, guards.Alive, m.rows["tickets"]["t1"].State)
	require.False(t, m.rows["tickets"]["t1"].Entity.Interface().(*ticket).DeletedAt.Valid)
	m.reasons()
	m.run(m.log(ev{typ: "wiped", key: "t1", at: 20, id: "w"}))
	require.Equal(t, []string{"dead-letter/rejected"}, m.reasons(), "existence has one owner")
	require.Equal(t, guards.Alive, m.rows["tickets"]["t1"].State)
}
