package conformance

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// ClubMember is a model with a soft delete.
type ClubMember struct {
	ID        string `gorm:"primaryKey"`
	Name      string
	City      string
	DeletedAt gorm.DeletedAt
	guards.Guarded
}

type memberDelivery = handlers.Delivery[struct {
	Name string `json:"name"`
	City string `json:"city"`
}, ClubMember]

func leaves(_ context.Context, d *memberDelivery) error {
	d.Delete()
	return nil
}

// members is the wiring of deletes. A topic whose tombstones are deletes may be named.
func members(topics ...string) func() *handlers.Registry {
	return func() *handlers.Registry {
		reg := handlers.NewRegistry()
		handlers.Set(reg, "joined", func(_ context.Context, d *memberDelivery) error {
			d.Entity.Name = d.Payload.Name
			return nil
		}, handlers.Creates(), handlers.Writes("Name"))
		handlers.Set(reg, "moved", func(_ context.Context, d *memberDelivery) error {
			d.Entity.City = d.Payload.City
			return nil
		}, handlers.Writes("City"))
		handlers.Set(reg, "left", leaves, handlers.Writes())
		for _, t := range topics {
			handlers.Set(reg, event.TombstoneType(t), leaves, handlers.Writes())
		}
		return reg
	}
}

func newMembers(t *testing.T, at combination, partitions int) *world {
	t.Helper()
	w := newWorld(t, at, partitions)
	w.tables(&ClubMember{})
	w.registry = members()
	return w
}

// rows are all members, deleted ones too.
func (w *world) members() map[string]ClubMember {
	w.t.Helper()
	var rows []ClubMember
	require.NoError(w.t, w.db.Unscoped().Find(&rows).Error)
	byKey := map[string]ClubMember{}
	for _, r := range rows {
		byKey[r.ID] = r
	}
	return byKey
}

// TestC11AnyOrder: five events with a delete and a re-creation in all 120 orders.
func TestC11DeletesAndRecreationsInAnyOrder(t *testing.T) {
	each(t, "C11", func(t *testing.T, at combination) {
		const partitions = 3
		w := newMembers(t, at, partitions)
		began := time.Now().Add(-time.Hour).Truncate(time.Microsecond)
		when := func(s int) time.Time { return began.Add(time.Duration(s) * time.Second).UTC() }
		life := []said{
			{typ: "joined", at: when(0), data: `{"name":"ann"}`},
			{typ: "moved", at: when(1), data: `{"city":"Ulm"}`},
			{typ: "left", at: when(5)},
			{typ: "moved", at: when(6), data: `{"city":"Bonn"}`},
			{typ: "joined", at: when(8), data: `{"name":"bea"}`},
		}
		var records []event.Record
		keys := 0
		permutations(len(life), func(order []int) {
			key := fmt.Sprintf("m-%d", keys)
			for _, i := range order {
				e := life[i]
				e.id, e.source, e.key = fmt.Sprintf("%s-%d", key, i), "club", key
				records = append(records, w.record(int32(keys%partitions), key, e.value()))
			}
			if keys%2 == 1 { // those with an odd number leave again, somewhere in between
				e := said{id: key + "-x", source: "club", typ: "left", key: key, at: when(9)}
				at := len(records) - 1 - keys%5
				records = append(records[:at], append([]event.Record{w.record(int32(keys%partitions), key, e.value())}, records[at:]...)...)
			}
			keys++
		})
		w.broker.Produce(t, records...)
		w.start(smallBatches(7))
		w.drain(partitions)
		rows := w.members()
		require.Len(t, rows, keys)
		for i := range keys {
			m := rows[fmt.Sprintf("m-%d", i)]
			if i%2 == 1 {
				require.Equal(t, guards.Deleted, m.EkState, m.ID)
				require.Empty(t, m.Name+m.City, m.ID)
				require.True(t, m.DeletedAt.Time.Equal(when(9)), m.ID)
				continue
			}
			require.Equal(t, guards.Alive, m.EkState, m.ID)
			require.Equal(t, "bea", m.Name, m.ID)
			require.Equal(t, "Bonn", m.City, "%s: said after the delete", m.ID)
			require.False(t, m.DeletedAt.Valid, m.ID)
		}
		require.Empty(t, w.letters())
		var live, visible int64
		require.NoError(t, w.db.Model(&ClubMember{}).Count(&visible).Error)
		require.NoError(t, w.db.Unscoped().Model(&ClubMember{}).Scopes(guards.Live).Count(&live).Error)
		require.EqualValues(t, keys/2, live)
		require.Equal(t, live, visible)
	})
}

