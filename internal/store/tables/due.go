package tables

import (
	"cmp"
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/evenkeel-go/evenkeel/internal/store"
)

// due is the statement that finds due rows of the group $1 and locks them, at most $3 of
// them, and reads the rows of their keys, at most $4 of each and $5 altogether. Of a key the
// due ones come first: one that stood behind $4 others would be found by each call and
// claimed by none.
func (p *Plain) due(fields []Field[store.Parked]) string {
	// A row that another sweeper is just claiming is skipped, and its key with it unless
	// another of its rows is due, too; then revisions decide.
	return `WITH claimed AS MATERIALIZED (SELECT tbl, entity, due FROM evenkeel_parked WHERE grp = $1 AND due <= $2 ORDER BY due LIMIT $3` + p.Dialect.SkipLocked + `),
keys AS MATERIALIZED (SELECT tbl, entity, min(due) AS since FROM claimed GROUP BY tbl, entity)
SELECT ` + Names(fields) + ` FROM (SELECT r.*, k.since FROM keys AS k ` +
		p.Dialect.EachFirst("evenkeel_parked", "q.grp = $1 AND q.tbl = k.tbl AND q.entity = k.entity ORDER BY (q.due <= $2) DESC, q.place, q.id LIMIT $4") + `) AS found
ORDER BY since, tbl, entity, (due <= $2) DESC, place, id LIMIT $5`
}

// Due is store.Store's. A claimed row's revision grows, so that a sweeper whose claim
// has ended can't commit what it made of the row; the rows are returned with the due time
// that they had.
func (p *Plain) Due(ctx context.Context, group string, now time.Time, d time.Duration, limit, perKey int) (parked []*store.Parked, err error) {
	fields := Parkeds()
	text := p.due(fields)
	err = p.Tx(ctx, func(q Querier) error {
		parked = nil
		if err := p.byIndex(ctx, q); err != nil {
			return err
		}
		var claim []store.Mark
		err := p.query(ctx, q, text, []any{group, now.UnixMicro(), limit, perKey, store.DueRows}, func(rows *sql.Rows) error {
			r, err := Scan(rows, fields)
			if err != nil {
				return err
			}
			parked = append(parked, r)
			if !r.Due.After(now) {
				claim = append(claim, store.Mark{ID: r.ID, Rev: r.Rev})
			}
			return nil
		})
		if err != nil || len(claim) == 0 {
			return err
		}
		inPlace(parked)
		claimed := map[string]bool{}
		err = p.query(ctx, q, "UPDATE evenkeel_parked SET due = $2, rev = evenkeel_parked.rev + 1 FROM "+p.Dialect.Marks+" WHERE evenkeel_parked.id = m.id AND evenkeel_parked.rev = m.rev RETURNING evenkeel_parked.id",
			[]any{MarksArg(claim), now.Add(d).UnixMicro()}, func(rows *sql.Rows) error {
				var id string
				err := rows.Scan(&id)
				claimed[id] = true
				return err
			})
		for _, r := range parked {
			if claimed[r.ID] {
				r.Rev++
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return parked, nil
}

// inPlace orders the rows of each key, which stand together, by their places.
func inPlace(parked []*store.Parked) {
	for from := 0; from < len(parked); {
		to := from + 1
		for to < len(parked) && parked[to].Table == parked[from].Table && parked[to].Entity == parked[from].Entity {
			to++
		}
		slices.SortStableFunc(parked[from:to], func(a, b *store.Parked) int { return cmp.Compare(a.Place, b.Place) })
		from = to
	}
}
