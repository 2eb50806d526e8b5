package postgres

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/evenkeel-go/evenkeel/internal/clocks"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

// How long a batch waits for a lock, and how long the server keeps the transaction of a
// process that has stopped, in the server's notation. The first ends a wait behind
// somebody's long transaction; the second lets a new owner in when the old one is frozen
// in the middle (R16).
const (
	lockTimeout = "10s"
	idleTimeout = "30s"
	// briefLockTimeout is for rehearsals, which hold locks while they wait for others.
	briefLockTimeout = "2s"
	// lockedIdleTimeout has room for handlers that run while Lock holds the rows.
	lockedIdleTimeout = "60s"
	// A process that stops in the middle of a pipeline is not idle to the server, which
	// waits for the next statement with all locks held. From PostgreSQL 17 on the length
	// of the transaction is bounded for that: by transactionTimeout and perRow for each
	// row that it writes.
	transactionTimeout = 30 * time.Second
	perRow             = 10 * time.Millisecond
	noTimeout          = "0"
)

// written is how many rows a batch writes.
func written(b *store.Batch) int {
	return len(b.Insert) + len(b.Update) + len(b.Park) + len(b.Letters) + len(b.SweptLetters) + len(b.Verdicts) + len(b.Outbox)
}

// longest is how long a transaction that writes so many rows may take, in the server's notation.
func longest(rows int) string {
	d := transactionTimeout + time.Duration(rows)*perRow
	return strconv.FormatInt(min(d.Milliseconds(), math.MaxInt32), 10) + "ms"
}

// Commit is store.Store's. The whole transaction travels in one round trip, its COMMIT
// included: each guard raises an error inside when it does not hold, and then the server
// skips what comes after, also the COMMIT.
func (s *Store) Commit(ctx context.Context, b *store.Batch) error {
	return s.withConn(ctx, func(c *pgx.Conn) error {
		p := newPipe(c)
		p.add(ctx, s.fixed.begin, nil)
		settings := [][]byte{[]byte(lockTimeout), []byte(idleTimeout), []byte(longest(written(b)))}
		if len(b.Absent) > 0 {
			p.add(ctx, s.fixed.settingsAndLocks, nil, append(settings, absentLocks(b))...)
		} else {
			p.add(ctx, s.fixed.settings, nil, settings...)
		}
		return s.commit(ctx, p, b)
	})
}

// commit queues the batch and finishes.
func (s *Store) commit(ctx context.Context, p *pipe, b *store.Batch) error {
	if err := s.write(ctx, p, b); err != nil {
		return s.undo(ctx, p.conn, err)
	}
	return s.finish(ctx, p)
}

// finish queues COMMIT, sends all and says what became of it.
func (s *Store) finish(ctx context.Context, p *pipe) error {
	p.add(ctx, s.fixed.commit, nil)
	if p.err != nil {
		return s.undo(ctx, p.conn, p.err)
	}
	done, err := p.run(ctx)
	if err == nil {
		return nil
	}
	var pg *pgconn.PgError
	if !p.sent || errors.As(err, &pg) && done < len(p.steps)-1 {
		// Nothing has left, or the server has answered a statement before COMMIT with
		// an error and skipped the rest.
		return s.undo(ctx, p.conn, err)
	}
	return s.undo(ctx, p.conn, lost(err))
}

// undo ends a transaction that is still open after err.
func (s *Store) undo(ctx context.Context, c *pgx.Conn, err error) error {
	if !c.IsClosed() && c.PgConn().TxStatus() != 'I' {
		// The pool drops the connection if this fails, too.
		_, _ = c.PgConn().Exec(context.WithoutCancel(ctx), "ROLLBACK").ReadAll()
	}
	return err
}

// write queues what the batch holds. Conditions on what is not there come first, rows in
// the order of foreign keys and then of keys, the ledger last: a frozen owner must not
// hold the ledger's row while the new one waits for it (R16).
func (s *Store) write(ctx context.Context, p *pipe, b *store.Batch) error {
	w := &writer{ctx: ctx, s: s, p: p, b: b, now: int8Param(b.Now.UnixMicro())}
	if err := w.absent(); err != nil {
		return err
	}
	if err := w.rows(b.Insert, true); err != nil { //nolint:contextcheck // GORM's accessors do no I/O
		return err
	}
	if err := w.rows(b.Update, false); err != nil { //nolint:contextcheck // GORM's accessors do no I/O
		return err
	}
	if err := w.aged(); err != nil {
		return err
	}
	w.unremember()
	w.own()
	w.wakes()
	w.resolve()
	if l := b.Ledger; l != nil {
		var watermark []byte
		if l.HasWatermark {
			watermark = int8Param(l.Watermark)
		}
		p.add(ctx, s.fixed.ledger, nil, int8Param(l.Next), int8Param(l.High), watermark,
			[]byte(tables.EncodeRanges(l.Gaps)), []byte(tables.EncodeRanges(l.Done)), w.now,
			[]byte(l.Cluster), []byte(l.TopicID), []byte(l.Group), int8Param(int64(l.Partition)), int8Param(l.Epoch), int8Param(l.Rev), int8Param(l.Lamport))
	}
	return nil
}

