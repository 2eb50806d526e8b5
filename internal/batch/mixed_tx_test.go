package batch_test

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// The models of handlers with SQL of their own (R19).
type (
	mixedTx struct {
		ID   string `gorm:"primaryKey"`
		Last string // Set
		Seq  string // Sequence
		Once string // Once
		guards.Guarded
	}
	mixedTxLast struct {
		ID   string `gorm:"primaryKey"`
		Last string // Modify under Timestamp
		guards.Guarded
	}
)

// sqlLine is what a handler has written into a table of its own, which points to its entity:
// the nth line of that.
type sqlLine struct {
	table, key, handler, id string
	n                       int
}

// sqlWorld is that table, and the transaction that is open.
type sqlWorld struct {
	lines []sqlLine
	tx    *sqlTx
	// forgotten are ids that a memory has forgotten, so that they may come again.
	forgotten map[string]bool
	sqlSeq    bool // the stream of numbers has SQL of its own, too
}

// sqlTx is a transaction: what is written goes with it, or with its savepoint. Rows that were
// there when it began are locked.
type sqlTx struct {
	store.Tx
	x      *mixed
	locked map[*store.Row]int64
	lines  []sqlLine
	stubs  []*store.Row
	point  *sqlPoint
}

type sqlPoint struct {
	*sqlTx
	lines, stubs    int
	spoiled, closed bool
}

// begin locks the rows that were loaded.
func (x *mixed) begin(l *store.Loaded) *sqlTx {
	t := &sqlTx{x: x, locked: map[*store.Row]int64{}}
	for _, rows := range l.Rows {
		for _, r := range rows {
			t.locked[r] = r.Rev
		}
	}
	return t
}

// resume goes on with the transaction of what was loaded: others were there meanwhile.
func (x *mixed) resume(l *store.Loaded) {
	x.tx, _ = l.Tx.(*sqlTx)
}

// Flush makes a row early.
func (t *sqlTx) Flush(_ context.Context, b *store.Batch) error {
	require.NotNil(t.x.t, t.point, "a stub goes with its handler's savepoint")
	for _, r := range b.Insert {
		if t.parent(r.Model.Table, r.Key) {
			return store.ErrConflict
		}
		if t.x.refusedAbsent(b.Absent) != "" {
			return store.ErrConflict
		}
		stub := *r
		stub.Rev = b.Now.UnixMicro()
		t.stubs = append(t.stubs, &stub)
	}
	return nil
}

// parent reports whether the row is there that a line is to point to.
func (t *sqlTx) parent(table, key string) bool {
	return t.x.rows[table][key] != nil || slices.ContainsFunc(t.stubs, func(r *store.Row) bool { return r.Model.Table == table && r.Key == key })
}

// Savepoint opens one, unless the database finds a deadlock.
func (t *sqlTx) Savepoint(context.Context) (store.Savepoint, error) {
	require.Nil(t.x.t, t.point, "the handler before has not ended")
	if t.x.rng.IntN(40) == 0 {
		return nil, store.ErrConflict
	}
	t.point = &sqlPoint{sqlTx: t, lines: len(t.lines), stubs: len(t.stubs)}
	return t.point, nil
}

func (p *sqlPoint) DB(context.Context) *gorm.DB { return &gorm.DB{Config: &gorm.Config{}} }

func (p *sqlPoint) Close() store.Ended {
	p.closed = true
	if p.spoiled {
		return store.Ended{Failed: errFlaky, Spoiled: true}
	}
	return store.Ended{}
}

func (p *sqlPoint) Keep(context.Context) error {
	require.False(p.x.t, p.spoiled, "the transaction can't go on")
	p.ends()
	return nil
}

func (p *sqlPoint) Undo(context.Context) error {
	p.sqlTx.lines, p.sqlTx.stubs = p.sqlTx.lines[:p.lines], p.sqlTx.stubs[:p.stubs]
	p.ends()
	return nil
}

func (p *sqlPoint) ends() {
	require.True(p.x.t, p.closed && p.point == p)
	p.point = nil
}

// runsSQL is called in each handler with SQL of its own. Some events have none; a run that fails
// has written before, and may not even say that its statement has failed.
func (x *mixed) runsSQL(open func() *gorm.DB, table, handler, key string, e *event.Event) error {
	if !hasSQL(e.Version) {
		return x.runs(handler, key, e.ID)
	}
	for range 1 + e.Version%2 { // the same handle each time
		if err := open().Error; err != nil {
			return err
		}
		t := x.tx
		require.True(x.t, t.parent(table, key), "the row of %s %s is not there before what points to it", table, key)
		n := 1
		for _, l := range slices.Concat(x.lines, t.lines) {
			if l.table == table && l.key == key {
				n++
			}
		}
		t.lines = append(t.lines, sqlLine{table, key, handler, e.ID, n})
	}
	err := x.runs(handler, key, e.ID)
	if err != nil && e.Version%5 == 0 && !x.dead[handler+"|"+key+"|"+e.ID] {
		x.tx.point.spoiled = true
		return nil
	}
	return err
}

func hasSQL(version int64) bool { return version%4 > 0 }

