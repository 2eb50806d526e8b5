package batch

import (
	"slices"

	"github.com/evenkeel-go/evenkeel/handlers"
)

// Key is what orders records: those that share one are judged in the order of the log.
type Key struct{ Table, Entity string }

// Keys are those of the record's entities, in its streams too. What else a batch reads belongs
// to one of them (ids, numbers, siblings, what is parked) or is only read (horizons).
func (it *Item) Keys() []Key {
	keys := make([]Key, 0, len(it.Units)+2*len(it.streams))
	for _, u := range it.Units {
		if name := u.Key + u.brokenKey; name != "" {
			keys = append(keys, Key{u.Handler.Model.Table, name})
		}
	}
	for _, m := range it.streams {
		for _, model := range m.stream.Models { // what follows changes their rows
			keys = append(keys, Key{model.Table, m.key.Entity})
		}
	}
	return keys
}

// Slow reports whether judging the record may run a handler that takes long.
func (it *Item) Slow() bool {
	return it.mayRun(func(h *handlers.Handler) bool { return h.Slow }, func(s *handlers.Stream) bool { return s.Slow })
}

// UsesTx reports whether judging the record may run a handler with SQL of its own.
func (it *Item) UsesTx() bool {
	return it.mayRun(func(h *handlers.Handler) bool { return h.UsesTx }, func(s *handlers.Stream) bool { return s.UsesTx })
}

// mayRun reports whether one of the handlers that judging the record may run is such a one:
// its own, or those of other events that it lets go, in its streams or as their cause.
func (it *Item) mayRun(is func(*handlers.Handler) bool, has func(*handlers.Stream) bool) bool {
	if slices.ContainsFunc(it.Units, func(u *Unit) bool { return u.Handler != nil && letsGo(u.Handler, is) }) {
		return true
	}
	return slices.ContainsFunc(it.streams, func(m membership) bool { return has(m.stream) })
}

// letsGo reports whether one of the handlers that judging an event of h may run for its entity
// is such a one, but for those of streams of numbers.
func letsGo(h *handlers.Handler, is func(*handlers.Handler) bool) bool {
	return is(h) || h.Causal != nil && slices.ContainsFunc(h.Model.Causal, is)
}

// Slow reports whether judging what is parked under h may run a handler that takes long.
func Slow(h *handlers.Handler) bool {
	return h.Stream != nil && h.Stream.Slow || letsGo(h, func(h *handlers.Handler) bool { return h.Slow })
}
