package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
)

func (a *app) groupsCommand() *cobra.Command {
	var chosen letterFlags
	c := &cobra.Command{
		Use:   "groups",
		Short: "List causes of dead letters, the most frequent first",
		Long: `List the causes of dead letters: all letters with one fingerprint are one line,
those with most letters to deal with first. A fingerprint stands for the reason,
the event's type, the handler, the type of the error and where it came from.

LEFT are the letters that are to be dealt with, 6H those that were made in each
of the last six hours. The flags are those of ` + "`evenkeel dlq list`" + `. When no
letter is chosen the exit code is 4.`,
		Example: `  evenkeel dlq groups --group orders --since 1d
  evenkeel dlq groups --state open -o jsonl | jq -r .fingerprint`,
		Args: noArguments,
	}
	chosen.flags(c, true)
	c.Flags().IntVarP(&chosen.filter.Limit, "limit", "n", 50, "show at most this many")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := chosen.read(c, a.now()); err != nil {
			return err
		}
		if chosen.filter.Limit < 1 {
			return usage(c, "--limit is 1 or more, found %d", chosen.filter.Limit)
		}
		return a.groups(c, chosen.filter)
	}
	return c
}

func (a *app) groups(c *cobra.Command, filter dlq.Filter) error {
	f, db, closeDB, err := a.open(c)
	if err != nil {
		return err
	}
	defer closeDB()
	groups, err := dlq.Groups(c.Context(), db, filter, a.now())
	if err != nil {
		return err
	}
	for _, g := range groups {
		if g.Example, err = a.hidden(c, db, g.Example); err != nil {
			return err
		}
	}
	if err := a.writeGroups(c, f, groups); err != nil {
		return err
	}
	if len(groups) == 0 {
		return &problem{code: codeNothing, what: "no letters match"}
	}
	return nil
}

// hidden is a letter that was read without its record, without what is hidden.
func (a *app) hidden(c *cobra.Command, db *gorm.DB, l *dlq.Letter) (*dlq.Letter, error) {
	if !a.hide.any() || l == nil {
		return l, nil
	}
	whole, err := dlq.Get(c.Context(), db, l.ID)
	if err != nil {
		return nil, explain(c, err)
	}
	return a.hide.letter(whole), nil
}

func (a *app) writeGroups(c *cobra.Command, f format, groups []*dlq.Group) error {
	w := c.OutOrStdout()
	if f != formatTable {
		return writeAll(w, f, groups, newGroupJSON)
	}
	if len(groups) == 0 {
		return nil
	}
	now := a.now()
	rows := make([][]string, 0, len(groups))
	for _, g := range groups {
		last := "unknown"
		if !g.Last.IsZero() {
			last = ago(now, g.Last)
		}
		text := "-"
		if g.Example != nil {
			text = orNone(why(g.Example))
		}
		if g.Notes > 0 {
			text = fmt.Sprintf("[%d notes] ", g.Notes) + text
		}
		rows = append(rows, []string{
			orNone(g.Fingerprint), strconv.FormatInt(g.Count[dlq.Open]+g.Count[dlq.Replaying], 10), strconv.FormatInt(g.Total(), 10),
			last, spark(g.Recent[dlq.GroupHours-sparkHours:]), orNone(string(g.Reason)), orNone(g.EventType), text,
		})
	}
	return tableKeeping(w, 0, a.width(w), a.emphasis(w), []string{"FINGERPRINT", "LEFT", "ALL", "LAST", "6H", "REASON", "TYPE", "WHY"}, rows)
}

// sparkHours is how many hours people are shown; programs get all.
const sparkHours = 6

// spark draws numbers as bars, one column each; a dot is none.
func spark(numbers []int64) string {
	const bars = "▁▂▃▄▅▆▇█"
	var most int64
	for _, n := range numbers {
		most = max(most, n)
	}
	var b strings.Builder
	for _, n := range numbers {
		if n == 0 {
			b.WriteByte('.')
			continue
		}
		b.WriteRune([]rune(bars)[(n*8-1)/most])
	}
	return b.String()
}

// groupJSON is a group for programs. Names and meanings are stable; new ones may come.
type groupJSON struct {
	Fingerprint string           `json:"fingerprint"`
	Count       map[string]int64 `json:"count"` // by state; states without letters are left out
	Reason      string           `json:"reason"`
	EventType   string           `json:"event_type"`
	Handler     string           `json:"handler"`
	ErrorType   string           `json:"error_type"`
	First       *string          `json:"first"`
	Last        *string          `json:"last"`
	Recent      []int64          `json:"recent"` // by hour, the one under way last
	Trend       int64            `json:"trend"`  // the last hour less the one before
	Notes       int64            `json:"notes"`
	Example     *letterJSON      `json:"example"`
}

func newGroupJSON(g *dlq.Group) groupJSON {
	j := groupJSON{
		Fingerprint: g.Fingerprint, Count: map[string]int64{}, Reason: string(g.Reason), EventType: g.EventType, Handler: g.Handler, ErrorType: g.ErrorType,
		First: timeJSON(g.First), Last: timeJSON(g.Last), Recent: g.Recent[:], Trend: g.Trend(), Notes: g.Notes,
	}
	for s, n := range g.Count {
		j.Count[string(s)] = n
	}
	if g.Example != nil {
		j.Example = newLetterJSON(g.Example, false)
	}
	return j
}
