package oracle

import (
	"fmt"
	"maps"
	"slices"

	"github.com/evenkeel-go/evenkeel/guards"
)

// Actual is what is there.
type Actual struct {
	// Rows by table and key.
	Rows map[string]map[string]Row
	// Letters, Parked and Positions of the group.
	Letters   []Letter
	Parked    []Parked
	Positions []Position
	// Plain says that the consumer knows neither placeholders nor letters nor a ledger,
	// so that only fields are compared.
	Plain bool
}

// Compare names each difference between what must be and what is.
func (p *Prediction) Compare(a Actual) *Report {
	r := newReport()
	for _, table := range slices.Sorted(maps.Keys(p.tables)) {
		p.compareTable(r, p.tables[table], a)
	}
	r.Wrong = len(r.wrong)
	if a.Plain {
		return r
	}
	p.compareLetters(r, a.Letters)
	p.compareParked(r, a.Parked)
	p.comparePositions(r, a.Positions)
	return r
}

func (p *Prediction) compareTable(r *Report, t *Table, a Actual) {
	want, found := p.Rows[t.Name], a.Rows[t.Name]
	for _, key := range slices.Sorted(maps.Keys(want)) {
		r.Rows++
		if p.undecided[t.Name][key] {
			r.Skipped++
			continue
		}
		row, ok := found[key]
		if !ok {
			p.missing(r, t, key)
			continue
		}
		p.compareRow(r, t, key, row, a.Plain)
		if !r.IsWrong(t.Name, key) {
			r.Right++
		}
	}
	for _, key := range slices.Sorted(maps.Keys(found)) {
		if want[key] == nil && !p.undecided[t.Name][key] {
			p.extra(r, t, key)
		}
	}
}

func (p *Prediction) missing(r *Report, t *Table, key string) {
	d := Deviation{Class: Lost, Table: t.Name, Key: key, Expected: "a row", Found: "none"}
	d.Story = fmt.Sprintf("%s %s is not there", t.Name, key)
	for _, e := range p.history[t.Name][key] {
		if e.verdict == admitted && !e.never {
			d.Story += ", though " + e.tell() + " says that it must be"
			break
		}
	}
	r.add(d)
}

func (p *Prediction) extra(r *Report, t *Table, key string) {
	d := Deviation{Class: StaleOverwrite, Table: t.Name, Key: key, Expected: "no row", Found: "a row"}
	d.Story = fmt.Sprintf("%s %s is there, though no event makes it", t.Name, key)
	for _, e := range p.history[t.Name][key] {
		if why := p.refusal(e); why != "" {
			d.Story = fmt.Sprintf("%s %s is there, though %s, which made it, %s", t.Name, key, e.tell(), why)
			break
		}
	}
	r.add(d)
}

func (p *Prediction) compareRow(r *Report, t *Table, key string, row Row, plain bool) {
	want := p.Rows[t.Name][key]
	for _, f := range slices.Sorted(maps.Keys(want.Fields)) {
		if found, ok := row.Fields[f]; ok && !equal(want.Fields[f], found) {
			r.add(p.explain(t, key, f, want.Fields[f], found))
		} else if !ok {
			r.add(Deviation{
				Class: Lost, Table: t.Name, Key: key, Field: f, Expected: show(want.Fields[f]), Found: "no such field",
				Story: fmt.Sprintf("%s %s: the row that was read has no field %s", t.Name, key, f),
			})
		}
	}
	if plain {
		return
	}
	if row.State != want.State {
		class := StaleOverwrite
		if row.State == guards.Placeholder || row.State == guards.Foreign {
			class = Lost
		}
		r.add(Deviation{
			Class: class, Table: t.Name, Key: key, Field: "state", Expected: want.State.String(), Found: row.State.String(),
			Story: fmt.Sprintf("%s %s: the row must be %s and is %s", t.Name, key, want.State, row.State),
		})
	}
	if row.Clocks == nil {
		return
	}
	for _, f := range slices.Sorted(maps.Keys(want.Clocks)) {
		w, have := want.Clocks[f], row.Clocks[f]
		if w == have {
			continue
		}
		class := Lost
		if have.Compare(w) > 0 {
			class = StaleOverwrite
		}
		r.add(Deviation{
			Class: class, Table: t.Name, Key: key, Field: f, Expected: w.String(), Found: have.String(),
			Story: fmt.Sprintf("%s %s: the clock of %s must be %s and is %s", t.Name, key, f, w, have),
		})
	}
}

