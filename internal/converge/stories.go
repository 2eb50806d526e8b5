package converge

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/store/memory"
)

// dependence tells two orders that came out differently.
func (c *Checker) dependence(one, other *told) *Story {
	ds := compare(one.result, other.result)
	d := mainly(ds)
	s := &Story{Title: d.subject(c) + " depends on " + cause(one.order, other.order) + "."}
	c.listEvents(s, eventsOf(other.order))
	s.add("order "+one.order.String(), one.lines...)
	s.add("order "+other.order.String(), other.lines...)
	c.listDifferences(s, ds, one.order.String(), other.order.String())
	s.Mend = c.mend(d, ds, other.order)
	return s
}

// mainly is the difference to speak of: a field that a handler writes rather than one that
// is computed from it, and what has one cause rather than what follows.
func mainly(ds []difference) difference {
	for _, d := range ds {
		if d.kind == inField && !isProjected(d.column) {
			return d
		}
	}
	return ds[0]
}

// subject is what differs, as the subject of a sentence.
func (d *difference) subject(c *Checker) string {
	switch d.kind {
	case inRow:
		return fmt.Sprintf("Whether %s %s has a row", d.model.Name, d.key)
	case inExistence:
		return fmt.Sprintf("Whether %s %s is %s or %s", d.model.Name, d.key, existence(d.rows[0]), existence(d.rows[1]))
	case inField:
		return fmt.Sprintf("%s of %s %s", d.column.GoName(), d.model.Name, d.key)
	case inOutcome:
		return fmt.Sprintf("What becomes of event %d, %s,", d.unit.event+1, c.events[d.unit.event].Type)
	case inEmission:
		return fmt.Sprintf("What event %d, %s, emits", d.emission.event+1, c.events[d.emission.event].Type)
	case inClock:
		return fmt.Sprintf("What %s %s remembers of its events", d.model.Name, d.key)
	case inMemory:
	}
	return "What is remembered beside the rows"
}

// cause names what the two orders do not share.
func cause(one, other order) string {
	var first []int
	for _, e := range other.list() {
		if !slices.Contains(first, e) {
			first = append(first, e)
		}
	}
	faults := [3]bool{}
	for _, s := range other {
		faults[s.fault] = true
	}
	switch {
	case !slices.Equal(first, one.list()):
		return "the order in which events come"
	case len(other.list()) > len(first):
		return "whether an event comes twice"
	case faults[again]:
		return "whether events are read again"
	case faults[lost]:
		return "whether a crash makes a batch run again"
	}
	return "which events are in one batch"
}

const maxDifferences = 6

func (c *Checker) listDifferences(s *Story, ds []difference, headings ...string) {
	lines := [][]string{append([]string{""}, headings...)}
	if ds[0].kind < inClock { // clocks and memos follow what differs besides
		ds = slices.DeleteFunc(ds, func(d difference) bool { return d.kind >= inClock })
	}
	for i, d := range ds {
		if i == maxDifferences {
			lines = append(lines, []string{fmt.Sprintf("and %d more", len(ds)-i)})
			break
		}
		lines = append(lines, d.line(c))
	}
	s.add("what differs", lines...)
}

func (d *difference) line(c *Checker) []string {
	both := func(what string, show func(*memory.Row) string) []string {
		return []string{d.model.Name + " " + d.key + what, show(d.rows[0]), show(d.rows[1])}
	}
	switch d.kind {
	case inRow:
		return both("", func(r *memory.Row) string { return c.showRow(r, nil) })
	case inExistence:
		return both("", existence)
	case inField:
		return both("  "+d.column.GoName(), func(r *memory.Row) string { return c.show(d.column.Value(r.Entity)) })
	case inClock:
		return both("  clocks", func(r *memory.Row) string { return c.newest(r) })
	case inOutcome:
		what := fmt.Sprintf("event %d", d.unit.event+1)
		if d.unit.handler != "" {
			what += "  " + d.unit.handler
		}
		return []string{what, d.outcomes[0], d.outcomes[1]}
	case inEmission:
		return []string{d.emission.line(), d.outcomes[0], d.outcomes[1]}
	case inMemory:
	}
	return []string{"remembered", d.outcomes[0], d.outcomes[1]}
}

// newest says which event is the newest that a row knows.
func (c *Checker) newest(r *memory.Row) string {
	for i := range c.units {
		for _, u := range c.units[i] {
			if u.handler.Model != r.Model || u.key != r.Key {
				continue
			}
			if s, err := u.handler.Stamper.Stamp(c.events[i], true); err == nil && s.Tie == string(r.EkTie) && s.Time == r.EkTime {
				text := fmt.Sprintf("newest is event %d", i+1)
				if r.EkFields != "" {
					text += ", some fields are older"
				}
				return text
			}
		}
	}
	return "no event"
}

