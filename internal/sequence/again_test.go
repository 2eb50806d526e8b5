package sequence

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAgain: a stream that is read again comes to where it was, without waiting once more for
// what it went on without.
func TestAgain(t *testing.T) {
	t.Parallel()
	s := From(1)
	for _, n := range []int64{2, 3, 5, 7, 8} {
		s.Consume(n)
	}
	s.Skip(5) // 1 and 4
	s.Skip(7) // 6
	require.EqualValues(t, 9, s.Next)
	again := s.Again(1)
	require.True(t, again.Rebuilding)
	require.EqualValues(t, 2, again.Next, "1 is passed over at once")
	for _, n := range []int64{3, 2, 8, 5, 7} {
		require.False(t, again.WasSkipped(n))
		again.Consume(n)
	}
	again.Rebuilding = false
	require.Equal(t, s, again)
	require.True(t, again.Incomplete)
}

// TestAgainAndABase: an event with the whole state lets go of the spans before it only.
func TestAgainAndABase(t *testing.T) {
	t.Parallel()
	s := State{Next: 20, Begun: true, Skipped: []Span{{4, 5}, {12, 13}}, Incomplete: true}
	again := s.Again(1)
	again.Rebase(7)
	require.Equal(t, []Span{{12, 13}}, again.Skipped)
	require.True(t, again.Incomplete)
	for n := int64(8); n < 12; n++ {
		again.Consume(n)
	}
	require.EqualValues(t, 14, again.Next)
	again.Rebase(20)
	require.False(t, again.Incomplete)
	require.Nil(t, again.Skipped)
}

// TestSkipBeforeASeededSpan keeps the spans in order.
func TestSkipBeforeASeededSpan(t *testing.T) {
	t.Parallel()
	s := State{Next: 9, Begun: true, Skipped: []Span{{6, 7}}, Incomplete: true}
	again := s.Again(1)
	again.Consume(1)
	again.Consume(4)
	again.Skip(9)
	require.Equal(t, []Span{{2, 3}, {5, 5}, {6, 7}, {8, 8}}, again.Skipped)
	require.EqualValues(t, 9, again.Next)
}

// TestForgoWhileItIsReadAgain: an operator gives up a gap that lies far beyond what has been
// read again by then, which must not be given up with it.
func TestForgoWhileItIsReadAgain(t *testing.T) {
	t.Parallel()
	s := From(1)
	for _, n := range []int64{1, 2, 5} {
		s.Consume(n)
	}
	want := s.Clone()
	want.Forgo(5)
	require.EqualValues(t, 6, want.Next)

	again := s.Again(1)
	again.Forgo(5)
	again.Forgo(4)
	require.False(t, again.WasSkipped(1))
	again, err := Parse(again.String())
	require.NoError(t, err)
	for _, n := range []int64{1, 2, 5} {
		require.True(t, again.Waits(n))
		again.Consume(n)
	}
	require.Equal(t, want, again.Whole())
}
