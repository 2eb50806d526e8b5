package framework

import (
	"time"

	"github.com/cenkalti/backoff/v4"
)

// delay returns how long a unit waits after its given failed attempt, from 1; more is
// false when that was the last.
func (r Retry) delay(attempt int) (d time.Duration, more bool) {
	if attempt >= r.Attempts {
		return 0, false
	}
	b := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(r.Initial),
		backoff.WithMaxInterval(r.Max),
		backoff.WithMultiplier(2),
		backoff.WithRandomizationFactor(0.5),
		backoff.WithMaxElapsedTime(0),
	)
	for range attempt {
		d = b.NextBackOff()
	}
	return d, true
}
