package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"gorm.io/gorm/schema"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/clocks"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

// model holds a claimed model's statements. It is not changed after it is made.
type model struct {
	m       *handlers.Model
	loads   []load
	guarded []int // the index of guards.Guarded in the struct
	intKey  bool

	load, insert, update, absent string
}

// load is a column that is read. One that scans reads what the driver has by its own type,
// which is asked once: reflect looks through all its methods.
type load struct {
	*schema.Field
	scans bool
}

var background = context.Background() //nolint:gochecknoglobals // for GORM's field accessors, which do no I/O

const ekWritten = "ek_time, ek_tie, ek_fields, ek_state, ek_gen"

func newModel(m *handlers.Model) *model {
	o := &model{m: m, guarded: tables.GuardedIndex(m.Type)}
	for _, f := range tables.Readable(m) {
		o.loads = append(o.loads, load{Field: f, scans: scans(f)})
	}
	switch m.Key.Field.FieldType.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		o.intKey = m.Key.Field.Serializer == nil
	default:
	}
	table, key := tables.Quote(m.Table), tables.QuoteOne(m.Key.Name)
	columns := make([]string, len(o.loads))
	for i, f := range o.loads {
		columns[i] = "t." + tables.QuoteOne(f.DBName)
	}
	// json_each's value has no affinity, so the comparison uses the key column's. CROSS
	// JOIN keeps the keys outside and the table's index inside.
	o.load = fmt.Sprintf("SELECT u.key, t.ek_rev, t.ek_time, t.ek_tie, t.ek_fields, t.ek_state, t.ek_born, t.ek_gen, %s FROM json_each(?1) AS u CROSS JOIN %s AS t ON t.%s = u.value",
		strings.Join(columns, ", "), table, key)
	o.absent = fmt.Sprintf("SELECT count(*) FROM %s WHERE %s = ?1", table, key)

	var names []string
	for _, c := range m.Inserted {
		names = append(names, tables.QuoteOne(c.Name))
	}
	o.insert = fmt.Sprintf("INSERT INTO %s (%s, %s, ek_rev, ek_born) VALUES (%s) ON CONFLICT (%s) DO NOTHING",
		table, strings.Join(names, ", "), ekWritten, strings.Repeat("?, ", len(names)+6)+"?", key)
	var sets []string
	for _, c := range m.Written {
		sets = append(sets, tables.QuoteOne(c.Name)+" = ?, ")
	}
	o.update = fmt.Sprintf("UPDATE %s SET %s%s = ?, ek_rev = ek_rev + 1 WHERE %s = ? AND ek_rev = ?",
		table, strings.Join(sets, ""), strings.ReplaceAll(ekWritten, ",", " = ?,"), key)
	return o
}

