package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/evenkeel-go/evenkeel/framework"
)

func (a *app) placeholdersCommand() *cobra.Command {
	var f framework.PlaceholderFilter
	var before string
	var limit int
	c := &cobra.Command{
		Use:   "placeholders",
		Short: "List rows whose creating event has not come",
		Long: `List placeholders: rows that early events have made and whose creating event
has not come. They come table by table, the oldest first. --before looks at
when the row was made; it takes how long ago (90m, 7d), a day in UTC
(2026-10-14) or a time in RFC 3339.

NEWEST is the time of the newest event that the row has seen, or its number
where the model is not ordered by time, and EVENT that event's id. When no
placeholder is found the exit code is 4.`,
		Example: `  evenkeel placeholders --before 1h
  evenkeel placeholders --table orders --limit 1000000 -o jsonl | jq -r .key`,
		Args: noArguments,
	}
	flags := c.Flags()
	flags.StringVar(&f.Group, "group", "", "only of this consumer `group`")
	flags.StringVar(&f.Table, "table", "", "only of this `table`")
	flags.StringVar(&before, "before", "", "only rows that were made before this `time`")
	flags.IntVarP(&limit, "limit", "n", 50, "show at most this many")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if before != "" {
			t, err := parseTime(a.now(), before)
			if err != nil {
				return usage(c, "--before: %v", err)
			}
			f.Before = t
		}
		if limit < 1 {
			return usage(c, "--limit is 1 or more, found %d", limit)
		}
		return a.placeholders(c, f, limit)
	}
	return c
}

// placeholderJSON is a placeholder for programs. Names and meanings are stable; new ones
// may come. Times are RFC 3339 in UTC.
type placeholderJSON struct {
	Group string `json:"group"`
	Table string `json:"table"`
	Model string `json:"model"`
	Key   string `json:"key"`
	Born  string `json:"born"`
	// AgeSeconds is how old the row is.
	AgeSeconds int64 `json:"age_seconds"`
	// Kind says what Newest is: microseconds since 1970 under "timestamp".
	Kind        string `json:"kind"`
	Newest      int64  `json:"newest"`
	EventSource string `json:"event_source"`
	EventID     string `json:"event_id"`
}

func (a *app) placeholders(c *cobra.Command, filter framework.PlaceholderFilter, limit int) error {
	f, db, closeDB, err := a.open(c)
	if err != nil {
		return err
	}
	defer closeDB()
	w, now := c.OutOrStdout(), a.now()
	list := []placeholderJSON{}
	rows := [][]string{}
	n, more := 0, false
	for p, err := range framework.Placeholders(c.Context(), db, filter) {
		var none *framework.NoTableError
		if errors.As(err, &none) {
			return &problem{code: codeError, what: none.Error(), err: err}
		}
		if err != nil {
			return err
		}
		if more = n == limit; more {
			break
		}
		n++
		p.Key = a.hide.entity(p.Key)
		j := placeholderJSON{
			Group: p.Group, Table: p.Table, Model: p.Model, Key: p.Key, Born: instant(p.Born), AgeSeconds: int64(now.Sub(p.Born) / time.Second),
			Kind: p.Kind, Newest: p.Newest, EventSource: p.Source, EventID: p.ID,
		}
		switch f {
		case formatLines:
			if err := writeJSON(w, f, j); err != nil {
				return err
			}
		case formatJSON, formatYAML:
			list = append(list, j)
		case formatTable:
			rows = append(rows, []string{orNone(p.Table), orNone(p.Key), ago(now, p.Born), newest(&p), orNone(p.Source), orNone(p.ID)})
		}
	}
	if f == formatJSON || f == formatYAML {
		err = writeJSON(w, f, list)
	} else if len(rows) > 0 {
		err = table(w, a.width(w), a.emphasis(w), []string{"TABLE", "KEY", "BORN", "NEWEST", "SOURCE", "EVENT"}, rows)
	}
	if err != nil {
		return err
	}
	if n == 0 {
		return &problem{code: codeNothing, what: "no placeholders match"}
	}
	if more {
		fmt.Fprintf(c.ErrOrStderr(), "the first %d; --limit shows more\n", n)
	}
	return nil
}

// newest is the newest stamp's number as people read it.
func newest(p *framework.Placeholder) string {
	switch {
	case p.ID == "":
		return "-"
	case p.Kind == "timestamp":
		return instant(time.UnixMicro(p.Newest))
	}
	return fmt.Sprint(p.Newest)
}
