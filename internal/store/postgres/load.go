package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/clocks"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// Load is store.Store's: one round trip, whatever is asked for.
func (s *Store) Load(ctx context.Context, want *store.Want) (*store.Loaded, error) {
	var loaded *store.Loaded
	err := s.withConn(ctx, func(c *pgx.Conn) error {
		p := newPipe(c)
		l, err := s.load(ctx, p, want, false)
		if err != nil {
			return err
		}
		loaded = l
		_, err = p.run(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	return loaded, nil
}

// load queues the statements. Rows are read before what is parked: a row that was parked
// between the two has bumped its entity's revision, so the batch conflicts; the other way
// round it would be missed.
func (s *Store) load(ctx context.Context, p *pipe, want *store.Want, lock bool) (*store.Loaded, error) {
	l := &store.Loaded{Rows: map[string]map[string]*store.Row{}}
	rows := slices.Clone(want.Rows)
	slices.SortFunc(rows, func(a, b store.WantRows) int { return cmp.Compare(a.Model.Table, b.Model.Table) })
	var a array
	for _, w := range rows {
		if len(w.Keys) == 0 {
			continue
		}
		o, err := s.modelOf(w.Model)
		if err != nil {
			return nil, err
		}
		st := o.load
		if lock {
			st = o.lock
			w.Keys = slices.Sorted(slices.Values(w.Keys))
		}
		if err := o.keys(&a, w.Keys); err != nil {
			return nil, err
		}
		have := make(map[string]*store.Row, len(w.Keys))
		l.Rows[w.Model.Table] = have
		var seen map[string]bool
		if o.forms {
			seen = map[string]bool{}
		}
		p.add(ctx, st, func(cells [][]byte) error { //nolint:contextcheck // GORM's accessors do no I/O
			r, err := o.row(w, cells)
			if err != nil {
				return err
			}
			have[r.Key] = r
			return o.oneForm(seen, r)
		}, a.bytes())
	}
	s.loadMemory(ctx, p, want, l, lock)
	s.loadQueues(ctx, p, want, l)
	s.loadStreams(ctx, p, want, l)
	return l, nil
}

// keys fills a with canonical keys.
func (o *model) keys(a *array, keys []string) error {
	w := o.keyWire()
	a.reset(w)
	for _, k := range keys {
		if w == wireText {
			a.addString(k)
			continue
		}
		n, err := strconv.ParseInt(k, 10, 64)
		if err != nil {
			return &store.DataError{State: "22P02", Table: o.m.Table, Err: fmt.Errorf("key %q of table %s: %w", k, o.m.Table, err)}
		}
		a.addInt(n)
	}
	return nil
}

var errTwoKeys = errors.New("two entity keys name one row; let the producer, or the handler's Key, write keys in one form")

// oneForm refuses two rows that are one: where the key's type takes several texts for
// one key, as uuid and citext do, each form alone is fine, but both in one batch would be
// two versions of the row that overwrite each other.
func (o *model) oneForm(seen map[string]bool, r *store.Row) error {
	if seen == nil {
		return nil
	}
	text, err := o.m.KeyText(r.Entity)
	if err != nil {
		return o.bad(r.Key, err)
	}
	if seen[text] {
		return o.bad(r.Key, errTwoKeys)
	}
	seen[text] = true
	return nil
}

// row reads one row of an answer.
func (o *model) row(w store.WantRows, cells [][]byte) (_ *store.Row, err error) {
	key := w.Keys[int(readInt(cells[0]))-1]
	defer func() {
		if p := store.Caught(recover()); p != nil {
			err = o.bad(key, p)
		}
	}()
	r := &store.Row{Model: w.Model, Layout: w.Layout, Key: key, Entity: reflect.New(o.m.Type)}
	stored := clocks.Stored{Time: readInt(cells[2]), Tie: cells[3], Fields: string(cells[4]), Gen: int32(readInt(cells[7]))} //nolint:gosec // an integer column
	r.Rev = readInt(cells[1])
	state := guards.Existence(readInt(cells[5])) //nolint:gosec // a smallint column
	r.State, r.Rebuilding = state.Rebuilding()
	born := readInt(cells[6])
	if born != 0 {
		r.Born = time.UnixMicro(born).UTC()
	}
	if r.Clocks, err = w.Layout.Decode(stored, r.State); err != nil {
		if errors.Is(err, clocks.ErrNewerGeneration) {
			return nil, err
		}
		return nil, o.bad(key, err)
	}
	if o.guarded != nil {
		g := r.Entity.Elem().FieldByIndex(o.guarded).Addr().Interface().(*guards.Guarded)
		*g = guards.Guarded{EkRev: r.Rev, EkTime: stored.Time, EkTie: slices.Clone(cells[3]), EkFields: stored.Fields, EkState: state, EkBorn: born, EkGen: stored.Gen}
	}
	for i, c := range o.loads {
		if cell := cells[1+ekCells+i]; cell != nil {
			if err := c.read(r.Entity, cell); err != nil {
				return nil, o.bad(key, fmt.Errorf("column %s: %w", c.field.DBName, err))
			}
		}
	}
	return r, nil
}

func (o *model) bad(key string, err error) error {
	return &store.DataError{Table: o.m.Table, Err: fmt.Errorf("table %s, key %q: %w", o.m.Table, key, err)}
}

// loadQueues reads what waits under keys, and which units of the judged records have letters
// or parked rows; both in one statement where both are asked for.
func (s *Store) loadQueues(ctx context.Context, p *pipe, want *store.Want, l *store.Loaded) {
	type key struct{ table, entity string }
	var keys []key
	var ta, ea array
	ta.reset(wireText)
	ea.reset(wireText)
	for _, w := range want.Rows {
		if !w.Parked {
			continue
		}
		for _, k := range w.Keys {
			keys = append(keys, key{w.Model.Table, k})
			ta.addString(w.Model.Table)
			ea.addString(k)
		}
	}
	if len(keys) == 0 {
		s.loadUnits(ctx, p, want, l)
		return
	}
	l.Queues = map[string]map[string]*store.Queue{}
	at := -1
	var q *store.Queue
	keep := func() {
		if q == nil || len(q.Parked) == 0 && len(q.Letters) == 0 {
			return
		}
		k := keys[at]
		if l.Queues[k.table] == nil {
			l.Queues[k.table] = map[string]*store.Queue{}
		}
		l.Queues[k.table][k.entity] = q
	}
	st, params := s.fixed.queues, [][]byte{[]byte(want.Group), ta.bytes(), ea.bytes()}
	if len(want.Judged) > 0 {
		st, params = s.fixed.unitsToo, append(params, coordinates(want.Judged)...)
	}
	p.add(ctx, st, func(cells [][]byte) error {
		if kind := readInt(cells[1]); kind >= 3 {
			l.Judged(string(cells[2]), kind == 4)
			return nil
		}
		if n := int(readInt(cells[0])) - 1; n != at {
			at, q = n, &store.Queue{}
		}
		e := store.QueueEntry{ID: string(cells[2]), Handler: string(cells[3]), Cause: store.Cause(cells[4]), Place: readInt(cells[5]), Stream: string(cells[7])}
		if e.Stream == "" {
			q.LastPlace = max(q.LastPlace, e.Place)
		}
		switch readInt(cells[1]) {
		case 0:
			e.Due = time.UnixMicro(readInt(cells[6])).UTC()
			q.Parked = append(q.Parked, e)
		case 1:
			q.Letters = append(q.Letters, e)
		}
		keep()
		return nil
	}, params...)
}

func (s *Store) loadUnits(ctx context.Context, p *pipe, want *store.Want, l *store.Loaded) {
	if len(want.Judged) == 0 {
		return
	}
	p.add(ctx, s.fixed.units, func(cells [][]byte) error {
		l.Judged(string(cells[0]), readInt(cells[1]) == 1)
		return nil
	}, append([][]byte{[]byte(want.Group)}, coordinates(want.Judged)...)...)
}

// coordinates are an array for each part of them but the epoch.
func coordinates(cs []event.Coordinates) [][]byte {
	var a [4]array
	for i, w := range [...]wire{wireText, wireText, wireInt, wireInt} {
		a[i].reset(w)
	}
	for _, c := range cs {
		a[0].addString(c.Cluster)
		a[1].addString(c.TopicID)
		a[2].addInt(int64(c.Partition))
		a[3].addInt(c.Offset)
	}
	return [][]byte{a[0].bytes(), a[1].bytes(), a[2].bytes(), a[3].bytes()}
}
