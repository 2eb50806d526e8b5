package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/evenkeel-go/evenkeel/framework"
)

func (a *app) streamsCommand() *cobra.Command {
	var f framework.StreamFilter
	var limit int
	c := &cobra.Command{
		Use:   "streams",
		Short: "List streams of numbers that are not in order",
		Long: `List streams of numbers (guards.Sequence) that are not in order: events wait in
them for a number that has not come, or they went on without some numbers and
are incomplete. They come by group, name and entity.

NEXT is the number that comes next: where events wait for it, it is missing.
PARKED is how many events wait, SINCE when the oldest of them happened, GIVES UP
when the first of them stops to wait, and SKIPPED the numbers that the stream
went on without. evenkeel parked shows the events. When no stream is chosen the
exit code is 4.`,
		Example: `  evenkeel streams --group accounts --waiting
  evenkeel streams --incomplete -o jsonl | jq -r .entity`,
		Args: noArguments,
	}
	flags := c.Flags()
	flags.StringVar(&f.Group, "group", "", "only of this consumer `group`")
	flags.StringVar(&f.Name, "name", "", "only the streams of this `name`: the topic's, unless it has its own")
	flags.StringVar(&f.Entity, "entity", "", "only of the entity with this `key`")
	flags.BoolVar(&f.Waiting, "waiting", false, "only those in which events wait")
	flags.BoolVar(&f.Incomplete, "incomplete", false, "only those that went on without numbers")
	flags.IntVarP(&limit, "limit", "n", 50, "show at most this many")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if limit < 1 {
			return usage(c, "--limit is 1 or more, found %d", limit)
		}
		return a.streams(c, f, limit)
	}
	return c
}

// streamJSON is a stream of numbers for programs. Names and meanings are stable; new ones
// may come. All are always there; what isn't known is null.
type streamJSON struct {
	Group      string     `json:"group"`
	Name       string     `json:"name"`
	Entity     string     `json:"entity"`
	Next       int64      `json:"next"`
	Parked     int64      `json:"parked"`
	Since      *string    `json:"since"`
	Expires    *string    `json:"expires"`
	Incomplete bool       `json:"incomplete"`
	Skipped    [][2]int64 `json:"skipped"` // first and last of each run
	Changed    *string    `json:"changed"`
}

func newStreamJSON(s framework.NumberStream) streamJSON {
	j := streamJSON{
		Group: s.Group, Name: s.Name, Entity: s.Entity, Next: s.Next, Parked: s.Parked, Since: timeJSON(s.Since), Expires: timeJSON(s.Expires),
		Incomplete: s.Incomplete, Skipped: [][2]int64{}, Changed: timeJSON(s.Changed),
	}
	for _, span := range s.Skipped {
		j.Skipped = append(j.Skipped, [2]int64{span.From, span.To})
	}
	return j
}

func (a *app) streams(c *cobra.Command, filter framework.StreamFilter, limit int) error {
	f, db, closeDB, err := a.open(c)
	if err != nil {
		return err
	}
	defer closeDB()
	var found []framework.NumberStream
	more := false
	for s, err := range framework.Streams(c.Context(), db, filter) {
		if err != nil {
			return err
		}
		if more = len(found) == limit; more {
			break
		}
		s.Entity = a.hide.entity(s.Entity)
		found = append(found, s)
	}
	if err := a.writeStreams(c, f, found); err != nil {
		return err
	}
	if len(found) == 0 {
		return &problem{code: codeNothing, what: "all streams are in order"}
	}
	if more {
		fmt.Fprintf(c.ErrOrStderr(), "the first %d; --limit shows more\n", len(found))
	}
	return nil
}

func (a *app) writeStreams(c *cobra.Command, f format, found []framework.NumberStream) error {
	w := c.OutOrStdout()
	if f != formatTable {
		return writeAll(w, f, found, newStreamJSON)
	}
	if len(found) == 0 {
		return nil
	}
	now := a.now()
	rows := make([][]string, 0, len(found))
	for i := range found {
		s := &found[i]
		since, expires := "-", "-"
		if !s.Since.IsZero() {
			since = ago(now, s.Since)
		}
		if !s.Expires.IsZero() {
			expires = until(now, s.Expires)
		}
		rows = append(rows, []string{
			orNone(s.Name), orNone(s.Entity), strconv.FormatInt(s.Next, 10), strconv.FormatInt(s.Parked, 10), since, expires, orNone(spans(s.Skipped)),
		})
	}
	return table(w, a.width(w), a.emphasis(w), []string{"STREAM", "ENTITY", "NEXT", "PARKED", "SINCE", "GIVES UP", "SKIPPED"}, rows)
}

// spans writes runs of numbers as people do.
func spans(all []framework.NumberSpan) string {
	parts := make([]string, len(all))
	for i, s := range all {
		if parts[i] = strconv.FormatInt(s.From, 10); s.To != s.From {
			parts[i] += "-" + strconv.FormatInt(s.To, 10)
		}
	}
	return strings.Join(parts, ", ")
}
