package runtime

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/seam"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// sweeper judges parked events again when their time has come (R9), and lets the verdict
// journal forget. Every member has one; the claims in the database share the work.
type sweeper struct {
	m         *Member
	retention time.Time
	failed    bool
	portion   portion
	ahead     *claimed // what was claimed while the portion before it was judged
	upkeep    upkeep
	claims    claims
	slow      seam.Group
}

const (
	// lease is how long a claim keeps other sweepers away. It is renewed while rows of the
	// sweeper are being judged. If that fails, two may judge a row; the removal of the second finds
	// another revision, or none, and is refused.
	lease = time.Minute
	// sweepTries bounds how often a portion is run that meets others, slowTries that of
	// slow handlers: two of them hold the rows' locks.
	sweepTries = 20
	slowTries  = 5
	// sweepTogether is how often a portion that meets others is run as a whole, and then
	// each part of it.
	sweepTogether = 6
	// sweepsInARow is how many portions come at most before other work of a sweeper.
	sweepsInARow  = 50
	retainEvery   = 10 * time.Minute
	retainPortion = 1000
)

// run sweeps until soft ends; what is under way then may go on until hard ends.
func (s *sweeper) run(soft, hard context.Context) {
	renewing, stop := context.WithCancel(hard)
	defer stop()
	s.m.Spawn.Go("renewals", func() { s.renewals(renewing) })
	defer s.claimUntil(hard, time.UnixMicro(0)) // others need not wait for the lease
	defer s.slow.Wait()
	more := false
	for {
		d := s.m.SweepInterval
		// As many may come to an end at a time as came at a time.
		if !more && s.m.Clock.Sleep(soft, d/2+rand.N(d)) != nil || soft.Err() != nil { //nolint:gosec // jitter
			return
		}
		more = true
		for range sweepsInARow {
			if !more || soft.Err() != nil {
				break
			}
			_, left, err := s.sweep(soft, hard)
			more = left && err == nil
			var away *store.TransientError
			switch {
			case err == nil || hard.Err() != nil:
			case errors.As(err, &away):
				s.failed = true
				s.m.health.down(partDatabase, err)
			default:
				s.m.log(Debug, "parked events are left to the next sweep", "error", err)
			}
			if err == nil && s.failed {
				// Nobody else may have anything to do that would show it. Only what
				// this sweeper said: lanes may have failures of their own.
				s.failed = false
				s.m.health.up(partDatabase)
			}
		}
		s.retain(soft)
		more = s.upkeep.round(soft) || more
	}
}

// claimed is what a look for due rows has claimed.
type claimed struct {
	rows []*store.Parked
	now  time.Time
	n    int  // how many of the rows were due, and so are claimed
	full bool // as many as were asked for
	more bool // there may be
	// early: it was claimed while the portion before it was judged, so that somebody had time
	// to move some of it.
	early bool
}

// due reports whether the row was claimed; others of its key are read with it.
func (c *claimed) due(p *store.Parked) bool { return !p.Due.After(c.now) }

// behind is c, which was claimed early, without the entities of the portion that was judged
// meanwhile: what was read of these may have changed, and they are found again.
func (c *claimed) behind(judged *claimed) *claimed {
	changed := make(map[string]bool, len(judged.rows))
	for _, p := range judged.rows {
		changed[p.Entity] = true
	}
	all := len(c.rows)
	c.rows = slices.DeleteFunc(c.rows, func(p *store.Parked) bool { return changed[p.Entity] })
	if len(c.rows) == 0 {
		return nil
	}
	c.early, c.more = true, c.more || len(c.rows) < all
	return c
}

// claim claims a portion.
func (s *sweeper) claim(ctx context.Context) (*claimed, error) {
	c, limit := &claimed{now: s.m.Clock.Now()}, s.portion.rows()
	var err error
	c.rows, err = s.m.Store.Due(ctx, &store.DueQuery{Group: s.m.Group, Owner: s.m.id, Holding: s.claims.marks(), Now: c.now, Lease: lease, Limit: limit, PerKey: sweepPerKey})
	for _, key := range group(c.rows) {
		due := 0
		for _, p := range key {
			if c.due(p) {
				due++
			}
		}
		c.n += due
		c.more = c.more || due >= sweepPerKey // the key may have more
	}
	c.full = c.n >= limit || len(c.rows) >= store.DueRows
	c.more = c.more || c.full
	return c, err
}

