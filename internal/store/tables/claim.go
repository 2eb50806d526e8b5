package tables

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/clocks"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/migrations"
)

// Claim is store.Store's.
func (p *Plain) Claim(ctx context.Context, group string, models []*handlers.Model, steal bool) ([]*clocks.Layout, error) {
	return p.ClaimAs(ctx, group, models, Claiming{Steal: steal})
}

// ClaimToRebuild is store.Rebuilds'.
func (p *Plain) ClaimToRebuild(ctx context.Context, group string, models []*handlers.Model) ([]*clocks.Layout, error) {
	return p.ClaimAs(ctx, group, models, Claiming{ToRebuild: true})
}

// ClaimAs collects all problems of all models, and those of Evenkeel's own tables; with any,
// nothing is claimed.
func (p *Plain) ClaimAs(ctx context.Context, group string, models []*handlers.Model, how Claiming) ([]*clocks.Layout, error) {
	var own *store.SetupError
	if err := migrations.Check(ctx, p.DB); err != nil && !errors.As(err, &own) {
		return nil, p.Dialect.Classify(err)
	}
	layouts := make([]*clocks.Layout, len(models))
	err := p.Tx(ctx, func(q Querier) error {
		var problems []string
		if own != nil {
			problems = slices.Clone(own.Problems)
		}
		// In the order of tables, so that two processes that claim at once wait for
		// each other instead of dying of a deadlock.
		order := make([]int, len(models))
		for i := range order {
			order[i] = i
		}
		slices.SortFunc(order, func(a, b int) int { return cmp.Compare(models[a].Table, models[b].Table) })
		for _, i := range order {
			m := models[i]
			columns, ok, err := p.Dialect.Table(ctx, q, m.Table)
			if err != nil {
				return err
			}
			if !ok {
				problems = append(problems, fmt.Sprintf("table %s of model %s is not there; make it with db.AutoMigrate(&%s{}) or with your own migration", m.Table, m.Name, m.Name))
				continue
			}
			if found := p.missing(m, columns); len(found) > 0 {
				problems = append(problems, found...)
				continue
			}
			if own != nil {
				continue // there is nothing to claim it in
			}
			layout, problem, err := p.generations(ctx, q, group, m, how)
			if err != nil {
				return err
			}
			if problem != "" {
				problems = append(problems, problem)
				continue
			}
			layouts[i] = layout
			found, err := p.Dialect.Prepare(ctx, q, m, columns)
			if err != nil {
				return err
			}
			problems = append(problems, found...)
		}
		if len(problems) > 0 {
			return &store.SetupError{Problems: problems}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return layouts, nil
}

// missing says which columns the table lacks.
func (p *Plain) missing(m *handlers.Model, columns map[string]Info) (problems []string) {
	add := func(name, definition string) {
		problems = append(problems, fmt.Sprintf("table %s of model %s has no column %s; run: ALTER TABLE %s ADD COLUMN %s %s;", m.Table, m.Name, name, Quote(m.Table), QuoteOne(name), definition))
	}
	for _, f := range Readable(m) {
		if _, ok := columns[f.DBName]; !ok {
			add(f.DBName, p.DB.Migrator().FullDataTypeOf(f).SQL)
		}
	}
	for _, name := range EkColumns() {
		switch c, ok := columns[name]; {
		case !ok:
			add(name, p.Dialect.EkTypes[name])
		case !c.NotNull:
			problems = append(problems, fmt.Sprintf("column %s of table %s must be NOT NULL, since a row whose revision is NULL can't be guarded; it should be: %s %s", name, m.Table, name, p.Dialect.EkTypes[name]))
		}
	}
	if key, ok := columns[m.Key.Name]; ok && !key.Unique {
		problems = append(problems, fmt.Sprintf("column %s of table %s is the primary key of model %s but not of the table; run: ALTER TABLE %s ADD PRIMARY KEY (%s);", m.Key.Name, m.Table, m.Name, Quote(m.Table), QuoteOne(m.Key.Name)))
	}
	return problems
}

// generations claims the table and gives each clocked column that is new to it the next
// generation. A row carries the generation that it was written with, and what is newer
// counts as never written there (R5). A row that the framework did not make is of
// generation 0 and has no stamp at all, so the first generation is 1. All columns are new
// when the kind of the stamps changes: what a member of an older release may still write
// under the old kind counts as never written, too.
func (p *Plain) generations(ctx context.Context, q Querier, group string, m *handlers.Model, how Claiming) (_ *clocks.Layout, problem string, err error) {
	// The row is made first so that there is one to lock: of two processes that see a
	// table for the first time at once, the second one waits here and finds the
	// generations of the first.
	if _, err := p.exec(ctx, q, "INSERT INTO evenkeel_models (tbl, grp, generation, columns, claimed_at) VALUES ($1, $2, 0, '{}', "+p.Dialect.Now+") ON CONFLICT DO NOTHING", m.Table, group); err != nil {
		return nil, "", err
	}
	var owner, text string
	var current int32
	was, is := store.Table{}, Describe(m)
	if err := q.QueryRowContext(ctx, p.Dialect.Rebind("SELECT grp, generation, columns, model, key_column, kind FROM evenkeel_models WHERE tbl = $1"+p.Dialect.ForUpdate), m.Table).Scan(&owner, &current, &text, &was.Model, &was.Key, &was.Kind); err != nil {
		return nil, "", err
	}
	if owner != group && !how.Steal {
		return nil, fmt.Sprintf("table %s belongs to the group %q and this consumer is %q; two groups on one table overwrite each other's clocks: use the same group, or take the table over (Config.TakeTables) if the other one is gone for good", m.Table, owner, group), nil
	}
	gens := map[string]int32{}
	if err = json.Unmarshal([]byte(text), &gens); err != nil {
		return nil, fmt.Sprintf("evenkeel_models.columns of table %s is not what Evenkeel wrote there (%v); restore the row", m.Table, err), nil
	}
	fresh, other := false, ""
	kind, changes := KindOf(m, was.Kind)
	is.Kind = kind
	if changes {
		switch found, err := stamped(ctx, q, m.Table); {
		case err != nil:
			return nil, "", err
		case !found:
			fresh = true
			for name := range gens {
				gens[name] = current + 1
			}
		case !how.ToRebuild:
			return nil, OtherKind(m, was.Kind), nil
		default:
			is.Kind, other = was.Kind, was.Kind
		}
	}
	for _, name := range clocks.Names(m) {
		if _, ok := gens[name]; !ok {
			gens[name] = current + 1
			fresh = true
		}
	}
	if fresh {
		current++
	}
	if fresh || owner != group || was != is {
		b, err := json.Marshal(gens)
		if err != nil {
			return nil, "", err
		}
		if _, err := p.exec(ctx, q, "UPDATE evenkeel_models SET grp = $1, generation = $2, columns = $3, model = $5, key_column = $6, kind = $7, claimed_at = "+p.Dialect.Now+" WHERE tbl = $4", group, current, string(b), m.Table, is.Model, is.Key, is.Kind); err != nil {
			return nil, "", err
		}
	}
	layout := clocks.NewLayout(m, gens, current)
	layout.Other = other
	layout.Purged, err = p.purged(ctx, q, group, m.Table)
	return layout, "", err
}

// Parents returns the tables ordered so that what a foreign key points to comes before
// what points to it; references maps a table to those that it points to. Where they run
// in circles the order of names decides, and the keys must be deferrable.
func Parents(references map[string][]string) []string {
	var names, order []string
	for n := range references {
		names = append(names, n)
	}
	slices.SortFunc(names, strings.Compare)
	seen := map[string]bool{}
	var visit func(string)
	visit = func(n string) {
		if seen[n] {
			return
		}
		seen[n] = true
		to := slices.Clone(references[n])
		slices.Sort(to)
		for _, t := range to {
			if _, ours := references[t]; ours {
				visit(t)
			}
		}
		order = append(order, n)
	}
	for _, n := range names {
		visit(n)
	}
	return order
}
