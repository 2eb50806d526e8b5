package handlers

import (
	"reflect"
	"strings"
	"time"

	"github.com/evenkeel-go/evenkeel/guards"
)

// unchained replaces each guards.Chain by its members, so that each is asked in its own
// phase.
func unchained(gs []guards.Guard) []guards.Guard {
	var flat []guards.Guard
	for _, g := range gs {
		if c, ok := g.(interface{ Guards() []guards.Guard }); ok {
			flat = append(flat, unchained(c.Guards())...)
			continue
		}
		flat = append(flat, g)
	}
	return flat
}

var (
	futureType = reflect.TypeOf(guards.MaxFuture(0))   //nolint:gochecknoglobals // a constant
	lateType   = reflect.TypeOf(guards.MaxLateness(0)) //nolint:gochecknoglobals // a constant
)

// guards sorts the registry's guards into their phases.
func (w *wirer) guards(gs []guards.Guard) {
	bounds := map[reflect.Type]time.Duration{}
	for i, g := range unchained(gs) {
		if g == nil {
			w.mistake("guard %d of NewRegistry is nil; leave it out", i+1)
			continue
		}
		if s, ok := g.(guards.Stamper); ok {
			w.ordering(s)
			continue
		}
		if b, ok := g.(interface{ Bound() time.Duration }); ok {
			t := reflect.TypeOf(g)
			if _, twice := bounds[t]; twice && (t == futureType || t == lateType) {
				w.mistake("NewRegistry got %s twice; keep one", g.Name())
			}
			bounds[t] = b.Bound()
			if b.Bound() < 0 {
				w.mistake("guard %s has the bound %s; expected a duration that is not negative", g.Name(), b.Bound())
			}
		}
		switch guards.PhaseOf(g) {
		case guards.PhaseDecode:
			w.Decode = append(w.Decode, g)
		case guards.PhaseAdmission:
			w.Admission = append(w.Admission, g)
		case guards.PhaseRow:
			w.rowPhase = append(w.rowPhase, g)
		default:
			w.mistake("guard %s has a phase that there is not; return one of the guards.Phase… constants", g.Name())
		}
	}
	if _, ok := bounds[futureType]; !ok {
		w.Decode = append(w.Decode, guards.MaxFuture(guards.DefaultMaxFuture))
		bounds[futureType] = guards.DefaultMaxFuture
	}
	if late, ok := bounds[lateType]; ok && late >= 0 && late <= bounds[futureType] {
		w.mistake("MaxLateness(%s) is not greater than MaxFuture(%s), so one event from the future could make the present late; raise the first or lower the second", late, bounds[futureType])
	}
	if w.Stamper == nil {
		w.Stamper = guards.Timestamp()
	}
}

// ordering takes a guard as the registry's stamp.
func (w *wirer) ordering(s guards.Stamper) {
	if w.Stamper != nil {
		w.mistake("NewRegistry got two orderings, %s and %s; keep one and give single handlers another with handlers.By", w.Stamper.Name(), s.Name())
		return
	}
	if name := unordered(s.Kind()); name != "" {
		w.mistake("NewRegistry got %s; Set handlers need a stamp: give %s to the Modify handlers that mean it", name, strings.TrimPrefix(name, "guards."))
	}
	if s.Kind() == guards.KindSequence {
		w.mistake("NewRegistry got guards.Sequence; Set handlers merge in any order and need no numbers without gaps: give Sequence to the Modify handlers that mean it")
	}
	w.Stamper = s
}
