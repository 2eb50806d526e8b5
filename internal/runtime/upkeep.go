package runtime

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/seam"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// PlaceholderPolicy is what becomes of a placeholder that nothing completes.
type PlaceholderPolicy uint8

// The policies.
const (
	PlaceholderKeep PlaceholderPolicy = iota
	PlaceholderDelete
	PlaceholderDeadLetter
)

// OldPlaceholders is what a look at a table's placeholders has found.
type OldPlaceholders struct {
	Table, Model string
	// Count is how many are older than Options.PlaceholderAge, at most countOld.
	Count int64
	// Oldest is one of them, nil when there is none.
	Oldest *store.Aged
}

// upkeep looks at rows that stand in one state for long: it reports and sweeps
// placeholders and purges tombstones. It takes small portions between a sweeper's rounds,
// table by table, so that parked events never wait for it and its memory does not grow
// with what it finds. Every member has one: rows go by revision, so members that meet at
// one only do the work twice.
type upkeep struct {
	m     *Member
	look  time.Time // the next one
	looks int
	walks []*walk
	old   map[string]bool // tables of which was said that they have old placeholders
}

// walk is one look at one table.
type walk struct {
	table store.Table
	model *handlers.Model
	// sweep and purge say which rows the walk is still to see.
	sweep, report, purge bool
	// before and behind bound the placeholders' birth and the tombstones' stamps.
	before, behind time.Time
	// row, life and tomb are the last ones of the pages so far.
	row, tomb *store.Aged
	life      store.OriginKey
}

const (
	// upkeepSteps is how many steps come between two rounds of the sweeper, less where one
	// of them finds a full portion.
	upkeepSteps = 3
	// upkeepRows bounds a portion, and with it a transaction; upkeepOrigins that of
	// records, which are larger.
	upkeepRows    = 1000
	upkeepOrigins = 200
	// upkeepAtOnce is how many portions of old placeholders are removed at once, on as many
	// connections: as many may grow old at a time as came at a time, by several lanes.
	upkeepAtOnce = 4
	// upkeepPortions is how many portions of old placeholders come between two rounds of the
	// sweeper.
	upkeepPortions = 12
	// lookEvery is the longest time between two looks. A table without an index for the
	// rows in question is read whole each time, so only every tenth look is at it.
	lookEvery = time.Minute
	seldom    = 10
	// countOld is where a count of old placeholders ends, and with it the work.
	countOld = 100_000
)

// round does the next steps, and reports whether more are left that should not wait.
func (u *upkeep) round(ctx context.Context) (more bool) {
	if len(u.walks) == 0 {
		now := u.m.Clock.Now()
		if now.Before(u.look) {
			return false
		}
		every := u.every()
		u.look = now.Add(every/2 + rand.N(every)) //nolint:gosec // jitter
		if err := u.begin(ctx, now); err != nil {
			u.m.log(Debug, "old placeholders and tombstones are left to the next look", "error", err)
			return false
		}
	}
	for range upkeepSteps {
		if len(u.walks) == 0 || ctx.Err() != nil {
			return false
		}
		w := u.walks[0]
		more, err := u.step(ctx, w)
		if err != nil {
			u.m.log(Debug, "old placeholders and tombstones are left to the next look", "table", w.table.Name, "error", err)
			u.walks = nil
			return false
		}
		if !w.sweep && !w.report && !w.purge {
			u.walks = u.walks[1:]
		}
		if more {
			return true
		}
	}
	return len(u.walks) > 0
}

// every is the time between two looks: a tenth of the age that counts, within bounds.
func (u *upkeep) every() time.Duration {
	age := u.m.PlaceholderAge
	if p := u.m.PurgeAfter; p > 0 {
		age = min(age, p)
	}
	return max(min(age/10, lookEvery), u.m.SweepInterval)
}

// begin finds the tables to look at, and learns of horizons that other members have stored.
func (u *upkeep) begin(ctx context.Context, now time.Time) error {
	tables, err := u.m.Store.Tables(ctx, u.m.Group)
	if err != nil {
		return err
	}
	layouts := u.m.layouts()
	fresh := false
	for _, model := range u.m.Models {
		for _, t := range tables {
			if t.Name != model.Table {
				continue
			}
			fresh = fresh || t.Purged && !layouts[model].Purged
			w := &walk{table: t, model: model, before: now.Add(-u.m.PlaceholderAge)}
			if err := u.plan(ctx, w); err != nil {
				return err
			}
			if w.sweep || w.report || w.purge {
				u.walks = append(u.walks, w)
			}
		}
	}
	u.looks++
	if fresh {
		return u.m.reloadLayouts(ctx)
	}
	return nil
}

