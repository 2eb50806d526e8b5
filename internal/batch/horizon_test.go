package batch_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// model is the one model of the tickets' registry.
func (m *memory) model(table string) *handlers.Model {
	for model := range m.layouts {
		if model.Table == table {
			return model
		}
	}
	m.t.Fatalf("no model of table %s", table)
	return nil
}

// horizon stores that tombstones up to a time have been purged.
func (m *memory) horizon(table string, at int) {
	micros := base.Add(time.Duration(at) * time.Second).UnixMicro()
	memo := store.Horizon{At: &micros}.Memo(table, nil)
	memo.Rev = 1
	m.memos[memo.MemoKey] = memo
	m.layouts[m.model(table)].Purged = true
}

// TestBehindTheHorizon is the second half of R13: what is so old that its row may have
// been a tombstone which was purged is refused, and everything else is as ever.
func TestBehindTheHorizon(t *testing.T) {
	t.Parallel()
	m := newMemory(t, tickets())
	m.run(m.log(assigned(5, "ann")))
	m.horizon("tickets", 10)
	m.reasons()

	old := ev{typ: "opened", key: "t2", at: 10, id: "old", data: `{"title":"x"}`}
	rs := m.log(old, ev{typ: "opened", key: "t3", at: 11, id: "new"}, opened(1, "a"))
	m.run(rs)
	require.Equal(t, []string{"dead-letter/late", "apply/applied", "apply/applied"}, m.reasons(), "at the horizon, above it, and below it on a row that is there")
	require.Nil(t, m.rows["tickets"]["t2"])
	for _, l := range m.letters {
		require.Equal(t, guards.Comparison{What: "horizon", Event: base.Add(10 * time.Second).UnixMicro(), Against: base.Add(10 * time.Second).UnixMicro()}, l.Verdict.Numbers)
		require.Equal(t, "opened→ticket", l.Handler)
		require.Equal(t, "t2", l.Entity)
		require.False(t, l.Stamp.IsZero())
	}

	// An operator's rewind: the letter stands, and what had its effect before a purge took
	// the row has it no second time.
	delete(m.rows["tickets"], "t1")
	m.led.Next = rs[0].Offset
	m.judgeAt(rs)
	require.Equal(t, []string{"discard/redelivered", "discard/duplicate", "discard/redelivered"}, m.reasons())
	require.Nil(t, m.rows["tickets"]["t1"])
	require.Len(t, m.letters, 1)
}

// TestARowThatIsMadeAgainRemembersTheHorizon: a tombstone would have masked what is older
// than the delete, on the row that was made again, too.
func TestARowThatIsMadeAgainRemembersTheHorizon(t *testing.T) {
	t.Parallel()
	reg := tickets()
	type plain struct {
		ID    string `gorm:"primaryKey"`
		Count int
		guards.Guarded
	}
	handlers.Set(reg, "opened", func(context.Context, *handlers.Delivery[struct{}, plain]) error { return nil }, handlers.Creates(), handlers.Writes())
	handlers.Modify(reg, "counted", func(_ context.Context, d *handlers.Delivery[struct{}, plain]) error { d.Entity.Count++; return nil }, guards.Timestamp(), handlers.Writes("Count"))
	m := newMemory(t, reg)
	m.horizon("tickets", 10)
	m.horizon("plains", 10)
	counted := func(at int) ev { return ev{typ: "counted", key: "t1", at: at, id: "c"} }
	m.run(m.log(opened(12, "b")))
	m.reasons()
	row := func() *ticket { return m.rows["tickets"]["t1"].Entity.Interface().(*ticket) }

	rs := m.log(assigned(5, "ann"), opened(9, "a"), closed(7, "x"), counted(10))
	m.run(rs)
	require.Equal(t, []string{"dead-letter/late", "discard/superseded", "discard/superseded", "dead-letter/late", "dead-letter/late"}, m.reasons(),
		"the creation is overtaken by one that is known, of the delete nobody knows what it would have zeroed")
	for _, l := range m.letters {
		require.Equal(t, "horizon", l.Verdict.Numbers.What)
		require.Equal(t, base.Add(10*time.Second).UnixMicro(), l.Verdict.Numbers.Against)
	}
	m.letters = nil // they were dealt with
	m.led.Next = rs[0].Offset
	m.judgeAt(rs)
	require.Equal(t, []string{"discard/redelivered", "discard/superseded", "discard/superseded", "discard/redelivered", "discard/redelivered"}, m.reasons())
	require.Equal(t, ticket{ID: "t1", Title: "b"}, *row())

	m.letters = map[string]*dlq.Letter{}
	m.run(m.log(assigned(11, "bob"), assigned(5, "late"), counted(11)))
	require.Equal(t, []string{"apply/applied", "discard/superseded", "apply/applied"}, m.reasons(), "above the horizon, and below an event that is known")
	require.Equal(t, "bob", row().Owner)
}

// TestATimeMasksNoVersion: a model that was rebuilt to another kind of stamps (R4) keeps the
// horizon of the time before. Its number would be newer than every version.
func TestATimeMasksNoVersion(t *testing.T) {
	t.Parallel()
	reg := handlers.NewRegistry(guards.Version())
	handlers.Set(reg, "opened", func(_ context.Context, d *ticketDelivery) error {
		d.Entity.Title = d.Payload.Title
		return nil
	}, handlers.Creates(), handlers.Writes("Title"))
	m := newMemory(t, reg)
	m.horizon("tickets", 10)
	m.run(m.log(opened(9, "old"), opened(12, "a"), opened(13, "b")))
	require.Equal(t, []string{"dead-letter/late", "apply/applied", "apply/applied"}, m.reasons(), "what may have been deleted is refused, by its time")
	require.Equal(t, "b", m.rows["tickets"]["t1"].Entity.Interface().(*ticket).Title)
}

