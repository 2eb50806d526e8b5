package parts

import (
	"context"
	"fmt"
	"time"
)

// Until calls ready until it says true, and returns nil then. An error with true ends it
// at once; an error with false is what is reported if ctx ends first. The servers that
// this is for tell nobody when they are ready, so they are asked again every interval.
func Until(ctx context.Context, interval time.Duration, ready func(context.Context) (bool, error)) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		done, err := ready(ctx)
		if done {
			return err
		}
		select {
		case <-ctx.Done():
			if err != nil {
				return fmt.Errorf("%w; last: %w", context.Cause(ctx), err)
			}
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
