//go:build unix

package parts

import (
	"fmt"
	"os"
	"syscall"
)

// lock waits for the exclusive lock on the file and returns what gives it back. The
// kernel gives it back too when the process dies, so there are no stale locks; that is
// also why the file stays.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // G304: a path in our own cache
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if err != syscall.EINTR { //nolint:errorlint // a bare errno from the call above
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { f.Close() }, nil //nolint:errcheck // nothing was written
}
