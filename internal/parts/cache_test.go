//go:build unix

package parts

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCachedFillsOnceAndKeepsNothingHalfDone(t *testing.T) {
	cache := filepath.Join(t.TempDir(), "cache")
	t.Setenv(CacheEnv, cache)

	broken := errors.New("the network is down")
	_, err := Cached("thing", func(dir string) error {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "half"), nil, 0o600))
		return broken
	})
	require.ErrorIs(t, err, broken)
	require.NoDirExists(t, filepath.Join(cache, "thing"))

	var fills atomic.Int32
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			dir, err := Cached("thing", func(dir string) error {
				fills.Add(1)
				return os.WriteFile(filepath.Join(dir, "whole"), nil, 0o600)
			})
			if err != nil || dir != filepath.Join(cache, "thing") {
				t.Errorf("got %q, %v", dir, err)
			}
		})
	}
	wg.Wait()
	require.Equal(t, int32(1), fills.Load())
	require.FileExists(t, filepath.Join(cache, "thing", "whole"))
	require.NoFileExists(t, filepath.Join(cache, "thing", "half"))
	entries, err := os.ReadDir(cache)
	require.NoError(t, err)
	require.Len(t, entries, 2, "the thing and its lock")
}

func TestFreePortsDiffer(t *testing.T) {
	t.Parallel()
	ports, err := FreePorts(20)
	require.NoError(t, err)
	seen := map[int]bool{}
	for _, port := range ports {
		require.False(t, seen[port])
		seen[port] = true
	}
}
