package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/internal/seam"
)

const (
	// pollReplays is how often somebody who waits for replays looks, at first.
	pollReplays = 200 * time.Millisecond
	// nobodyAfter is when to say that no member seems to run.
	nobodyAfter = 10 * time.Second
)

// became waits until the letters' replays have ended, or for as long as d, and counts what
// became of them.
func (a *app) became(c *cobra.Command, db *gorm.DB, refs []dlq.Ref, d time.Duration) (map[string]int, error) {
	clock := seam.System()
	began, said := clock.Now(), false
	for wait := pollReplays; ; wait = min(2*wait, 2*time.Second) {
		counts, under := map[string]int{}, 0
		for _, ref := range refs {
			l, err := dlq.Get(c.Context(), db, ref.ID)
			if err != nil {
				return nil, err
			}
			switch {
			case l.State == dlq.Replaying:
				under++
				counts["not replayed yet"]++
			case l.State == dlq.Open:
				counts["failed again, see dlq show"]++
			case l.Outcome != "":
				counts[string(l.Outcome)]++
			default:
				counts[string(l.State)]++
			}
		}
		if under == 0 || clock.Now().Sub(began) >= d {
			return counts, nil
		}
		if under == len(refs) && !said && clock.Now().Sub(began) > nobodyAfter {
			said = true
			fmt.Fprintln(c.ErrOrStderr(), "nobody has replayed any of them yet; does a member of the group run?")
		}
		if clock.Sleep(c.Context(), wait) != nil {
			return counts, nil
		}
	}
}