// plan says what a walk is to do this time.
func (u *upkeep) plan(ctx context.Context, w *walk) error {
	now := func(state guards.Existence) (bool, error) {
		missing, err := u.m.Store.MissingIndex(ctx, w.table, state)
		return missing == "" || u.looks%seldom == 0, err
	}
	var err error
	if w.model.Existence != nil { // else there are no placeholders
		if w.report, err = now(guards.Placeholder); err != nil {
			return err
		}
		// Origins have their own index.
		w.sweep = w.report && u.m.PlaceholderPolicy == PlaceholderDelete || u.m.PlaceholderPolicy == PlaceholderDeadLetter
	}
	if u.m.PurgeAfter > 0 && Purges(w.model) {
		w.purge, err = now(guards.Deleted)
	}
	return err
}

// step does one portion of a walk, and reports whether there are more of the kind.
func (u *upkeep) step(ctx context.Context, w *walk) (more bool, err error) {
	switch {
	case w.sweep && u.m.PlaceholderPolicy == PlaceholderDelete:
		w.sweep, err = u.sweepRows(ctx, w)
		return w.sweep, err
	case w.sweep:
		w.sweep, err = u.sweepOrigins(ctx, w)
		return w.sweep, err
	case w.report:
		w.report = false
		return false, u.tell(ctx, w)
	default:
		w.purge, err = u.purgeRows(ctx, w)
		return w.purge, err
	}
}

// sweepRows removes portions of placeholders, while the next ones are read.
func (u *upkeep) sweepRows(ctx context.Context, w *walk) (more bool, err error) {
	removing := seam.Group{Limit: upkeepAtOnce}
	var failed atomic.Pointer[error]
	more = true
	for n := 0; n < upkeepPortions && more && err == nil && failed.Load() == nil; n++ {
		var page []store.Aged
		page, err = u.m.Store.Aged(ctx, store.AgedQuery{Table: w.table, State: guards.Placeholder, Before: w.before, After: w.row, Limit: upkeepRows})
		if more = len(page) == upkeepRows; len(page) > 0 {
			w.row = &page[len(page)-1]
		}
		removing.Go("remove placeholders", func() {
			err := halving(u, w, u.canonical(w, page), func(rows []store.Aged) error { return u.remove(ctx, w, rows) })
			if err != nil {
				failed.CompareAndSwap(nil, &err)
			}
		})
	}
	removing.Wait()
	if f := failed.Load(); f != nil {
		err = errors.Join(err, *f)
	}
	return more, err
}

// canonical is a page under canonical keys.
func (u *upkeep) canonical(w *walk, page []store.Aged) []store.Aged {
	rows := make([]store.Aged, 0, len(page))
	for _, a := range page {
		_, key, err := w.model.ParseKey(a.Key)
		if err != nil {
			u.m.log(Debug, "a row's key can't be read", "table", w.table.Name, "key", a.Key, "error", err)
			continue
		}
		a.Key = key
		rows = append(rows, a)
	}
	return rows
}

// remove removes placeholders in one transaction, as far as nobody was first.
func (u *upkeep) remove(ctx context.Context, w *walk, rows []store.Aged) error {
	o := &batch.Orphans{Model: w.model, Age: u.m.PlaceholderAge}
	var gone []bool
	err := u.again(ctx, func(layouts batch.Layouts) error {
		r, err := u.m.Judge.Remove(o, rows, layouts[w.model], u.m.Clock.Now())
		if err == nil {
			gone, err = u.m.Store.RemoveOrphans(ctx, r)
		}
		return err
	})
	if err != nil {
		return err
	}
	gone = slices.DeleteFunc(gone, func(g bool) bool { return !g })
	if len(gone) > 0 {
		u.m.Observe.Removed(w.table.Name, guards.Placeholder, len(gone))
	}
	return nil
}

// sweepOrigins removes the placeholders of a page of origins, and makes letters of these.
// One that more than upkeepOrigins events have written stays.
func (u *upkeep) sweepOrigins(ctx context.Context, w *walk) (more bool, err error) {
	page, err := u.m.Store.Origins(ctx, u.m.Group, w.table.Name, w.before, w.life, upkeepOrigins)
	if err != nil || len(page) == 0 {
		return false, err
	}
	var lives []batch.Life
	for i, o := range page {
		if i == 0 || o.OriginKey != page[i-1].OriginKey {
			lives = append(lives, batch.Life{OriginKey: o.OriginKey})
		}
		l := &lives[len(lives)-1]
		l.Origins = append(l.Origins, u.m.Prepare.PrepareOrigin(o))
	}
	more = len(page) == upkeepOrigins
	if more && len(lives) > 1 {
		lives = lives[:len(lives)-1] // it may go on in the next page
	}
	w.life = lives[len(lives)-1].OriginKey
	return more, halving(u, w, lives, func(lives []batch.Life) error {
		o := &batch.Orphans{Model: w.model, Before: w.before, Age: u.m.PlaceholderAge, Lives: lives}
		var keys []string
		seen := map[string]bool{}
		for _, l := range lives {
			if !seen[l.Entity] {
				seen[l.Entity] = true
				keys = append(keys, l.Entity)
			}
		}
		return u.sweep(ctx, w, o, keys)
	})
}

