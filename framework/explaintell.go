package framework

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
)

// isOwn reports whether a stamp is the event's own.
func (t *traces) isOwn(s event.Stamp) bool {
	for _, l := range t.letters {
		if !s.IsZero() && l.Stamp == s {
			return true
		}
	}
	return s.Depth() == 0 && t.roots(s)
}

// follows reports whether a stamp is that of an event which was derived from the event.
func (t *traces) follows(s event.Stamp) bool { return s.Depth() > 0 && !t.isOwn(s) && t.roots(s) }

// roots reports whether the event is the stamp's root.
func (t *traces) roots(s event.Stamp) bool {
	source, id := s.Identity()
	wantSource, wantID := event.Stamp{Tie: event.Tie(true, cmp.Or(t.query.Source, t.explained.Source), t.query.ID)}.Identity()
	return id == wantID && (wantSource == "" || source == wantSource)
}

// clocks are the stamps of a row, that of its existence last.
func (s *EntityState) clocks() (all []*EntityClock) {
	for i := range s.Columns {
		if k := s.Columns[i].Clock; k != nil {
			all = append(all, k)
		}
	}
	if s.Lived != nil {
		all = append(all, s.Lived)
	}
	return all
}

// fields names what of a row has a stamp that is wanted.
func (s *EntityState) fields(want func(event.Stamp) bool) (names []string) {
	for i := range s.Columns {
		if c := &s.Columns[i]; c.Clock != nil && want(c.Clock.Stamp) {
			names = append(names, "`"+c.Name+"`")
		}
	}
	if s.Lived != nil && want(s.Lived.Stamp) {
		names = append(names, "whether the row exists")
	}
	return names
}

// stands reports whether any row carries the event's stamp.
func (t *traces) stands() bool {
	return slices.ContainsFunc(t.entities, func(s *EntityState) bool { return len(s.fields(t.isOwn)) > 0 })
}

func (t *traces) entity(table, key string) *EntityState {
	for _, s := range t.entities {
		if s.Table == table && s.Key == key {
			return s
		}
	}
	return nil
}

// tell makes the explanation of the traces.
func (t *traces) tell() {
	e := t.explained
	e.Found = t.found() || t.stands()
	t.facts()
	for i := range t.verdicts {
		v := &t.verdicts[i]
		e.Steps = append(e.Steps, ExplainedStep{v.At, v.Group, v.Handler, v.Table, v.Entity, t.verdict(v)})
	}
	for _, l := range t.letters {
		t.letterSteps(l)
	}
	for i := range t.unsent {
		u := &t.unsent[i]
		e.Steps = append(e.Steps, ExplainedStep{At: u.CreatedAt, Group: u.Group, Text: fmt.Sprintf("was emitted by what was handled from %s/%d at offset %d; it stands in the outbox and is not on topic %s yet", u.Origin.Topic, u.Origin.Partition, u.Origin.Offset, u.Topic)})
	}
	for i := range t.emitted {
		u := &t.emitted[i]
		e.Steps = append(e.Steps, ExplainedStep{At: u.CreatedAt, Group: u.Group, Text: fmt.Sprintf("had event %s (%s) emitted for topic %s, which is not sent yet", u.ID, u.EventType, u.Topic)})
	}
	slices.SortStableFunc(e.Steps, func(a, b ExplainedStep) int { return a.At.Compare(b.At) })
	for k := range t.unitKeys() {
		e.Units = append(e.Units, t.unit(k))
	}
	t.unitsOfRows()
	order := []Standing{StandsAsLetter, StandsParked, StandsEnded, StandsMasked, StandsApplied, StandsRepeated, StandsFollowed}
	slices.SortFunc(e.Units, func(a, b ExplainedUnit) int {
		return cmp.Or(cmp.Compare(slices.Index(order, a.Standing), slices.Index(order, b.Standing)), cmp.Compare(a.Group, b.Group), cmp.Compare(a.Handler, b.Handler), cmp.Compare(a.Table, b.Table), cmp.Compare(a.Entity, b.Entity))
	})
	t.unknowns()
	t.conclude()
}

// facts fills in what the event is.
func (t *traces) facts() {
	e := t.explained
	at := func(when time.Time) {
		if e.OccurredAt.IsZero() {
			e.OccurredAt = when
		}
	}
	for _, l := range t.letters {
		e.EventType = cmp.Or(e.EventType, l.EventType)
		at(l.OccurredAt)
	}
	for i := range t.parked {
		e.EventType = cmp.Or(e.EventType, t.parked[i].EventType)
		at(t.parked[i].OccurredAt)
	}
	for i := range t.verdicts {
		v := &t.verdicts[i]
		e.EventType = cmp.Or(e.EventType, v.EventType)
		switch v.Verdict.Numbers.What {
		case "timestamp", "watermark", "now", "memory", "horizon":
			at(time.UnixMicro(v.Verdict.Numbers.Event).UTC())
		}
	}
	for _, s := range t.entities {
		for _, k := range s.clocks() {
			if t.isOwn(k.Stamp) {
				at(k.At)
			}
		}
	}
}

