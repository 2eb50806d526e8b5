package oracle

import (
	"cmp"
	"errors"
	"slices"

	"github.com/evenkeel-go/evenkeel/guards"
)

var errSequenceFails = errors.New("a unit under Sequence can't fail for the oracle, which does not know what waits behind it; leave Fails empty")

// settleSequence says of the units under Sequence of one row which have their effect: the
// first with each number, from 1 on to the first number that is not there. What comes
// behind a missing number must be left waiting.
func (p *Prediction) settleSequence(units []*entry, scattered bool) {
	numbered := make([]*entry, 0, len(units))
	for _, e := range units {
		if e.unit.Rule == Sequence && !e.never {
			numbered = append(numbered, e)
		}
	}
	// Stable: those with one number stay in the order of the log.
	slices.SortStableFunc(numbered, func(a, b *entry) int { return cmp.Compare(*a.event.Version, *b.event.Version) })
	last := int64(0)
	var owner *entry
	for _, e := range numbered {
		switch n := *e.event.Version; {
		case n < 1:
			e.never = true
		case owner != nil && n == *owner.event.Version:
			e.never = true
			if e.identity() != owner.identity() {
				l := e.letter(guards.Conflict)
				l.Maybe = scattered
				p.Letters = append(p.Letters, l)
			}
		default:
			owner = e
			if n == last+1 {
				last = n
				e.never = e.unit.Refuses
				continue
			}
			e.never = true
			p.Parked = append(p.Parked, Parked{Partition: e.partition(), Offset: e.record.Offset, Table: e.unit.Table, Key: e.unit.Key})
		}
	}
}

// applySequence gives the row the changes in the order of their numbers.
func applySequence(row *Row, units []*entry) {
	var inOrder []*entry
	for _, e := range units {
		if e.unit.Rule == Sequence && !e.never && e.unit.Change != nil {
			inOrder = append(inOrder, e)
		}
	}
	slices.SortFunc(inOrder, func(a, b *entry) int { return cmp.Compare(*a.event.Version, *b.event.Version) })
	for _, e := range inOrder {
		e.unit.Change(row.Fields)
	}
}
