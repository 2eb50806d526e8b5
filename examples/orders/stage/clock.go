package stage

import "time"

// The demo watches real processes, so it runs on real time.

func now() time.Time { return time.Now() } //nolint:forbidigo // see above

func since(t time.Time) time.Duration { return now().Sub(t) }

func every(d time.Duration) (<-chan time.Time, func()) {
	t := time.NewTicker(d) //nolint:forbidigo // see above
	return t.C, t.Stop
}
