package cli

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/evenkeel-go/evenkeel/dlq"
)

func (a *app) statsCommand() *cobra.Command {
	var chosen letterFlags
	c := &cobra.Command{
		Use:   "stats",
		Short: "Count dead letters",
		Long: `Count dead letters by state, and those that are still to be dealt with by
reason, event type and handler, with the age of the oldest of them. The flags
are those of ` + "`evenkeel dlq list`" + `. When no letter is chosen the exit code is 4.`,
		Example: `  evenkeel dlq stats --group orders
  evenkeel dlq stats -o json | jq .by_state.open`,
		Args: noArguments,
	}
	chosen.flags(c, true)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := chosen.read(c, a.now()); err != nil {
			return err
		}
		f, db, closeDB, err := a.open(c)
		if err != nil {
			return err
		}
		defer closeDB()
		s, err := dlq.ReadStats(c.Context(), db, chosen.filter)
		if err != nil {
			return err
		}
		if f != formatTable {
			err = writeJSON(c.OutOrStdout(), f, newStatsJSON(s))
		} else if s.Total > 0 {
			err = a.writeStats(c, s)
		}
		if err == nil && s.Total == 0 {
			err = &problem{code: codeNothing, what: "no letters match"}
		}
		return err
	}
	return c
}

func (a *app) writeStats(c *cobra.Command, s *dlq.Stats) error {
	w := c.OutOrStdout()
	p := &page{now: a.now(), emphasis: a.emphasis(w)}
	counts(p, "State", s.ByState)
	counts(p, "Reason", s.ByReason)
	counts(p, "Event type", s.ByType)
	counts(p, "Handler", s.ByHandler)
	if s.Edited > 0 {
		p.heading("Edited, to be replayed")
		fmt.Fprintf(p, "  %8d\n", s.Edited)
	}
	if !s.Oldest.IsZero() {
		p.heading("Oldest to be dealt with")
		p.WriteString("  " + p.when(s.Oldest) + "\n")
	}
	_, err := fmt.Fprint(w, p.String())
	return err
}

// counts writes what there is most of first.
func counts[K ~string](p *page, heading string, by map[K]int64) {
	if len(by) == 0 {
		return
	}
	p.heading(heading)
	keys := make([]K, 0, len(by))
	for k := range by {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(x, y K) int { return cmp.Or(cmp.Compare(by[y], by[x]), cmp.Compare(x, y)) })
	for _, k := range keys {
		fmt.Fprintf(p, "  %8d  %s\n", by[k], orNone(string(k)))
	}
}

// statsJSON are the numbers for programs. Names and meanings are stable; new ones may come.
type statsJSON struct {
	Total     int64            `json:"total"`
	ByState   map[string]int64 `json:"by_state"`
	ByReason  map[string]int64 `json:"by_reason"` // this and the next: to be dealt with
	ByType    map[string]int64 `json:"by_type"`
	ByHandler map[string]int64 `json:"by_handler"`
	Edited    int64            `json:"edited"` // of those to be dealt with
	Oldest    *string          `json:"oldest"`
}

func newStatsJSON(s *dlq.Stats) statsJSON {
	j := statsJSON{Total: s.Total, Edited: s.Edited, ByState: map[string]int64{}, ByReason: map[string]int64{}, ByType: s.ByType, ByHandler: s.ByHandler, Oldest: timeJSON(s.Oldest)}
	for _, state := range dlq.States() {
		j.ByState[string(state)] = s.ByState[state]
	}
	for reason, n := range s.ByReason {
		j.ByReason[string(reason)] = n
	}
	return j
}