// sweep removes placeholders in one transaction.
func (u *upkeep) sweep(ctx context.Context, w *walk, o *batch.Orphans, keys []string) error {
	var out *batch.Outcome
	err := u.commit(ctx, w, &store.Want{IDs: o.IDs()}, keys, func(loaded *store.Loaded, layouts batch.Layouts) (*store.Batch, error) {
		out = u.m.Judge.Sweep(ctx, o, layouts, loaded, u.m.Clock.Now())
		if b := out.Batch; len(b.Delete) == 0 && len(b.Forget) == 0 {
			return nil, nil //nolint:nilnil // nothing to write is no error
		}
		return out.Batch, nil
	})
	if err != nil {
		return err
	}
	if n := len(out.Batch.Delete); n > 0 {
		u.m.Observe.Removed(w.table.Name, guards.Placeholder, n)
	}
	u.m.swept(out)
	return nil
}

// commit loads rows with what waits under their keys, and the rest of want, and writes what judge makes of them.
func (u *upkeep) commit(ctx context.Context, w *walk, want *store.Want, keys []string, judge func(*store.Loaded, batch.Layouts) (*store.Batch, error)) error {
	return u.again(ctx, func(layouts batch.Layouts) error {
		want.Group = u.m.Group
		want.Rows = []store.WantRows{{Model: w.model, Layout: layouts[w.model], Keys: keys, Parked: true}}
		return u.m.transact(ctx, want, false, func(loaded *store.Loaded) (*store.Batch, error) { return judge(loaded, layouts) })
	})
}

// again does what others were in the way of once more, a few times, and with new layouts where
// those were too old.
func (u *upkeep) again(ctx context.Context, do func(batch.Layouts) error) error {
	const tries = 5
	for try := 1; ; try++ {
		err := do(u.m.layouts())
		if err == nil {
			return nil
		}
		s, wait := next(err, try)
		if s == stepLayout {
			if err := u.m.reloadLayouts(ctx); err != nil {
				return err
			}
		} else if !errors.Is(err, store.ErrConflict) {
			return err
		}
		if try == tries {
			return err
		}
		if err := u.m.Clock.Sleep(ctx, wait/2+rand.N(wait+1)); err != nil { //nolint:gosec // jitter
			return err
		}
	}
}

// halving runs do on the items, and on halves of them where the database refuses, until
// the one that it refuses stands alone (R18): that row stays, and the log says why.
func halving[T any](u *upkeep, w *walk, items []T, do func([]T) error) error {
	if len(items) == 0 {
		return nil
	}
	err := do(items)
	var data *store.DataError
	if !errors.As(err, &data) {
		return err
	}
	if len(items) == 1 {
		u.m.log(Warn, "the database refuses to remove a row, e.g. because others point to it; it stays", "table", w.table.Name, "error", err)
		return nil
	}
	half := len(items) / 2
	if err := halving(u, w, items[:half], do); err != nil {
		return err
	}
	return halving(u, w, items[half:], do)
}

// tell says which placeholders are old.
func (u *upkeep) tell(ctx context.Context, w *walk) error {
	n, oldest, err := u.m.Store.CountAged(ctx, store.AgedQuery{Table: w.table, State: guards.Placeholder, Before: w.before, Limit: countOld})
	if err != nil {
		return err
	}
	if old := n > 0; old != u.old[w.table.Name] {
		if u.old == nil {
			u.old = map[string]bool{}
		}
		u.old[w.table.Name] = old
		if old {
			u.m.log(Warn, "placeholders are old: their creating events have not come", "table", w.table.Name, "age", u.m.PlaceholderAge.String(),
				"count", n, "oldest", oldest.Key, "born", oldest.Born)
		} else {
			u.m.log(Info, "no placeholder is old any more", "table", w.table.Name)
		}
	}
	u.m.Observe.Placeholders(OldPlaceholders{Table: w.table.Name, Model: w.model.Name, Count: n, Oldest: oldest})
	return nil
}
