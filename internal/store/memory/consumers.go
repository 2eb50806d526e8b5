package memory

import (
	"context"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// Beat is store.Consumers'. Nobody asks this store for its members.
func (s *Store) Beat(ctx context.Context, m *store.Member) (controls []store.Control, err error) {
	err = s.transaction(ctx, func(*tx) error {
		for scope, c := range s.controls {
			if scope.Group == m.Group {
				controls = append(controls, c)
			}
		}
		return nil
	})
	return controls, err
}

// Leave is store.Consumers'.
func (*Store) Leave(ctx context.Context, _ string) error { return ctx.Err() }

// Pause is store.Consumers'.
func (s *Store) Pause(ctx context.Context, a *store.ControlAct) (ok bool, err error) {
	err = s.transaction(ctx, func(t *tx) error {
		c := s.controls[a.Scope]
		if ok = !c.Paused; !ok {
			return nil
		}
		s.control(a, true, c.Resumes)
		s.keepAudit(t, a.Entry(dlq.VerbPause))
		return nil
	})
	return ok, err
}

// Resume is store.Consumers'.
func (s *Store) Resume(ctx context.Context, a *store.ControlAct) (lifted int64, err error) {
	err = s.transaction(ctx, func(t *tx) error {
		for scope, c := range s.controls {
			if c.Paused && scope.Group == a.Group && (a.Topic == "" || a.Topic == scope.Topic) && (a.Partition == store.AllPartitions || a.Partition == scope.Partition) {
				of := *a
				of.Scope = scope
				s.control(&of, false, c.Resumes)
				lifted++
			}
		}
		all := store.Scope{Group: a.Group, Partition: store.AllPartitions}
		c := s.controls[all]
		c.Scope = all
		c.Resumes++
		s.controls[all] = c
		s.keepAudit(t, a.Entry(dlq.VerbResume))
		return nil
	})
	return lifted, err
}

func (s *Store) control(a *store.ControlAct, paused bool, resumes int64) {
	s.controls[a.Scope] = store.Control{Scope: a.Scope, Paused: paused, Resumes: resumes, At: s.now(), By: a.By.Name, Reason: a.Reason}
}
