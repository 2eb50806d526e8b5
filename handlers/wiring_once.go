package handlers

import (
	"reflect"
	"time"

	"github.com/evenkeel-go/evenkeel/guards"
)

// unordered names the guard of a kind that orders nothing; it is "" for the others.
func unordered(k guards.Kind) string {
	if k == guards.KindOnce {
		return "guards.Once"
	}
	if k == guards.KindNone {
		return "guards.None"
	}
	return ""
}

// Memory is for how long the ids of a handler's events are remembered, if it is under Once
// (R8), or a Set with SQL of its own (R19).
func (h *Handler) Memory() (d time.Duration, ok bool) {
	if h.memory > 0 {
		return h.memory, true
	}
	if o, is := h.Stamper.(interface{ Memory() time.Duration }); is && h.Stamper.Kind() == guards.KindOnce {
		return o.Memory(), true
	}
	return 0, false
}

// checkOnce checks a handler under Once.
func (w *wirer) checkOnce(what string, h *Handler) {
	memory, ok := h.Memory()
	switch {
	case !ok:
		w.mistake("%s: the guard %s is of the kind once but has no memory; use guards.Once", what, h.Stamper.Name())
	case memory <= 0:
		w.mistake("%s: guards.Memory(%s) remembers nothing; expected a duration above zero: leave it out for %s", what, memory, guards.DefaultMemory)
	default:
		for _, g := range w.Admission {
			if b, is := g.(interface{ Bound() time.Duration }); is && reflect.TypeOf(g) == lateType && b.Bound() > memory {
				w.mistake("%s remembers ids for %s, but MaxLateness(%s) lets in what is older and would be refused then; give guards.Once a longer guards.Memory", what, memory, b.Bound())
			}
		}
	}
	if h.Creates {
		// Beginning and end have an order, and Once keeps none (R4).
		w.mistake("%s is a Modify under once that Creates; which of creating and deleting comes last needs an order: let a handlers.Set handler create the rows, or drop Creates, as rows that nobody creates are live from their first event", what)
	}
}
