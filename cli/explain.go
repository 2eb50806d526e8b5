package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/evenkeel-go/evenkeel/framework"
)

func (a *app) explainCommand() *cobra.Command {
	var q framework.EventQuery
	c := &cobra.Command{
		Use:   "explain EVENT-ID",
		Short: "Tell why an event had no effect, or which it had",
		Long: `Tell what happened to an event, in the order in which it did: what was decided
about it, what it was compared with, which event beat it, whether it waits or is
a dead letter and who dealt with that, and how it stands now. The last line is
the answer.

What is applied plainly leaves no line but its stamp on the row. So when nothing
else tells of the event, the rows of all tables are looked through, for ten
seconds at most; with --entity only those under the key are read. What can't be
known is said. When there is no trace of the event the exit code is 4.`,
		Example: `  evenkeel explain e-4711
  evenkeel explain e-4711 --source /shop --group orders --entity order-17`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 || strings.TrimSpace(args[0]) == "" {
				return usage(c, "explain takes the id of one event, found %d arguments", len(args))
			}
			return nil
		},
	}
	flags := c.Flags()
	flags.StringVar(&q.Source, "source", "", "the event's `source`, where several have events of this id")
	flags.StringVar(&q.Group, "group", "", "only what this consumer `group` did")
	flags.StringVar(&q.Entity, "entity", "", "the `key` of an entity that the event is about")
	flags.DurationVar(&q.LookFor, "look-for", 10*time.Second, "look through rows for so long at most")
	c.RunE = func(c *cobra.Command, args []string) error {
		if q.LookFor <= 0 {
			return usage(c, "--look-for is above 0, found %s", q.LookFor)
		}
		f, db, closeDB, err := a.open(c)
		if err != nil {
			return err
		}
		defer closeDB()
		q.ID, q.Hide = args[0], a.hide.text
		e, err := framework.Explain(c.Context(), db, q)
		var several *framework.AmbiguousEventError
		if errors.As(err, &several) {
			return &problem{code: codeError, what: err.Error(), next: "say which with --source", err: err}
		}
		if err != nil {
			return err
		}
		a.hide.explanation(e)
		if f != formatTable {
			err = writeJSON(c.OutOrStdout(), f, newExplanationJSON(e))
		} else {
			err = a.writeExplanation(c.OutOrStdout(), e)
		}
		if err == nil && !e.Found {
			err = &problem{code: codeNothing, what: "there is no trace of the event " + q.ID}
		}
		return err
	}
	return c
}

// explanation hides entities, whose keys sentences name.
func (r *redactor) explanation(e *framework.Explanation) {
	var entities []string
	for i := range e.Steps {
		entities = append(entities, e.Steps[i].Entity)
	}
	for i := range e.Units {
		entities = append(entities, e.Units[i].Entity)
	}
	text := func(s *string) {
		for _, entity := range entities {
			*s = r.naming(*s, entity)
		}
	}
	for i := range e.Steps {
		text(&e.Steps[i].Text)
		e.Steps[i].Entity = r.entity(e.Steps[i].Entity)
	}
	for i := range e.Units {
		text(&e.Units[i].Text)
		e.Units[i].Entity = r.entity(e.Units[i].Entity)
	}
	for i := range e.Unknown {
		text(&e.Unknown[i])
	}
	text(&e.Conclusion)
}

// prose is how wide sentences are at most.
const prose = 80

func (a *app) writeExplanation(w io.Writer, e *framework.Explanation) error {
	p := &page{now: a.now(), emphasis: a.emphasis(w), columns: a.prose(w)}
	p.heading("Event " + safe(e.ID))
	p.fact("source", e.Source)
	p.fact("type", e.EventType)
	p.time("occurred", e.OccurredAt)
	if len(e.Steps) > 0 {
		p.heading("What happened to it")
	}
	for i := range e.Steps {
		s := &e.Steps[i]
		at := "(time unknown)"
		if !s.At.IsZero() {
			at = p.when(s.At)
		}
		p.sentence("  "+at+ofUnit(s.Handler, s.Table, s.Entity)+":", 2)
		p.sentence("    It "+s.Text, 4)
	}
	if len(e.Units) > 0 {
		p.heading("How it stands")
	}
	for i := range e.Units {
		u := &e.Units[i]
		p.sentence("  "+string(u.Standing)+ofUnit(u.Handler, u.Table, u.Entity)+", group "+u.Group+":", 2)
		p.sentence("    "+u.Text+".", 4)
	}
	if len(e.Positions) > 0 {
		p.heading("Where the group stands")
	}
	for i := range e.Positions {
		p.sentence("  "+e.Positions[i].String(), 4)
	}
	if len(e.Unknown) > 0 {
		p.heading("What can't be known")
	}
	for _, text := range e.Unknown {
		p.sentence("  "+text, 4)
	}
	p.WriteByte('\n')
	p.sentence(e.Conclusion, 0)
	_, err := io.WriteString(w, p.String())
	return err
}

