package batch

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
	for _, u := range it.Units {
		if u.Handler.Slow {
			return true
		}
	}
	for _, m := range it.streams {
		if m.stream.Slow {
			return true
		}
	}
	return false
}
