package memory

import (
	"context"
	"slices"
	"time"

	"github.com/evenkeel-go/evenkeel/internal/ledger"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

// outbound is a stored row of the outbox; like all that is stored it is replaced and never
// changed, and so is the list of them.
type outbound struct {
	*store.Outbound
	claimedUntil int64
}

func (s *Store) setOutbox(t *tx, next []*outbound) {
	before := s.outbox
	t.undo = append(t.undo, func() { s.outbox = before })
	s.outbox = next
}

func (s *Store) writeOutbox(t *tx, b *store.Batch) error {
	if len(b.Sent) > 0 {
		s.sent(t, b.Sent)
	}
	if len(b.Outbox) == 0 {
		return nil
	}
	next := slices.Clone(s.outbox)
	for _, o := range b.Outbox {
		if slices.ContainsFunc(next, func(have *outbound) bool { return have.ID == o.ID }) {
			continue
		}
		kept := &outbound{Outbound: &store.Outbound{}}
		if err := tables.Assign(s.outFields, kept.Outbound, o); err != nil {
			return err
		}
		next = append(next, kept)
	}
	s.setOutbox(t, next)
	return nil
}

func (s *Store) sent(t *tx, ids []string) {
	s.setOutbox(t, slices.DeleteFunc(slices.Clone(s.outbox), func(o *outbound) bool { return slices.Contains(ids, o.ID) }))
}

// Sent is store.Outbox's.
func (s *Store) Sent(ctx context.Context, ids []string) error {
	return s.transaction(ctx, func(t *tx) error { s.sent(t, ids); return nil })
}

func (o *outbound) shown() *store.Outbound {
	c := *o.Outbound
	return &c
}

// Unsent is store.Outbox's.
func (s *Store) Unsent(ctx context.Context, key ledger.Key) (out []*store.Outbound, err error) {
	err = s.transaction(ctx, func(*tx) error {
		for _, o := range s.outbox {
			if c := o.Origin; !o.Swept && o.Group == key.Group && c.Cluster == key.Cluster && c.TopicID == key.TopicID && c.Partition == key.Partition {
				out = append(out, o.shown())
			}
		}
		return nil
	})
	return out, err
}

// UnsentLeftovers is store.Outbox's.
func (s *Store) UnsentLeftovers(ctx context.Context, group string, now, before time.Time, d time.Duration, limit int) (out []*store.Outbound, err error) {
	const abandoned = time.Hour
	type line struct{ topic, key string }
	err = s.transaction(ctx, func(t *tx) error {
		next := slices.Clone(s.outbox)
		mine := map[line]bool{} // false: somebody else's, or too young
		for i, o := range next {
			old := before
			if !o.Swept {
				old = old.Add(-abandoned)
			}
			free := o.CreatedAt.Before(tables.Micros(old))
			if o.Group != group || len(out) == limit {
				continue
			}
			if l := (line{o.Topic, string(o.Key)}); o.Key != nil {
				if first, seen := mine[l]; seen {
					free = free && first
				} else {
					free = free && o.claimedUntil <= now.UnixMicro()
					mine[l] = free
				}
			} else {
				free = free && o.claimedUntil <= now.UnixMicro()
			}
			if free {
				next[i] = &outbound{o.Outbound, now.Add(d).UnixMicro()}
				out = append(out, o.shown())
			}
		}
		s.setOutbox(t, next)
		return nil
	})
	return out, err
}
