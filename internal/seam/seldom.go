package seam

import (
	"sync"
	"time"
)

// Seldom lets a thing of a kind happen once in a while, like a line in a log that would
// come again and again.
type Seldom struct {
	// Every is the time between two of a kind.
	Every time.Duration
	// Max bounds the kinds that are remembered; when there are more, all are forgotten.
	Max int

	mu   sync.Mutex
	seen map[string]*turn
}

type turn struct {
	next   time.Time
	silent int
}

// Now reports whether one of the kind may happen at the time, and then how many were kept
// silent since the last.
func (s *Seldom) Now(kind string, now time.Time) (silent int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.seen[kind]
	if t == nil {
		if s.seen == nil || len(s.seen) >= s.Max {
			s.seen = map[string]*turn{}
		}
		t = &turn{}
		s.seen[kind] = t
	}
	if now.Before(t.next) {
		t.silent++
		return 0, false
	}
	silent = t.silent
	t.next, t.silent = now.Add(s.Every), 0
	return silent, true
}
