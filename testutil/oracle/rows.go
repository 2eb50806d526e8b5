package oracle

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/evenkeel-go/evenkeel/guards"
)

var errTwoTruths = errors.New("two events with the same time, source and id in different partitions state different things; which one wins is chance")

// predictRow says what one row must be, from all units about it.
func (p *Prediction) predictRow(t *Table, key string, all []*entry) error {
	before, foreign := t.Before[key]
	units := make([]*entry, 0, len(all))
	partitions := map[Partition]bool{}
	for _, e := range all {
		if e.verdict == admitted {
			units = append(units, e)
			partitions[e.partition()] = true
		}
	}
	scattered := len(partitions) > 1

	// Blind failures do not depend on the row; missing rows do.
	p.settleSet(units)
	p.settleSequence(units, scattered)
	made := p.settleMissing(units, foreign, scattered)
	p.settleOnce(units)

	if !made {
		return nil
	}
	row := &Row{Fields: map[string]any{}, State: guards.Placeholder, Clocks: map[string]Stamp{}}
	if t.NoCreator {
		row.State = guards.Alive
	}
	for _, f := range slices.Concat(t.Set, t.Modify) {
		row.Fields[f], row.Clocks[f] = nil, Stamp{}
	}
	for _, f := range t.Unclocked {
		row.Fields[f] = nil
	}
	row.Clocks[Exists] = Stamp{}
	if foreign {
		row.State = guards.Foreign
		maps.Copy(row.Fields, before)
	}
	if err := p.mergeSets(t, key, row, units); err != nil {
		return err
	}
	p.applyModifies(t, key, row, units, scattered)
	p.applyOnce(row, units)
	applySequence(row, units)
	if t.Project != nil {
		t.Project(row.Fields)
	}
	p.Rows[t.Name][key] = row
	p.countPlaceholder(t, units, foreign, scattered)
	return nil
}

// settleSet writes the letters of Set handlers that fail: they see no row, so what they do
// is the same whatever other events there are.
func (p *Prediction) settleSet(units []*entry) {
	for _, e := range units {
		// A payload that does not decode is poison under any verb.
		if e.unit.Rule == Once || e.unit.Rule != Set && e.fails() != guards.Poison {
			continue
		}
		if reason := e.fails(); reason != "" {
			e.never = true
			p.Letters = append(p.Letters, e.letter(reason))
		} else if e.unit.Refuses {
			e.never = true
		}
	}
}

// settleMissing applies the policies for missing rows, and reports whether there is a row
// in the end.
func (p *Prediction) settleMissing(units []*entry, foreign, scattered bool) (made bool) {
	lives := foreign
	for _, e := range units {
		if !e.never && (e.unit.Creates || e.unit.Deletes && e.unit.Missing == Placeholder) {
			lives = true
		}
	}
	// In the order of one partition: is there a row that was created?
	now := foreign
	for _, e := range units {
		if e.never {
			continue
		}
		u := e.unit
		if u.Creates || u.Missing == Placeholder {
			// A Modify that refuses has made nothing; one that fails leaves a row, behind
			// which its letter stands.
			made = made || !u.Refuses && (u.Rule != Once || u.Fails == "")
			now = now || u.Creates || u.Deletes
			continue
		}
		switch {
		case now && !scattered:
			made = true
		case u.Missing == Park:
			if lives {
				made = true
				continue
			}
			e.never = true
			p.Parked = append(p.Parked, Parked{Partition: e.partition(), Offset: e.record.Offset, Table: u.Table, Key: u.Key})
		case scattered && lives:
			p.undecide(e)
		default:
			e.never = true
			if u.Missing == DeadLetter {
				p.Letters = append(p.Letters, e.letter(guards.MissingRow))
			}
		}
	}
	return made || foreign
}

func (p *Prediction) undecide(e *entry) { p.undecided[e.unit.Table][e.unit.Key] = true }

// mergeSets gives each field the fact of the newest event that states one.
func (p *Prediction) mergeSets(t *Table, key string, row *Row, units []*entry) error {
	winner := map[string]*entry{}
	for _, e := range units {
		if e.never || e.unit.Rule != Set {
			continue
		}
		for _, f := range written(t, e.unit) {
			have := winner[f]
			if have == nil {
				winner[f] = e
				continue
			}
			switch e.stamp.Compare(have.stamp) {
			case 1:
				winner[f] = e
			case 0:
				// The first one stays, if it can be told which that is.
				if f != Exists && !e.sameFact(have, f) && e.partition() != have.partition() {
					return fmt.Errorf("table %s, key %s, field %s: %w", t.Name, key, f, errTwoTruths)
				}
			}
		}
	}
	for f, e := range winner {
		row.Clocks[f] = e.stamp
		if f == Exists {
			row.State = guards.Alive
			if e.unit.Deletes {
				row.State = guards.Deleted
			}
			continue
		}
		row.Fields[f] = e.unit.Facts[f]
	}
	return nil
}

func (e *entry) sameFact(o *entry, field string) bool {
	a, _ := normal(e.unit.Facts[field])
	b, _ := normal(o.unit.Facts[field])
	return a == b
}

// applyModifies replays the units that look at the row, in the order in which they came.
func (p *Prediction) applyModifies(t *Table, key string, row *Row, units []*entry, scattered bool) {
	var clock Stamp
	count := 0
	for _, e := range units {
		u := e.unit
		if e.never || u.Rule == Set || u.Rule == Once || u.Rule == Sequence {
			continue
		}
		count++
		if u.Rule == Modify && e.stamp.Compare(clock) <= 0 {
			e.never = true
			continue
		}
		if u.Fails != "" {
			e.never = true
			l := e.letter(u.Fails)
			l.Maybe = scattered
			p.Letters = append(p.Letters, l)
			continue
		}
		if u.Refuses {
			e.never = true
			continue
		}
		if u.Change != nil {
			u.Change(row.Fields)
		}
		if u.Creates || u.Deletes {
			row.State = guards.Alive
			if u.Deletes {
				row.State = guards.Deleted
			}
		}
		if u.Rule == Modify {
			clock = e.stamp
		}
	}
	for _, f := range t.Modify {
		row.Clocks[f] = clock
	}
	if scattered && count > 1 {
		p.undecided[t.Name][key] = true
	}
}

func (p *Prediction) countPlaceholder(t *Table, units []*entry, foreign, scattered bool) {
	if t.NoCreator || foreign {
		return
	}
	if scattered {
		p.Uncertain++
		return
	}
	for _, e := range units {
		if e.never {
			continue
		}
		if !e.unit.Creates && !e.unit.Deletes {
			p.Placeholders++
		}
		return
	}
}