// writer queues one batch.
type writer struct {
	ctx context.Context //nolint:containedctx // lives for one call
	s   *Store
	p   *pipe
	b   *store.Batch
	now []byte
}

// absentLocks are the locks of the keys that were seen without a row, in their order.
func absentLocks(b *store.Batch) []byte {
	hashes := make([]int64, len(b.Absent))
	for i, k := range b.Absent {
		hashes[i] = tables.LockKey(k.Model.Table, k.Key)
	}
	slices.Sort(hashes)
	var locks array
	locks.reset(wireInt)
	for _, h := range slices.Compact(hashes) {
		locks.addInt(h)
	}
	return locks.bytes()
}

// absent looks again at the keys that were seen without a row, once they are locked. Under
// READ COMMITTED each statement sees what was committed before it began, so the look has to
// be another statement than the lock.
func (w *writer) absent() error {
	keys := sorted(w.b.Absent, func(x, y store.AbsentKey) int {
		return cmp.Or(strings.Compare(x.Model.Table, y.Model.Table), strings.Compare(x.Key, y.Key))
	})
	for len(keys) > 0 {
		m := keys[0].Model
		var texts []string
		var ka, ea, counts, letters array
		ea.reset(wireText)
		counts.reset(wireInt)
		letters.reset(wireInt)
		for len(keys) > 0 && keys[0].Model.Table == m.Table {
			texts = append(texts, keys[0].Key)
			ea.addString(keys[0].Key)
			counts.addInt(int64(keys[0].Parked))
			letters.addInt(int64(keys[0].Letters))
			keys = keys[1:]
		}
		o, err := w.s.modelOf(m)
		if err != nil {
			return err
		}
		if err := o.keys(&ka, texts); err != nil {
			return err
		}
		w.p.add(w.ctx, o.absent, nil, ka.bytes(), []byte(w.b.Group), []byte(m.Table), ea.bytes(), counts.bytes(), letters.bytes())
	}
	return nil
}

// rows queues one statement per model.
func (w *writer) rows(rows []*store.Row, insert bool) error {
	if len(rows) == 0 {
		return nil
	}
	rank := map[string]int{}
	for _, r := range rows {
		if _, ok := rank[r.Model.Table]; !ok {
			rank[r.Model.Table] = w.s.rankOf(r.Model.Table)
		}
	}
	one := len(rank) == 1
	rows = sorted(rows, func(x, y *store.Row) int {
		if one || x.Model == y.Model {
			return strings.Compare(x.Key, y.Key)
		}
		return cmp.Or(cmp.Compare(rank[x.Model.Table], rank[y.Model.Table]), strings.Compare(x.Model.Table, y.Model.Table), strings.Compare(x.Key, y.Key))
	})
	return w.byModel(rows, func(o *model, rows []*store.Row) error { return w.modelRows(o, rows, insert) })
}

