package memory

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// beat is what a member last said, and when.
type beat struct {
	store.Member
	seen time.Time
}

// Beat is store.Consumers'.
func (s *Store) Beat(ctx context.Context, m *store.Member) (controls []store.Control, err error) {
	err = s.transaction(ctx, func(*tx) error {
		s.beats[m.ID] = beat{*m, s.now()}
		maps.DeleteFunc(s.beats, func(_ string, b beat) bool { return b.Group == m.Group && s.now().Sub(b.seen) > store.MemberSilence })
		for scope, c := range s.controls {
			if scope.Group == m.Group {
				controls = append(controls, c)
			}
		}
		return nil
	})
	return controls, err
}

// Peers is store.Consumers'.
func (s *Store) Peers(ctx context.Context, group, id string) (peers []store.Member, err error) {
	err = s.transaction(ctx, func(*tx) error {
		for _, b := range s.beats {
			if b.Group == group && b.ID != id && s.now().Sub(b.seen) <= store.MemberSilent {
				peers = append(peers, b.Member)
			}
		}
		return nil
	})
	slices.SortFunc(peers, func(a, b store.Member) int {
		return cmp.Or(strings.Compare(a.Owner, b.Owner), strings.Compare(a.ID, b.ID))
	})
	return peers, err
}

// Leave is store.Consumers'.
func (s *Store) Leave(ctx context.Context, id string) error {
	return s.transaction(ctx, func(*tx) error {
		delete(s.beats, id)
		return nil
	})
}

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
