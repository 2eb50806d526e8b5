package tables

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/evenkeel-go/evenkeel/internal/store"
)

// due is the statement that finds due rows of the group $2 that nobody holds as $1 says, at
// most $4 of them, and reads the rows of their keys, at most $5 of each and $6 altogether. Of
// a key those come first: one that stood behind $5 others would be found by each call and
// claimed by none. A key's turn is one number to sort the rows by, which are wide, and not three.
func (p *Plain) due(fields []Field[store.Parked]) string {
	const free = "(q.id, q.rev) NOT IN (SELECT id, rev FROM held)"
	return `WITH held AS MATERIALIZED (SELECT m.id, m.rev FROM ` + p.Dialect.Marks + `),
claimed AS MATERIALIZED (SELECT q.tbl, q.entity, q.due FROM evenkeel_parked AS q WHERE q.grp = $2 AND q.due <= $3 AND ` + free + ` ORDER BY q.due LIMIT $4),
keys AS MATERIALIZED (SELECT tbl, entity, row_number() OVER (ORDER BY min(due), tbl, entity) AS turn FROM claimed GROUP BY tbl, entity)
SELECT ` + Names(fields) + ` FROM (SELECT r.*, k.turn FROM keys AS k ` +
		p.Dialect.EachFirst("evenkeel_parked", "q.grp = $2 AND q.tbl = k.tbl AND q.entity = k.entity ORDER BY (q.due <= $3 AND "+free+") DESC, q.place, q.id LIMIT $5") + `) AS q
ORDER BY turn, (due <= $3 AND ` + free + `) DESC, place, id LIMIT $6`
}

// Due is store.Store's. What a sweeper holds is one row, rewritten by each call: to change the
// due time of what it claims would be to write all indexes of the largest rows again.
func (p *Plain) Due(ctx context.Context, d *store.DueQuery) (parked []*store.Parked, err error) {
	fields := Parkeds()
	text := p.due(fields)
	err = p.Tx(ctx, func(q Querier) error {
		parked = nil
		if err := p.byIndex(ctx, q); err != nil {
			return err
		}
		c, err := p.claims(ctx, q, d)
		if err != nil {
			return err
		}
		args := []any{MarksArg(slices.Collect(maps.Keys(c.until))), d.Group, d.Now.UnixMicro(), d.Limit, d.PerKey, store.DueRows}
		mine := slices.Clone(d.Holding)
		err = p.query(ctx, q, text, args, func(rows *sql.Rows) error {
			r, err := Scan(rows, fields)
			if err != nil {
				return err
			}
			parked = append(parked, r)
			if r.Due.After(d.Now) {
				return nil
			}
			m := r.Mark()
			if until, held := c.until[m]; held {
				r.Due = Time(until)
				return nil
			}
			mine = append(mine, m)
			return nil
		})
		if err != nil {
			return err
		}
		inPlace(parked)
		return p.claim(ctx, q, d, c, mine)
	})
	if err != nil {
		return nil, err
	}
	return parked, nil
}

// claims is what sweepers of a group hold.
type claims struct {
	// until is when each row of theirs is let go, in microseconds.
	until map[store.Mark]int64
	// own: the owner has a row; ended: somebody has one whose time is over.
	own, ended bool
}

// claims reads what is held, and keeps other sweepers of the group from reading it until the
// transaction ends.
func (p *Plain) claims(ctx context.Context, q Querier, d *store.DueQuery) (*claims, error) {
	c := &claims{until: map[store.Mark]int64{}}
	hold := func(marks []store.Mark, until int64) {
		for _, m := range marks {
			c.until[m] = until
		}
	}
	if p.Dialect.LockKey != "" {
		if err := p.query(ctx, q, p.Dialect.LockKey, []any{LockKey("evenkeel_claims", d.Group)}, func(*sql.Rows) error { return nil }); err != nil {
			return nil, err
		}
	}
	err := p.query(ctx, q, "SELECT owner, until, marks FROM evenkeel_claims WHERE grp = $1", []any{d.Group}, func(rows *sql.Rows) error {
		var owner, text string
		var until int64
		if err := rows.Scan(&owner, &until, &text); err != nil {
			return err
		}
		switch {
		case owner == d.Owner:
			c.own = true
			return nil
		case until <= d.Now.UnixMicro():
			c.ended = true
			return nil
		}
		var marks []store.Mark // as MarksArg has written them
		if err := json.Unmarshal([]byte(text), &marks); err != nil {
			return fmt.Errorf("evenkeel_claims: what %s holds is %.40q, expected a list of ids and revisions (%w); remove the row", owner, text, err)
		}
		hold(marks, until)
		return nil
	})
	hold(d.Holding, d.Now.Add(d.Lease).UnixMicro())
	return c, err
}

// claim writes what the owner holds from now on.
func (p *Plain) claim(ctx context.Context, q Querier, d *store.DueQuery, c *claims, mine []store.Mark) error {
	if c.ended || c.own && len(mine) == 0 {
		if _, err := p.exec(ctx, q, "DELETE FROM evenkeel_claims WHERE grp = $1 AND (owner = $2 OR until <= $3)", d.Group, d.Owner, d.Now.UnixMicro()); err != nil {
			return err
		}
	}
	if len(mine) == 0 {
		return nil
	}
	_, err := p.exec(ctx, q, "INSERT INTO evenkeel_claims (grp, owner, until, marks) VALUES ($1, $2, $3, $4) ON CONFLICT (grp, owner) DO UPDATE SET until = excluded.until, marks = excluded.marks",
		d.Group, d.Owner, d.Now.Add(d.Lease).UnixMicro(), MarksArg(mine))
	return err
}

// Renew is store.Store's.
func (p *Plain) Renew(ctx context.Context, group, owner string, until time.Time) error {
	return p.Tx(ctx, func(q Querier) error {
		_, err := p.exec(ctx, q, "UPDATE evenkeel_claims SET until = $3 WHERE grp = $1 AND owner = $2", group, owner, until.UnixMicro())
		return err
	})
}

// Postpone is store.Store's.
func (p *Plain) Postpone(ctx context.Context, rows []store.Mark, due time.Time) error {
	if len(rows) == 0 {
		return nil
	}
	return p.Tx(ctx, func(q Querier) error {
		_, err := p.exec(ctx, q, "UPDATE evenkeel_parked SET due = $2 FROM "+p.Dialect.Marks+" WHERE evenkeel_parked.id = m.id AND evenkeel_parked.rev = m.rev", MarksArg(rows), due.UnixMicro())
		return err
	})
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
