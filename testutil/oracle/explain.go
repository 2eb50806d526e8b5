package oracle

import (
	"fmt"
	"maps"
	"slices"
)

// explain says how a field came to a wrong value: it looks for the event that states that
// value, and for where it stands in the log beside the one that should have won.
func (p *Prediction) explain(t *Table, key, field string, want, found any) Deviation {
	d := Deviation{Class: Lost, Table: t.Name, Key: key, Field: field, Expected: show(want), Found: show(found)}
	about := fmt.Sprintf("%s %s: %s must be %s and is %s", t.Name, key, field, d.Expected, d.Found)
	history := p.history[t.Name][key]
	if r, ok := p.replayed(t, key, field, found); ok {
		d.Class = r.class
		d.Story = about + ", which is what comes out when " + r.story
		return d
	}
	winner := p.winner(t, history, field, want)
	var culprit *entry
	for _, e := range history {
		if states(t, e, field, found) && p.wrongTo(e, winner) && (culprit == nil || p.worse(e, culprit)) {
			culprit = e
		}
	}
	switch {
	case culprit != nil && p.refusal(culprit) != "":
		d.Class = StaleOverwrite
		d.Story = fmt.Sprintf("%s: %s wrote it, though it %s", about, culprit.tell(), p.refusal(culprit))
	case culprit != nil && culprit.copy:
		d.Class = DuplicateEffect
		d.Story = fmt.Sprintf("%s: a second copy of %s came after %s and wrote it again", about, culprit.tell(), winner.tell())
	case culprit != nil:
		d.Class = StaleOverwrite
		d.Story = fmt.Sprintf("%s: %s came after %s, which is newer, and overwrote it", about, culprit.tell(), winner.tell())
	case winner != nil:
		d.Story = fmt.Sprintf("%s: the effect of %s is not there", about, winner.tell())
	default:
		d.Story = about
	}
	return d
}

// states reports whether an event says, or hints, that a field has a value.
func states(t *Table, e *entry, field string, value any) bool {
	if fact, ok := e.unit.Facts[field]; ok {
		return equal(fact, value)
	}
	if hint, ok := e.unit.Hints[field]; ok {
		return equal(hint, value)
	}
	return e.unit.Deletes && slices.Contains(t.Set, field) && equal(nil, value)
}

// winner is the newest admitted event that states the right value.
func (p *Prediction) winner(t *Table, history []*entry, field string, want any) *entry {
	var w *entry
	for _, e := range history {
		if e.verdict == admitted && !e.never && states(t, e, field, want) && (w == nil || e.stamp.Compare(w.stamp) > 0) {
			w = e
		}
	}
	return w
}

// wrongTo reports whether e, which states the value that was found, can have written it
// over the winner's, or against its own refusal.
func (p *Prediction) wrongTo(e, winner *entry) bool {
	if p.refusal(e) != "" {
		return true
	}
	return winner != nil && e.stamp.Compare(winner.stamp) < 0 && winner.mayPrecede(e)
}

// worse prefers the event that tells more: one that had to be refused, then a first copy
// that came after the winner, then a second copy.
func (p *Prediction) worse(a, b *entry) bool {
	rank := func(e *entry) int {
		switch {
		case p.refusal(e) != "":
			return 2
		case !e.copy:
			return 1
		}
		return 0
	}
	return rank(a) > rank(b)
}

// refusal says why an event must have no effect, or "".
func (p *Prediction) refusal(e *entry) string {
	switch {
	case e.verdict == unreadable:
		return "can't be taken for an event and must be refused"
	case e.verdict == tooNew:
		return fmt.Sprintf("is from the future by more than %s and must be refused", p.bounds[1])
	case e.verdict == tooLate && !e.copy:
		return fmt.Sprintf("is older than its stream by more than %s and must be refused", p.bounds[0])
	case e.unit.Fails != "":
		return fmt.Sprintf("must be refused (%s)", e.unit.Fails)
	}
	return ""
}

// replay is a way to run the changes of Modify handlers wrongly.
type replay struct {
	class           Class
	story           string
	copies, refused bool
}

// replayed tells how a column that Modify handlers own went wrong, by running their
// changes without the guard, then with the copies, then with what must be refused.
func (p *Prediction) replayed(t *Table, key, field string, found any) (replay, bool) {
	owned := slices.Concat(t.Modify, t.Unclocked)
	if !slices.Contains(owned, field) {
		return replay{}, false
	}
	for _, r := range [...]replay{
		{StaleOverwrite, "stale events apply too", false, false},
		{DuplicateEffect, "copies apply again", true, false},
		{StaleOverwrite, "events that must be refused apply too", true, true},
	} {
		row := map[string]any{}
		if want := p.Rows[t.Name][key]; want != nil {
			maps.Copy(row, want.Fields)
		}
		for _, f := range owned {
			row[f] = nil
		}
		for _, e := range p.history[t.Name][key] {
			u := e.unit
			if u.Rule == Set || u.Change == nil || u.Fails != "" || u.Refuses || e.copy && !r.copies || e.verdict != admitted && !r.refused {
				continue
			}
			u.Change(row)
		}
		if equal(row[field], found) {
			return r, true
		}
	}
	return replay{}, false
}

// tell names an event for people.
func (e *entry) tell() string {
	if e == nil {
		return "an event"
	}
	name := e.event.Type
	if name == "" {
		name = "the event"
	}
	if e.event.ID != "" {
		name += " " + e.event.ID
	}
	return fmt.Sprintf("%s of %s (record %d/%d)", name, clockTime(e.at), e.record.Partition, e.record.Offset)
}
