package memory

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/internal/ledger"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

// letter is a stored letter; like all that is stored it is replaced and never changed.
type letter struct {
	*dlq.Letter
	swept        bool
	claimedUntil int64
	changed      time.Time // when its state changed last
}

// replaceParked puts next where old was; either may be nil.
func (s *Store) replaceParked(t *tx, old, next *store.Parked) {
	if old != nil {
		for _, k := range queuesOf(old) {
			if rest := without(s.queues[k], old); len(rest) > 0 {
				put(t, s.queues, k, rest)
			} else {
				drop(t, s.queues, k)
			}
		}
		drop(t, s.parked, old.ID)
	}
	if next != nil {
		for _, k := range queuesOf(next) {
			put(t, s.queues, k, withOne(s.queues[k], next, byPlace))
		}
		put(t, s.parked, next.ID, next)
	}
}

// queuesOf names the queues that a parked row stands in: that of its entity always, since
// whoever waits there for the row to be made must be seen.
func queuesOf(p *store.Parked) []queueKey {
	ks := []queueKey{{group: p.Group, table: p.Table, entity: p.Entity}}
	if p.Stream != "" {
		ks = append(ks, queueKey{group: p.Group, stream: p.Stream, entity: p.Entity})
	}
	return ks
}

// queueOf names the one queue that a letter stands in.
func queueOf(l *letter) queueKey {
	if l.Stream != "" {
		return queueKey{group: l.Group, stream: l.Stream, entity: l.Entity}
	}
	return queueKey{group: l.Group, table: l.Table, entity: l.Entity}
}

func waitsForNumbers(p *store.Parked) bool {
	return p.Cause == store.CauseGap || p.Cause == store.CauseBehind
}

func wakesInStream(p *store.Parked) bool { return waitsForNumbers(p) || p.Cause == store.CauseReplay }

// wake makes due what is asked for in a queue.
func (s *Store) wake(t *tx, k queueKey, now time.Time, which func(*store.Parked) bool) {
	for _, have := range s.queues[k] {
		if !which(have) {
			continue
		}
		next := *have
		next.Due = tables.Micros(now)
		next.Rev++
		s.replaceParked(t, have, &next)
	}
}

func (s *Store) writeParked(t *tx, b *store.Batch) error {
	for _, m := range b.Release {
		have := s.parked[m.ID]
		if have == nil || have.Rev != m.Rev {
			return store.ErrConflict
		}
		s.replaceParked(t, have, nil)
	}
	for _, p := range b.Repark {
		have := s.parked[p.ID]
		if have == nil || have.Rev != p.Rev {
			return store.ErrConflict
		}
		next := *have
		if err := tables.Assign(s.reparkFields, &next, p); err != nil {
			return err
		}
		next.Rev = have.Rev + 1
		s.replaceParked(t, have, &next)
	}
	for _, p := range b.Park {
		next := &store.Parked{}
		if err := tables.Assign(s.parkedFields, next, p); err != nil {
			return err
		}
		have := s.parked[next.ID]
		if have != nil {
			next.Rev = have.Rev + 1
		}
		s.replaceParked(t, have, next)
	}
	for _, k := range b.Wake {
		s.wake(t, queueKey{group: b.Group, table: k.Table, entity: k.Entity}, b.Now, func(p *store.Parked) bool {
			return p.Cause == store.CauseMissing || p.Cause == store.CauseBehind || p.Cause == store.CauseReplay
		})
	}
	for _, k := range b.WakeStreams {
		s.wake(t, queueKey{group: b.Group, stream: k.Stream, entity: k.Entity}, b.Now, func(p *store.Parked) bool { return wakesInStream(p) && p.Place < k.Next })
	}
	return nil
}

// claim is what a sweeper holds.
type claim struct {
	until time.Time
	marks []store.Mark
}

// Due is store.Store's.
func (s *Store) Due(ctx context.Context, q *store.DueQuery) (parked []*store.Parked, err error) {
	err = s.transaction(ctx, func(*tx) error {
		until := map[store.Mark]time.Time{}
		hold := func(c claim) {
			for _, m := range c.marks {
				until[m] = c.until
			}
		}
		for owner, c := range s.claims[q.Group] {
			if owner != q.Owner && c.until.After(q.Now) {
				hold(c)
			}
		}
		mine := claim{until: tables.Micros(q.Now.Add(q.Lease)), marks: slices.Clone(q.Holding)}
		hold(mine)
		free := func(p *store.Parked) bool {
			_, held := until[p.Mark()]
			return !held && !p.Due.After(q.Now)
		}
		var due []*store.Parked
		for _, p := range s.parked {
			if p.Group == q.Group && free(p) {
				due = append(due, p)
			}
		}
		slices.SortFunc(due, func(a, b *store.Parked) int { return cmp.Or(a.Due.Compare(b.Due), cmp.Compare(a.ID, b.ID)) })
		seen := map[queueKey]bool{}
		for _, first := range due[:min(q.Limit, len(due))] {
			k := queueKey{group: q.Group, table: first.Table, entity: first.Entity}
			if seen[k] {
				continue
			}
			seen[k] = true
			queue := slices.Clone(s.queues[k])
			slices.SortStableFunc(queue, func(a, b *store.Parked) int { return cmp.Compare(rank(free(a)), rank(free(b))) })
			queue = queue[:min(q.PerKey, len(queue), store.DueRows-len(parked))]
			slices.SortFunc(queue, byPlace)
			for _, p := range queue {
				shown := clone(p)
				parked = append(parked, shown)
				switch m := p.Mark(); {
				case free(p):
					mine.marks = append(mine.marks, m)
				case !p.Due.After(q.Now):
					shown.Due = until[m]
				}
			}
		}
		if s.claims[q.Group] == nil {
			s.claims[q.Group] = map[string]claim{}
		}
		s.claims[q.Group][q.Owner] = mine
		return nil
	})
	return parked, err
}

