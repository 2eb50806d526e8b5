package handlers

import (
	"database/sql/driver"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"gorm.io/gorm/schema"
)

// neverInserted returns a column that no insert of the framework's fills and that the
// table does not accept empty.
func neverInserted(m *Model) *schema.Field {
	for _, f := range m.Schema.Fields {
		c := &Column{Field: f}
		written := m.columnOf(f) != nil || f.PrimaryKey || ekColumns[f.DBName] || c.isTimeOrDelete()
		generated := strings.Contains(strings.ToUpper(f.TagSettings["TYPE"]), "GENERATED")
		if f.DBName != "" && !written && f.NotNull && !f.HasDefaultValue && !generated {
			return f
		}
	}
	return nil
}

// isBlank reports whether the field holds its zero value in a placeholder which the
// handler makes, rather than something that the event says or the table fills in.
func (h *Handler) isBlank(f *schema.Field) bool {
	return !f.PrimaryKey && !f.HasDefaultValue && !h.fills(f)
}

// fills reports whether the handler, or a projection of what it wrote, gives the field
// a value.
func (h *Handler) fills(f *schema.Field) bool {
	c := h.Model.columnOf(f)
	return c != nil && (h.MayWrite(c) || c.Owner != nil && c.Owner.Verb == VerbProject)
}

// isAlike reports whether the field has the same value in every placeholder: as isBlank,
// but a default helps only if it is an expression like gen_random_uuid().
func (h *Handler) isAlike(f *schema.Field) bool {
	differs := f.HasDefaultValue && (f.AutoIncrement || strings.Contains(f.DefaultValue, "("))
	return !f.PrimaryKey && !differs && !h.fills(f)
}

// blankIsNull reports whether the field's zero value is NULL in the database.
func blankIsNull(f *schema.Field) bool {
	if k := f.FieldType.Kind(); k == reflect.Pointer || k == reflect.Slice || k == reflect.Map || k == reflect.Interface {
		return true
	}
	if v, ok := reflect.Zero(f.FieldType).Interface().(driver.Valuer); ok {
		value, err := v.Value()
		return err == nil && value == nil
	}
	return false
}

// placeholderBreaks says which column would surely refuse a row in which only the
// handler's own columns are filled in.
func placeholderBreaks(h *Handler) string {
	for _, f := range h.Model.Schema.Fields {
		if f.DBName == "" || ekColumns[f.DBName] || (&Column{Field: f}).isTimeOrDelete() {
			continue
		}
		switch {
		case h.isBlank(f) && f.NotNull && blankIsNull(f):
			return fmt.Sprintf("%s would be NULL in a NOT NULL column", f.Name)
		case h.isAlike(f) && f.Unique && (f.HasDefaultValue || !blankIsNull(f)):
			return fmt.Sprintf("%s is unique and would be the same in every placeholder", f.Name)
		}
	}
	for _, ix := range h.Model.Schema.ParseIndexes() {
		if ix.Where == "" && h.sameIn(ix) {
			return fmt.Sprintf("the unique index %s (%s) would hold the same values for every placeholder", ix.Name, indexFields(ix))
		}
	}
	for _, rel := range h.Model.Schema.Relationships.BelongsTo {
		for _, ref := range rel.References {
			if f := ref.ForeignKey; f != nil && h.isBlank(f) && !blankIsNull(f) {
				return fmt.Sprintf("the foreign key %s would point to nothing", f.Name)
			}
		}
	}
	return ""
}

// sameIn reports whether a unique index would hold the same values for every
// placeholder. NULLs differ from each other.
func (h *Handler) sameIn(ix *schema.Index) bool {
	return ix.Class == "UNIQUE" && !slices.ContainsFunc(ix.Fields, func(o schema.IndexOption) bool {
		return o.Field == nil || !h.isAlike(o.Field) || !o.HasDefaultValue && blankIsNull(o.Field)
	})
}

func indexFields(ix *schema.Index) string {
	var names []string
	for _, o := range ix.Fields {
		names = append(names, o.Name)
	}
	return strings.Join(names, ", ")
}

// placeholderDoubt names a constraint whose word on blank values only the user knows.
func placeholderDoubt(h *Handler) string {
	for _, ix := range h.Model.Schema.ParseIndexes() {
		if ix.Where != "" && h.sameIn(ix) {
			return fmt.Sprintf("the partial unique index %s (%s) might hold the same values for every placeholder", ix.Name, indexFields(ix))
		}
	}
	checks := h.Model.Schema.ParseCheckConstraints()
	names := make([]string, 0, len(checks))
	for name := range checks {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if f := checks[name].Field; f == nil || h.isBlank(f) {
			return fmt.Sprintf("the CHECK constraint %s would see a blank value", name)
		}
	}
	return ""
}
