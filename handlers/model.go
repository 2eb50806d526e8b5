package handlers

import (
	"context"
	"fmt"
	"reflect"
	"strconv"

	"gorm.io/gorm/schema"

	"github.com/evenkeel-go/evenkeel/guards"
)

// Model is a user's GORM model as the runtime sees it. It is made by [Registry.Wire]
// and not changed afterwards.
type Model struct {
	Name   string // the Go type's name
	Table  string
	Type   reflect.Type
	Schema *schema.Schema
	Key    *Column

	// Columns are the managed ones, in the schema's order; Column.Index points here.
	Columns []*Column
	// Written are the columns that an update writes: owned, projected, GORM's
	// automatic update time, soft delete.
	Written []*Column
	// Inserted are those that an insert writes: the key, all managed columns, the
	// automatic times, soft delete.
	Inserted []*Column

	// Kind is the kind of stamp of the model's clocks; KindNone when it has none.
	Kind guards.Kind
	// Existence is who creates and deletes the rows; nil when nobody does.
	Existence *Owner
	// SetColumns are the columns that Set handlers own, ModifyColumns those that share
	// the one clock of the stamped Modify handlers.
	SetColumns, ModifyColumns []*Column

	// Causal are the handlers under guards.Causal, which wait for each other's events.
	Causal []*Handler

	// Awaited reports that some handler's events wait for missing rows of the model
	// (MissingPark).
	Awaited bool

	SoftDelete             *Column
	CreateTime, UpdateTime []*Column

	byField   map[string]*Column
	bySchema  map[*schema.Field]*Column
	ambiguous map[string][]string // a name that several fields have, to their paths
	projects  []func(any)
}

// Owner is who writes a column (R4).
type Owner struct {
	Verb Verb
	Kind guards.Kind // with VerbModify
	// Event is the event type with VerbResolve: each resolver owns its columns alone.
	Event string
	// Stream tells two sequences apart, which know no order among each other.
	Stream *Stream
}

// String says it for error messages.
func (o Owner) String() string {
	switch o.Verb {
	case VerbSet:
		return "Set"
	case VerbModify:
		if o.Stream != nil && o.Stream.Stream != "" {
			return "Modify under the sequence " + o.Stream.Stream
		}
		return "Modify under " + o.Kind.String()
	case VerbProject:
		return "a projection"
	case VerbResolve:
		return "Resolve of " + strconv.Quote(o.Event)
	}
	return "nobody"
}

// Column is one column of a model.
type Column struct {
	Name  string // in the database
	Field *schema.Field
	// Index is the column's place in Model.Columns, -1 for one that is not managed.
	Index int
	Owner *Owner // nil: nobody's

	goName string
}

// GoName is the field's name in the struct, by which handlers.Writes and Delivery.Keep
// know it: its path, like Billing.Street, where two embedded structs share a name.
func (c *Column) GoName() string {
	if c.goName == "" {
		return c.Field.Name
	}
	return c.goName
}

// isTimeOrDelete reports whether GORM or the framework fills the column in itself.
func (c *Column) isTimeOrDelete() bool {
	return c.Field.FieldType == deletedAtType || c.Field.AutoCreateTime != 0 || c.Field.AutoUpdateTime != 0
}

var background = context.Background() //nolint:gochecknoglobals // GORM's field accessors ask for a context and use none

// Value is the column's field in the entity v points to.
func (c *Column) Value(entity reflect.Value) reflect.Value {
	return c.Field.ReflectValueOf(background, entity)
}

// New returns a pointer to a blank entity with its key set.
func (m *Model) New(key any) reflect.Value {
	v := reflect.New(m.Type)
	if err := m.Key.Field.Set(background, v.Elem(), key); err != nil {
		// ParseKey has set the same value on the same field before.
		panic(fmt.Sprintf("evenkeel: key %v of model %s: %v", key, m.Name, err))
	}
	return v
}

// Project computes the derived fields of the entity.
func (m *Model) Project(entity any) {
	for _, p := range m.projects {
		p(entity)
	}
}

// Column returns the managed or projected column of a Go field, by its name or its path.
func (m *Model) Column(goName string) (*Column, bool) {
	c, ok := m.byField[goName]
	return c, ok
}

// columnOf returns the managed column of a field, or nil.
func (m *Model) columnOf(f *schema.Field) *Column { return m.bySchema[f] }
