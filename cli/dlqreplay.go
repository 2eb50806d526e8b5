package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
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
	said, waited := false, time.Duration(0)
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
		if under == 0 || waited >= d {
			return counts, nil
		}
		if under == len(refs) && !said && waited > nobodyAfter {
			said = true
			fmt.Fprintln(c.ErrOrStderr(), "nobody has replayed any of them yet; does a member of the group run?")
		}
		select {
		case <-c.Context().Done():
			return counts, nil
		case <-time.After(wait): //nolint:forbidigo // somebody looks on
			waited += wait
		}
	}
}
