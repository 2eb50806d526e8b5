package memory

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

// Load is store.Store's.
func (s *Store) Load(ctx context.Context, want *store.Want) (*store.Loaded, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	return s.load(want)
}

func (s *Store) load(want *store.Want) (*store.Loaded, error) {
	l := &store.Loaded{
		Rows: make(map[string]map[string]*store.Row, len(want.Rows)),
		IDs:  make(map[store.IDKey]*store.ID, len(want.IDs)), Memos: make(map[store.MemoKey]*store.Memo, len(want.Memos)),
	}
	for i := range want.Rows {
		w := &want.Rows[i]
		t, err := s.table(w.Model)
		if err != nil {
			return nil, err
		}
		have := make(map[string]*store.Row, len(w.Keys))
		l.Rows[w.Model.Table] = have
		for _, key := range w.Keys {
			r, err := t.load(w, key)
			if err != nil {
				return nil, err
			}
			if r != nil {
				have[key] = r
			}
		}
		if w.Parked {
			s.loadQueues(want.Group, w, l)
		}
	}
	for _, k := range want.IDs {
		if have := s.ids[idKey{want.Group, k}]; have != nil {
			i := *have
			i.Known = true
			l.IDs[k] = &i
		}
	}
	for _, k := range want.Memos {
		if have := s.memos[memoKey{want.Group, k}]; have != nil {
			m := *have
			l.Memos[k] = &m
		}
	}
	s.loadStreams(want, l)
	s.loadUnits(want, l)
	return l, nil
}

func (s *Store) loadQueues(group string, w *store.WantRows, l *store.Loaded) {
	for _, key := range w.Keys {
		k := queueKey{group: group, table: w.Model.Table, entity: key}
		parked, letters := s.queues[k], s.lettersOf[k]
		q := &store.Queue{}
		for _, p := range parked {
			q.Parked = append(q.Parked, store.QueueEntry{ID: p.ID, Handler: p.Handler, Cause: p.Cause, Place: p.Place, Due: p.Due, Stream: p.Stream})
			if p.Stream == "" {
				q.LastPlace = max(q.LastPlace, p.Place)
			}
		}
		for _, x := range letters {
			if x.Blocking && x.State.Unresolved() {
				q.Letters = append(q.Letters, store.QueueEntry{ID: x.ID, Handler: x.Handler, Place: x.Place})
			}
			q.LastPlace = max(q.LastPlace, x.Place)
		}
		if len(q.Parked) == 0 && len(q.Letters) == 0 {
			continue
		}
		if l.Queues == nil {
			l.Queues = map[string]map[string]*store.Queue{}
		}
		if l.Queues[w.Model.Table] == nil {
			l.Queues[w.Model.Table] = map[string]*store.Queue{}
		}
		l.Queues[w.Model.Table][key] = q
	}
}

func (s *Store) loadStreams(want *store.Want, l *store.Loaded) {
	if len(want.Streams) > 0 {
		l.Streams = map[store.StreamKey]*store.Stream{}
	}
	for _, key := range want.Streams {
		if key.Stream == "" {
			continue
		}
		k := queueKey{group: want.Group, stream: key.Stream, entity: key.Entity}
		st := &store.Stream{}
		for _, p := range s.queues[k] {
			st.Parked = append(st.Parked, store.QueueEntry{ID: p.ID, Handler: p.Handler, Cause: p.Cause, Place: p.Place, Due: p.Due, Stream: p.Stream})
			if waitsForNumbers(p) && len(st.Rows) < store.StreamRows {
				st.Rows = append(st.Rows, clone(p))
			}
		}
		for _, x := range s.lettersOf[k] {
			if x.Blocking && x.State.Unresolved() {
				st.Letters = append(st.Letters, store.QueueEntry{ID: x.ID, Handler: x.Handler, Place: x.Place, Stream: x.Stream})
			}
		}
		if len(st.Parked) > 0 || len(st.Letters) > 0 {
			l.Streams[key] = st
		}
	}
}