// sweep judges one portion, while the next one is claimed. It returns how many rows were due,
// and whether more may be.
func (s *sweeper) sweep(soft, ctx context.Context) (n int, more bool, err error) {
	c := s.ahead
	s.ahead = nil
	if s.claims.many() {
		return 0, false, nil // slow ones are under way, and hold their claims
	}
	if s.m.controls.all() {
		return 0, false, nil
	}
	if c == nil {
		if c, err = s.claim(ctx); err != nil || len(c.rows) == 0 {
			s.portion = 0
			return 0, false, err
		}
	}
	s.m.health.up(partDatabase)
	began := s.m.Clock.Now()
	slow, rest := s.split(group(c.rows))
	for _, keys := range slow {
		s.slowly(soft, ctx, keys, c.due)
	}
	claims := s.claims.add(rest, c.due)
	tries := sweepTries
	if c.early {
		tries = 1
	}
	var work []func() error
	for _, part := range parts(rest) {
		work = append(work, func() error { return s.judge(ctx, part, c.due, false, tries) })
	}
	var next *claimed
	ahead := c.full && len(slow) == 0 // slow ones stay in memory after the sweep
	if ahead {
		work = append(work, func() error {
			if found, err := s.claim(ctx); err == nil { // else the next sweep will hear of it
				next = found.behind(c)
			}
			return nil
		})
	}
	err = atOnce(work)
	if c.early && errors.Is(err, store.ErrConflict) && ctx.Err() == nil {
		// Somebody has moved a row in the meantime: what is left is claimed anew, as it is now.
		s.claims.drop(claims)
		return c.n, true, nil
	}
	s.done(ctx, claims)
	if err == nil {
		s.ahead = next
	}
	s.portion = s.portion.after(c.rows, s.m.Clock.Now().Sub(began), ahead, err)
	return c.n, c.more, err
}

// group splits rows, which come in key order, by their keys.
func group(rows []*store.Parked) [][]*store.Parked {
	var keys [][]*store.Parked
	for i, p := range rows {
		if i == 0 || rows[i-1].Table != p.Table || rows[i-1].Entity != p.Entity {
			keys = append(keys, nil)
		}
		keys[len(keys)-1] = append(keys[len(keys)-1], p)
	}
	return keys
}

// atOnce does all side by side.
func atOnce(all []func() error) error {
	var doing seam.Group
	errs := make([]error, len(all))
	for i, do := range all {
		doing.Go("sweep", func() { errs[i] = do() })
	}
	doing.Wait()
	return errors.Join(errs...)
}

// parts shares keys out among batches. Those of one entity stay together, since a stream of
// numbers may touch several tables.
func parts(keys [][]*store.Parked) [][][]*store.Parked {
	n := max(1, min(len(keys)/sweepRows, sweepAtOnce))
	all := make([][][]*store.Parked, n)
	at := map[string]int{}
	for _, key := range keys {
		i, known := at[key[0].Entity]
		if !known {
			i = len(at) % n
			at[key[0].Entity] = i
		}
		all[i] = append(all[i], key)
	}
	return all
}

// judge runs the keys as one batch, and in halves if the database refuses it (R18); then
// each event alone, without those that wait for it.
func (s *sweeper) judge(ctx context.Context, keys [][]*store.Parked, due func(*store.Parked) bool, alone bool, tries int) error {
	if len(keys) == 0 {
		return nil
	}
	refused, ran := map[string]error{}, map[string]*batch.Unit{}
	for try := 1; try <= tries; try++ {
		err := s.once(ctx, keys, due, refused, ran, alone, locks(try))
		if err == nil || ctx.Err() != nil {
			return err
		}
		st, wait := next(err, try)
		switch st {
		case stepSplit:
			if first, rest := halves(keys); rest != nil {
				// One bad half must not make the other wait for the lease.
				return errors.Join(s.judge(ctx, first, due, true, tries), s.judge(ctx, rest, due, true, tries))
			}
			if !alone {
				alone = true
				continue
			}
			if p := keys[0][0]; refused[p.ID] == nil {
				refused[p.ID] = err
				continue
			}
			return err
		case stepLayout:
			if err := s.m.reloadLayouts(ctx); err != nil {
				return err
			}
		case stepSettle, stepAbandon:
			// What was committed has another revision now: the lease ends, and
			// whoever claims the rest finds out.
			return err
		case stepAgain:
			if !errors.Is(err, store.ErrConflict) {
				return err
			}
			if first, rest := halves(keys); rest != nil && try >= sweepTogether {
				// What somebody has moved meanwhile stays moved however often this is
				// tried, and the others must not wait for the lease.
				return errors.Join(s.judge(ctx, first, due, true, sweepTogether), s.judge(ctx, rest, due, true, sweepTogether))
			}
		}
		if err := s.m.Clock.Sleep(ctx, wait/2+rand.N(wait+1)); err != nil { //nolint:gosec // jitter
			return err
		}
	}
	return store.ErrConflict
}

