package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
)

// dryRunJSON is what a dry run of replays came to. Letters is null without handlers.
type dryRunJSON struct {
	Chosen  int                 `json:"chosen"`
	Done    int                 `json:"done"` // always 0
	DryRun  bool                `json:"dry_run"`
	Refused []refusalJSON       `json:"refused"`
	Became  map[string]int      `json:"became,omitempty"`
	Letters []*dryRunLetterJSON `json:"letters"`
}

// dryRunLetterJSON is what a replay of a letter would come to. Names and meanings are stable.
type dryRunLetterJSON struct {
	ID      string `json:"id"`
	Outcome string `json:"outcome"` // applied, obsolete, duplicate, fails, waits, refused or untried
	Why     string `json:"why"`
	Retried bool   `json:"retried"` // with fails: it would be tried again first

	Reason    string `json:"reason"` // why it is a letter now
	Group     string `json:"group"`
	EventType string `json:"event_type"`
	EventID   string `json:"event_id"`
	Handler   string `json:"handler"`
	Table     string `json:"table"`
	Entity    string `json:"entity"`

	ErrorType string `json:"error_type"`
	Error     string `json:"error"`
	Stack     string `json:"stack"`

	Units     []dryRunUnitJSON `json:"units"`
	Rows      []dryRunRowJSON  `json:"rows"`
	Unwritten string           `json:"unwritten"`
	Emits     []dryRunEmitJSON `json:"emits"`
	LetsGo    []dryRunUnitJSON `json:"lets_go"`
	OwnSQL    bool             `json:"own_sql"` // SQL of a handler's own is not shown
}

type dryRunUnitJSON struct {
	EventType string        `json:"event_type"`
	EventID   string        `json:"event_id"`
	Handler   string        `json:"handler"`
	Entity    string        `json:"entity"`
	Action    string        `json:"action"`
	Reason    string        `json:"reason"`
	Verdict   string        `json:"verdict"` // one line for people
	Compared  *comparedJSON `json:"compared"`
	Masked    []string      `json:"masked"`
	Called    bool          `json:"called"` // false for an External handler that would have been
}

type dryRunRowJSON struct {
	Model   string            `json:"model"`
	Table   string            `json:"table"`
	Key     string            `json:"key"`
	Before  string            `json:"before"` // missing, foreign, placeholder, live or deleted
	After   string            `json:"after"`
	Changed bool              `json:"changed"`
	Fields  []dryRunFieldJSON `json:"fields"`
	Clocks  []dryRunFieldJSON `json:"clocks"`
}

type dryRunFieldJSON struct {
	Column  string  `json:"column"`
	Before  *string `json:"before"`
	After   *string `json:"after"`
	Changed bool    `json:"changed"`
}

type dryRunEmitJSON struct {
	ID        string     `json:"id"`
	EventType string     `json:"event_type"`
	Topic     string     `json:"topic"`
	Key       *bytesJSON `json:"key"`
}

func newDryRunLetterJSON(d *framework.DryRunLetter) *dryRunLetterJSON {
	j := &dryRunLetterJSON{
		ID: d.Ref.ID, Outcome: string(d.Outcome), Why: d.Why, Retried: d.Retried,
		ErrorType: d.ErrorType, Error: d.Error, Stack: d.Stack, Unwritten: d.Unwritten, OwnSQL: d.OwnSQL,
		Units: dryRunUnitsJSON(d.Units), LetsGo: dryRunUnitsJSON(d.LetsGo), Rows: []dryRunRowJSON{}, Emits: []dryRunEmitJSON{},
	}
	if l := d.Letter; l != nil {
		j.Reason, j.Group, j.EventType, j.EventID, j.Handler, j.Table, j.Entity = string(l.Verdict.Reason), l.Group, l.EventType, l.EventID, l.Handler, l.Table, l.Entity
	}
	for i := range d.Rows {
		r := &d.Rows[i]
		j.Rows = append(j.Rows, dryRunRowJSON{
			Model: r.Model, Table: r.Table, Key: r.Key, Before: r.Before.String(), After: r.After.String(), Changed: r.Changed(),
			Fields: dryRunFieldsJSON(r.Fields), Clocks: dryRunFieldsJSON(r.Clocks),
		})
	}
	for _, e := range d.Emits {
		j.Emits = append(j.Emits, dryRunEmitJSON{ID: e.ID, EventType: e.EventType, Topic: e.Topic, Key: newBytesJSON(e.Key)})
	}
	return j
}

