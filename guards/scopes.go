package guards

import (
	"fmt"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// Live is a GORM scope that leaves the rows which count: those whose creating event has
// come and those that the framework did not make. Placeholders and tombstones are left
// out, whatever other conditions the query has.
func Live(db *gorm.DB) *gorm.DB { return stateIs(db, "IN (%d, %d)", Foreign, Alive) }

// Placeholders is a GORM scope that leaves the rows whose creating event has not come. A
// partial index (ek_born) WHERE ek_state = 1 on the table serves it.
func Placeholders(db *gorm.DB) *gorm.DB { return stateIs(db, "= %d", Placeholder) }

// stateIs writes the states into the text: a planner does not know of a parameter whether
// a partial index holds it.
func stateIs(db *gorm.DB, condition string, states ...any) *gorm.DB {
	for i, s := range states {
		states[i] = int(s.(Existence))
	}
	state := clause.Expr{
		SQL:  "? " + fmt.Sprintf(condition, states...),
		Vars: []any{clause.Column{Table: clause.CurrentTable, Name: "ek_state"}},
	}
	tx := db.Where(state)
	// As with GORM's own soft delete: what was said with Or before must not get around it.
	if where, ok := tx.Statement.Clauses["WHERE"].Expression.(clause.Where); ok && len(where.Exprs) > 1 {
		last := len(where.Exprs) - 1
		c := tx.Statement.Clauses["WHERE"]
		c.Expression = clause.Where{Exprs: []clause.Expression{clause.And(where.Exprs[:last]...), where.Exprs[last]}}
		tx.Statement.Clauses["WHERE"] = c
	}
	return tx
}