// TestAnEventThatWaitedBehindTheHorizonIsKept: it was admitted, so it must not vanish.
func TestAnEventThatWaitedBehindTheHorizonIsKept(t *testing.T) {
	t.Parallel()
	reg := tickets()
	handlers.Set(reg, "flaky", func(context.Context, *ticketDelivery) error { return errBusy }, handlers.Writes("Owner"))
	m := newMemory(t, reg)
	m.run(m.log(ev{typ: "flaky", key: "t1", at: 5, id: "f"}))
	m.horizon("tickets", 10)
	m.now = m.now.Add(time.Minute)
	m.reasons()
	m.sweep()
	require.Equal(t, []string{"dead-letter/late"}, m.reasons())
	require.Empty(t, m.parked)
}

func TestAHorizonThatIsOnlyAnnouncedOrUnreadable(t *testing.T) {
	t.Parallel()
	m := newMemory(t, tickets())
	m.layouts[m.model("tickets")].Purged = true
	memo := store.Horizon{Announced: 7}.Memo("tickets", nil)
	m.memos[memo.MemoKey] = memo
	m.run(m.log(opened(1, "a")))
	require.Equal(t, []string{"apply/applied"}, m.reasons())
	memo.Body = "{"
	m.run(m.log(ev{typ: "opened", key: "t2", at: 100, id: "x"}))
	require.Equal(t, []string{"dead-letter/late"}, m.reasons(), "nothing is known, so nothing is guessed")
}

func TestOnlyModelsWithAHorizonAskForIt(t *testing.T) {
	t.Parallel()
	m := newMemory(t, tickets())
	items := []*batch.Item{m.prepare.Prepare(m.log(opened(1, "a"))[0]), m.prepare.Prepare(m.log(opened(2, "b"))[0])}
	require.Empty(t, batch.Gather("g", items, m.layouts, nil).Memos)
	m.layouts[m.model("tickets")].Purged = true
	require.Equal(t, []store.MemoKey{{Kind: "horizon", Scope: "deleted:tickets"}}, batch.Gather("g", items, m.layouts, nil).Memos)
}

// TestPurge: only tombstones go, all of whose stamps and whose birth are behind the bound,
// and the horizon moves over them in the same batch (R13).
func TestPurge(t *testing.T) {
	t.Parallel()
	m := newMemory(t, tickets())
	at := func(s int) time.Time { return base.Add(time.Duration(s) * time.Second) }
	say := func(key string, es ...ev) {
		for _, e := range es {
			e.key = key
			e.id = key + e.id
			m.run(m.log(e))
		}
	}
	m.now = at(100)
	say("alive", opened(1, "a"))
	say("early", assigned(1, "ann"))
	say("gone", opened(1, "a"), closed(5, "x"))
	say("gone first", closed(3, "x"))
	say("written since", closed(5, "x"), assigned(60, "ann"))
	say("awaited", closed(5, "x"))
	m.now = at(500)
	say("born lately", closed(5, "x"))
	m.parked["p"] = &store.Parked{ID: "p", Table: "tickets", Entity: "awaited", Place: 1}

	purge := func(before time.Time, keys ...string) *store.Batch {
		b, err := m.judge.Purge(&batch.Tombstones{Model: m.model("tickets"), Before: before, Keys: keys}, m.load(), m.now)
		require.NoError(t, err)
		return b
	}
	all := []string{"alive", "early", "gone", "gone first", "written since", "awaited", "born lately", "nobody"}
	require.Nil(t, purge(at(3), all...), "nothing is old enough")
	before := at(4)
	m.rows["tickets"]["gone first"].Born = at(1)
	b := purge(before, all...)
	require.Len(t, b.Delete, 1)
	require.Equal(t, "gone first", b.Delete[0].Key)

	b = purge(at(200), all...)
	var gone []string
	for _, r := range b.Delete {
		gone = append(gone, r.Key)
	}
	require.Equal(t, []string{"gone", "gone first", "written since"}, gone)
	h, err := store.ReadHorizon(b.Memos[0])
	require.NoError(t, err)
	require.Equal(t, at(60).UnixMicro(), *h.At, "the newest stamp that went")
	require.Zero(t, b.Memos[0].Rev, "the first one is made")
	require.Nil(t, b.Ledger)

	m.commit(&batch.Outcome{Batch: b})
	m.memos[b.Memos[0].MemoKey].Rev = 9
	delete(m.parked, "p")
	b = purge(at(200), all...)
	h, err = store.ReadHorizon(b.Memos[0])
	require.NoError(t, err)
	require.Equal(t, at(60).UnixMicro(), *h.At, "it never moves back")
	require.EqualValues(t, 9, b.Memos[0].Rev)

	m.memos[b.Memos[0].MemoKey].Body = "x"
	_, err = m.judge.Purge(&batch.Tombstones{Model: m.model("tickets"), Before: before, Keys: all}, m.load(), m.now)
	require.Error(t, err)
	require.False(t, errors.Is(err, store.ErrConflict))
}