func dryRunUnitsJSON(units []framework.DryRunUnit) []dryRunUnitJSON {
	all := []dryRunUnitJSON{}
	for _, u := range units {
		v := u.Verdict
		all = append(all, dryRunUnitJSON{
			EventType: u.EventType, EventID: u.EventID, Handler: u.Handler, Entity: u.Entity,
			Action: v.Action.String(), Reason: string(v.Reason), Verdict: v.String(), Compared: newComparedJSON(v.Numbers),
			Masked: append([]string{}, v.Masked...), Called: !u.NotCalled,
		})
	}
	return all
}

func dryRunFieldsJSON(fields []framework.DryRunField) []dryRunFieldJSON {
	all := []dryRunFieldJSON{}
	for i := range fields {
		f := &fields[i]
		all = append(all, dryRunFieldJSON{Column: f.Column, Before: f.Before, After: f.After, Changed: f.Changed()})
	}
	return all
}

// dryRunReplay shows what a replay of the letters would come to. Without handlers it counts them, and
// says how to learn the rest.
func (a *app) dryRunReplay(c *cobra.Command, form format, db *gorm.DB, refs []dlq.Ref, accept bool) error {
	w := c.OutOrStdout()
	sum := dryRunJSON{Chosen: len(refs), DryRun: true, Refused: []refusalJSON{}}
	if a.config == nil {
		var err error
		if form != formatTable {
			err = writeJSON(w, form, sum)
		} else {
			_, err = fmt.Fprintln(w, "dry run: nothing was changed")
		}
		if err != nil {
			return err
		}
		// What was asked for is what would become of them; that they are so many is a part.
		return &problem{code: codePartly, what: "this binary has no handlers, so it has only counted the letters and can't tell what would become of them", next: errNoHandlers.next}
	}
	sum.Became = map[string]int{}
	shows := a.dryRunTable(w)
	for d, err := range framework.DryRun(c.Context(), db, a.config, refs, framework.DryRunOptions{AcceptForgotten: accept}) {
		if err != nil {
			return err
		}
		if err := a.hideDryRun(c, db, d); err != nil {
			return err
		}
		sum.Became[string(d.Outcome)]++
		switch form {
		case formatLines:
			if err := writeJSON(w, form, newDryRunLetterJSON(d)); err != nil {
				return err
			}
		case formatJSON, formatYAML:
			sum.Letters = append(sum.Letters, newDryRunLetterJSON(d))
			if d.Err != nil {
				sum.Refused = append(sum.Refused, refusalJSON{ID: d.Ref.ID, Error: d.Err.Error()})
			}
		case formatTable:
			shows(d)
		}
	}
	switch form {
	case formatLines:
	case formatJSON, formatYAML:
		return writeJSON(w, form, sum)
	case formatTable:
		fmt.Fprintln(w, "dry run: nothing was changed; a replay would come to")
		for _, word := range slices.Sorted(maps.Keys(sum.Became)) {
			fmt.Fprintf(w, "  %d %s\n", sum.Became[word], word)
		}
	}
	return nil
}

// hideDryRun hides what a dry run tells of records: what would be written is made of them.
func (a *app) hideDryRun(c *cobra.Command, db *gorm.DB, d *framework.DryRunLetter) error {
	if !a.hide.any() {
		return nil
	}
	quoted, entity := a.hide.text, ""
	if d.Letter != nil {
		whole, err := dlq.Get(c.Context(), db, d.Letter.ID)
		if err != nil {
			return explain(c, err)
		}
		quoted, entity = a.hide.quoting(whole), whole.Entity
		d.Letter = a.hide.letter(whole)
	}
	verdicts := func(units []framework.DryRunUnit, text func(string) string) (told bool) {
		for i := range units {
			u := &units[i]
			said := u.Verdict.String()
			u.Verdict.Detail, u.Entity = text(u.Verdict.Detail), a.hide.entity(u.Entity)
			if d.Why == said {
				d.Why, told = u.Verdict.String(), true // its numbers stay
			}
		}
		return told
	}
	// What refuses a letter is said by us.
	if told := verdicts(d.Units, quoted); !told && d.Outcome != framework.DryRunRefused {
		d.Why = quoted(d.Why)
	}
	d.Why = a.hide.naming(d.Why, entity)
	verdicts(d.LetsGo, a.hide.text)
	d.Error, d.Stack, d.Unwritten = quoted(d.Error), quoted(d.Stack), quoted(d.Unwritten)
	for i := range d.Rows {
		r := &d.Rows[i]
		for j := range r.Fields {
			a.hideField(&r.Fields[j], r.Key)
		}
		r.Key = a.hide.entity(r.Key)
	}
	for i := range d.Emits {
		if a.hide.key {
			d.Emits[i].Key = mask(d.Emits[i].Key)
		}
	}
	return nil
}

