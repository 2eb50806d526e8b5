package handlers

import (
	"slices"

	"github.com/evenkeel-go/evenkeel/guards"
)

// CausalStreams begins the name under which the events of a model are parked that wait for
// their causes; the table's name follows.
const CausalStreams = "causal:"

// causal checks guards.Causal (R14). One memo per entity holds what has been seen, for all
// handlers of the model: an event that only some of them wait for would never be seen.
func (w *wirer) causal(what string, h *Handler) {
	g, ok := h.Stamper.(*guards.VectorGuard)
	if !ok {
		return
	}
	if g.TunedInVain() {
		w.mistake("%s has options of guards.Causal without it; add guards.Causal, or drop guards.NodeOf, guards.MaxWaiting and guards.OnMissingCause", what)
	}
	h.Causal = g.Causal()
	if c := h.Causal; c != nil {
		if c.Wait <= 0 {
			w.mistake("%s waits for causes for %s (guards.Causal); expected a duration above zero", what, c.Wait)
		}
		if c.MaxWaiting < 1 {
			w.mistake("%s has the MaxWaiting %d; expected one or more", what, c.MaxWaiting)
		}
		if c.OnMissing != guards.GapDeadLetter && c.OnMissing != guards.GapSkip {
			w.mistake("%s: %s is not a policy of guards.OnMissingCause; use one of the guards.Gap… constants", what, c.OnMissing)
		}
		h.Model.Causal = append(h.Model.Causal, h)
		slow := func(h *Handler) bool { return h.Slow }
		sql := func(h *Handler) bool { return h.UsesTx }
		if slices.ContainsFunc(h.Model.Causal, slow) && slices.ContainsFunc(h.Model.Causal, sql) && (!h.Slow || !h.UsesTx) {
			w.mistake("%s waits for causes beside others of %s of which one is declared handlers.Slow and one handlers.UsesTx; an event lets those go that waited for it, and a transaction would be open all the while: drop one of the two", what, h.Model.Name)
		}
	}
	differs := ""
	for eventType, hs := range w.handlers {
		for _, other := range hs {
			if other.Model == h.Model && other.Stamper.Kind() == guards.KindVector && !sameCausal(other.Causal, h.Causal) && (differs == "" || eventType < differs) {
				differs = eventType
			}
		}
	}
	if differs != "" {
		w.mistake("%s and that of %q differ in guards.Causal, but the events of %s wait for each other; let all its handlers under guards.Vector say the same", what, differs, h.Model.Name)
	}
}

func sameCausal(a, b *guards.CausalSettings) bool {
	return a == nil && b == nil || a != nil && b != nil && *a == *b
}
