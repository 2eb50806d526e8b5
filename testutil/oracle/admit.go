package oracle

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
)

// verdict is what admission makes of a record that decoded.
type verdict uint8

const (
	admitted verdict = iota
	// tooLate: older than the watermark allows, so that only a row which carries the
	// event's own stamp saves it from becoming a letter.
	tooLate
	tooNew
	// unreadable: no event at all, but careless consumers may take it for one.
	unreadable
)

// entry is one unit of one record.
type entry struct {
	record *event.Record
	event  *Event
	unit   *Unit
	at     int64 // event time, microseconds
	stamp  Stamp
	// noStamp: the table orders by version and the event has none.
	noStamp bool
	verdict verdict
	// copy is set when an admitted record before it in the same partition, or any in
	// another, is the same event.
	copy bool
	// never: the unit has no effect, because it failed, was refused or missed its row.
	never bool
}

func (e *entry) partition() Partition {
	return Partition{Topic: e.record.Topic, Partition: e.record.Partition}
}

// before reports whether e was certainly judged before o: in one partition by offset.
func (e *entry) before(o *entry) bool {
	return e.partition() == o.partition() && e.record.Offset < o.record.Offset
}

func (e *entry) mayPrecede(o *entry) bool { return e.before(o) || e.partition() != o.partition() }

func (e *entry) letter(reason guards.Reason) Letter {
	return Letter{
		Partition: e.partition(), Offset: e.record.Offset, Reason: reason,
		Table: e.unit.Table, Key: e.unit.Key, Handler: e.unit.Handler,
	}
}

var errSpan = errors.New("whether this event is from the future depends on when in the span From to To it was read; choose event times further from now + MaxFuture")

// Predict says what must be after the log has been read to its end. The log's records may
// come in any order and must have coordinates.
func (o *Oracle) Predict(log []event.Record) (*Prediction, error) {
	p := &Prediction{
		Rows: map[string]map[string]*Row{}, Records: len(log),
		tables: map[string]*Table{}, history: map[string]map[string][]*entry{},
		ends: map[Partition]int64{}, undecided: map[string]map[string]bool{},
		bounds: [2]time.Duration{o.MaxLateness, o.MaxFuture},
	}
	for i := range o.Tables {
		t := &o.Tables[i]
		p.tables[t.Name] = t
		p.Rows[t.Name] = map[string]*Row{}
		p.history[t.Name] = map[string][]*entry{}
		p.undecided[t.Name] = map[string]bool{}
		for key := range t.Before {
			p.history[t.Name][key] = nil
		}
	}
	if err := o.admit(p, log); err != nil {
		return nil, err
	}
	for _, t := range p.tables {
		for key, entries := range p.history[t.Name] {
			if err := p.predictRow(t, key, entries); err != nil {
				return nil, err
			}
		}
	}
	p.judgeLate()
	slices.SortFunc(p.Letters, func(a, b Letter) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition.Partition, b.Partition.Partition),
			cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Table, b.Table), cmp.Compare(a.Key, b.Key))
	})
	return p, nil
}

