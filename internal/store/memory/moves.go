package memory

import (
	"context"
	"slices"
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

// blocking are those of the letters that later events wait for.
func blocking(letters []*letter) []*letter {
	return slices.DeleteFunc(slices.Clone(letters), func(l *letter) bool { return !l.Blocking || !l.State.Unresolved() })
}

// MoveLetter is store.LetterKeeper's.
func (s *Store) MoveLetter(ctx context.Context, m *store.LetterMove) error {
	return s.transaction(ctx, func(t *tx) error {
		l := s.letters[m.ID]
		if l == nil {
			return &dlq.NotFoundError{ID: m.ID}
		}
		after, err := l.State.After(m.Move)
		if err != nil || m.Rev != 0 && m.Rev != l.Rev {
			e := &dlq.TakenError{ID: m.ID, Move: m.Move, State: l.State}
			if last := s.lastMove(m.ID); last != nil && last.Rev == l.Rev {
				e.First = last
			}
			return e
		}
		if err := m.Refuse(l.Letter); err != nil {
			return err
		}
		if l.Blocking && l.State.Unresolved() != after.Unresolved() {
			if err := s.through(t, m, l.Letter); err != nil {
				return err
			}
		}
		if m.LetsGo() {
			s.letGo(t, l.Letter)
		}
		s.parkReplay(t, m, l.Letter)
		s.keepAudit(t, m.Entry(l.Group, l.State, after, l.Rev+1))
		s.replaceLetter(t, l, l.with(func(l *letter) {
			l.State, l.Outcome, l.PublishedAt, l.claimedUntil, l.swept = after, m.Outcome, time.Time{}, 0, true
			l.Rev++
			l.changed = s.now()
			if m.Move == dlq.MoveFail {
				l.Attempts++
				l.LastFailed = tables.Micros(s.now())
			}
		}))
		return nil
	})
}

// through makes the move known to batches that have loaded the letter, or its absence (R9).
func (s *Store) through(t *tx, m *store.LetterMove, l *dlq.Letter) error {
	if l.Stream == "" {
		of := s.tables[l.Table]
		if of == nil || of.rows[l.Entity] == nil {
			return nil
		}
		next := *of.rows[l.Entity]
		next.guarded.EkRev++
		put(t, of.rows, l.Entity, &next)
		return nil
	}
	k := memoKey{l.Group, store.MemoOf(store.StreamKey{Stream: l.Stream, Entity: l.Entity})}
	have := s.memos[k]
	if have == nil {
		return nil
	}
	body, err := tables.SkipGap(m, l, have.Body)
	if err != nil {
		return err
	}
	put(t, s.memos, k, &store.Memo{MemoKey: k.MemoKey, Rev: have.Rev + 1, Body: body})
	return nil
}

// letGo frees the event's id and makes due what waits behind the letter.
func (s *Store) letGo(t *tx, l *dlq.Letter) {
	if l.Handler != "" {
		e := &event.Event{Source: l.Source, ID: l.EventID, Record: l.Record}
		k := idKey{l.Group, store.IDKey{Scope: store.OnceScope(l.Handler), Entity: l.Entity, ID: store.EventID(e.Identity())}}
		if have := s.ids[k]; have != nil {
			next := *have
			next.Held = false
			put(t, s.ids, k, &next)
		}
	}
	if !l.Blocking {
		return
	}
	k := queueKey{group: l.Group, table: l.Table, entity: l.Entity}
	which := func(p *store.Parked) bool {
		return p.Stream == "" && (p.Cause == store.CauseBehind || p.Cause == store.CauseReplay)
	}
	if l.Stream != "" {
		k, which = queueKey{group: l.Group, stream: l.Stream, entity: l.Entity}, wakesInStream
	}
	s.wake(t, k, time.UnixMicro(0), which)
}

// LastMove is store.LetterKeeper's.
func (s *Store) LastMove(ctx context.Context, letter string) (e *dlq.AuditEntry, err error) {
	err = s.transaction(ctx, func(*tx) error {
		e = s.lastMove(letter)
		return nil
	})
	return e, err
}

func (s *Store) lastMove(letter string) *dlq.AuditEntry {
	for _, e := range slices.Backward(s.audit) {
		if e.Letter == letter && e.After != "" {
			c := *e
			c.ID = 0
			return &c
		}
	}
	return nil
}

func (s *Store) keepAudit(t *tx, e *dlq.AuditEntry) {
	e.At, e.ID = tables.Micros(s.now()), int64(len(s.audit)+1)
	before := len(s.audit)
	t.undo = append(t.undo, func() { s.audit = s.audit[:before] })
	s.audit = append(s.audit, e)
}

// AddNote is store.LetterKeeper's.
func (s *Store) AddNote(ctx context.Context, n *dlq.Note) error {
	return s.transaction(ctx, func(t *tx) error {
		e := &dlq.AuditEntry{By: n.By, Verb: dlq.VerbNote, Reason: n.Body, Letter: n.Letter, Subject: n.Fingerprint}
		if n.Letter != "" {
			l := s.letters[n.Letter]
			if l == nil {
				return &dlq.NotFoundError{ID: n.Letter}
			}
			e.Group, e.Rev = l.Group, l.Rev
		}
		s.notes = append(s.notes, *n)
		s.keepAudit(t, e)
		return nil
	})
}

// PurgeLetters is store.LetterKeeper's. Nobody waits here, so it is one portion.
func (s *Store) PurgeLetters(ctx context.Context, group string, before time.Time, _ int) (n int64, err error) {
	err = s.transaction(ctx, func(t *tx) error {
		for _, l := range s.letters {
			if _, err := l.State.After(dlq.MovePurge); err != nil || l.Group != group || !l.changed.Before(before) || l.PublishedAt.IsZero() {
				continue
			}
			n++
			s.replaceLetter(t, l, l.with(func(l *letter) {
				r := event.Record{
					Coordinates: l.Record.Coordinates, Timestamp: l.Record.Timestamp, TimestampType: l.Record.TimestampType,
				}
				l.State, l.Record, l.Error, l.Stack, l.Verdict.Detail = dlq.Purged, &r, "", "", ""
				l.Rev++
				l.changed = s.now()
			}))
		}
		if n > 0 {
			s.keepAudit(t, store.PurgeEntry(group, n, before))
		}
		return nil
	})
	return n, err
}

// LetterTopic is store.LetterKeeper's. Here nobody looks at it later.
func (s *Store) LetterTopic(context.Context, string, string) error { return nil }
