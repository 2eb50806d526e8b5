package ledger

import (
	"math"
	"slices"
)

// FirstSight reports whether the record at offset o is judged for the first time, and
// the watermark against which it is judged (R6).
func (s *State) FirstSight(o int64) (first bool, watermark int64, has bool) {
	if s.Done.Contains(o) {
		return false, s.Watermark, s.HasWatermark
	}
	for _, g := range s.Gaps {
		if g.From <= o && o < g.To {
			return true, g.Watermark, g.HasWatermark
		}
	}
	return o >= s.High, s.Watermark, s.HasWatermark
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

// Finish says that the offsets from ≤ o < to are finished, the last of which has the only
// record among them; at is its event time if it was admitted. Where something before them is
// not finished yet, they are noted in Done, and the time counts once next passes them: the
// watermark belongs to high (R16).
func (s *State) Finish(from, to, at int64, admitted bool) {
	if from <= s.Next {
		if admitted {
			s.Observe(to-1, at)
		}
		s.Advance(to)
		return
	}
	last := Range{From: to - 1, To: to}
	if admitted {
		last.Watermark, last.HasWatermark = at, true
	}
	s.Done = s.Done.with(Range{From: from, To: to - 1}).with(last).joined(s.region)
}

// Reach goes on to the next record of the log, at offset o, and reports whether that is
// finished already.
func (s *State) Reach(o int64) (finished bool) {
	if o > s.Next {
		s.Advance(o)
	}
	return o < s.Next
}

// Advance says that everything below next, from the present position on, is finished. Ranges
// that are done already are taken along, with their event times.
func (s *State) Advance(next int64) {
	s.Next = min(s.Next, next)
	for len(s.Done) > 0 && s.Done[0].From <= next {
		r := s.Done[0]
		s.Done = s.Done[1:]
		s.pass(r.From)
		if r.HasWatermark {
			s.Observe(r.From, r.Watermark) // high and the gaps are what they were when it was made
		}
		s.pass(r.To)
		next = max(next, r.To)
	}
	s.pass(next)
	s.High = max(s.High, s.Next)
}

// pass moves next, if that is forward.
func (s *State) pass(to int64) {
	if to > s.Next {
		s.Gaps = s.Gaps.without(s.Next, to)
		s.Next = to
	}
}

// region tells whose watermark an offset's event time belongs to: a gap's, known by its end,
// the stream's, or nobody's, where it was judged before.
func (s *State) region(o int64) int64 {
	for _, g := range s.Gaps {
		if g.From <= o && o < g.To {
			return g.To
		}
	}
	if o < s.High {
		return -1
	}
	return math.MaxInt64
}

// Clone returns a copy that can change by itself.
func (s State) Clone() State {
	s.Gaps, s.Done = slices.Clone(s.Gaps), slices.Clone(s.Done)
	return s
}

// joined makes one range of neighbours in one region.
func (rs Ranges) joined(region func(int64) int64) Ranges {
	out := rs[:0:0]
	for _, r := range rs {
		if n := len(out) - 1; n >= 0 && out[n].To == r.From && region(out[n].From) == region(r.From) {
			out[n].To = r.To
			if r.HasWatermark && (!out[n].HasWatermark || r.Watermark > out[n].Watermark) {
				out[n].Watermark, out[n].HasWatermark = r.Watermark, true
			}
			continue
		}
		out = append(out, r)
	}
	return out
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
