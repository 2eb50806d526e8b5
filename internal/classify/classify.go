// Package classify tells errors that may heal by themselves from those that will not, by
// SQLSTATE and type and never by text.
package classify

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/mattn/go-sqlite3"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// Handler judges an error that came out of a handler, or the database's refusal of what
// a handler wrote. permanent errors make a letter with the reason at once; all others are
// tried on the schedule. A broken foreign key counts as passing: the row that it points to
// may be on its way.
func Handler(err error) (permanent bool, reason guards.Reason) {
	var data *store.DataError
	var pg *pgconn.PgError
	var lite sqlite3.Error
	switch {
	case errors.As(err, &data):
		return !isForeignKey(data.State), guards.Constraint
	case errors.As(err, &pg):
		if len(pg.Code) != 5 || isForeignKey(pg.Code) {
			return false, ""
		}
		switch pg.Code[:2] {
		case "22", "23", "42":
			return true, guards.Constraint
		}
	case errors.As(err, &lite):
		return lite.Code == sqlite3.ErrConstraint && lite.ExtendedCode != sqlite3.ErrConstraintForeignKey, guards.Constraint
	}
	return false, ""
}

// SQLSTATE foreign_key_violation, and SQLite's extended code for the same.
func isForeignKey(state string) bool { return state == "23503" || state == "787" }