// hideField hides a column's values, and still tells whether they differ.
func (a *app) hideField(f *framework.DryRunField, key string) {
	for _, v := range []*string{f.Before, f.After} {
		if v == nil || !a.hide.column(f.Column, *v, key) {
			continue
		}
		before, after := hidden+" before", hidden+" after"
		switch changed := f.Changed(); {
		case !changed:
			before, after = hidden, hidden
		case f.Before == nil || f.After == nil:
			before, after = hidden, hidden
		}
		if f.Before != nil {
			f.Before = &before
		}
		if f.After != nil {
			f.After = &after
		}
		return
	}
}

// dryRunTable shows letters to people: a line with the outcome and why, under it what would
// change.
func (a *app) dryRunTable(w io.Writer) func(*framework.DryRunLetter) {
	width, bold := a.width(w), a.emphasis(w)
	cut := func(s string) string {
		if width > 0 {
			return fit(s, max(width, 40))
		}
		return s
	}
	line := func(depth int, format string, args ...any) {
		fmt.Fprintln(w, cut(strings.Repeat("  ", depth)+fmt.Sprintf(format, args...)))
	}
	return func(d *framework.DryRunLetter) {
		kind, entity := "-", "-"
		if l := d.Letter; l != nil {
			kind, entity = orNone(l.EventType), orNone(l.Entity)
		}
		id, why := safe(d.Ref.ID[:min(shortID, len(d.Ref.ID))]), safe(d.Why)
		if d.Outcome == framework.DryRunApplied {
			why = "" // the outcome says it
		}
		fmt.Fprintln(w, bold(cut(strings.TrimRight(fmt.Sprintf("%s  %-9s  %s  %s  %s", id, d.Outcome, kind, entity, why), " "))))
		if d.Retried {
			line(1, "it would be tried again by the retry schedule")
		}
		for _, u := range d.Units {
			if len(d.Units) > 1 {
				line(1, "%s %s: %s", orNone(u.Handler), orNone(u.Entity), safe(u.Verdict.String()))
			}
			if u.NotCalled {
				line(1, "handler %s is External and was not called; its verdict is that of the guards alone", safe(u.Handler))
			}
			if len(u.Verdict.Masked) > 0 {
				line(1, "newer events have written %s", safe(strings.Join(u.Verdict.Masked, ", ")))
			}
		}
		for i := range d.Rows {
			dryRunRowLines(line, &d.Rows[i])
		}
		if d.Unwritten != "" {
			line(1, "what that handler would write is missing, and without it: %s", safe(d.Unwritten))
		}
		for _, e := range d.Emits {
			line(1, "emits %s to %s, key %s", orNone(e.EventType), safe(e.Topic), oneLine(e.Key))
		}
		for _, u := range d.LetsGo {
			line(1, "lets go %s %s, %s: %s", orNone(u.EventType), orNone(u.EventID), orNone(u.Handler), safe(u.Verdict.String()))
		}
		if d.OwnSQL {
			line(1, "SQL of a handler's own is not shown")
		}
	}
}

func dryRunRowLines(line func(int, string, ...any), r *framework.DryRunRow) {
	name := safe(r.Model) + " " + orNone(r.Key)
	switch {
	case !r.Changed():
		line(1, "%s stays as it is (%s)", name, r.Before)
		return
	case r.Before == r.After:
		line(1, "%s", name)
	case r.Before == guards.Missing:
		line(1, "%s is made (%s)", name, r.After)
	default:
		line(1, "%s: %s → %s", name, r.Before, r.After)
	}
	wide := 0
	for i := range r.Fields {
		if r.Fields[i].Changed() {
			wide = max(wide, cells(safe(r.Fields[i].Column)))
		}
	}
	for i := range r.Fields {
		f := &r.Fields[i]
		if !f.Changed() {
			continue
		}
		column := safe(f.Column)
		if column += strings.Repeat(" ", wide-cells(column)); r.Before == guards.Missing {
			line(2, "%s  %s", column, cellShown(f.After))
			continue
		}
		line(2, "%s  %s → %s", column, cellShown(f.Before), cellShown(f.After))
	}
}

// cellShown is a column's value; the quotes tell an empty text from none.
func cellShown(v *string) string {
	switch {
	case v == nil:
		return "NULL"
	case *v == "":
		return `""`
	}
	return safe(*v)
}
