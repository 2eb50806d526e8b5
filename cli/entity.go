package cli

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
)

func (a *app) entityCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "entity",
		Short: "Look at one entity",
		Long: `An entity is what one key of a model stands for: its row, what the row remembers
of the events that it has absorbed, and what waits or lies as a dead letter.`,
		Example: `  evenkeel entity show orders order-17`,
	}
	group(c)
	c.AddCommand(a.entityShowCommand())
	return c
}

func (a *app) entityShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show MODEL KEY",
		Short: "Show an entity's row, who wrote it, and what waits",
		Long: `Show all that the database knows of one entity: its row with the event that
wrote each column last, whether it is a placeholder or deleted, which events
wait for it, its dead letters, the last verdicts about it, its streams of
numbers, and who did what to its letters. MODEL is the table, or the Go type of
its model; KEY is the entity's key as events write it.

Columns of a projection, and of handlers under guards.Sequence, Once and None,
don't remember who wrote them. Binary values are shown in hexadecimal. When
nothing is known of the entity the exit code is 4.`,
		Example: `  evenkeel entity show orders order-17
  evenkeel entity show Order order-17 -o json | jq .columns`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usage(c, "show takes a model and a key, found %d arguments", len(args))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			f, db, closeDB, err := a.open(c)
			if err != nil {
				return err
			}
			defer closeDB()
			s, err := framework.ShowEntity(c.Context(), db, args[0], args[1])
			var none *framework.NoTableError
			if errors.As(err, &none) {
				next := "name one of these tables"
				if len(none.Known) == 0 {
					next = "no consumer has run on this database yet; is it the right one?"
				}
				return &problem{code: codeError, what: none.Error(), next: next, err: err}
			}
			if err != nil {
				return err
			}
			if err := a.hideEntity(c, db, s); err != nil {
				return err
			}
			if f != formatTable {
				err = writeJSON(c.OutOrStdout(), f, newEntityJSON(s))
			} else if s.Known() {
				err = a.writeEntity(c, s)
			}
			if err == nil && !s.Known() {
				what := fmt.Sprintf("nothing is known of %s %s", s.Table, s.Key)
				if s.KeyError != "" {
					what += ": " + s.KeyError
				}
				err = &problem{code: codeNothing, what: what}
			}
			return err
		},
	}
}

// hideEntity hides what the entity's row and events have of records.
func (a *app) hideEntity(c *cobra.Command, db *gorm.DB, s *framework.EntityState) (err error) {
	for i := range s.Columns {
		if col := &s.Columns[i]; !col.Null && a.hide.column(col.Name, col.Text, s.Key) {
			col.Text, col.Bytes = hidden, nil
		}
	}
	a.hideParked(s.Parked)
	for i := range s.Letters {
		if s.Letters[i], err = a.hidden(c, db, s.Letters[i]); err != nil {
			return err
		}
	}
	for i := range s.Verdicts {
		v := &s.Verdicts[i]
		v.Verdict.Detail, v.Entity = a.hide.text(v.Verdict.Detail), a.hide.entity(v.Entity)
	}
	for i := range s.Streams {
		s.Streams[i].Entity = a.hide.entity(s.Streams[i].Entity)
	}
	a.hideAudit(s.Audit)
	s.KeyError = a.hide.naming(s.KeyError, s.Key)
	s.Key = a.hide.entity(s.Key)
	return nil
}

func (a *app) writeEntity(c *cobra.Command, s *framework.EntityState) error {
	w := c.OutOrStdout()
	p := &page{now: a.now(), emphasis: a.emphasis(w)}
	p.heading(safe(s.Table + " " + s.Key))
	model := s.Group
	if s.Model != "" {
		model = fmt.Sprintf("%s (model %s, ordered by %s)", s.Group, s.Model, s.Kind)
	}
	p.fact("group", model)
	p.fact("row", existence(s))
	p.fact("key", s.KeyError)
	if s.Lived != nil {
		p.fact("says", byWhom(p, s.Lived))
	}
	if s.Existence != guards.Missing {
		p.fact("revision", strconv.FormatInt(s.Rev, 10))
		p.time("made", s.Born)
	}
	if _, err := io.WriteString(w, p.String()); err != nil {
		return err
	}
	part := func(name string, n int, write func() error) error {
		if n == 0 {
			return nil
		}
		if _, err := fmt.Fprintf(w, "\n%s\n", p.emphasis(name)); err != nil {
			return err
		}
		return write()
	}
	return errors.Join(
		part("Columns", len(s.Columns), func() error { return a.writeColumns(w, p, s.Columns) }),
		part("Events that wait", len(s.Parked), func() error { return a.writeParked(c, formatTable, s.Parked) }),
		part("Dead letters", len(s.Letters), func() error { return a.writeList(c, formatTable, s.Letters, false) }),
		part("Streams of numbers", len(s.Streams), func() error { return a.writeStreams(c, formatTable, s.Streams) }),
		part("Last verdicts (a plain apply has none)", len(s.Verdicts), func() error { return a.writeVerdicts(w, s.Verdicts) }),
		part("Audit", len(s.Audit), func() error { return a.writeAudit(w, s.Audit) }),
		a.entityNote(w, s),
	)
}