// unstable tells that one and the same order comes out differently each time. Before, it was
// seen to differ.
func (c *Checker) unstable(ctx context.Context, o order, before []difference) (*Story, error) {
	all := o
	o, err := c.fewestUnstable(ctx, o)
	if err != nil {
		return nil, err
	}
	ds, err := c.twiceInARow(ctx, o)
	if err != nil {
		return nil, err
	}
	if len(ds) == 0 {
		return c.fleeting(all, before), nil
	}
	d := mainly(ds)
	s := &Story{Title: d.subject(c) + " is different each time that the same events come in the same order."}
	c.listEvents(s, eventsOf(o))
	if d.kind == inField {
		hidden := func(col *handlers.Column) bool {
			return slices.ContainsFunc(ds, func(x difference) bool { return x.column == col })
		}
		t, err := c.tell(ctx, o, hidden)
		if err != nil {
			return nil, err
		}
		s.add("order "+o.String()+", where … is another value in each run", t.lines...)
	}
	s.Mend = []string{outsideMend}
	return s, nil
}

// fleeting tells of a difference that was seen, and does not show again: the handlers have
// come to know something since.
func (c *Checker) fleeting(o order, ds []difference) *Story {
	d := mainly(ds)
	s := &Story{Title: d.subject(c) + " depends on what the process has seen before."}
	c.listEvents(s, eventsOf(o))
	s.say("what was tried", "The events came in the order "+o.String()+", after others, and left something else than before. When they came so twice more, nothing differed.")
	c.listDifferences(s, ds, "before", "order "+o.String())
	s.Mend = []string{outsideMend}
	return s
}

// twiceInARow plays an order until it comes out otherwise, but not for ever.
func (c *Checker) twiceInARow(ctx context.Context, o order) ([]difference, error) {
	first, err := c.play(ctx, o, nil)
	if err != nil {
		return nil, err
	}
	for range repeats {
		next, err := c.play(ctx, o, nil)
		if err != nil {
			return nil, err
		}
		if ds := compare(first, next); len(ds) > 0 {
			return ds, nil
		}
	}
	return nil, nil
}

func (c *Checker) fewestUnstable(ctx context.Context, o order) (order, error) {
	for _, e := range eventsOf(o) {
		one := plain([]int{e})
		if ds, err := c.twiceInARow(ctx, one); err != nil || len(ds) > 0 {
			return one, err
		}
	}
	for _, e := range eventsOf(o) {
		less := o.only(slices.DeleteFunc(eventsOf(o), func(x int) bool { return x == e }))
		if ds, err := c.twiceInARow(ctx, less); err != nil {
			return nil, err
		} else if len(ds) > 0 {
			o = less
		}
	}
	return o, nil
}

// repeated plays the very first order once more: a handler that remembers what it saw has
// seen all by now.
func (c *Checker) repeated(ctx context.Context, first *told, o order) (*Story, error) {
	last, err := c.tell(ctx, o, nil)
	if err != nil {
		return nil, err
	}
	ds := compare(first.result, last.result)
	if len(ds) == 0 {
		return nil, nil //nolint:nilnil // no story is good news
	}
	if again, err := c.twiceInARow(ctx, o); err != nil {
		return nil, err
	} else if len(again) > 0 {
		return c.unstable(ctx, o, again)
	}
	d := mainly(ds)
	s := &Story{Title: d.subject(c) + " depends on what the process has seen before."}
	c.listEvents(s, eventsOf(o))
	s.add("order "+o.String()+", in a fresh process", first.lines...)
	s.add("the same order, in a process that has seen all these events before", last.lines...)
	c.listDifferences(s, ds, "fresh", "seen before")
	s.Mend = []string{outsideMend}
	return s, nil
}

// aboutSet begins a story about one Set handler.
func (c *Checker) aboutSet(u *unit, title string, events ...int) *Story {
	s := &Story{Title: title}
	if len(events) == 0 {
		events = []int{u.event}
	}
	c.listEvents(s, events)
	return s
}

func (c *Checker) wanderingKey(u *unit) *Story {
	s := c.aboutSet(u, fmt.Sprintf("The key of %s is not a function of its event.", u.handler.Name))
	s.say("what was tried", "The function of handlers.Key or handlers.Keys was called several times with the payload of this event, and did not always find the same entities.")
	s.Mend = []string{"Let the function return something that stands in the payload and nothing else: an event that is read again after a crash must find what it found before."}
	return s
}

func (c *Checker) unrepeatable(u *unit, what string) *Story {
	s := c.aboutSet(u, fmt.Sprintf("%s does not say the same each time: %s.", u.handler.Name, what))
	s.say("what was tried", "The Set handler was run several times in a row on this event, each time on a blank entity. "+upper(what)+" was not the same each time.")
	s.Mend = []string{
		"A Set handler is a function of its event alone (R1). Take the time from d.Event.OccurredAt instead of the clock, what must be unique from d.Event.ID instead of a random number or a counter, and sort what comes out of a map.",
	}
	return s
}

func (c *Checker) remembering(u *unit, what string, col *handlers.Column, before, after said) *Story {
	s := c.aboutSet(u, fmt.Sprintf("What %s says depends on what its process has seen before: %s.", u.handler.Name, what))
	rows := [][]string{{"before other events had come", c.showSaid(col, before)}, {"after they had", c.showSaid(col, after)}}
	heading := "the Set handler, run on this event and a blank entity"
	if col != nil {
		heading += ", wrote " + col.GoName()
	}
	s.add(heading, rows...)
	s.Mend = []string{
		"A Set handler is a function of its event alone (R1): what it keeps in a variable, or reads with a query, is there or not by the order of events. Let each event write its own field, and handlers.Project combine them; or let the producer put into the event what the handler needs; or use handlers.Modify, which gets the row.",
	}
	return s
}