// verdict tells a line of the journal, as what the event did.
func (t *traces) verdict(v *EventVerdict) string {
	r := v.Verdict.Reason
	var text string
	switch v.Verdict.Action {
	case guards.Apply:
		text = "was applied, but for " + list(v.Verdict.Masked) + ", which newer events had written"
		if by := t.masking(v); by != "" {
			text += "; " + by
		}
	case guards.Discard:
		text = fmt.Sprintf("was discarded (%s): it %s", r, reasonOf(r).means)
	case guards.Park:
		text = "was parked: " + waiting(string(r))
	case guards.DeadLetter:
		text = fmt.Sprintf("became a dead letter (%s): it %s", r, reasonOf(r).means)
	default:
		text = v.Verdict.String()
	}
	if numbers := compared(v.Verdict.Numbers); numbers != "" {
		text += "; " + numbers
	}
	if v.Verdict.Detail != "" {
		text += "; " + clipped(v.Verdict.Detail)
	}
	if r == guards.Superseded {
		if by := t.beaten(v); by != "" {
			text += "; " + by
		}
	}
	return fmt.Sprintf("%s [%s/%d at offset %d]", text, v.Coordinates.Topic, v.Coordinates.Partition, v.Coordinates.Offset)
}

// clipped is a text that a step can bear.
func clipped(s string) string {
	const most = 300
	s, _, more := strings.Cut(s, "\n")
	if cut := dlq.Text(s, most); len(cut) < len(s) || more {
		return cut + "…"
	}
	return s
}

// waiting says what a parked event waits for.
func waiting(cause string) string {
	switch cause {
	case "gap":
		return "it is ahead of an event that has to come before it"
	case "retry":
		return "its handler failed, and it is tried again"
	case "behind":
		return "an earlier event of its entity waits or is a dead letter, and it stands behind it"
	case "missing":
		return "its entity's row is not there yet"
	case "replay":
		return "its dead letter is to be replayed"
	case "seen":
		return "its dead letter was given up, and what waits for its event is about to go on"
	}
	return cause
}