func (a *app) entityNote(w io.Writer, s *framework.EntityState) error {
	if s.JournalRead == 0 {
		return nil
	}
	_, err := fmt.Fprintf(w, "\nOnly the newest %d lines of the journal were looked through for verdicts.\n", s.JournalRead)
	return err
}

// existence is what the row is, in words.
func existence(s *framework.EntityState) string {
	text := s.Existence.String()
	switch s.Existence {
	case guards.Missing:
		text = "none"
	case guards.Placeholder:
		text = "placeholder: its creating event has not come"
	case guards.Deleted:
		text = "deleted; it stays with its clocks, so that no older event raises it"
	case guards.Foreign:
		text = "live; Evenkeel did not make it, so any event wins against it"
	case guards.Alive:
	}
	if s.Rebuilding {
		text += "; it is being rebuilt"
	}
	return text
}

// byWhom tells who wrote something, as a sentence without a verb.
func byWhom(p *page, k *framework.EntityClock) string {
	if k.Purged {
		return "the horizon of purged tombstones, " + instant(k.At)
	}
	s := fmt.Sprintf("event %s of %s", k.ID, told(k.Source))
	if k.At.IsZero() {
		return s + ", at " + strconv.FormatInt(k.Stamp.Time, 10)
	}
	return s + ", " + p.when(k.At)
}

func (a *app) writeColumns(w io.Writer, p *page, columns []framework.EntityColumn) error {
	rows := make([][]string, 0, len(columns))
	for i := range columns {
		c := &columns[i]
		row := []string{safe(c.Name), safe(c.String()), "-", "-", "-"}
		switch k := c.Clock; {
		case !c.Clocked:
		case k == nil:
			row[2] = "nobody yet"
		case k.Purged:
			row[2], row[4] = "(purge horizon)", instant(k.At)
		default:
			row[2], row[3], row[4] = orNone(k.ID), orNone(k.Source), strconv.FormatInt(k.Stamp.Time, 10)
			if !k.At.IsZero() {
				row[4] = instant(k.At)
			}
		}
		rows = append(rows, row)
	}
	return table(w, a.width(w), p.emphasis, []string{"COLUMN", "VALUE", "WRITTEN BY", "SOURCE", "STAMP"}, rows)
}

func (a *app) writeVerdicts(w io.Writer, verdicts []framework.EventVerdict) error {
	now := a.now()
	rows := make([][]string, 0, len(verdicts))
	for i := range verdicts {
		v := &verdicts[i]
		text := v.Verdict.Numbers.String()
		switch {
		case text == "" && len(v.Verdict.Masked) > 0:
			text = "but for " + strings.Join(v.Verdict.Masked, ", ")
		case text == "":
			text = v.Verdict.Detail
		}
		rows = append(rows, []string{ago(now, v.At), orNone(v.ID), orNone(v.EventType), safe(v.Verdict.Action.String()), orNone(string(v.Verdict.Reason)), orNone(text)})
	}
	return table(w, a.width(w), a.emphasis(w), []string{"WHEN", "EVENT", "TYPE", "ACTION", "REASON", "COMPARED"}, rows)
}