func (s *Store) loadUnits(want *store.Want, l *store.Loaded) {
	if len(want.Judged) == 0 {
		return
	}
	type place struct {
		cluster, topicID string
		partition        int32
		offset           int64
	}
	judged := make(map[place]bool, len(want.Judged))
	for _, c := range want.Judged {
		judged[place{c.Cluster, c.TopicID, c.Partition, c.Offset}] = true
	}
	for id, x := range s.letters {
		if c := x.Record.Coordinates; x.Group == want.Group && judged[place{c.Cluster, c.TopicID, c.Partition, c.Offset}] {
			l.Judged(id, store.HadEffect(x.Outcome))
		}
	}
	for id, p := range s.parked {
		if c := p.Record.Coordinates; p.Group == want.Group && judged[place{c.Cluster, c.TopicID, c.Partition, c.Offset}] {
			l.Judged(id, false)
		}
	}
}

// Commit is store.Store's.
func (s *Store) Commit(ctx context.Context, b *store.Batch) error {
	return s.transaction(ctx, func(t *tx) error { return s.write(t, b) })
}

// write does what the databases' statements do, in their order.
func (s *Store) write(t *tx, b *store.Batch) error {
	for _, step := range [...]func(*tx, *store.Batch) error{
		func(_ *tx, b *store.Batch) error { return s.absent(b) },
		s.writeRows, s.writeAged, s.unremember, s.writeMemory, s.writeParked, s.writeLetters, s.resolve, s.writeOutbox,
	} {
		if err := step(t, b); err != nil {
			return err
		}
	}
	s.journal(t, b.Group, b.Now, b.Verdicts)
	if b.Ledger == nil {
		return nil
	}
	return s.moveLedger(t, b.Ledger, b.Now)
}

func (s *Store) writeMemory(t *tx, b *store.Batch) error {
	for _, m := range b.Memos {
		k := memoKey{b.Group, m.MemoKey}
		next := *m
		switch have := s.memos[k]; {
		case m.Rev == 0 && have == nil:
			next.Rev = b.Now.UnixMicro()
		case m.Rev != 0 && have != nil && have.Rev == m.Rev:
			next.Rev++
		default:
			return store.ErrConflict
		}
		put(t, s.memos, k, &next)
	}
	for _, i := range b.IDs {
		k := idKey{b.Group, i.IDKey}
		have := s.ids[k]
		if i.Known != (have != nil) {
			return store.ErrConflict
		}
		next := *i
		if i.Known {
			next = *have
			next.Held = i.Held
		}
		next.At, next.Known = tables.Micros(next.At), false
		put(t, s.ids, k, &next)
	}
	return nil
}

// locked holds the turn until Commit or Rollback.
type locked struct {
	s      *Store
	loaded *store.Loaded
	ended  bool
}

// Lock is store.Store's.
func (s *Store) Lock(ctx context.Context, want *store.Want) (store.Locked, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	l, err := s.load(want)
	if err != nil {
		s.leave()
		return nil, err
	}
	return &locked{s: s, loaded: l}, nil
}

// Loaded is store.Locked's.
func (l *locked) Loaded() *store.Loaded { return l.loaded }

var errEnded = errors.New("evenkeel: Commit after the end of Locked")

// Commit is store.Locked's.
func (l *locked) Commit(_ context.Context, b *store.Batch) error {
	if l.ended {
		return errEnded
	}
	defer l.Rollback()
	t := &tx{}
	err := l.s.write(t, b)
	if err != nil {
		t.rollback()
	}
	return err
}

// Rollback is store.Locked's.
func (l *locked) Rollback() {
	if !l.ended {
		l.ended = true
		l.s.leave()
	}
}

// withOne returns the list with one more, in order; without returns it with one less. The
// list that was given stays as it is.
func withOne[T any](list []T, one T, order func(a, b T) int) []T {
	at, _ := slices.BinarySearchFunc(list, one, order)
	return slices.Insert(slices.Clone(list), at, one)
}

func without[T comparable](list []T, one T) []T {
	return slices.DeleteFunc(slices.Clone(list), func(x T) bool { return x == one })
}

// journal writes verdicts.
func (s *Store) journal(t *tx, group string, now time.Time, verdicts []store.Verdict) {
	if len(verdicts) == 0 {
		return
	}
	before := len(s.verdicts)
	t.undo = append(t.undo, func() { s.verdicts = s.verdicts[:before] })
	for _, v := range verdicts {
		s.verdicts = append(s.verdicts, verdict{v, now, group})
	}
}
