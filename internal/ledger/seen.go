package ledger

import "math"

// Seen is what rows may have seen of the log: every record below end, but for those in not.
// A record that is in neither will be judged at first sight should it ever be read (R6).
func (s *State) Seen() (end int64, not Ranges) {
	end, not = max(s.High, 0), s.Gaps
	if n := len(s.Done); n > 0 && s.Done[n-1].To > end {
		not = not.with(Range{From: end, To: s.Done[n-1].To})
		for _, done := range s.Done {
			not = not.without(done.From, done.To)
		}
		end = s.Done[n-1].To
	}
	return end, not.without(end, math.MaxInt64)
}
