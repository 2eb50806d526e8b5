package memory

import (
	"context"
	"slices"
	"time"

	"github.com/evenkeel-go/evenkeel/internal/store"
)

// rehearsal holds the turn until End.
type rehearsal struct {
	s     *Store
	done  tx
	ended bool
}

// Rehearse is store.Rehearsals'.
func (s *Store) Rehearse(ctx context.Context) (store.Rehearsal, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	return &rehearsal{s: s}, nil
}

// End is store.Rehearsal's.
func (r *rehearsal) End() {
	if !r.ended {
		r.ended = true
		r.done.rollback()
		r.s.leave()
	}
}

// do runs fn, and takes back what it did if it fails.
func (r *rehearsal) do(fn func(t *tx) error) error {
	if r.ended {
		return errEnded
	}
	t := &tx{}
	if err := fn(t); err != nil {
		t.rollback()
		return err
	}
	r.done.undo = append(r.done.undo, t.undo...)
	return nil
}

// Replay is store.Rehearsal's. The line in the audit goes with the rest.
func (r *rehearsal) Replay(_ context.Context, m *store.LetterMove) error {
	return r.do(r.s.move(m))
}

// Parked is store.Rehearsal's.
func (r *rehearsal) Parked(_ context.Context, id string) (*store.Parked, error) {
	if r.ended {
		return nil, errEnded
	}
	if p := r.s.parked[id]; p != nil {
		return clone(p), nil
	}
	return nil, nil //nolint:nilnil // no row is an answer
}

// Due is store.Rehearsal's.
func (r *rehearsal) Due(_ context.Context, group, entity string, now time.Time) (ids []string, err error) {
	if r.ended {
		return nil, errEnded
	}
	var due []*store.Parked
	for _, p := range r.s.parked {
		if p.Group == group && p.Entity == entity && !p.Due.After(now) && p.Cause != store.CauseReplay {
			due = append(due, p)
		}
	}
	slices.SortFunc(due, byPlace)
	for _, p := range due {
		ids = append(ids, p.ID)
	}
	return ids, nil
}

// Lock is store.Rehearsal's.
func (r *rehearsal) Lock(_ context.Context, want *store.Want) (store.Locked, error) {
	if r.ended {
		return nil, errEnded
	}
	l, err := r.s.load(want)
	if err != nil {
		return nil, err
	}
	return &rehearsedBatch{r: r, loaded: l}, nil
}

type rehearsedBatch struct {
	r      *rehearsal
	loaded *store.Loaded
	ended  bool
}

// Loaded is store.Locked's.
func (b *rehearsedBatch) Loaded() *store.Loaded { return b.loaded }

// Rollback is store.Locked's. Nothing was written since Lock.
func (b *rehearsedBatch) Rollback() { b.ended = true }

// Commit is store.Locked's.
func (b *rehearsedBatch) Commit(_ context.Context, batch *store.Batch) error {
	if b.ended {
		return errEnded
	}
	b.ended = true
	return b.r.do(func(t *tx) error {
		quiet := batch.Quiet()
		quiet.Resolve = batch.Resolve // its lines in the audit go with the rest
		return b.r.s.write(t, quiet)
	})
}
