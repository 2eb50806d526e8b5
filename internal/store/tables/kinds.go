package tables

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// Claiming says what a claim may do beside the usual.
type Claiming struct {
	// Steal takes tables over from another group.
	Steal bool
	// ToRebuild lets a table pass whose rows have stamps of another kind than the model's;
	// the kind that is stored stays. See clocks.Layout.Other.
	ToRebuild bool
}

// KindOf is the kind of a table's stamps after a claim, by the kind that is stored, which is
// empty if that is not known. Stamps of two kinds can't be compared (R4), so if it changes,
// no row may have one. A model without stamps leaves those that are there as they are: a
// later release may order by stamps again.
func KindOf(m *handlers.Model, stored string) (kind string, changes bool) {
	none := guards.KindNone.String()
	switch declared := m.Kind.String(); {
	case stored == "" || stored == none || stored == declared:
		return declared, false
	case declared == none:
		return stored, false
	default:
		return declared, true
	}
}

// OtherKind is the problem of a model whose rows have stamps of another kind.
func OtherKind(m *handlers.Model, stored string) string {
	return fmt.Sprintf("the rows of table %s (model %s) have stamps of the kind %s and the handlers order by %s; the two can't be compared, so newer events would be taken for older ones: order by %s as before, or stop all members of the group and rebuild the whole model under the new guard (framework.Rebuild, or `evenkeel rebuild %s`), after which this starts",
		m.Table, m.Name, stored, m.Kind, stored, m.Name)
}

// stamped reports whether a row of the table has a stamp. A row's newest one stands in
// ek_tie, whatever its number.
func stamped(ctx context.Context, q Querier, table string) (bool, error) {
	var one int
	err := q.QueryRowContext(ctx, "SELECT 1 FROM "+Quote(table)+" WHERE length(ek_tie) > 0 LIMIT 1").Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}
