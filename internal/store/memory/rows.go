package memory

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/clocks"
	"github.com/evenkeel-go/evenkeel/internal/deep"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

// table is a claimed table of a user's.
type table struct {
	model       *handlers.Model
	group       string
	kind        string // of the stamps
	generation  int32
	generations map[string]int32
	guarded     []int // the index of guards.Guarded in the struct
	rows        map[string]*row
}

// row is what is stored; it is replaced and never changed.
type row struct {
	entity  reflect.Value // a pointer
	guarded guards.Guarded
}

func newTable(m *handlers.Model, group string) *table {
	return &table{
		model: m, group: group, kind: m.Kind.String(), generations: map[string]int32{}, rows: map[string]*row{},
		guarded: tables.GuardedIndex(m.Type),
	}
}

// stamped reports whether a row has a stamp.
func (t *table) stamped() bool {
	for _, r := range t.rows {
		if len(r.guarded.EkTie) > 0 {
			return true
		}
	}
	return false
}

// nextGeneration gives each clocked column that is new to the table the next generation (R5),
// or all of them.
func (t *table) nextGeneration(all bool) {
	fresh := all
	if all {
		for name := range t.generations {
			t.generations[name] = t.generation + 1
		}
	}
	for _, name := range clocks.Names(t.model) {
		if _, ok := t.generations[name]; !ok {
			t.generations[name] = t.generation + 1
			fresh = true
		}
	}
	if fresh {
		t.generation++
	}
}

// load reads one row; nil when there is none.
func (t *table) load(w *store.WantRows, key string) (*store.Row, error) {
	have := t.rows[key]
	if have == nil {
		return nil, nil //nolint:nilnil // no row is an answer
	}
	g := have.guarded
	r := &store.Row{Model: w.Model, Layout: w.Layout, Key: key, Entity: reflect.New(t.model.Type), Rev: g.EkRev}
	r.State, r.Rebuilding = g.EkState.Rebuilding()
	if g.EkBorn != 0 {
		r.Born = tables.Time(g.EkBorn)
	}
	var err error
	r.Clocks, err = w.Layout.Decode(clocks.Stored{Time: g.EkTime, Tie: g.EkTie, Fields: g.EkFields, Gen: g.EkGen}, r.State)
	if err != nil {
		return nil, fmt.Errorf("table %s, key %q: %w", t.model.Table, key, err)
	}
	r.Entity.Elem().Set(have.entity.Elem())
	for _, c := range t.model.Columns {
		deep.Detach(c.Value(r.Entity))
	}
	return r, nil
}

var background = context.Background() //nolint:gochecknoglobals // for GORM's field accessors, which do no I/O

// written is the row as an insert or update leaves it.
func (t *table) written(r *store.Row, old *row, now time.Time) (*row, error) {
	columns, stamps := t.model.Written, t.model.UpdateTime
	next := &row{entity: reflect.New(t.model.Type)}
	if old == nil {
		columns = t.model.Inserted
		stamps = append(stamps[:len(stamps):len(stamps)], t.model.CreateTime...)
		next.guarded.EkRev, next.guarded.EkBorn = now.UnixMicro(), now.UnixMicro()
	} else {
		next.entity.Elem().Set(old.entity.Elem())
		next.guarded.EkRev, next.guarded.EkBorn = old.guarded.EkRev+1, old.guarded.EkBorn
	}
	for _, c := range stamps {
		if err := c.Field.Set(background, r.Entity, now); err != nil {
			return nil, &store.DataError{Table: t.model.Table, Err: err}
		}
	}
	for _, c := range columns {
		v := c.Value(next.entity)
		v.Set(c.Value(r.Entity))
		deep.Detach(v)
		cut(v)
	}
	g := &next.guarded
	g.EkState = guards.Existence(r.StoredState()) //nolint:gosec // a small number
	if r.Layout != nil {
		stored := r.Layout.Encode(r.Clocks)
		g.EkTime, g.EkTie, g.EkFields, g.EkGen = stored.Time, stored.Tie, stored.Fields, stored.Gen
	}
	if t.guarded != nil {
		*next.entity.Elem().FieldByIndex(t.guarded).Addr().Interface().(*guards.Guarded) = *g
	}
	return next, nil
}

// cut leaves of a time what databases keep.
func cut(v reflect.Value) {
	switch at := v.Addr().Interface().(type) {
	case *time.Time:
		*at = tables.Micros(*at)
	case **time.Time:
		if *at != nil {
			**at = tables.Micros(**at)
		}
	case *gorm.DeletedAt:
		if at.Valid {
			at.Time = tables.Micros(at.Time)
		}
	}
}

// writeRows inserts and updates (R15).
func (s *Store) writeRows(tx *tx, b *store.Batch) error {
	now := tables.Micros(b.Now)
	for i, rows := range [...][]*store.Row{b.Insert, b.Update} {
		for _, r := range rows {
			t, err := s.table(r.Model)
			if err != nil {
				return err
			}
			old := t.rows[r.Key]
			insert := i == 0
			if insert != (old == nil) || !insert && old.guarded.EkRev != r.Rev {
				return fmt.Errorf("%w (table %s, key %q)", store.ErrConflict, r.Model.Table, r.Key)
			}
			next, err := t.written(r, old, now)
			if err != nil {
				return err
			}
			put(tx, t.rows, r.Key, next)
		}
	}
	return nil
}

// absent looks again at keys that were seen without a row (R9).
func (s *Store) absent(b *store.Batch) error {
	for _, a := range b.Absent {
		t, err := s.table(a.Model)
		if err != nil {
			return err
		}
		k := queueKey{group: b.Group, table: a.Model.Table, entity: a.Key}
		if t.rows[a.Key] != nil || len(s.queues[k]) != a.Parked || len(blocking(s.lettersOf[k])) != a.Letters {
			return store.ErrConflict
		}
	}
	return nil
}
