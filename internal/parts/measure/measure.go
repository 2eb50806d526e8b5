// Package measure is what the programs share that measure: how long something takes, and how
// large the process is.
package measure

import (
	"fmt"
	"os"
	"time"
)

// Best is the shortest time of three, since other things go on. The first error ends it.
func Best(do func() error) (best time.Duration, err error) {
	for i := range 3 {
		began := time.Now()
		if err := do(); err != nil {
			return 0, err
		}
		if took := time.Since(began); i == 0 || took < best {
			best = took
		}
	}
	return best, nil
}

// RSS is the resident memory of the process in bytes; 0 where the system does not tell.
func RSS() uint64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident uint64
	if _, err := fmt.Sscan(string(b), &size, &resident); err != nil {
		return 0
	}
	return resident * uint64(os.Getpagesize()) //nolint:gosec // not negative
}