// ofUnit names what a step is about.
func ofUnit(handler, table, entity string) string {
	s := ""
	if handler != "" {
		s += ", handler " + handler
	}
	if entity != "" {
		s += ", " + strings.TrimSpace(table+" "+entity)
	}
	return s
}

// explanationJSON is an explanation for programs. Names and meanings are stable; new ones may
// come. All are always there; what isn't known is null, or "" for texts. Texts are for people.
type explanationJSON struct {
	EventID     string         `json:"event_id"`
	EventSource string         `json:"event_source"`
	EventType   string         `json:"event_type"`
	OccurredAt  *string        `json:"occurred_at"`
	Found       bool           `json:"found"`
	Conclusion  string         `json:"conclusion"`
	Steps       []stepJSON     `json:"steps"`
	Units       []unitJSON     `json:"units"`
	Positions   []positionJSON `json:"positions"`
	Unknown     []string       `json:"unknown"`
}

type stepJSON struct {
	At      *string `json:"at"`
	Group   string  `json:"group"`
	Handler string  `json:"handler"`
	Table   string  `json:"table"`
	Entity  string  `json:"entity"`
	Text    string  `json:"text"`
}

type unitJSON struct {
	Group    string `json:"group"`
	Handler  string `json:"handler"`
	Table    string `json:"table"`
	Entity   string `json:"entity"`
	Standing string `json:"standing"` // letter, parked, ended, masked, applied or repeated
	Letter   string `json:"letter"`
	Text     string `json:"text"`
}

type positionJSON struct {
	Group     string     `json:"group"`
	Topic     string     `json:"topic"`
	Partition int32      `json:"partition"`
	Next      int64      `json:"next"` // -1: nothing is finished
	Newest    *string    `json:"newest"`
	Moved     *string    `json:"moved"`
	Skipped   [][2]int64 `json:"skipped"` // the second is not in the range
}

func newExplanationJSON(e *framework.Explanation) explanationJSON {
	j := explanationJSON{
		EventID: e.ID, EventSource: e.Source, EventType: e.EventType, OccurredAt: timeJSON(e.OccurredAt), Found: e.Found, Conclusion: e.Conclusion,
		Steps: each(e.Steps, func(s framework.ExplainedStep) stepJSON {
			return stepJSON{timeJSON(s.At), s.Group, s.Handler, s.Table, s.Entity, s.Text}
		}),
		Units: each(e.Units, func(u framework.ExplainedUnit) unitJSON {
			return unitJSON{u.Group, u.Handler, u.Table, u.Entity, string(u.Standing), u.Letter, u.Text}
		}),
		Positions: each(e.Positions, func(p framework.PartitionPosition) positionJSON {
			skipped := p.Skipped
			if skipped == nil {
				skipped = [][2]int64{}
			}
			return positionJSON{p.Group, p.Topic, p.Partition, p.Next, timeJSON(p.Newest), timeJSON(p.Moved), skipped}
		}),
		Unknown: each(e.Unknown, func(s string) string { return s }),
	}
	return j
}

// prose is how wide sentences on w may be.
func (a *app) prose(w io.Writer) int {
	if n := a.width(w); n > 0 {
		return min(n, prose)
	}
	return prose
}

// sentence writes a text in lines, those after the first indented.
func (p *page) sentence(text string, indent int) {
	words := strings.Split(safe(text), " ")
	line := words[0]
	for _, word := range words[1:] {
		if cells(line)+1+cells(word) > p.columns && strings.TrimSpace(line) != "" {
			fmt.Fprintln(p, line)
			line = strings.Repeat(" ", indent) + word
			continue
		}
		line += " " + word
	}
	fmt.Fprintln(p, line)
}
