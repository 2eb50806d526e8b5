package handlers

import (
	"fmt"
	"slices"

	"gorm.io/gorm/schema"
)

// BlankBreaks says which constraint would surely refuse rows whose managed columns are all
// zero, as they are while a model is rebuilt; empty when none would. Columns that nobody owns
// keep what they hold.
func (m *Model) BlankBreaks() string {
	blank := func(f *schema.Field) bool {
		c := m.columnOf(f)
		return c != nil && c.Owner != nil
	}
	for _, f := range m.Schema.Fields {
		switch {
		case f.DBName == "" || !blank(f):
		case f.NotNull && blankIsNull(f):
			return fmt.Sprintf("%s would be NULL in a NOT NULL column", f.Name)
		case f.Unique && !blankIsNull(f):
			return fmt.Sprintf("%s is unique and would be the same in every row", f.Name)
		}
	}
	for _, ix := range m.Schema.ParseIndexes() {
		differs := func(o schema.IndexOption) bool { return o.Field == nil || !blank(o.Field) || blankIsNull(o.Field) }
		if ix.Class == "UNIQUE" && ix.Where == "" && !slices.ContainsFunc(ix.Fields, differs) {
			return fmt.Sprintf("the unique index %s (%s) would hold the same values for every row", ix.Name, indexFields(ix))
		}
	}
	for _, rel := range m.Schema.Relationships.BelongsTo {
		for _, ref := range rel.References {
			if f := ref.ForeignKey; f != nil && blank(f) && !blankIsNull(f) {
				return fmt.Sprintf("the foreign key %s would point to nothing", f.Name)
			}
		}
	}
	return ""
}