// Renew is store.Store's.
func (s *Store) Renew(ctx context.Context, group, owner string, until time.Time) error {
	return s.transaction(ctx, func(*tx) error {
		if c, ok := s.claims[group][owner]; ok {
			c.until = tables.Micros(until)
			s.claims[group][owner] = c
		}
		return nil
	})
}

// Postpone is store.Store's.
func (s *Store) Postpone(ctx context.Context, rows []store.Mark, due time.Time) error {
	return s.transaction(ctx, func(t *tx) error {
		for _, m := range rows {
			if p := s.parked[m.ID]; p != nil && p.Rev == m.Rev {
				later := *p
				later.Due = tables.Micros(due)
				s.replaceParked(t, p, &later)
			}
		}
		return nil
	})
}

// rank puts what holds first.
func rank(first bool) int {
	if first {
		return 0
	}
	return 1
}

// clone is a parked row that its receiver may change.
func clone(p *store.Parked) *store.Parked {
	c := *p
	r := *p.Record
	c.Record = &r
	return &c
}

func (s *Store) writeLetters(t *tx, b *store.Batch) error {
	for i, l := range slices.Concat(b.Letters, b.SweptLetters) {
		next := &letter{Letter: &dlq.Letter{}, swept: b.Ledger == nil || i >= len(b.Letters)}
		if err := tables.Assign(s.letterFields, next.Letter, l); err != nil {
			return err
		}
		have := s.letters[next.ID]
		if have != nil {
			next.Rev, next.PublishedAt, next.Edits = have.Rev+1, time.Time{}, have.Edits
		}
		s.replaceLetter(t, have, next)
	}
	for _, m := range b.Marks {
		s.mark(t, m, b.Now)
	}
	return nil
}

func (s *Store) replaceLetter(t *tx, old, next *letter) {
	if old != nil {
		k := queueOf(old)
		put(t, s.lettersOf, k, without(s.lettersOf[k], old))
	}
	k := queueOf(next)
	put(t, s.lettersOf, k, withOne(s.lettersOf[k], next, func(a, b *letter) int {
		return cmp.Or(cmp.Compare(a.Place, b.Place), cmp.Compare(a.ID, b.ID))
	}))
	put(t, s.letters, next.ID, next)
}

func (s *Store) mark(t *tx, m store.Mark, at time.Time) {
	have := s.letters[m.ID]
	if have == nil || have.Rev != m.Rev {
		return
	}
	s.replaceLetter(t, have, have.with(func(l *letter) { l.PublishedAt = tables.Micros(at) }))
}

// with is a changed copy.
func (l *letter) with(change func(*letter)) *letter {
	c := *l
	inner := *l.Letter
	c.Letter = &inner
	change(&c)
	return &c
}

// shown is a letter that its receiver may change.
func (l *letter) shown() *dlq.Letter {
	c := *l.Letter
	r := *l.Record
	c.Record = &r
	return &c
}

// Unpublished is store.Store's.
func (s *Store) Unpublished(ctx context.Context, key ledger.Key) (letters []*dlq.Letter, err error) {
	err = s.transaction(ctx, func(*tx) error {
		for _, l := range s.letters {
			c := l.Record.Coordinates
			if l.PublishedAt.IsZero() && !l.swept && l.Group == key.Group && c.TopicID == key.TopicID && c.Partition == key.Partition && c.Cluster == key.Cluster {
				letters = append(letters, l.shown())
			}
		}
		slices.SortFunc(letters, byCoordinates)
		return nil
	})
	return letters, err
}

func byCoordinates(a, b *dlq.Letter) int {
	x, y := a.Record.Coordinates, b.Record.Coordinates
	return cmp.Or(cmp.Compare(x.TopicID, y.TopicID), cmp.Compare(x.Partition, y.Partition), cmp.Compare(x.Offset, y.Offset), cmp.Compare(a.ID, b.ID))
}

// Leftovers is store.Store's.
func (s *Store) Leftovers(ctx context.Context, group string, now, before time.Time, d time.Duration, limit int) (letters []*dlq.Letter, err error) {
	err = s.transaction(ctx, func(t *tx) error {
		for _, l := range s.letters {
			if l.PublishedAt.IsZero() && l.Group == group && l.CreatedAt.Before(tables.Micros(before)) && l.claimedUntil <= now.UnixMicro() {
				letters = append(letters, l.shown())
			}
		}
		slices.SortFunc(letters, byCoordinates)
		letters = letters[:min(limit, len(letters))]
		for _, l := range letters {
			have := s.letters[l.ID]
			s.replaceLetter(t, have, have.with(func(l *letter) { l.claimedUntil = now.Add(d).UnixMicro() }))
		}
		return nil
	})
	return letters, err
}

// Mark is store.Store's.
func (s *Store) Mark(ctx context.Context, marks []store.Mark) error {
	return s.transaction(ctx, func(t *tx) error {
		for _, m := range marks {
			s.mark(t, m, s.now())
		}
		return nil
	})
}

// LastDue is when the last parked row is due; ok is false when nothing is parked.
func (s *Store) LastDue() (due time.Time, ok bool) {
	s.turn <- struct{}{}
	defer s.leave()
	for _, p := range s.parked {
		if !ok || p.Due.After(due) {
			due, ok = p.Due, true
		}
	}
	return due, ok
}
