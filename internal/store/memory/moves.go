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
	return s.transaction(ctx, s.move(m))
}

func (s *Store) move(m *store.LetterMove) func(*tx) error {
	return func(t *tx) error {
		if m.Take != nil {
			if err := s.taking(t, m.Take, dlq.ResultReplaying, ""); err != nil {
				return err
			}
		}
		l, after, err := s.movable(m)
		if err != nil {
			return err
		}
		if l.Blocking && l.State.Unresolved() != after.Unresolved() {
			if err := s.through(t, m, l.Letter); err != nil {
				return err
			}
		}
		if m.LetsGo() {
			if err := s.letGo(t, l.Letter); err != nil {
				return err
			}
		}
		s.parkReplay(t, m, l.Letter)
		s.keepAudit(t, m.Entry(l.Group, l.State, after, l.Rev+1))
		if m.Send != nil {
			if err := s.writeOutbox(t, &store.Batch{Outbox: []*store.Outbound{m.Send}}); err != nil {
				return err
			}
		}
		s.replaceLetter(t, l, l.with(func(l *letter) {
			if after != l.State {
				l.changed = s.now()
			}
			l.State, l.Outcome, l.PublishedAt, l.claimedUntil, l.swept = after, m.OutcomeOf(l.Letter), time.Time{}, 0, true
			l.Rev++
			if m.Revision != nil {
				l.Edits = m.Revised(l.Edits, tables.Micros(s.now()))
			}
			if m.Move == dlq.MoveFail {
				l.Attempts++
				l.LastFailed = tables.Micros(s.now())
			}
		}))
		return nil
	}
}

// movable is the letter of a move, and its state after that; the error says why it can't be
// moved.
func (s *Store) movable(m *store.LetterMove) (*letter, dlq.State, error) {
	l := s.letters[m.ID]
	if l == nil {
		return nil, "", &dlq.NotFoundError{ID: m.ID}
	}
	after, err := l.State.After(m.Move)
	if err != nil || m.Rev != 0 && m.Rev != l.Rev {
		return nil, "", store.Taken(l.Letter, m.Move, s.lastMoves(m.ID, 2))
	}
	return l, after, m.Refuse(l.Letter)
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

// letGo counts the letter's event as seen, frees its id and makes due what waits behind it.
func (s *Store) letGo(t *tx, l *dlq.Letter) error {
	stream := l.Stream
	if tables.WaitedFor(l) {
		stream = tables.CausesOf(l).Stream
		k := memoKey{l.Group, store.MemoOf(tables.CausesOf(l))}
		if have := s.memos[k]; have != nil {
			body, err := tables.SeenAfter(l, have.Body)
			if err != nil {
				return err
			}
			put(t, s.memos, k, &store.Memo{MemoKey: k.MemoKey, Rev: have.Rev + 1, Body: body})
		}
	}
	if l.Handler != "" {
		e := &event.Event{Source: l.Source, ID: l.EventID, Record: l.Record}
		k := idKey{l.Group, store.IDKey{Scope: store.OnceScope(l.Handler), Entity: l.Entity, ID: store.EventID(e.Identity())}}
		if have := s.ids[k]; have != nil {
			next := *have
			next.Held = false
			put(t, s.ids, k, &next)
		}
	}
	if !l.Blocking && !tables.WaitedFor(l) {
		return nil
	}
	if stream != "" {
		s.wake(t, queueKey{group: l.Group, stream: stream, entity: l.Entity}, time.UnixMicro(0), wakesInStream)
	}
	if l.Stream == "" {
		s.wake(t, queueKey{group: l.Group, table: l.Table, entity: l.Entity}, time.UnixMicro(0), func(p *store.Parked) bool {
			return p.Stream == "" && (p.Cause == store.CauseBehind || p.Cause == store.CauseReplay)
		})
	}
	return nil
}

// LastMove is store.LetterKeeper's.
func (s *Store) LastMove(ctx context.Context, letter string) (e *dlq.AuditEntry, err error) {
	err = s.transaction(ctx, func(*tx) error {
		if lines := s.lastMoves(letter, 1); len(lines) > 0 {
			e = lines[0]
		}
		return nil
	})
	return e, err
}

// lastMoves are the lines of a letter's last changes of state, the newest first.
func (s *Store) lastMoves(letter string, n int) (lines []*dlq.AuditEntry) {
	for _, e := range slices.Backward(s.audit) {
		if e.Letter == letter && e.After != "" && len(lines) < n {
			c := *e
			c.ID = 0
			lines = append(lines, &c)
		}
	}
	return lines
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
func (s *Store) PurgeLetters(ctx context.Context, purge *store.LetterPurge) (n int64, err error) {
	err = s.transaction(ctx, func(t *tx) error {
		for _, l := range s.letters {
			if _, err := l.State.After(dlq.MovePurge); err != nil || l.Group != purge.Group || !l.changed.Before(purge.Before) || l.PublishedAt.IsZero() {
				continue
			}
			n++
			s.replaceLetter(t, l, l.with(func(l *letter) {
				r := event.Record{
					Coordinates: l.Record.Coordinates, Timestamp: l.Record.Timestamp, TimestampType: l.Record.TimestampType,
				}
				if l.State != dlq.Resolved {
					l.Edits = nil
				}
				l.State, l.Record, l.Error, l.Stack, l.Verdict.Detail = dlq.Purged, &r, "", "", ""
				l.Rev++
				l.changed = s.now()
			}))
		}
		if n > 0 {
			s.keepAudit(t, purge.Entry(n))
		}
		return nil
	})
	return n, err
}

// LetterTopic is store.LetterKeeper's. Here nobody looks at it later.
func (s *Store) LetterTopic(context.Context, string, string) error { return nil }