// compareLetters holds the letters that were found against those that must be there, by
// the record's coordinates and the unit.
func (p *Prediction) compareLetters(r *Report, found []Letter) {
	type unit struct {
		Partition
		offset     int64
		table, key string
	}
	of := func(l Letter) unit {
		u := unit{l.Partition, l.Offset, l.Table, ""}
		if l.Table != "" {
			u.key = l.Key
		}
		return u
	}
	match := func(want, have Letter) bool {
		return want.Reason == have.Reason && (want.Handler == "" || want.Handler == have.Handler)
	}
	have := map[unit][]Letter{}
	for _, l := range found {
		have[of(l)] = append(have[of(l)], l)
	}
	r.Letters = len(found)
	for _, want := range p.Letters {
		at := of(want)
		i := slices.IndexFunc(have[at], func(l Letter) bool { return match(want, l) })
		if i >= 0 {
			have[at] = slices.Delete(have[at], i, i+1)
			continue
		}
		if want.Maybe {
			continue
		}
		d := Deviation{Class: StaleOverwrite, Table: want.Table, Key: want.Key, Expected: string(want.Reason), Found: "no letter"}
		d.Story = fmt.Sprintf("the letter of %s must be there, with reason %s, and is not", want.where(), want.Reason)
		if len(have[at]) > 0 {
			d.Found = string(have[at][0].Reason)
			d.Story = fmt.Sprintf("the letter of %s must have the reason %s and has %s", want.where(), want.Reason, d.Found)
			have[at] = have[at][1:]
		}
		r.note(d)
	}
	expected := map[unit]bool{}
	for _, want := range p.Letters {
		expected[of(want)] = true
	}
	for _, l := range found {
		at := of(l)
		if len(have[at]) == 0 || !slices.Contains(have[at], l) {
			continue
		}
		have[at] = slices.DeleteFunc(have[at], func(o Letter) bool { return o == l })
		d := Deviation{Class: Lost, Table: l.Table, Key: l.Key, Expected: "no letter", Found: string(l.Reason)}
		d.Story = fmt.Sprintf("%s became a letter, with reason %s, and must not", l.where(), l.Reason)
		if expected[at] {
			d.Class = DuplicateEffect
			d.Story = fmt.Sprintf("%s has more letters than one, with reason %s", l.where(), l.Reason)
		}
		r.note(d)
	}
}

func (l Letter) where() string {
	s := fmt.Sprintf("record %s/%d/%d", l.Topic, l.Partition.Partition, l.Offset)
	if l.Table != "" {
		s += fmt.Sprintf(" on %s %s", l.Table, l.Key)
	}
	return s
}

func (p *Prediction) compareParked(r *Report, found []Parked) {
	for _, f := range found {
		if slices.Contains(p.Parked, f) {
			continue
		}
		r.note(Deviation{
			Class: Stuck, Table: f.Table, Key: f.Key, Expected: "no event waiting", Found: "parked",
			Story: fmt.Sprintf("record %s/%d/%d still waits for %s %s", f.Topic, f.Partition.Partition, f.Offset, f.Table, f.Key),
		})
	}
	for _, w := range p.Parked {
		if slices.Contains(found, w) {
			continue
		}
		r.note(Deviation{
			Class: Lost, Table: w.Table, Key: w.Key, Expected: "parked", Found: "nothing",
			Story: fmt.Sprintf("record %s/%d/%d must wait for %s %s and does not", w.Topic, w.Partition.Partition, w.Offset, w.Table, w.Key),
		})
	}
}

func (p *Prediction) comparePositions(r *Report, found []Position) {
	for _, at := range found {
		where := fmt.Sprintf("partition %s/%d", at.Topic, at.Partition.Partition)
		last := p.ends[at.Partition]
		end := max(at.End, last)
		if at.Next < last {
			r.note(Deviation{
				Class: Stuck, Expected: fmt.Sprint(last), Found: fmt.Sprint(at.Next),
				Story: fmt.Sprintf("%s is finished up to %d only; the log goes to %d", where, at.Next, last),
			})
		}
		if at.Next > end {
			r.note(Deviation{
				Class: OffsetAhead, Expected: fmt.Sprint(end), Found: fmt.Sprint(at.Next),
				Story: fmt.Sprintf("%s: the ledger is at %d, beyond the log's end %d", where, at.Next, end),
			})
		}
		if at.Committed > at.Next {
			r.note(Deviation{
				Class: OffsetAhead, Expected: fmt.Sprint(at.Next), Found: fmt.Sprint(at.Committed),
				Story: fmt.Sprintf("%s: Kafka's offset is %d, but only what is before %d is finished", where, at.Committed, at.Next),
			})
		}
	}
	if len(found) == 0 {
		return
	}
	for at, end := range p.ends {
		if !slices.ContainsFunc(found, func(f Position) bool { return f.Partition == at }) {
			r.note(Deviation{
				Class: Stuck, Expected: fmt.Sprint(end), Found: "no position",
				Story: fmt.Sprintf("partition %s/%d was never read; its log goes to %d", at.Topic, at.Partition, end),
			})
		}
	}
}
