package batch

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// Memory is a scope of ids, and how long it remembers them.
type Memory struct {
	Scope string
	For   time.Duration
}

// ForgetsUpTo is the event time up to which the memory forgets, when event time has reached
// so far, in microseconds. An event may be ahead of the clock by MaxFuture, and must not
// make the memory shorter.
func (m Memory) ForgetsUpTo(reached int64, now time.Time) int64 {
	return min(reached, event.Micros(now)) - m.For.Microseconds()
}

// Memories are the scopes of ids that a wiring keeps of events on the topics: one for each
// handler under Once (R8) or with SQL of its own that no clock tells of (R19), and one for each stream of numbers (R7), whose ids only tell a
// duplicate from a conflict.
func Memories(w *handlers.Wiring, topics []string) []Memory {
	var ms []Memory
	for _, h := range w.All() {
		if d, ok := h.Memory(); ok {
			ms = append(ms, Memory{Scope: onceScope(h), For: d})
		}
		if h.Stream == nil {
			continue
		}
		for _, topic := range topics {
			m := Memory{Scope: StreamScope(h.Stream.NameOn(topic)), For: guards.DefaultMemory}
			if !slices.Contains(ms, m) {
				ms = append(ms, m)
			}
		}
	}
	return ms
}

func onceScope(h *handlers.Handler) string { return store.OnceScope(h.Name) }

// idWork is an id as the batch leaves it so far.
type idWork struct {
	store.ID
	was bool // Held, as loaded
}

// onceKey names the unit's id in the memory of Once; ok is false for other units, and for
// those whose entity is not known.
func (u *Unit) onceKey() (k store.IDKey, ok bool) {
	if u.Handler == nil || u.Item.Event == nil || u.Key+u.brokenKey == "" {
		return k, false
	}
	if _, remembers := u.Handler.Memory(); !remembers {
		return k, false
	}
	if u.idKey == k {
		u.idKey = store.IDKey{Scope: onceScope(u.Handler), Entity: u.Key + u.brokenKey, ID: identity(u.Item.Event)}
	}
	return u.idKey, true
}

// identity tells whether an event is the same again.
func identity(e *event.Event) string {
	source, id := e.Identity()
	return store.EventID(source, id)
}

// wantIDs asks for the ids of the units under Once, and for how far back each memory goes.
func wantIDs(w *store.Want, items []*Item) {
	ids := map[store.IDKey]bool{}
	horizons := map[store.MemoKey]bool{}
	for _, it := range items {
		for _, u := range it.Units {
			k, ok := u.onceKey()
			if !ok {
				continue
			}
			w.IDs = appendNew(w.IDs, ids, k)
			w.Memos = appendNew(w.Memos, horizons, store.HorizonOf(k.Scope))
		}
	}
}

// knows reports whether the unit's id is known, from before or from this batch.
func (w *work) knows(k store.IDKey) bool { return w.ids[k] != nil || w.loaded.IDs[k] != nil }

// once asks the memory of ids about a unit from the log, before its payload, its row or
// any other guard is looked at, and reports whether the unit goes on. If so, the id is taken
// from here on, whatever comes of the unit (R8).
func (w *work) once(u *Unit, s guards.State) (goes bool) {
	k, ok := u.onceKey()
	if !ok {
		return true
	}
	s.Seen = w.knows(k)
	// What is read again was judged before: its row has forgotten it on purpose (R20).
	if memo := w.loaded.Memos[store.HorizonOf(k.Scope)]; memo != nil && !w.replay && !u.accepted {
		var err error
		if s.Horizon, err = memo.Horizon(); err != nil && !s.Seen {
			w.unitLetter(u, nil, forgottenVerdict(u, err), &failure{err: err}) // nor does it take the id
			return false
		}
		s.HasHorizon = err == nil
	}
	v := judgeAll([]guards.Guard{u.memory()}, u.Item.Event, &s)
	switch v.Action {
	case guards.Apply:
		w.remember(&idWork{ID: store.ID{IDKey: k, At: u.Item.Event.OccurredAt}})
		return true
	case guards.DeadLetter:
		// It does not take the id: nobody knows whether its event was applied, so that its
		// replay needs more than the id to be free.
		w.unitLetter(u, nil, v, nil)
	case guards.Discard, guards.Park:
		w.verdict(u.Item, u, v)
	}
	return false
}

// ownID finds the id that a parked unit holds. One that is gone, which only a hand can do,
// is taken again.
func (w *work) ownID(u *Unit) {
	k, ok := u.onceKey()
	if !ok {
		return
	}
	id := &idWork{ID: store.ID{IDKey: k, At: u.Item.Event.OccurredAt, Held: true}, was: true}
	if known := w.loaded.IDs[k]; known != nil {
		id.ID, id.was = *known, known.Held
	}
	w.remember(id)
}

func (w *work) remember(id *idWork) {
	if w.ids == nil {
		w.ids = map[store.IDKey]*idWork{}
	}
	w.ids[id.IDKey] = id
}

// hold says whether the unit's id must outlive the horizon: while the unit is parked or a
// letter, its own event may still come to its effect.
func (w *work) hold(u *Unit, held bool) {
	k, ok := u.onceKey()
	if id := w.ids[k]; ok && id != nil {
		id.Held = held
	}
}

// changedIDs are the ids to be written.
func (w *work) changedIDs() []*store.ID {
	var changed []*store.ID
	for _, id := range w.ids {
		if !id.Known || id.Held != id.was {
			changed = append(changed, &id.ID)
		}
	}
	slices.SortFunc(changed, func(a, b *store.ID) int {
		return cmp.Or(strings.Compare(a.Scope, b.Scope), strings.Compare(a.Entity, b.Entity), strings.Compare(a.ID, b.ID))
	})
	return changed
}