// TestC11Tombstones: null values without headers are deletes where they have a handler.
func TestC11TombstonesOfATopicAreEventsWhereTheyHaveAHandler(t *testing.T) {
	each(t, "C11 tombstones", func(t *testing.T, at combination) {
		w := newMembers(t, at, 1)
		w.registry = members(w.topic)
		began := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
		when := func(s int) time.Time { return began.Add(time.Duration(s) * time.Second) }
		join := func(key string, s int, name string) event.Record {
			return w.record(0, key, said{id: key + name, source: "club", typ: "joined", key: key, at: when(s), data: `{"name":"` + name + `"}`}.value())
		}
		tombstone := func(key string, s int) event.Record {
			r := w.record(0, key, "")
			r.Value, r.Timestamp = nil, when(s)
			if key == "" {
				r.Key = nil
			}
			return r
		}
		headed := tombstone("m-4", 5)
		headed.Headers = []event.Header{{Key: "h", Value: []byte("v")}}
		records := []event.Record{
			join("m-1", 0, "ann"), tombstone("m-1", 5), join("m-1", 3, "old"),
			tombstone("m-2", 5), join("m-2", 8, "new"), // its tombstone came first
			join("m-3", 9, "kept"), tombstone("m-3", 5),
			join("m-4", 0, "there"), headed, // with headers it is for the codec
			tombstone("", 5),
		}
		w.broker.Produce(t, records...)
		m := w.start(smallBatches(2))
		w.drain(1)
		check := func() {
			t.Helper()
			rows := w.members()
			require.Len(t, rows, 4)
			require.Equal(t, guards.Deleted, rows["m-1"].EkState)
			require.True(t, rows["m-1"].DeletedAt.Time.Equal(when(5)), "the record's time")
			require.Empty(t, rows["m-1"].Name)
			for key, name := range map[string]string{"m-2": "new", "m-3": "kept", "m-4": "there"} {
				require.Equal(t, guards.Alive, rows[key].EkState, key)
				require.Equal(t, name, rows[key].Name)
				require.False(t, rows[key].DeletedAt.Valid, key)
			}
			letters := w.letters()
			require.Len(t, letters, 2)
			for i, offset := range []int64{8, 9} {
				require.Equal(t, guards.Poison, letters[i].Verdict.Reason)
				require.Equal(t, offset, letters[i].Record.Offset)
				require.Nil(t, letters[i].Record.Value)
			}
			require.Contains(t, letters[1].Error, "record key: expected the entity's key, found none")
		}
		check()
		m.stop()
		w.broker.ResetOffset(t, w.group, w.topic, 0, 0)
		again := w.start()
		w.eventually(func() bool { return again.consumer.Stats().Records == int64(len(records)) }, func() string { return "not read again" })
		w.drain(1)
		require.Zero(t, again.final().Verdicts["apply/applied"], "their identity are their coordinates")
		check()

		_, err := framework.New(w.db, func() *framework.Config { w.registry = members(w.topic, "others"); return w.config() }())
		require.ErrorContains(t, err, `a handler for the tombstones of the topic "others"`)
	})
}

// TestC11Purge: tombstones go behind a horizon that holds from then on.
func TestC11TombstonesArePurgedBehindAHorizon(t *testing.T) {
	each(t, "C11 purge", func(t *testing.T, at combination) {
		w := newMembers(t, at, 1)
		began := time.Now().Add(-time.Hour)
		n := 0
		tell := func(typ, key string, s int) {
			n++
			w.tell(0, said{id: fmt.Sprint("e-", n), source: "club", typ: typ, key: key, at: began.Add(time.Duration(s) * time.Second), data: `{"name":"ann","city":"Ulm"}`})
		}
		tell("joined", "gone", 0)
		tell("left", "gone", 5)
		tell("joined", "there", 0)
		tell("moved", "early", 0)
		tell("left", "gone later", 9)
		off := w.start()
		w.drain(1)
		first := w.members()["gone"].EkRev
		require.Len(t, w.members(), 4)

		const after = 300 * time.Millisecond
		purging := func(c *framework.Config) { c.PurgeDeletedAfter = after }
		off.stop()
		m := w.start(purging)
		w.eventually(func() bool { return len(w.members()) == 2 }, func() string { return fmt.Sprint(w.members()) })
		w.eventually(func() bool { return m.consumer.Stats().TombstonesPurged == 2 }, func() string { return fmt.Sprintf("%+v", m.consumer.Stats()) })
		require.Contains(t, w.members(), "there")
		require.Contains(t, w.members(), "early", "a placeholder is no tombstone")

		// At or below the horizon nobody knows whether the entity was deleted.
		tell("joined", "gone", 3)
		tell("joined", "never seen", 9)
		tell("moved", "there", 2) // its row is there
		w.drain(1)
		// And it is obeyed where purging is off.
		m.stop()
		off = w.start()
		tell("moved", "gone", 4)
		w.drain(1)
		letters := w.letters()
		require.Len(t, letters, 3)
		for _, l := range letters {
			require.Equal(t, guards.Late, l.Verdict.Reason)
			require.Equal(t, "horizon", l.Verdict.Numbers.What)
			require.Equal(t, began.Add(9*time.Second).UnixMicro(), l.Verdict.Numbers.Against)
		}
		rows := w.members()
		require.Len(t, rows, 2)
		require.Equal(t, "Ulm", rows["there"].City)

		// Above it life goes on, and a row that is made again is not the one that was.
		tell("joined", "gone", 10)
		w.drain(1)
		require.Equal(t, guards.Alive, w.members()["gone"].EkState)
		require.Greater(t, w.members()["gone"].EkRev, first+1000)
		tell("moved", "gone", 4) // what its tombstone would have masked
		w.drain(1)
		require.Len(t, w.letters(), 4)
		require.Empty(t, w.members()["gone"].City)
		before := w.members()

		// An operator's rewind makes nothing of what was purged.
		off.stop()
		w.broker.ResetOffset(t, w.group, w.topic, 0, 0)
		again := w.start()
		w.eventually(func() bool { return again.consumer.Stats().Records == int64(n) }, func() string { return "not read again" })
		w.drain(1)
		s := again.final()
		require.Zero(t, s.Verdicts["apply/applied"], "%v", s.Verdicts)
		require.Equal(t, before, w.members())
		require.Len(t, w.letters(), 4)
	})
}