// halves splits the keys, and one key's events in the order of their places; rest is nil
// where a single event is left.
func halves(keys [][]*store.Parked) (first, rest [][]*store.Parked) {
	if n := len(keys) / 2; n > 0 {
		return keys[:n], keys[n:]
	}
	rows := keys[0]
	if n := len(rows) / 2; n > 0 {
		return [][]*store.Parked{rows[:n]}, [][]*store.Parked{rows[n:]}
	}
	return keys, nil
}

func (s *sweeper) once(ctx context.Context, keys [][]*store.Parked, due func(*store.Parked) bool, refused map[string]error, ran map[string]*batch.Unit, alone, lock bool) error {
	m := s.m
	layouts := m.layouts()
	var units []*batch.Unit
	var items []*batch.Item
	for _, key := range keys {
		for _, p := range key {
			u := m.Prepare.PrepareParked(s.patient(p))
			u.Item.Alone = alone
			if err := refused[p.ID]; err != nil {
				accuse(u, err)
			}
			if before := ran[p.ID]; before != nil {
				u.Recall(before)
			}
			ran[p.ID] = u
			units, items = append(units, u), append(items, u.Item)
		}
	}
	var out *batch.Outcome
	committed := false
	defer func() { m.probed(units, committed) }()
	for again := false; ; again = true {
		err := m.transact(ctx, batch.Gather(m.Group, items, layouts, nil), lock, func(loaded *store.Loaded) (_ *store.Batch, err error) {
			if out, err = m.Judge.Waiting(ctx, units, layouts, loaded, m.Clock.Now(), due, m.enough()); err != nil {
				return nil, err
			}
			if out.Incomplete && !again { // a replayed letter's unit parks where the queue was not read
				return nil, nil //nolint:nilnil // nothing is written yet
			}
			return out.Batch, nil
		})
		switch {
		case err != nil:
			return err
		case again || !out.Incomplete:
			committed = true
			s.claims.settled(out.Batch)
			m.swept(out)
			return nil
		}
	}
}

// retain lets the verdict journal, the letters and the memories of ids forget what is too
// old.
func (s *sweeper) retain(ctx context.Context) {
	now := s.m.Clock.Now()
	if now.Before(s.retention) {
		return
	}
	s.retention = now.Add(retainEvery/2 + rand.N(retainEvery)) //nolint:gosec // jitter
	for ctx.Err() == nil {
		n, err := s.m.Store.Retain(ctx, now.Add(-s.m.KeepVerdicts), retainPortion)
		if err != nil || n < retainPortion {
			break
		}
	}
	if n, err := s.m.Store.PurgeLetters(ctx, &store.LetterPurge{Group: s.m.Group, Before: now.Add(-s.m.KeepLetters), Portion: retainPortion, By: store.Retention()}); err != nil {
		s.m.log(Debug, "letters that ended are left to the next round", "error", err)
	} else if n > 0 {
		s.m.log(Debug, "purged letters that ended long ago", "letters", n)
	}
	if _, err := s.m.Store.PurgeJobs(ctx, s.m.Group, now.Add(-s.m.KeepLetters), retainPortion); err != nil {
		s.m.log(Debug, "letters of jobs that ended are left to the next round", "error", err)
	}
	for _, memory := range batch.Memories(s.m.Judge.Wiring, s.m.Topics) {
		n, err := s.forget(ctx, memory, now)
		if err != nil {
			s.m.log(Debug, "ids are left to the next round", "scope", memory.Scope, "error", err)
			return
		}
		if n > 0 {
			s.m.log(Debug, "forgot ids behind the horizon", "scope", memory.Scope, "ids", n)
		}
	}
}

// forget drops the ids of a scope that event time has left behind by more than the memory's
// span. How far it has come is what the slowest of the partitions says that are being read:
// a partition with a backlog would else find its events older than what the others have
// made the memory forget. One in which nothing has moved for as long holds up nobody.
func (s *sweeper) forget(ctx context.Context, memory batch.Memory, now time.Time) (int64, error) {
	reached, ok, err := s.m.Store.Reached(ctx, s.m.Group, now.Add(-memory.For))
	if err != nil || !ok {
		return 0, err
	}
	return s.m.Store.Forget(ctx, s.m.Group, memory.Scope, memory.ForgetsUpTo(reached, now), retainPortion)
}