func (x *mixed) registerSQL(reg *handlers.Registry, seq guards.Stamper) {
	x.sqlWorld = &sqlWorld{forgotten: map[string]bool{}}
	handlers.Set(reg, "count", func(_ context.Context, d *handlers.Delivery[mixedFacts, mixedTx]) error {
		d.Entity.Last = d.Event.ID
		x.emit(d.Emit, "settx", d.Entity.ID, d.Event.ID)
		return x.runsSQL(d.Tx, "mixed_txes", "settx", d.Entity.ID, d.Event)
	}, handlers.Creates(), handlers.Writes("Last"), handlers.Name("settx"), handlers.UsesTx(), handlers.Emits(children))
	handlers.Set(reg, "close", func(_ context.Context, d *handlers.Delivery[mixedFacts, mixedTx]) error {
		d.Delete()
		return nil
	}, handlers.Writes(), handlers.Name("closetx"))
	numbered := []handlers.Option{handlers.Writes("Seq"), handlers.Name("seqtx"), handlers.Emits(children)}
	if x.sqlSeq = x.rng.IntN(2) == 0; x.sqlSeq {
		numbered = append(numbered, handlers.UsesTx())
	}
	handlers.Modify(reg, "touch", func(_ context.Context, d *handlers.Delivery[mixedFacts, mixedTx]) error {
		d.Entity.Seq += d.Event.ID + " "
		x.emit(d.Emit, "seqtx", d.Entity.ID, d.Event.ID)
		if !x.sqlSeq {
			return x.runs("seqtx", d.Entity.ID, d.Event.ID)
		}
		return x.runsSQL(d.Tx, "mixed_txes", "seqtx", d.Entity.ID, d.Event)
	}, seq, numbered...)
	handlers.Modify(reg, "add", func(_ context.Context, d *handlers.Delivery[mixedFacts, mixedTx]) error {
		d.Entity.Once += d.Event.ID + " "
		x.emit(d.Emit, "oncetx", d.Entity.ID, d.Event.ID)
		return x.runsSQL(d.Tx, "mixed_txes", "oncetx", d.Entity.ID, d.Event)
	}, guards.Once(), handlers.Writes("Once"), handlers.Name("oncetx"), handlers.UsesTx(), handlers.Emits(children))
	handlers.Modify(reg, "touch", func(_ context.Context, d *handlers.Delivery[mixedFacts, mixedTxLast]) error {
		d.Entity.Last = d.Event.ID
		x.emit(d.Emit, "lasttx", d.Entity.ID, d.Event.ID)
		return x.runsSQL(d.Tx, "mixed_tx_lasts", "lasttx", d.Entity.ID, d.Event)
	}, guards.Timestamp(), handlers.Writes("Last"), handlers.Name("lasttx"), handlers.UsesTx(), handlers.Emits(children))
}

// broken says what ended an attempt that is none of the events' fault.
func (x *mixed) broken(err error) string {
	if err == nil {
		return ""
	}
	require.True(x.t, errors.Is(err, store.ErrConflict) || errors.Is(err, batch.ErrNeedsTx), "%v", err)
	return err.Error()
}

// refusedSQL says why the open transaction can't commit, if so: a row that it has locked would
// have been somebody else's before.
func (x *mixed) refusedSQL(b *store.Batch) string {
	t := x.tx
	if t == nil {
		return ""
	}
	require.Nil(x.t, t.point, "a savepoint is open at COMMIT")
	for r, rev := range t.locked {
		if have := x.rows[r.Model.Table][r.Key]; have == nil || have.Rev != rev {
			return "locked " + r.Model.Table
		}
	}
	for _, stub := range t.stubs {
		if x.rows[stub.Model.Table][stub.Key] != nil {
			return "stub " + stub.Model.Table
		}
		require.True(x.t, slices.ContainsFunc(b.Update, func(r *store.Row) bool {
			return r.Model == stub.Model && r.Key == stub.Key && r.Rev == stub.Rev
		}), "the stub of %s %s is not written over", stub.Model.Table, stub.Key)
	}
	return ""
}

// stub reports whether the row is one that the open transaction has made early.
func (x *mixed) stub(r *store.Row) bool {
	return x.tx != nil && slices.ContainsFunc(x.tx.stubs, func(s *store.Row) bool { return s.Model == r.Model && s.Key == r.Key })
}

// keepSQL commits what handlers have written.
func (x *mixed) keepSQL() {
	if x.tx != nil {
		x.lines = append(x.lines, x.tx.lines...)
		x.tx = nil
	}
}

// wrote counts a handler's lines of an event.
func (x *mixed) wrote(handler, key, id string) (n int) {
	for _, l := range x.lines {
		if l.handler == handler && l.key == key && l.id == id {
			n++
		}
	}
	return n
}

// checkSQL: what handlers wrote into their own tables is there once for each event that had its
// effect, in the order in which those had it.
func (x *mixed) checkSQL(handler string, e ev, effect bool) {
	want := 0
	if effect && hasSQL(int64(e.at)) {
		want = 1 + e.at%2
	}
	if want > 0 && x.forgotten[store.OnceScope(handler)+"|"+e.key+"|"+x.identity(e)] {
		require.GreaterOrEqual(x.t, x.wrote(handler, e.key, e.id), want)
		return
	}
	require.Equal(x.t, want, x.wrote(handler, e.key, e.id), "lines of %s for %s %s\n%s", handler, e.key, e.id, x.told())
}

// checkLines: each handler has seen the lines of those before it.
func (x *mixed) checkLines() {
	count := map[string]int{}
	for _, l := range x.lines {
		count[l.table+l.key]++
		require.Equal(x.t, count[l.table+l.key], l.n, "%+v\n%s", l, strings.Join(x.story, "\n"))
	}
}
