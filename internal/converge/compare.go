package converge

import (
	"bytes"
	"slices"
	"strings"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/deep"
	"github.com/evenkeel-go/evenkeel/internal/sequence"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/memory"
)

// difference is one thing that is not the same in two results.
type difference struct {
	kind  differenceKind
	model *handlers.Model // of a row
	key   string
	// column is set for a field, outcomes for what a unit came to, or was emitted.
	column   *handlers.Column
	rows     [2]*memory.Row // nil where there is none
	outcomes [2]string
	unit     outcome
	emission emission
}

type differenceKind uint8

const (
	inRow differenceKind = iota
	inExistence
	inField
	inOutcome
	inEmission
	inClock
	inMemory
)

// compare lists what differs between two results: rows, what became of the events and what
// was emitted, clocks, and what is remembered of keys. Revisions and times of writing are not results.
func compare(a, b *result) []difference {
	ds := compareRows(a.content.Rows, b.content.Rows)
	ds = append(ds, compareOutcomes(a.outcomes, b.outcomes)...)
	ds = append(ds, compareEmissions(a.emitted, b.emitted)...)
	ds = append(ds, compareClocks(a.content.Rows, b.content.Rows)...)
	return append(ds, compareMemory(a.content, b.content)...)
}

// pairs walks two lists of rows, which are in order, side by side.
func pairs(a, b []memory.Row, see func(x, y *memory.Row)) {
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && before(&a[0], &b[0]):
			see(&a[0], nil)
			a = a[1:]
		case len(a) == 0 || before(&b[0], &a[0]):
			see(nil, &b[0])
			b = b[1:]
		default:
			see(&a[0], &b[0])
			a, b = a[1:], b[1:]
		}
	}
}

func before(a, b *memory.Row) bool {
	if a.Model != b.Model {
		return a.Model.Table < b.Model.Table
	}
	return a.Key < b.Key
}

func compareRows(a, b []memory.Row) (ds []difference) {
	pairs(a, b, func(x, y *memory.Row) {
		if x == nil || y == nil {
			one := x
			if x == nil {
				one = y
			}
			ds = append(ds, difference{kind: inRow, model: one.Model, key: one.Key, rows: [2]*memory.Row{x, y}})
			return
		}
		for _, c := range x.Model.Columns {
			if !deep.Equal(c.Value(x.Entity), c.Value(y.Entity)) {
				ds = append(ds, difference{kind: inField, model: x.Model, key: x.Key, column: c, rows: [2]*memory.Row{x, y}})
			}
		}
		soft := x.Model.SoftDelete
		if x.EkState != y.EkState || soft != nil && !deep.Equal(soft.Value(x.Entity), soft.Value(y.Entity)) {
			ds = append(ds, difference{kind: inExistence, model: x.Model, key: x.Key, rows: [2]*memory.Row{x, y}})
		}
	})
	return ds
}

// compareClocks compares the clocks' stored form, of which there is one for each set of
// stamps.
func compareClocks(a, b []memory.Row) (ds []difference) {
	pairs(a, b, func(x, y *memory.Row) {
		if x == nil || y == nil {
			return
		}
		if x.EkTime != y.EkTime || x.EkFields != y.EkFields || !bytes.Equal(x.EkTie, y.EkTie) {
			ds = append(ds, difference{kind: inClock, model: x.Model, key: x.Key, rows: [2]*memory.Row{x, y}})
		}
	})
	return ds
}

// compareOutcomes compares what became of each unit.
func compareOutcomes(a, b []outcome) (ds []difference) {
	if slices.Equal(a, b) {
		return nil
	}
	all := append(slices.Clone(a), b...)
	seen := map[outcome]bool{}
	for _, o := range all {
		u := o
		u.what = ""
		if seen[u] {
			continue
		}
		seen[u] = true
		if x, y := outcomesOf(a, u), outcomesOf(b, u); x != y {
			ds = append(ds, difference{kind: inOutcome, unit: u, outcomes: [2]string{x, y}})
		}
	}
	slices.SortStableFunc(ds, func(a, b difference) int { return a.unit.event - b.unit.event })
	return ds
}

// outcomesOf says what became of one unit: of several copies each may come to something.
func outcomesOf(all []outcome, u outcome) string {
	var whats []string
	for _, o := range all {
		if o.event == u.event && o.handler == u.handler && o.entity == u.entity {
			whats = append(whats, o.what)
		}
	}
	if len(whats) == 0 {
		return "nothing"
	}
	return strings.Join(whats, " and ")
}

// compareMemory compares what is remembered beside the rows: ids, and how far streams have
// come.
func compareMemory(a, b *memory.Content) []difference {
	x, y := remembered(a), remembered(b)
	if slices.Equal(x, y) {
		return nil
	}
	for i := range max(len(x), len(y)) {
		if i >= len(x) || i >= len(y) || x[i] != y[i] {
			d := difference{kind: inMemory, outcomes: [2]string{"nothing", "nothing"}}
			if i < len(x) {
				d.outcomes[0] = x[i]
			}
			if i < len(y) {
				d.outcomes[1] = y[i]
			}
			return []difference{d}
		}
	}
	return nil
}

// remembered are the facts that depend on the set of events alone: no revisions, no horizons,
// and no ids of a stream's numbers. How far those have come is in its memo, and of what
// comes after an event that carried the whole state, and is covered by it, none is kept.
func remembered(c *memory.Content) []string {
	var all []string
	ofStreams := map[string]bool{}
	for _, m := range c.Memos {
		if m.Kind == store.KindSequence {
			ofStreams[batch.StreamScope(m.Scope)] = true
		}
	}
	for _, i := range c.IDs {
		if ofStreams[i.Scope] {
			continue
		}
		held := ""
		if i.Held {
			held = ", held"
		}
		all = append(all, "id "+i.ID+" of "+i.Scope+" "+i.Entity+held)
	}
	for _, m := range c.Memos {
		body := m.Body
		if s, err := sequence.Parse(body); err == nil && m.Kind == store.KindSequence && s.Asked != nil {
			asked := *s.Asked // that a replay was asked for counts, and not when
			asked.Until = 0
			s.Asked = &asked
			body = s.String()
		}
		if m.Kind != store.KindHorizon {
			all = append(all, string(m.Kind)+" of "+m.Scope+" "+m.Entity+": "+body)
		}
	}
	return all
}

// existence is a row's, for people.
func existence(r *memory.Row) string {
	if r == nil {
		return "no row"
	}
	if r.EkState == guards.Foreign {
		return "live"
	}
	return r.EkState.String()
}