// byModel calls do with the rows of each model, which stand together.
func (w *writer) byModel(rows []*store.Row, do func(*model, []*store.Row) error) error {
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && rows[n].Model.Table == rows[0].Model.Table {
			n++
		}
		o, err := w.s.modelOf(rows[0].Model)
		if err != nil {
			return err
		}
		if err := do(o, rows[:n]); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

func (w *writer) modelRows(o *model, rows []*store.Row, insert bool) error {
	now := any(tables.Micros(w.b.Now))
	for _, c := range o.m.UpdateTime {
		for _, r := range rows {
			if err := c.Field.Set(background, r.Entity, now); err != nil {
				return o.bad(r.Key, err)
			}
		}
	}
	columns, st := o.written, o.update
	lead := [][]byte{int8Param(int64(len(rows)))}
	if insert {
		columns, st = o.inserted, o.insert
		lead = append(lead, w.now)
		for _, c := range o.m.CreateTime {
			for _, r := range rows {
				if err := c.Field.Set(background, r.Entity, now); err != nil {
					return o.bad(r.Key, err)
				}
			}
		}
	}
	// pipe.add copies the parameters, so the arrays can serve the next batch.
	set := scratches.Get().(*scratch)
	defer scratches.Put(set)
	set.used = 0
	next := set.next
	params := append(make([][]byte, 0, len(columns)+len(ekNames)+len(lead)+2), lead...)
	column := func(c *codec) (err error) {
		a := next(c.wire)
		key := ""
		defer func() {
			if p := store.Caught(recover()); p != nil {
				err = o.bad(key, p)
			}
		}()
		for _, r := range rows {
			key = r.Key
			if err := c.write(a, r.Entity); err != nil {
				return o.bad(r.Key, err)
			}
		}
		if len(params) == len(lead) {
			params = append(params, a.bytes())
		} else {
			params = append(params, a.column())
		}
		return nil
	}
	if !insert {
		if err := column(o.key); err != nil {
			return err
		}
		revs := next(wireInt)
		for _, r := range rows {
			revs.addInt(r.Rev)
		}
		params = append(params, revs.bytes())
	}
	for _, c := range columns {
		if err := column(c); err != nil {
			return err
		}
	}
	params = clockArrays(params, next, rows)
	w.p.add(w.ctx, st, nil, params...)
	return nil
}

// scratch lends out arrays whose memory earlier batches have grown.
type scratch struct {
	arrays []*array
	used   int
}

var scratches = sync.Pool{New: func() any { return new(scratch) }} //nolint:gochecknoglobals // a pool

func (s *scratch) next(w wire) *array {
	if s.used == len(s.arrays) {
		s.arrays = append(s.arrays, new(array))
	}
	a := s.arrays[s.used]
	s.used++
	a.reset(w)
	return a
}

// clockArrays adds ekNames.
func clockArrays(params [][]byte, next func(wire) *array, rows []*store.Row) [][]byte {
	var as [len(ekNames)]*array
	for i, wr := range ekWires {
		as[i] = next(wr)
	}
	for _, r := range rows {
		var c clocks.Stored
		if r.Layout != nil {
			c = r.Layout.Encode(r.Clocks)
		}
		as[0].addInt(c.Time)
		as[1].addBytes(c.Tie)
		as[2].addString(c.Fields)
		as[3].addInt(r.StoredState())
		as[4].addInt(int64(c.Gen))
	}
	for _, a := range as {
		params = append(params, a.column())
	}
	return params
}

// marks returns how many there are, their ids and their revisions, in order of ids.
func (w *writer) marks(ms []store.Mark) (n, ids, revs []byte) {
	var ia, ra array
	ia.reset(wireText)
	ra.reset(wireInt)
	for _, m := range sorted(ms, func(x, y store.Mark) int { return strings.Compare(x.ID, y.ID) }) {
		ia.addString(m.ID)
		ra.addInt(m.Rev)
	}
	return int8Param(int64(len(ms))), ia.bytes(), ra.bytes()
}

// fieldParam is one field's value as a parameter.
func fieldParam[T any](f *tables.Field[T], row *T) []byte {
	switch f.Kind {
	case tables.Text:
		return []byte(f.Text(row))
	case tables.Int:
		if n, null := f.Int(row); !null {
			return int8Param(n)
		}
	case tables.Bytes:
		if b, null := f.Bytes(row); !null {
			return append([]byte{}, b...)
		}
	case tables.Bool:
		if f.Bool(row) {
			return []byte{1}
		}
		return []byte{0}
	}
	return nil
}

// fieldArrays adds an array per field to params.
func fieldArrays[T any](params [][]byte, fields []tables.Field[T], rows []*T) [][]byte {
	for i := range fields {
		f := &fields[i]
		a := new(array)
		a.reset(fieldWire(f.Kind))
		for _, r := range rows {
			switch f.Kind {
			case tables.Text:
				a.addString(f.Text(r))
			case tables.Int:
				if n, null := f.Int(r); null {
					a.addNull()
				} else {
					a.addInt(n)
				}
			case tables.Bytes:
				if b, null := f.Bytes(r); null {
					a.addNull()
				} else {
					a.addBytes(b)
				}
			case tables.Bool:
				a.addBool(f.Bool(r))
			}
		}
		if i == 0 {
			params = append(params, a.bytes())
		} else {
			params = append(params, a.column())
		}
	}
	return params
}

func compareMemos(a, b store.MemoKey) int {
	return cmp.Or(strings.Compare(string(a.Kind), string(b.Kind)), strings.Compare(a.Scope, b.Scope), strings.Compare(a.Entity, b.Entity))
}

func sorted[T any](s []T, by func(x, y T) int) []T {
	if slices.IsSortedFunc(s, by) {
		return s
	}
	s = slices.Clone(s)
	slices.SortFunc(s, by)
	return s
}
