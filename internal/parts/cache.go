package parts

import (
	"fmt"
	"os"
	"path/filepath"
)

// CacheEnv names the environment variable that moves [CacheDir].
const CacheEnv = "EVENKEEL_CACHE"

// rootCache is where root keeps what it fetched. Servers that refuse to run as root are
// run as somebody else, and root's home is closed to them.
const rootCache = "/var/cache/evenkeel"

// CacheDir returns the directory for files that are fetched once and used by every run:
// $EVENKEEL_CACHE, else /var/cache/evenkeel for root and evenkeel under the user's cache
// directory (${XDG_CACHE_HOME:-$HOME/.cache} on Linux) for everyone else. It need not
// exist.
func CacheDir() (string, error) {
	if dir := os.Getenv(CacheEnv); dir != "" {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return "", fmt.Errorf("%s=%q: %w", CacheEnv, dir, err)
		}
		return abs, nil
	}
	if os.Geteuid() == 0 {
		return rootCache, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache directory (set %s to one): %w", CacheEnv, err)
	}
	return filepath.Join(dir, "evenkeel"), nil
}

// Cached returns the directory called name in the cache. If it isn't there, fill is
// called with an empty directory that becomes it, so that what is in the cache is
// complete whatever interrupted an earlier run. Test processes that want it at the same
// time wait for the one that fills it.
func Cached(name string, fill func(dir string) error) (string, error) {
	cache, err := CacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, name)
	if isDir(dir) {
		return dir, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil { //nolint:gosec // G301: a server under another uid reads it
		return "", fmt.Errorf("cache directory (set %s to move it): %w", CacheEnv, err)
	}
	unlock, err := lock(dir + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if isDir(dir) {
		return dir, nil
	}

	fresh, err := os.MkdirTemp(cache, name+".new-")
	if err != nil {
		return "", fmt.Errorf("cache directory: %w", err)
	}
	defer os.RemoveAll(fresh)                      //nolint:errcheck // after success there is nothing left to remove
	if err := os.Chmod(fresh, 0o755); err != nil { //nolint:gosec // G302: a server under another uid reads it
		return "", err
	}
	if err := fill(fresh); err != nil {
		return "", err
	}
	if err := os.Rename(fresh, dir); err != nil {
		return "", fmt.Errorf("cache directory: %w", err)
	}
	return dir, nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