// beaten names the event that a superseded one met, where the row still carries its stamp.
func (t *traces) beaten(v *EventVerdict) string {
	n := v.Verdict.Numbers
	switch n.What {
	case "timestamp", "version", "lamport", "vector":
	default:
		return ""
	}
	s := t.entity(v.Table, v.Entity)
	if s == nil || s.Existence == guards.Missing {
		return "its row is not there any more, so which event that was can't be told"
	}
	is := func(o event.Stamp) bool {
		return !o.IsZero() && o.Time == n.Against && (n.AgainstTie == "" || o.Tie == n.AgainstTie) && !t.isOwn(o)
	}
	names, by := s.fields(is), s.writers(is)
	if len(names) == 0 {
		text := "the row has been written since, so which event that was can't be told"
		newer := func(o event.Stamp) bool { return o.Time > n.Event }
		if names, by = s.fields(newer), s.writers(newer); len(names) > 0 {
			text += fmt.Sprintf("; now %s %s by %s", list(names), are(names), by)
		}
		return text
	}
	var newer string
	switch {
	case n.Against == n.Event:
		newer = ", whose source and id decide between equals"
	case n.What == "timestamp":
		newer = ", which is newer by " + length(time.Duration(n.Against-n.Event)*time.Microsecond)
	default:
		newer = ", which is newer by " + strconv.FormatInt(n.Against-n.Event, 10)
	}
	noun := "field"
	if len(names) > 1 {
		noun = "fields"
	}
	if strings.HasPrefix(names[0], "whether") {
		noun = ""
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s %s already written by %s%s", noun, list(names), was(names), by, newer))
}

// masking names the events that wrote what an applied one did not.
func (t *traces) masking(v *EventVerdict) string {
	s := t.entity(v.Table, v.Entity)
	if s == nil {
		return ""
	}
	var told []string
	for i := range s.Columns {
		c := &s.Columns[i]
		// The verdict has the fields' names in Go, the clocks those of the columns.
		same := func(field string) bool { return strings.EqualFold(field, strings.ReplaceAll(c.Name, "_", "")) }
		if c.Clock != nil && slices.ContainsFunc(v.Verdict.Masked, same) && !t.isOwn(c.Clock.Stamp) {
			told = append(told, "`"+c.Name+"` is now by "+c.Clock.String())
		}
	}
	return strings.Join(told, ", ")
}

// writers names the events whose stamps are wanted.
func (s *EntityState) writers(want func(event.Stamp) bool) string {
	var all []string
	for _, k := range s.clocks() {
		if text := k.String(); want(k.Stamp) && !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	return strings.Join(all, " or ")
}

// String names the event that wrote, and when it happened.
func (k *EntityClock) String() string {
	if k.Purged {
		return "the horizon of purged tombstones, " + moment(k.At)
	}
	text := "event " + k.ID
	if k.Source != "" {
		text += " of " + k.Source
	}
	if k.Stamp.Depth() > 0 {
		text = "an event that follows from " + text
	}
	if k.At.IsZero() {
		return text + " at " + strconv.FormatInt(k.Stamp.Time, 10)
	}
	return text + ", of " + moment(k.At)
}

// letterSteps tells how a letter came and what was done to it.
func (t *traces) letterSteps(l *dlq.Letter) {
	e := t.explained
	recorded := slices.ContainsFunc(t.verdicts, func(v EventVerdict) bool {
		return v.Verdict.Action == guards.DeadLetter && v.Handler == l.Handler && v.Entity == l.Entity && v.Coordinates.Offset == l.Record.Offset && v.Coordinates.Partition == l.Record.Partition
	})
	if !recorded {
		v := EventVerdict{Group: l.Group, Handler: l.Handler, Table: l.Table, Entity: l.Entity, Verdict: l.Verdict, Coordinates: l.Record.Coordinates}
		e.Steps = append(e.Steps, ExplainedStep{l.CreatedAt, l.Group, l.Handler, l.Table, l.Entity, t.verdict(&v)})
	}
	for _, a := range t.audit[l.ID] {
		if a.After == "" {
			continue
		}
		text := fmt.Sprintf("its letter %s was %s by %s", short(l.ID), dlq.Move(a.Verb).Past(), a.By.Name)
		if a.Reason != "" {
			text += ": " + clipped(a.Reason)
		}
		e.Steps = append(e.Steps, ExplainedStep{a.At, l.Group, l.Handler, l.Table, l.Entity, text})
	}
}

// short is as much of a letter's id as can be typed.
func short(id string) string { return id[:min(12, len(id))] }

// unit says how the event stands under one handler for one entity.
func (t *traces) unit(k unitKey) ExplainedUnit {
	u := ExplainedUnit{Group: k.group, Handler: k.handler, Table: k.table, Entity: k.entity}
	for _, l := range t.letters {
		if (unitKey{l.Group, l.Handler, l.Table, l.Entity}) != k {
			continue
		}
		u.Letter = l.ID
		switch {
		case l.State.Unresolved():
			u.Standing = StandsAsLetter
			u.Text = fmt.Sprintf("It is a dead letter (%s) since %s: it %s", l.State, moment(l.CreatedAt), reasonOf(l.Verdict.Reason).means)
			if numbers := compared(l.Verdict.Numbers); numbers != "" {
				u.Text += "; " + numbers
			}
			u.Text += fmt.Sprintf(". `evenkeel dlq explain %s` says what to do", short(l.ID))
			return u
		case l.State == dlq.Resolved && l.Outcome == dlq.OutcomeApplied:
			u.Standing, u.Text = StandsApplied, "It was a dead letter, and its replay had its effect"
		case l.State == dlq.Resolved:
			u.Standing, u.Text = StandsEnded, "It was a dead letter, and its replay had no effect: "+string(l.Outcome)
			if a := t.audit[l.ID]; len(a) > 0 && a[0].Reason != "" {
				u.Text += " (" + clipped(a[0].Reason) + ")"
			}
		case l.State == dlq.Purged && l.Outcome != "":
			u.Standing, u.Text = StandsEnded, "It was a dead letter, which ended as "+string(l.Outcome)+" and was purged"
		default:
			u.Standing, u.Text = StandsEnded, "It was a dead letter, and somebody has decided that it is not to be applied"
			for _, a := range t.audit[l.ID] {
				if a.Verb == string(dlq.MoveDiscard) {
					u.Text += ": " + a.String()
					break
				}
			}
		}
	}
	for i := range t.parked {
		p := &t.parked[i]
		if (unitKey{p.Group, p.Handler, p.Table, p.Entity}) == k {
			u.Standing = StandsParked
			u.Text = "It waits: " + waiting(p.Cause) + t.until(p)
			return u
		}
	}
	if u.Standing == "" {
		t.judged(&u, k)
	}
	return u
}

// until says how long a parked event waits, and for what.
func (t *traces) until(p *ParkedEvent) string {
	text := ""
	if p.Stream != "" {
		text += fmt.Sprintf(" (its number is %d in stream %s)", p.Place, p.Stream)
	}
	if p.Attempts > 0 {
		text += fmt.Sprintf("; %d runs have failed, the last with: %s", p.Attempts, clipped(p.Error))
	}
	text += "; it is looked at again at " + moment(p.Due)
	if !p.Expires.IsZero() {
		text += ", and stops to wait at " + moment(p.Expires)
	}
	return text
}

// judged says what the journal tells of a unit that is neither a letter nor parked.
func (t *traces) judged(u *ExplainedUnit, k unitKey) {
	var last *EventVerdict
	for i := range t.verdicts {
		v := &t.verdicts[i]
		if (unitKey{v.Group, v.Handler, v.Table, v.Entity}) != k {
			continue
		}
		// What was delivered once more says nothing about what became of the first record.
		again := v.Verdict.Reason == guards.Redelivered || v.Verdict.Reason == guards.Duplicate
		if last == nil || !again {
			last = v
		}
	}
	carried := ""
	if s := t.entity(k.table, k.entity); s != nil {
		if names := s.fields(t.isOwn); len(names) > 0 {
			carried = fmt.Sprintf("%s of %s %s %s by it", list(names), s.Table, s.Key, are(names))
		}
	}
	r := last.Verdict.Reason
	switch {
	case last.Verdict.Action == guards.Apply:
		u.Standing, u.Text = StandsApplied, "It had its effect, but for "+list(last.Verdict.Masked)+", which newer events had written"
		if by := t.masking(last); by != "" {
			u.Text += ": " + by
		}
		// The stamp of a derived event does not tell its id, so such a one may be this event's.
		derived := func(o event.Stamp) bool { return o.Depth() > 0 }
		if s := t.entity(k.table, k.entity); s != nil && len(s.clocks()) > 0 && carried == "" && len(s.fields(derived)) == 0 {
			u.Standing = StandsMasked
			u.Text += "; the rest has been written by newer ones since"
		}
	case last.Verdict.Action == guards.Park:
		u.Standing, u.Text = StandsApplied, "It had to wait ("+string(r)+") and was then applied"
	case r == guards.Duplicate || r == guards.Redelivered:
		u.Standing, u.Text = StandsRepeated, "It "+reasonOf(r).means
		if carried != "" {
			u.Standing, u.Text = StandsApplied, "It had its effect when it came first, and what came again was a "+again(r)+": "+carried
		}
	case last.Verdict.Action == guards.DeadLetter:
		u.Standing, u.Text = StandsEnded, "It became a dead letter ("+string(r)+"), which is not in the table any more"
	default:
		u.Standing, u.Text = StandsEnded, "It was discarded ("+string(r)+"): it "+reasonOf(r).means
		if r == guards.Superseded {
			u.Text = "It was superseded: "
			if by := t.beaten(last); by != "" {
				u.Text += by
			} else {
				u.Text += cmp.Or(compared(last.Verdict.Numbers), reasonOf(r).means)
			}
		} else if last.Verdict.Detail != "" {
			u.Text += ": " + clipped(last.Verdict.Detail)
		}
	}
}

func again(r guards.Reason) string {
	if r == guards.Redelivered {
		return "redelivery"
	}
	return "duplicate"
}

// unitsOfRows adds what only rows and memories tell.
func (t *traces) unitsOfRows() {
	e := t.explained
	knows := func(table, key string) bool {
		return slices.ContainsFunc(e.Units, func(u ExplainedUnit) bool {
			return u.Table == table && u.Entity == key && u.Standing != StandsRepeated
		})
	}
	for _, s := range t.entities {
		if names := s.fields(t.isOwn); len(names) > 0 && !knows(s.Table, s.Key) {
			e.Units = append(e.Units, ExplainedUnit{
				Group: s.Group, Table: s.Table, Entity: s.Key, Standing: StandsApplied,
				Text: fmt.Sprintf("It had its effect, which stands: %s of %s %s %s by it", list(names), s.Table, s.Key, are(names)),
			})
		}
		if names := s.fields(t.follows); len(names) > 0 {
			e.Units = append(e.Units, ExplainedUnit{
				Group: s.Group, Table: s.Table, Entity: s.Key, Standing: StandsFollowed,
				Text: fmt.Sprintf("What was derived from it had its effect, which stands: %s of %s %s %s by an event that follows from it", list(names), s.Table, s.Key, are(names)),
			})
		}
	}
	for _, r := range t.ids {
		told := slices.ContainsFunc(e.Units, func(u ExplainedUnit) bool {
			return u.Group == r.Group && u.Handler == r.Handler && u.Entity == r.Entity && u.Standing != StandsRepeated
		})
		if told {
			continue
		}
		e.Units = slices.DeleteFunc(e.Units, func(u ExplainedUnit) bool {
			return u.Group == r.Group && u.Handler == r.Handler && u.Entity == r.Entity
		})
		e.Units = append(e.Units, ExplainedUnit{
			Group: r.Group, Handler: r.Handler, Entity: r.Entity, Standing: StandsApplied,
			Text: fmt.Sprintf("It was taken once by handler %s for %s, which remembers its id (guards.Once)", r.Handler, r.Entity),
		})
	}
	e.Found = e.Found || len(e.Units) > 0
}

// unknowns says what can't be known, and why.
func (t *traces) unknowns() {
	e := t.explained
	add := func(format string, args ...any) { e.Unknown = append(e.Unknown, fmt.Sprintf(format, args...)) }
	switch {
	case t.journal.IsZero():
		add("the journal of verdicts is empty: it has a line for all that is not plainly applied, for as long as Config.KeepVerdicts")
	case e.OccurredAt.IsZero() || e.OccurredAt.Before(t.journal):
		add("the journal of verdicts goes back to %s (Config.KeepVerdicts): what was decided before has no line any more", moment(t.journal))
	}
	if e.Found {
		add("a plain apply leaves no line, so under which other handlers it had its effect can't be told")
	}
	if len(t.looked) > 0 {
		add("nothing that has an index tells of it, so these were looked through: %s", strings.Join(t.looked, ", "))
	}
	if len(t.gaveUp) > 0 {
		add("there was no time to look through %s; name the key of its entity (--entity), or give more time", strings.Join(t.gaveUp, ", "))
	}
	if !e.Found && t.query.Source == "" {
		add("the memory of ids (guards.Once) is kept by source and id, and no source was given (--source)")
	}
	if !e.Found {
		add("an event that was derived from another leaves its root's id in the rows that it writes, not its own: if its record has the header %s, ask for the id that stands there", event.LineageHeader)
		add("how far the logs go on behind these positions only Kafka knows: compare with its log ends")
	}
	if t.capped {
		add("there is more than is shown")
	}
	for _, l := range t.letters {
		if l.Stamp.Depth() > 0 {
			source, id := l.Stamp.Identity()
			add("it is a derived event: it follows from event %s of %s, whose place in time it has; ask for that one to see more", id, source)
			break
		}
	}
}

// conclude gives the answer in one line.
func (t *traces) conclude() {
	e := t.explained
	switch {
	case len(e.Units) > 0:
		e.Conclusion = e.Units[0].Text + "."
		if more := len(e.Units) - 1; more > 0 {
			e.Conclusion += fmt.Sprintf(" That is %s; %d more above.", subject(&e.Units[0]), more)
		}
	case len(t.unsent) > 0:
		e.Conclusion = "It was emitted and is not sent yet."
	case len(e.Positions) == 0:
		e.Conclusion = "No trace of it, and no group has read anything into this database: is it the right one?"
	case t.query.Entity != "":
		e.Conclusion = fmt.Sprintf("No trace of it at %s: either it has not come yet, or it was applied and newer events have written all that it wrote.", t.query.Entity)
	case len(t.gaveUp) > 0:
		e.Conclusion = "No trace of it so far: name the key of its entity (--entity) to look at the row."
	default:
		e.Conclusion = "No trace of it: either it has not come yet, or it was applied and newer events have written all that it wrote."
	}
}

// subject names a unit.
func subject(u *ExplainedUnit) string {
	switch {
	case u.Handler != "" && u.Entity != "":
		return "under " + u.Handler + " for " + u.Entity
	case u.Handler != "":
		return "under " + u.Handler
	case u.Entity != "":
		return "for " + strings.TrimSpace(u.Table+" "+u.Entity)
	}
	return "in group " + u.Group
}

// list joins names as sentences do.
func list(names []string) string {
	if n := len(names); n > 1 {
		return strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
	return strings.Join(names, "")
}

func was(names []string) string {
	if len(names) > 1 {
		return "were"
	}
	return "was"
}

// are is was for what holds now.
func are(names []string) string {
	if len(names) > 1 {
		return "are"
	}
	return "is"
}
