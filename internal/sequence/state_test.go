package sequence

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestState reads as R7: what a stream remembers after some numbers.
func TestState(t *testing.T) {
	t.Parallel()
	consume := func(ns ...int64) func(*State) {
		return func(s *State) {
			for _, n := range ns {
				s.Consume(n)
			}
		}
	}
	skip := func(to int64) func(*State) { return func(s *State) { s.Skip(to) } }
	rebase := func(n int64) func(*State) { return func(s *State) { s.Rebase(n) } }
	for _, c := range []struct {
		name  string
		start State
		do    []func(*State)
		want  string
	}{
		{"in order", From(1), []func(*State){consume(1, 2, 3)}, `{"next":4,"begun":true}`},
		{"ahead", From(1), []func(*State){consume(1, 3, 6, 4)}, `{"next":2,"begun":true,"ahead":[[3,4],[6,6]]}`},
		{"the gap fills", From(1), []func(*State){consume(1, 3, 6, 4, 2)}, `{"next":5,"begun":true,"ahead":[[6,6]]}`},
		{"an old one changes nothing", From(5), []func(*State){consume(2, 4)}, `{"next":5,"begun":true}`},
		{"begins with what it sees", State{}, []func(*State){consume(7, 9, 6)}, `{"next":8,"begun":true,"ahead":[[9,9]]}`},
		{"goes on without", From(1), []func(*State){consume(3, 5, 6), skip(5)}, `{"next":7,"begun":true,"skipped":[[1,2],[4,4]],"incomplete":true}`},
		{"goes on without the first gap only", From(1), []func(*State){consume(3, 5), skip(3)}, `{"next":4,"begun":true,"ahead":[[5,5]],"skipped":[[1,2]],"incomplete":true}`},
		{"nothing to skip", From(4), []func(*State){skip(3)}, `{"next":4,"begun":true}`},
		{"the whole state", From(1), []func(*State){consume(2, 6, 9), rebase(5)}, `{"next":7,"begun":true,"base":5,"has_base":true,"ahead":[[9,9]]}`},
		{"an old whole state", From(6), []func(*State){rebase(5)}, `{"next":6,"begun":true}`},
		{"complete again", From(1), []func(*State){consume(3), skip(3), rebase(8)}, `{"next":9,"begun":true,"base":8,"has_base":true}`},
		{"begins with the whole state", State{}, []func(*State){rebase(8)}, `{"next":9,"begun":true,"base":8,"has_base":true}`},
		{"the ends of what there is", From(math.MinInt64), []func(*State){consume(math.MaxInt64-1, math.MinInt64)}, `{"next":-9223372036854775807,"begun":true,"ahead":[[9223372036854775806,9223372036854775806]]}`},
	} {
		s := c.start
		for _, do := range c.do {
			do(&s)
		}
		require.Equal(t, c.want, s.String(), c.name)
		again, err := Parse(s.String())
		require.NoError(t, err)
		require.Equal(t, s, again, c.name)
	}
	_, err := Parse("{")
	require.ErrorContains(t, err, "memo")
}

// TestSpansAgainstASet: what the spans say is what a set of numbers says.
func TestSpansAgainstASet(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		s, came, skipped := From(0), map[int64]bool{}, map[int64]bool{}
		next := int64(0)
		for range 60 {
			if rng.IntN(8) == 0 {
				to := next + rng.Int64N(6)
				s.Skip(to)
				for ; next < to || came[next]; next++ {
					skipped[next] = !came[next]
				}
			} else if n := rng.Int64N(40); !came[n] && !skipped[n] {
				s.Consume(n)
				came[n] = true
			}
			for ; came[next]; next++ {
				skipped[next] = false
			}
			require.Equal(t, next, s.Next, "seed %d", seed)
			for n := range int64(50) {
				if s.Came(n) != (n > next && came[n]) || s.WasSkipped(n) != skipped[n] {
					t.Fatalf("seed %d: %d of %s", seed, n, s.String())
				}
			}
		}
	}
}

func TestSkippedSpansAreBounded(t *testing.T) {
	t.Parallel()
	s := From(0)
	for n := int64(1); n < 1000; n += 2 {
		s.Consume(n)
		s.Skip(n)
	}
	require.Len(t, s.Skipped, maxSkipped)
	for n := int64(0); n < 1000; n += 2 {
		require.True(t, s.WasSkipped(n), "%d", n)
	}
}

func TestCloneSharesNothing(t *testing.T) {
	t.Parallel()
	s := From(1)
	s.Consume(5)
	c := s.Clone()
	c.Consume(6)
	require.Equal(t, []Span{{5, 5}}, s.Ahead)
}
