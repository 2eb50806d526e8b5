package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/evenkeel-go/evenkeel/framework"
)

// parkedCause is a word that --cause takes, and what it says.
type parkedCause struct{ word, meaning string }

// causes are why events wait; a test compares them with what is stored.
func causes() []parkedCause {
	return []parkedCause{
		{"gap", "for a number before its own (guards.Sequence), or for what its writer\nhad seen (guards.Causal)"},
		{"retry", "for its next try, after its handler has failed"},
		{"behind", "for what stands before it: a parked event, or an open dead letter"},
		{"missing", "for its entity's row (handlers.MissingPark)"},
		{"replay", "to be judged once more: its dead letter is replaying"},
		{"seen", "to count as seen (guards.Causal): its dead letter was given up before\nanybody knew whose event it was"},
	}
}

func causeWords() (words []string) {
	for _, c := range causes() {
		words = append(words, c.word)
	}
	return words
}

// causeHelp tells them, one below the other.
func causeHelp() string {
	var b strings.Builder
	for _, c := range causes() {
		fmt.Fprintf(&b, "  %-8s %s\n", c.word, strings.ReplaceAll(c.meaning, "\n", "\n"+strings.Repeat(" ", 11)))
	}
	return b.String()
}

func (a *app) parkedCommand() *cobra.Command {
	var f framework.ParkedFilter
	c := &cobra.Command{
		Use:   "parked",
		Short: "List events that wait",
		Long: `List events that wait in the database, each entity's in their order. Flags that
choose events must all hold. An event waits with one of these causes:

` + causeHelp() + `
PLACE is the number under guards.Sequence, else the order of arrival. When no
event is chosen the exit code is 4.`,
		Example: `  evenkeel parked --group orders --cause retry
  evenkeel parked --entity order-17 -o json`,
		Args: noArguments,
	}
	flags := c.Flags()
	flags.StringVar(&f.Group, "group", "", "only of this consumer `group`")
	flags.StringVar(&f.Cause, "cause", "", "only with this `cause`: "+strings.Join(causeWords(), ", "))
	flags.StringVar(&f.Handler, "handler", "", "only of this handler `name`")
	flags.StringVar(&f.Table, "table", "", "only for entities of this `table`")
	flags.StringVar(&f.Entity, "entity", "", "only for the entity with this `key`")
	flags.IntVarP(&f.Limit, "limit", "n", 50, "show at most this many")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if f.Limit < 1 {
			return usage(c, "--limit is 1 or more, found %d", f.Limit)
		}
		if f.Cause != "" && !slices.Contains(causeWords(), f.Cause) {
			return usage(c, "--cause is one of %s, found %q", strings.Join(causeWords(), ", "), f.Cause)
		}
		return a.parked(c, f)
	}
	return c
}

func (a *app) parked(c *cobra.Command, f framework.ParkedFilter) error {
	format, db, closeDB, err := a.open(c)
	if err != nil {
		return err
	}
	defer closeDB()
	events, err := framework.Parked(c.Context(), db, f)
	if err != nil {
		return err
	}
	a.hideParked(events)
	if err := a.writeParked(c, format, events); err != nil {
		return err
	}
	if len(events) == 0 {
		return &problem{code: codeNothing, what: "no events wait"}
	}
	if len(events) < f.Limit {
		return nil
	}
	total, err := framework.CountParked(c.Context(), db, f)
	if err == nil && total > int64(len(events)) {
		more := ""
		if total == framework.MaxParkedCount {
			more = " or more"
		}
		fmt.Fprintf(c.ErrOrStderr(), "the first %d of %d%s events; --limit shows more\n", len(events), total, more)
	}
	return err
}

func (a *app) hideParked(events []framework.ParkedEvent) {
	for i := range events {
		events[i].Error, events[i].Entity = a.hide.text(events[i].Error), a.hide.entity(events[i].Entity)
	}
}

func (a *app) writeParked(c *cobra.Command, f format, events []framework.ParkedEvent) error {
	w := c.OutOrStdout()
	if f != formatTable {
		return writeAll(w, f, events, newParkedJSON)
	}
	if len(events) == 0 {
		return nil
	}
	now := a.now()
	rows := make([][]string, 0, len(events))
	for i := range events {
		p := &events[i]
		rows = append(rows, []string{
			orNone(p.Entity), strconv.FormatInt(p.Place, 10), orNone(p.Cause), until(now, p.Due), strconv.Itoa(p.Attempts), orNone(p.EventType), orNone(p.EventID), orNone(p.Error),
		})
	}
	return table(w, a.width(w), a.emphasis(w), []string{"ENTITY", "PLACE", "CAUSE", "DUE", "TRIES", "TYPE", "EVENT", "ERROR"}, rows)
}

// until is how long from now at is.
func until(now, at time.Time) string {
	if !at.After(now) {
		return "now"
	}
	return "in " + span(at.Sub(now))
}

// parkedJSON is a parked event for programs. Names and meanings are stable; new ones may
// come. All are always there; what isn't known is null, or "" for texts.
type parkedJSON struct {
	ID          string  `json:"id"`
	Cause       string  `json:"cause"`
	Group       string  `json:"group"`
	Handler     string  `json:"handler"`
	Table       string  `json:"table"`
	Entity      string  `json:"entity"`
	Stream      string  `json:"stream"` // with numbers; "" without
	Place       int64   `json:"place"`
	Due         *string `json:"due"`
	Expires     *string `json:"expires"`
	EventType   string  `json:"event_type"`
	EventID     string  `json:"event_id"`
	EventSource string  `json:"event_source"`
	OccurredAt  *string `json:"occurred_at"`
	Attempts    int     `json:"attempts"`
	FirstFailed *string `json:"first_failed"`
	LastFailed  *string `json:"last_failed"`
	ErrorType   string  `json:"error_type"`
	Error       string  `json:"error"`
	Topic       string  `json:"topic"`
	Partition   int32   `json:"partition"`
	Offset      int64   `json:"offset"`
}

func newParkedJSON(p framework.ParkedEvent) parkedJSON {
	return parkedJSON{
		ID: p.ID, Cause: p.Cause, Group: p.Group, Handler: p.Handler, Table: p.Table, Entity: p.Entity, Stream: p.Stream, Place: p.Place,
		Due: timeJSON(p.Due), Expires: timeJSON(p.Expires), EventType: p.EventType, EventID: p.EventID, EventSource: p.Source,
		OccurredAt: timeJSON(p.OccurredAt), Attempts: p.Attempts, FirstFailed: timeJSON(p.FirstFailed), LastFailed: timeJSON(p.LastFailed),
		ErrorType: p.ErrorType, Error: p.Error, Topic: p.Topic, Partition: p.Partition, Offset: p.Offset,
	}
}