// keys is the JSON list that the load statement takes.
func (o *model) keys(keys []string) (string, error) {
	if !o.intKey {
		b, err := json.Marshal(keys)
		return string(b), err
	}
	var b strings.Builder
	b.WriteByte('[')
	for i, k := range keys {
		if _, err := strconv.ParseInt(k, 10, 64); err != nil {
			return "", o.bad(k, err)
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(k)
	}
	b.WriteByte(']')
	return b.String(), nil
}

// key is one key as a parameter.
func (o *model) key(key string) (any, error) {
	if !o.intKey {
		return key, nil
	}
	n, err := strconv.ParseInt(key, 10, 64)
	if err != nil {
		return nil, o.bad(key, err)
	}
	return n, nil
}

func (o *model) bad(key string, err error) error {
	return &store.DataError{Table: o.m.Table, Err: fmt.Errorf("table %s, key %q: %w", o.m.Table, key, err)}
}

var scanner = reflect.TypeFor[sql.Scanner]() //nolint:gochecknoglobals // a constant

// scans reports whether the field's own type reads what the driver has.
func scans(f *schema.Field) bool {
	return f.Serializer == nil && reflect.PointerTo(f.IndirectFieldType).Implements(scanner)
}

// scanInto does for one field what Rows.Scan would do.
func scanInto(f *schema.Field, entity reflect.Value, raw any) error {
	to := f.ReflectValueOf(background, entity)
	if raw == nil && to.Kind() == reflect.Pointer {
		to.SetZero()
		return nil
	}
	p := reflect.New(f.IndirectFieldType)
	if raw != nil {
		if err := p.Interface().(sql.Scanner).Scan(raw); err != nil {
			return err
		}
	}
	if to.Kind() != reflect.Pointer {
		p = p.Elem()
	}
	to.Set(p)
	return nil
}

// row reads one row of an answer.
func (o *model) row(w store.WantRows, scan func(...any) error) (_ *store.Row, err error) {
	var n int
	defer func() {
		if p := store.Caught(recover()); p != nil {
			err = o.bad(w.Keys[n], p)
		}
	}()
	var g guards.Guarded
	lead := [...]any{&n, &g.EkRev, &g.EkTime, &g.EkTie, &g.EkFields, &g.EkState, &g.EkBorn, &g.EkGen}
	cells := append(make([]any, 0, len(lead)+len(o.loads)), lead[:]...)
	for _, f := range o.loads {
		// A sql.Scanner of the user's must not run inside of Rows.Scan: if it panics there,
		// database/sql keeps a lock for ever.
		if f.scans {
			cells = append(cells, new(any))
			continue
		}
		cells = append(cells, f.NewValuePool.Get())
	}
	if err := scan(cells...); err != nil {
		return nil, &store.DataError{Table: o.m.Table, Err: fmt.Errorf("table %s: %w", o.m.Table, err)}
	}
	key := w.Keys[n]
	r := &store.Row{Model: w.Model, Layout: w.Layout, Key: key, Entity: reflect.New(o.m.Type), Rev: g.EkRev}
	r.State, r.Rebuilding = g.EkState.Rebuilding()
	if g.EkBorn != 0 {
		r.Born = tables.Time(g.EkBorn)
	}
	r.Clocks, err = w.Layout.Decode(clocks.Stored{Time: g.EkTime, Tie: g.EkTie, Fields: g.EkFields, Gen: g.EkGen}, r.State)
	if errors.Is(err, clocks.ErrNewerGeneration) {
		return nil, err
	}
	if err != nil {
		return nil, o.bad(key, err)
	}
	if o.guarded != nil {
		*r.Entity.Elem().FieldByIndex(o.guarded).Addr().Interface().(*guards.Guarded) = g
	}
	for i, f := range o.loads {
		cell := cells[len(lead)+i]
		if f.scans {
			err = scanInto(f.Field, r.Entity, *cell.(*any))
		} else {
			err = f.Set(background, r.Entity, cell)
			f.NewValuePool.Put(cell)
		}
		if err != nil {
			return nil, o.bad(key, fmt.Errorf("column %s: %w", f.DBName, err))
		}
	}
	return r, nil
}

// args are the parameters of the insert or update statement.
func (o *model) args(r *store.Row, insert bool, now any) (_ []any, err error) {
	defer func() {
		if p := store.Caught(recover()); p != nil {
			err = o.bad(r.Key, p)
		}
	}()
	columns := o.m.Written
	stamps := o.m.UpdateTime
	if insert {
		columns = o.m.Inserted
		stamps = append(stamps[:len(stamps):len(stamps)], o.m.CreateTime...)
	}
	for _, c := range stamps {
		if err := c.Field.Set(background, r.Entity, now); err != nil {
			return nil, o.bad(r.Key, err)
		}
	}
	args := make([]any, 0, len(columns)+8)
	for _, c := range columns {
		v, _ := c.Field.ValueOf(background, r.Entity)
		// The driver would ask a driver.Valuer only with the statement, and then it could
		// not be told whose row it was.
		arg, err := driver.DefaultParameterConverter.ConvertValue(tables.Cut(v))
		if err != nil {
			return nil, o.bad(r.Key, fmt.Errorf("column %s: %w", c.Name, err))
		}
		args = append(args, arg)
	}
	var c clocks.Stored
	if r.Layout != nil {
		c = r.Layout.Encode(r.Clocks)
	}
	if c.Tie == nil {
		c.Tie = []byte{}
	}
	args = append(args, c.Time, c.Tie, c.Fields, r.StoredState(), int64(c.Gen))
	if !insert {
		key, _ := o.m.Key.Field.ValueOf(background, r.Entity)
		args = append(args, key, r.Rev)
	}
	return args, nil
}