// admit walks each partition in order with its watermark.
func (o *Oracle) admit(p *Prediction, log []event.Record) error {
	sorted := make([]*event.Record, len(log))
	for i := range log {
		sorted[i] = &log[i]
	}
	slices.SortFunc(sorted, func(a, b *event.Record) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	type identity struct{ source, id string }
	type mark struct {
		at  int64
		has bool
	}
	watermarks := map[Partition]mark{}
	seen := map[identity]bool{}
	for _, r := range sorted {
		at := Partition{r.Topic, r.Partition}
		p.ends[at] = max(p.ends[at], r.Offset+1)
		if r.Value == nil && len(r.Headers) == 0 {
			continue
		}
		ev, err := o.Parse(r)
		if err != nil {
			p.Letters = append(p.Letters, Letter{Partition: at, Offset: r.Offset, Reason: guards.Poison})
			p.remember(r, &ev)
			continue
		}
		if ev.At.IsZero() {
			ev.At = r.Timestamp
		}
		micros := ev.At.UnixMicro()
		future, err := o.fromFuture(r, micros)
		if err != nil {
			return fmt.Errorf("record %d/%d: %w", r.Partition, r.Offset, err)
		}
		v := admitted
		w := watermarks[at]
		switch {
		case future:
			v = tooNew
		case o.MaxLateness > 0 && w.has && micros < w.at-o.MaxLateness.Microseconds():
			v = tooLate
		case !w.has || micros > w.at:
			watermarks[at] = mark{micros, true}
		}
		if len(ev.Units) == 0 {
			p.Unhandled++
			continue
		}
		if future {
			p.Letters = append(p.Letters, Letter{Partition: at, Offset: r.Offset, Reason: guards.Future})
		}
		source, id := ev.Source, ev.ID
		if id == "" {
			id = fmt.Sprintf("@%s/%s/%d/%d", r.Cluster, r.TopicID, r.Partition, r.Offset)
		}
		same := identity{source, id}
		copied := seen[same]
		if v == admitted {
			seen[same] = true
			if copied {
				p.Duplicates++
			}
		}
		event := &ev
		for i := range ev.Units {
			u := &ev.Units[i]
			t := p.tables[u.Table]
			if t == nil {
				return fmt.Errorf("record %d/%d: an event of type %q names the table %q, which the oracle does not know; add it to Tables", r.Partition, r.Offset, ev.Type, u.Table)
			}
			e := &entry{record: r, event: event, unit: u, at: micros, verdict: v, copy: copied}
			e.stamp = Stamp{Number: micros, Derived: u.Derived, Source: short(source), ID: short(id)}
			if u.Rule == Sequence {
				if u.Fails != "" {
					return fmt.Errorf("record %d/%d: %w", r.Partition, r.Offset, errSequenceFails)
				}
				e.noStamp = ev.Version == nil
			}
			if t.ByVersion {
				if ev.Version != nil {
					e.stamp.Number = *ev.Version
				}
				e.noStamp = e.noStamp || ev.Version == nil && u.Rule != Always && u.Rule != Once
			}
			p.history[u.Table][u.Key] = append(p.history[u.Table][u.Key], e)
		}
	}
	return nil
}

// remember keeps what a careless consumer would take an undecodable record for.
func (p *Prediction) remember(r *event.Record, ev *Event) {
	for i := range ev.Units {
		u := &ev.Units[i]
		if p.tables[u.Table] == nil {
			continue
		}
		p.history[u.Table][u.Key] = append(p.history[u.Table][u.Key], &entry{record: r, event: ev, unit: u, at: r.Timestamp.UnixMicro(), verdict: unreadable})
	}
}

func (o *Oracle) fromFuture(r *event.Record, micros int64) (bool, error) {
	if o.MaxFuture <= 0 {
		return false, nil
	}
	from, to := o.From, o.To
	if r.TimestampType == event.TimestampLogAppend {
		from, to = r.Timestamp, r.Timestamp
	}
	bound := o.MaxFuture.Microseconds()
	if early, late := micros > from.UnixMicro()+bound, micros > to.UnixMicro()+bound; early != late {
		return false, errSpan
	}
	return micros > to.UnixMicro()+bound, nil
}

// judgeLate says which of the events that came too late become letters: all but those
// whose own stamp was still on a row when they came.
func (p *Prediction) judgeLate() {
	type coordinates struct {
		Partition
		offset int64
	}
	order := []coordinates{}
	records := map[coordinates][]*entry{}
	for _, byKey := range p.history {
		for _, entries := range byKey {
			for _, e := range entries {
				if e.verdict != tooLate {
					continue
				}
				c := coordinates{e.partition(), e.record.Offset}
				if records[c] == nil {
					order = append(order, c)
				}
				records[c] = append(records[c], e)
			}
		}
	}
	for _, c := range order {
		certain, possible := false, false
		for _, e := range records[c] {
			yes, maybe := p.carries(e)
			certain, possible = certain || yes, possible || maybe
		}
		if !certain {
			p.Letters = append(p.Letters, Letter{Partition: c.Partition, Offset: c.offset, Reason: guards.Late, Maybe: possible})
		} else {
			p.Duplicates++
		}
		if !possible {
			continue
		}
		// It was let in as a duplicate, and a handler that fails fails again.
		for _, e := range records[c] {
			if reason := e.fails(); reason != "" && e.unit.Rule == Set {
				l := e.letter(reason)
				l.Maybe = !certain
				p.Letters = append(p.Letters, l)
			}
		}
	}
}

func (e *entry) fails() guards.Reason {
	if e.noStamp {
		return guards.Poison
	}
	return e.unit.Fails
}

// carries reports whether the entity's row certainly, or possibly, carries the stamp of e
// when e is judged.
func (p *Prediction) carries(e *entry) (certain, possible bool) {
	if e.unit.Rule == Once || e.unit.Rule == Sequence {
		return p.remembered(e)
	}
	if e.noStamp || e.unit.Rule == Always || e.unit.Fails == guards.Poison {
		return false, false
	}
	t := p.tables[e.unit.Table]
	fields := []string{anyModify}
	if e.unit.Rule == Set {
		fields = append(written(t, e.unit), Exists)
	}
	for _, f := range fields {
		c, m := p.carriesIn(t, e, f)
		certain, possible = certain || c, possible || m
	}
	return certain, possible
}

func (p *Prediction) carriesIn(t *Table, e *entry, field string) (certain, possible bool) {
	sure, maybe, beaten, maybeBeaten := false, false, false, false
	for _, o := range p.history[e.unit.Table][e.unit.Key] {
		if o == e || o.verdict != admitted || o.never || !slices.Contains(written(t, o.unit), field) || !o.mayPrecede(e) {
			continue
		}
		// A unit that waits for its row has its effect at a time that can't be told.
		first := o.before(e) && o.unit.Missing == Placeholder
		switch o.stamp.Compare(e.stamp) {
		case 0:
			sure, maybe = sure || first, true
		case 1:
			beaten, maybeBeaten = beaten || first, true
		}
	}
	return sure && !maybeBeaten, maybe && !beaten
}

// anyModify stands for the one clock of all Modify handlers of a table.
const anyModify = "@modify"

// written are the fields on which a unit leaves its stamp.
func written(t *Table, u *Unit) []string {
	switch u.Rule {
	case Once, Sequence:
		return nil
	case Modify, Always:
		return []string{anyModify}
	case Set:
	}
	fields := make([]string, 0, len(u.Facts)+1)
	for f := range u.Facts {
		fields = append(fields, f)
	}
	if u.Deletes {
		for _, f := range t.Set {
			if _, ok := u.Facts[f]; !ok {
				fields = append(fields, f)
			}
		}
	}
	if u.Creates || u.Deletes {
		fields = append(fields, Exists)
	}
	return fields
}