// entityJSON is an entity for programs. Names and meanings are stable; new ones may come. All
// are always there; what isn't known is null, or "" for texts.
type entityJSON struct {
	Group      string `json:"group"`
	Table      string `json:"table"`
	Model      string `json:"model"`
	Key        string `json:"key"`
	Kind       string `json:"kind"`
	Existence  string `json:"existence"` // missing, foreign, placeholder, live or deleted
	Rebuilding bool   `json:"rebuilding"`
	KeyError   string `json:"key_error"`

	Rev     int64        `json:"rev"`
	Born    *string      `json:"born"`
	Lived   *clockJSON   `json:"lived"`
	Columns []columnJSON `json:"columns"`

	Parked      []parkedJSON  `json:"parked"`
	Letters     []*letterJSON `json:"letters"`
	Verdicts    []verdictJSON `json:"verdicts"`     // newest first
	JournalRead *int64        `json:"journal_read"` // null: all of it
	Streams     []streamJSON  `json:"streams"`
	Audit       []auditJSON   `json:"audit"`
}

type columnJSON struct {
	Name    string     `json:"name"`
	Type    string     `json:"type"`
	Value   *bytesJSON `json:"value"`
	Clocked bool       `json:"clocked"`
	Clock   *clockJSON `json:"clock"`
}

// clockJSON is the stamp of who wrote something. At is null where stamps are no times.
type clockJSON struct {
	Stamp       stampJSON `json:"stamp"`
	At          *string   `json:"at"`
	EventSource string    `json:"event_source"`
	EventID     string    `json:"event_id"`
	Purged      bool      `json:"purged"`
}

// verdictJSON is a line of the journal.
type verdictJSON struct {
	At          string        `json:"at"`
	Group       string        `json:"group"`
	Handler     string        `json:"handler"`
	Table       string        `json:"table"`
	Entity      string        `json:"entity"`
	EventType   string        `json:"event_type"`
	EventID     string        `json:"event_id"`
	EventSource string        `json:"event_source"`
	Action      string        `json:"action"`
	Reason      string        `json:"reason"`
	Compared    *comparedJSON `json:"compared"`
	Detail      string        `json:"detail"`
	Masked      []string      `json:"masked"`
	Topic       string        `json:"topic"`
	Partition   int32         `json:"partition"`
	Offset      int64         `json:"offset"`
}

func newEntityJSON(s *framework.EntityState) entityJSON {
	j := entityJSON{
		Group: s.Group, Table: s.Table, Model: s.Model, Key: s.Key, Kind: s.Kind, Existence: s.Existence.String(), Rebuilding: s.Rebuilding, KeyError: s.KeyError,
		Rev: s.Rev, Born: timeJSON(s.Born), Lived: newClockJSON(s.Lived),
		Columns: []columnJSON{}, Parked: each(s.Parked, newParkedJSON), Letters: each(s.Letters, func(l *dlq.Letter) *letterJSON { return newLetterJSON(l, false) }),
		Verdicts: each(s.Verdicts, newVerdictJSON), Streams: each(s.Streams, newStreamJSON), Audit: each(s.Audit, newAuditJSON),
	}
	if s.JournalRead > 0 {
		j.JournalRead = &s.JournalRead
	}
	for i := range s.Columns {
		c := &s.Columns[i]
		column := columnJSON{Name: c.Name, Type: c.Type, Clocked: c.Clocked, Clock: newClockJSON(c.Clock)}
		switch {
		case c.Null:
		case c.Bytes != nil:
			column.Value = newHexJSON(c.Bytes)
		default:
			column.Value = newBytesJSON([]byte(c.Text))
		}
		j.Columns = append(j.Columns, column)
	}
	return j
}

func newClockJSON(k *framework.EntityClock) *clockJSON {
	if k == nil {
		return nil
	}
	return &clockJSON{Stamp: stampJSON{Time: k.Stamp.Time, Tie: *tieJSON(k.Stamp.Tie)}, At: timeJSON(k.At), EventSource: k.Source, EventID: k.ID, Purged: k.Purged}
}

func newVerdictJSON(v framework.EventVerdict) verdictJSON {
	return verdictJSON{
		At: instant(v.At), Group: v.Group, Handler: v.Handler, Table: v.Table, Entity: v.Entity,
		EventType: v.EventType, EventID: v.ID, EventSource: v.Source,
		Action: v.Verdict.Action.String(), Reason: string(v.Verdict.Reason), Compared: newComparedJSON(v.Verdict.Numbers), Detail: v.Verdict.Detail, Masked: v.Verdict.Masked,
		Topic: v.Coordinates.Topic, Partition: v.Coordinates.Partition, Offset: v.Coordinates.Offset,
	}
}

// each turns a list into one that is written as [] when it is empty.
func each[T, J any](items []T, as func(T) J) []J {
	list := make([]J, 0, len(items))
	for _, item := range items {
		list = append(list, as(item))
	}
	return list
}
