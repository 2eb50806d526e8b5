package ledger

import "slices"

// FirstSight reports whether the record at offset o is judged for the first time, and
// the watermark against which it is judged (R6).
func (s *State) FirstSight(o int64) (first bool, watermark int64, has bool) {
	for _, g := range s.Gaps {
		if g.From <= o && o < g.To {
			return true, g.Watermark, g.HasWatermark
		}
	}
	if o >= s.High && !s.Done.Contains(o) {
		return true, s.Watermark, s.HasWatermark
	}
	return false, s.Watermark, s.HasWatermark
}

// Observe moves the watermark: the record at offset o was admitted with event time at.
func (s *State) Observe(o, at int64) {
	for i := range s.Gaps {
		if g := &s.Gaps[i]; g.From <= o && o < g.To {
			// A gap's records are judged among themselves: the stream's own
			// watermark is ahead of them and stays.
			if !g.HasWatermark || at > g.Watermark {
				g.Watermark, g.HasWatermark = at, true
			}
			return
		}
	}
	if o >= s.High && !s.Done.Contains(o) {
		s.raise(at, true)
	}
}

// Witness merges the Lamport time of an admitted record. A clock may always be ahead, so
// it does not matter where the record stands.
func (s *State) Witness(lamport int64) { s.Lamport = max(s.Lamport, lamport) }

func (s *State) raise(at int64, has bool) {
	if has && (!s.HasWatermark || at > s.Watermark) {
		s.Watermark, s.HasWatermark = at, true
	}
}

// Advance says that everything below next, from the present position on, is finished.
func (s *State) Advance(next int64) {
	s.Gaps = s.Gaps.without(s.Next, next)
	s.Next = next
	s.absorb()
	s.High = max(s.High, s.Next)
}

// absorb lets next jump over ranges that are done already.
func (s *State) absorb() {
	for len(s.Done) > 0 && s.Done[0].From <= s.Next {
		s.Next = max(s.Next, s.Done[0].To)
		s.raise(s.Done[0].Watermark, s.Done[0].HasWatermark)
		s.Done = s.Done[1:]
	}
}

// Clone returns a copy that can change by itself.
func (s State) Clone() State {
	s.Gaps, s.Done = slices.Clone(s.Gaps), slices.Clone(s.Done)
	return s
}

// with adds a range; where it overlaps another, the other stays as it was.
func (rs Ranges) with(r Range) Ranges {
	if r.From >= r.To {
		return rs
	}
	out := slices.Clone(rs)
	rest := Ranges{r}
	for _, have := range rs {
		rest = rest.without(have.From, have.To)
	}
	out = append(out, rest...)
	slices.SortFunc(out, func(a, b Range) int {
		if a.From < b.From {
			return -1
		}
		return 1
	})
	return out
}

// without cuts the offsets from ≤ o < to out.
func (rs Ranges) without(from, to int64) Ranges {
	if from >= to || len(rs) == 0 {
		return rs
	}
	out := make(Ranges, 0, len(rs)+1)
	for _, r := range rs {
		if r.To <= from || r.From >= to {
			out = append(out, r)
			continue
		}
		if left := r; r.From < from {
			left.To = from
			out = append(out, left)
		}
		if right := r; r.To > to {
			right.From = to
			out = append(out, right)
		}
	}
	return out
}

// below cuts what is at or above end.
func (rs Ranges) below(end int64) Ranges {
	if len(rs) == 0 {
		return rs
	}
	return rs.without(end, max(end, rs[len(rs)-1].To))
}