func (c *Checker) showSaid(col *handlers.Column, s said) string {
	switch {
	case s.end != "":
		return s.end
	case col != nil:
		return c.show(col.Value(s.view))
	}
	var words []string
	if s.deleted {
		words = append(words, "deletes")
	}
	for _, k := range s.kept {
		words = append(words, "keeps "+k)
	}
	words = append(words, s.emits...)
	if len(words) == 0 {
		return "succeeds"
	}
	return strings.Join(words, ", ")
}

func (c *Checker) seeing(u *unit, what string, col *handlers.Column, blank said, others []onEntity) *Story {
	s := c.aboutSet(u, fmt.Sprintf("%s looks at the entity that it fills in: %s.", u.handler.Name, what))
	lines := [][]string{{"blank", c.showSaid(col, blank)}}
	for _, o := range others {
		with := "with something in each field"
		if col != nil {
			with = "with " + col.GoName() + "=" + c.show(col.Value(o.had))
		}
		lines = append(lines, []string{with, c.showSaid(col, o.said)})
	}
	heading := "the Set handler, run on this event and an entity"
	if col != nil {
		heading += ", leaves in " + col.GoName()
	}
	s.add(heading, lines...)
	s.Mend = []string{
		"A Set handler gets a blank entity and never the row (R1), so what it finds there is always zero and not what it looks for. Write what the event says, into a field of its own, and let handlers.Project combine the fields. If the change needs the row, use handlers.Modify under guards.Once() if the changes commute, as sums do, or under guards.Sequence() if order decides.",
	}
	return s
}

func (c *Checker) forgetful(u, loser *unit, col *handlers.Column, lost reflect.Value) *Story {
	name := col.GoName()
	events := []int{loser.event, u.event}
	slices.Sort(events)
	s := c.aboutSet(u, fmt.Sprintf("%s leaves %s alone for some events and thereby empties it.", u.handler.Name, name), events...)
	s.add("what "+name+" becomes",
		[]string{fmt.Sprintf("event %d", loser.event+1), loser.handler.Name, "writes " + c.show(lost)},
		[]string{fmt.Sprintf("event %d, the newer one,", u.event+1), u.handler.Name, "does not touch it, so that it becomes empty"})
	s.Mend = []string{
		fmt.Sprintf("%s is among the handler's Writes, and what a Set handler does not fill in is written as empty: zero and NULL are values (R2). If the event says nothing about it, say d.Keep(%q). If it says that there is none, assign the field whatever the payload holds.", name, name),
	}
	return s
}

func (c *Checker) aboutProjection(row *memory.Row, title string) *Story {
	return &Story{Title: title, sections: []section{{"a row", [][]string{{row.Model.Name + " " + row.Key, c.showRow(row, isProjected)}}}}}
}

const pureMend = "A projection is a pure function of the fields that are not its own: it runs whenever the row is written, once for all events of a batch, on a row that has been projected before. Let it assign all its fields each time, from the others alone."

func (c *Checker) unrepeatableProjection(row *memory.Row, col *handlers.Column) *Story {
	s := c.aboutProjection(row, fmt.Sprintf("The projection of %s does not compute the same each time: %s.", row.Model.Name, col.GoName()))
	s.say("what was tried", "It was run twice on this row, and "+col.GoName()+" came out different.")
	s.Mend = []string{pureMend + " What depends on the time belongs into the query that reads the row."}
	return s
}

func (c *Checker) ownProjection(row *memory.Row, col *handlers.Column) *Story {
	s := c.aboutProjection(row, fmt.Sprintf("The projection of %s depends on what is in its own field: %s.", row.Model.Name, col.GoName()))
	lines := [][]string{}
	for n := range 2 {
		e := reflect.New(row.Model.Type)
		e.Elem().Set(row.Entity.Elem())
		copyColumns(row.Model, e, row.Entity)
		for _, own := range row.Model.Columns {
			if isProjected(own) {
				strewColumn(own, e, n)
			}
		}
		had := c.show(col.Value(e))
		row.Model.Project(e.Interface())
		lines = append(lines, []string{"it found " + had, "and left " + c.show(col.Value(e))})
	}
	s.add(col.GoName()+", projected twice", lines...)
	s.Mend = []string{pureMend}
	return s
}

func (c *Checker) trespassing(m *handlers.Model, u *unit, col *handlers.Column, had, left reflect.Value) *Story {
	s := c.aboutSet(u, fmt.Sprintf("The projection of %s changes a field that is not its own: %s.", m.Name, col.GoName()))
	s.add(col.GoName(), []string{u.handler.Name, "writes " + c.show(had)}, []string{"the projection", "makes it " + c.show(left)})
	s.Mend = []string{pureMend + " " + col.GoName() + " belongs to the handlers that write it, and its clock says which event did."}
	return s
}

func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
