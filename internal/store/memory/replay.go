package memory

import (
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

// parkReplay parks the event of a letter that is to be replayed, or of a whole record whose
// event is to count as seen; any other move takes away what was parked for that.
func (s *Store) parkReplay(t *tx, m *store.LetterMove, l *dlq.Letter) {
	have := s.parked[l.ID]
	var next *store.Parked
	switch {
	case m.Move == dlq.MoveReplay:
		next = store.ParkedOf(m, l)
	case m.LetsGo() && tables.WaitedForByAny(l):
		next = store.SeenOf(m, l)
	default:
		if have != nil && (have.Cause == store.CauseReplay || have.Cause == store.CauseSeen) {
			s.replaceParked(t, have, nil)
		}
		return
	}
	if have != nil {
		next.Rev = have.Rev + 1
	}
	s.replaceParked(t, have, next)
}

// resolve ends replays.
func (s *Store) resolve(t *tx, b *store.Batch) error {
	for _, r := range b.Resolve {
		have := s.letters[r.ID]
		if have == nil || have.State != dlq.Replaying {
			return store.ErrConflict
		}
		now := tables.Micros(b.Now)
		next := have.with(func(l *letter) {
			l.State, l.Outcome, l.PublishedAt, l.claimedUntil, l.swept, l.changed = dlq.Resolved, r.Outcome, time.Time{}, 0, true, now
			l.Rev++
			l.Attempts += r.Failed.Attempts
			if f := &r.Failed; r.Outcome == "" {
				l.State, l.LastFailed, l.Verdict = dlq.Open, now, f.Verdict
				l.ErrorType, l.Error, l.Stack, l.Fingerprint, l.ServiceVersion = f.ErrorType, f.Error, f.Stack, f.Fingerprint, f.ServiceVersion
			}
		})
		s.replaceLetter(t, have, next)
		e := r.Entry(have.Group, next.Rev)
		for at, x := range s.jobOf {
			if x.ID == r.ID && x.Rev == have.Rev && x.Result == dlq.ResultReplaying {
				e.Job = at.job
			}
		}
		s.keepAudit(t, e)
	}
	return nil
}
