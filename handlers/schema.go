package handlers

import (
	"fmt"
	"reflect"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"github.com/evenkeel-go/evenkeel/guards"
)

var (
	guardedType   = reflect.TypeFor[guards.Guarded]() //nolint:gochecknoglobals // a constant
	deletedAtType = reflect.TypeFor[gorm.DeletedAt]() //nolint:gochecknoglobals // a constant
)

// ekColumns are the names of the columns of guards.Guarded.
var ekColumns = map[string]bool{ //nolint:gochecknoglobals // a constant
	"ek_rev": true, "ek_time": true, "ek_tie": true, "ek_fields": true,
	"ek_state": true, "ek_born": true, "ek_gen": true,
}

// newModel reads a model's schema. It returns the mistakes that it finds in the model
// itself, and no model if GORM can't read it.
func newModel(t reflect.Type, cache *schemaCache) (*Model, []string) {
	if t.Kind() != reflect.Struct {
		return nil, []string{fmt.Sprintf("the entity type %s is not a struct; name the GORM model itself, not a pointer to it", t)}
	}
	if name := namedGuarded(t); name != "" {
		return nil, []string{fmt.Sprintf("model %s has guards.Guarded as the field %s; embed it: write guards.Guarded without a name", t.Name(), name)}
	}
	s, err := schema.Parse(reflect.New(t).Interface(), &cache.store, cache.namer)
	if err != nil {
		return nil, []string{fmt.Sprintf("model %s: GORM can't read it: %v", t, err)}
	}
	m := &Model{
		Name: s.Name, Table: s.Table, Type: t, Schema: s, Kind: guards.KindNone,
		byField: map[string]*Column{}, bySchema: map[*schema.Field]*Column{}, ambiguous: map[string][]string{},
	}
	var mistakes []string
	mistake := func(format string, args ...any) { mistakes = append(mistakes, fmt.Sprintf(format, args...)) }
	if f, ok := t.FieldByName("Guarded"); ok && f.Type == reflect.TypeFor[*guards.Guarded]() {
		mistake("model %s embeds a pointer, *guards.Guarded; embed guards.Guarded itself", m.Name)
	} else if !hasGuarded(t) {
		mistake("model %s does not embed guards.Guarded; add the line `guards.Guarded` to the struct", m.Name)
	} else if s.LookUpField("ek_rev") == nil {
		mistake("model %s has guards.Guarded under other column names; embed it without a prefix", m.Name)
	}
	switch len(s.PrimaryFields) {
	case 1:
		f := s.PrimaryFields[0]
		m.Key = &Column{Name: f.DBName, Field: f, Index: -1}
		if !canBeKey(f) {
			mistake("model %s has a primary key of type %s; Evenkeel finds a row by a text, a whole number, or a type with Value and Scan", m.Name, f.FieldType)
		}
	case 0:
		mistake("model %s has no primary key; tag one field `gorm:\"primaryKey\"`", m.Name)
	default:
		mistake("model %s has a primary key of %d fields; Evenkeel finds a row by one: add a single key and make the others a unique index", m.Name, len(s.PrimaryFields))
	}
	for _, f := range s.Fields {
		if tag, ok := f.StructField.Tag.Lookup("evenkeel"); ok && tag != unmanaged {
			mistake("model %s has the tag evenkeel:%q at %s, which says nothing; the only one is evenkeel:%q", m.Name, tag, f.Name, unmanaged)
		}
		m.addField(f)
	}
	m.nameColumns()
	return m, mistakes
}

// unmanaged is the tag of a field that somebody else writes.
const unmanaged = "unmanaged"

func isUnmanaged(f *schema.Field) bool { return f.StructField.Tag.Get("evenkeel") == unmanaged }

func (m *Model) addField(f *schema.Field) {
	if f.DBName == "" || f.PrimaryKey || ekColumns[f.DBName] {
		return
	}
	c := &Column{Name: f.DBName, Field: f, Index: -1}
	switch {
	case f.FieldType == deletedAtType:
		m.SoftDelete = c
	case f.AutoUpdateTime != 0:
		m.UpdateTime = append(m.UpdateTime, c)
	case f.AutoCreateTime != 0:
		m.CreateTime = append(m.CreateTime, c)
	case !f.Creatable || !f.Updatable || isUnmanaged(f):
	default:
		c.Index = len(m.Columns)
		m.Columns = append(m.Columns, c)
		m.bySchema[f] = c
	}
}

// nameColumns gives each managed column the name by which handlers know it. A name that
// several fields have would silently be the last one's, hence paths.
func (m *Model) nameColumns() {
	count := map[string]int{}
	for _, c := range m.Columns {
		count[c.Field.Name]++
	}
	for _, c := range m.Columns {
		leaf, path := c.Field.Name, strings.Join(c.Field.BindNames, ".")
		m.byField[path] = c
		if count[leaf] == 1 {
			m.byField[leaf] = c
			continue
		}
		c.goName = path
		// A field of the struct itself is its own path, and the name means it.
		if path != leaf {
			m.ambiguous[leaf] = append(m.ambiguous[leaf], path)
		}
	}
}

// finish fixes what the owners decide.
func (m *Model) finish() {
	if m.Key != nil {
		m.Inserted = append(m.Inserted, m.Key)
	}
	m.Inserted = append(m.Inserted, m.Columns...)
	for _, c := range m.Columns {
		if c.Owner == nil {
			continue
		}
		m.Written = append(m.Written, c)
		switch {
		case c.Owner.Verb == VerbSet:
			m.SetColumns = append(m.SetColumns, c)
		case c.Owner.Verb == VerbModify && c.Owner.Kind.Clocked():
			m.ModifyColumns = append(m.ModifyColumns, c)
		}
	}
	m.Inserted = append(append(m.Inserted, m.CreateTime...), m.UpdateTime...)
	m.Written = append(m.Written, m.UpdateTime...)
	if m.SoftDelete != nil {
		m.Inserted = append(m.Inserted, m.SoftDelete)
		m.Written = append(m.Written, m.SoftDelete)
	}
}

// namedGuarded is the name of a field that holds guards.Guarded without being embedded by
// Go or by GORM, which would take it for a relation.
func namedGuarded(t reflect.Type) string {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Type != guardedType || f.Anonymous {
			continue
		}
		if _, embedded := schema.ParseTagSetting(f.Tag.Get("gorm"), ";")["EMBEDDED"]; !embedded {
			return f.Name
		}
	}
	return ""
}

func hasGuarded(t reflect.Type) bool {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Type == guardedType {
			return true
		}
		if f.Anonymous && f.Type.Kind() == reflect.Struct && hasGuarded(f.Type) {
			return true
		}
	}
	return false
}
