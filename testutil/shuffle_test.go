package testutil_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/testutil"
)

func ExampleShuffle() {
	s := testutil.Shuffle{Seed: 3, Swaps: 0.3, Duplicates: 0.2, DuplicateDistance: 3}
	for _, p := range s.Order([]string{"a", "a", "a", "b", "b"}) {
		fmt.Print(p.Index)
		if p.Copy {
			fmt.Print(" again")
		}
		fmt.Print("; ")
	}
	// Output: 0; 2; 1; 3; 4; 4 again;
}

func stream(n, keys int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("k%d", i%keys)
	}
	return out
}

func TestShuffleIsDeterministicBySeed(t *testing.T) {
	t.Parallel()
	s := testutil.Shuffle{Seed: 7, Swaps: 0.1, Duplicates: 0.1, Delays: 0.1, Strays: 0.1, Partitions: 4}
	keys := stream(500, 20)
	require.Equal(t, s.Order(keys), s.Order(keys))
	other := s
	other.Seed = 8
	require.NotEqual(t, s.Order(keys), other.Order(keys))
}

func TestShuffleRatesAreExact(t *testing.T) {
	t.Parallel()
	keys := stream(1000, 50)
	tests := map[string]struct {
		shuffle               testutil.Shuffle
		moved, copies, strays int
	}{
		"nothing":    {},
		"swaps":      {shuffle: testutil.Shuffle{Swaps: 0.05}, moved: 100}, // two for each swap
		"duplicates": {shuffle: testutil.Shuffle{Duplicates: 0.03}, copies: 30},
		"strays":     {shuffle: testutil.Shuffle{Strays: 0.02, Partitions: 3}, strays: 20},
		"no strays into one partition": {
			shuffle: testutil.Shuffle{Strays: 0.5, Partitions: 1},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			places := tt.shuffle.Order(keys)
			var moved, copies, strays, i int
			for _, p := range places {
				if p.Stray {
					strays++
				}
				if p.Copy {
					copies++
					continue
				}
				if p.Index != i {
					moved++
				}
				i++
			}
			require.Equal(t, []int{tt.moved, tt.copies, tt.strays}, []int{moved, copies, strays})
			require.Len(t, places, len(keys)+tt.copies)
		})
	}
}

func TestShuffleKeepsItsBounds(t *testing.T) {
	t.Parallel()
	keys := stream(2000, 10)
	s := testutil.Shuffle{Seed: 1, Swaps: 0.2, SwapDistance: 2}
	for at, p := range s.Order(keys) {
		require.Equal(t, keys[at], keys[p.Index], "a swap stays within the key")
		require.LessOrEqual(t, max(at-p.Index, p.Index-at), 2*10, "and within two of its records")
	}

	s = testutil.Shuffle{Seed: 1, Duplicates: 0.1, DuplicateDistance: 5}
	first := map[int]int{}
	for at, p := range s.Order(keys) {
		if !p.Copy {
			first[p.Index] = at
			continue
		}
		from, ok := first[p.Index]
		require.True(t, ok, "the copy comes after the first one")
		require.LessOrEqual(t, at-from, 2*5+1)
	}

	s = testutil.Shuffle{Seed: 1, Delays: 0.01, DelayDistance: 30}
	for at, p := range s.Order(keys) {
		require.LessOrEqual(t, at-p.Index, 31)
	}
}

func TestShuffleRecordsWritesStraysElsewhere(t *testing.T) {
	t.Parallel()
	records := make([]event.Record, 400)
	for i := range records {
		records[i] = event.Record{Key: []byte(fmt.Sprintf("k%d", i%7)), Value: []byte{byte(i)}}
	}
	s := testutil.Shuffle{Seed: 5, Duplicates: 0.1, Strays: 0.05, Partitions: 4}
	out := s.Records(records)
	require.Len(t, out, 440)
	strays := 0
	for _, r := range out {
		if r.Partition != testutil.PartitionOf(string(r.Key), 4) {
			strays++
		}
	}
	require.Equal(t, 22, strays)
	require.Zero(t, records[0].Partition, "the input stays as it was")
}
