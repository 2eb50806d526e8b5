package batch

import (
	"fmt"
	"runtime/debug"

	"github.com/evenkeel-go/evenkeel/handlers"
)

// appendUnits adds an event's units under a handler: one for each entity that it names. Of
// several texts that mean one entity the first counts.
func appendUnits(units []*Unit, it *Item, h *handlers.Handler) []*Unit {
	var payload any
	var texts []string
	err := caught(func() (err error) {
		if payload, err = h.Decode(it.Event); err == nil {
			texts = h.KeyTexts(it.Event, payload)
		}
		return err
	})
	if err != nil {
		u := &Unit{Item: it, Handler: h, Err: err}
		if h.OwnKey() { // the entity is known, and its later events may have to wait
			_ = caught(func() error { return u.find(it.Event.Key) })
		}
		return append(units, u)
	}
	if len(texts) == 0 {
		return append(units, &Unit{Item: it, Handler: h, Payload: payload, nobody: true})
	}
	type name struct{ key, misnamed string }
	var named map[name]bool
	if len(texts) > 1 {
		named = make(map[name]bool, len(texts))
	}
	for _, text := range texts {
		u := &Unit{Item: it, Handler: h, Payload: payload}
		if u.Err = caught(func() error { return u.find(text) }); u.Err != nil {
			u.misnamed = text
		}
		if n := (name{u.Key, u.misnamed}); named != nil {
			if named[n] {
				continue
			}
			named[n] = true
		}
		units = append(units, u)
	}
	return units
}

// find sets the unit's key.
func (u *Unit) find(text string) (err error) {
	_, u.Key, err = u.Handler.Model.ParseKey(text)
	return err
}

// unitOf finds an event's unit for an entity again. Who parked it knew the entity, so it is
// known even where the handler does not name it any more.
func unitOf(it *Item, h *handlers.Handler, entity string) *Unit {
	units := appendUnits(nil, it, h)
	for _, u := range units {
		if u.Key == entity {
			return u
		}
	}
	lost := &Unit{Item: it, Handler: h, Key: entity, Err: units[0].Err}
	if units[0].Payload != nil {
		lost.Err = fmt.Errorf("handler %s does not name the entity %q for this event any more; let its handlers.Key or handlers.Keys name it again, or discard the letter", h.Name, entity)
	}
	return lost
}

// caught calls the user's code, like a payload's UnmarshalJSON or a key function, and makes
// an error of its panic.
func caught(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &panicError{value: r, stack: string(debug.Stack())}
		}
	}()
	return f()
}
