package oracle

// identity is what Once knows an event by, on one row.
type identity struct{ typ, handler, source, id string }

func (e *entry) identity() identity {
	return identity{e.event.Type, e.unit.Handler, e.stamp.Source, e.stamp.ID}
}

// applyOnce gives the row the change of each event under Once, the first time that it was
// admitted; whatever came of that one, the others have no effect.
func (p *Prediction) applyOnce(row *Row, units []*entry) {
	taken := map[identity]bool{}
	for _, e := range units {
		if e.unit.Rule != Once || e.never {
			continue
		}
		id := e.identity()
		e.never = taken[id] || e.unit.Refuses || e.unit.Fails != ""
		taken[id] = true
		if !e.never && e.unit.Change != nil {
			e.unit.Change(row.Fields)
		}
	}
}

// settleOnce writes the letters of units under Once that fail: one for each event, under
// the copy that came first.
func (p *Prediction) settleOnce(units []*entry) {
	for _, e := range units {
		if e.unit.Rule != Once || e.unit.Fails == "" || e.never {
			continue
		}
		certain, possible := p.remembered(e)
		if !certain {
			l := e.letter(e.unit.Fails)
			l.Maybe = possible
			p.Letters = append(p.Letters, l)
		}
		e.never = true
	}
}

// remembered reports whether the id of e, which is under Once or Sequence, was certainly,
// or possibly, known when e was judged.
func (p *Prediction) remembered(e *entry) (certain, possible bool) {
	for _, o := range p.history[e.unit.Table][e.unit.Key] {
		if o == e || o.verdict != admitted || o.unit.Rule != e.unit.Rule || o.identity() != e.identity() || !o.mayPrecede(e) {
			continue
		}
		certain, possible = certain || o.before(e), true
	}
	return certain, possible
}
