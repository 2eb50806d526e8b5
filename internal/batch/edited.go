package batch

import (
	"fmt"
	"slices"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// revised is a record with an edit's value and headers.
func revised(r *event.Record, value []byte, headers []event.Header) *event.Record {
	edited := *r
	edited.Value, edited.Headers = value, headers
	return &edited
}

// prepareEdited prepares the unit of a letter that somebody has edited: with the edit's bytes,
// if these are still the letter's event.
func (p *Preparer) prepareEdited(row *store.Parked) *Unit {
	edit := row.Replay.Edit
	edited := *row
	edited.Record = revised(row.Record, edit.Value, edit.Headers)
	u := p.prepareParked(&edited)
	err := u.Item.Err
	if err == nil {
		err = p.unchanged(row, u)
	}
	if err == nil {
		return u
	}
	err = fmt.Errorf("revision %d: %w", edit.N, err)
	if u.whole {
		u.Item.Err = err
	} else {
		u.Err = err
	}
	return u
}

// unchanged compares the event of an edited record with what came, as far as that is known:
// where it can't be decoded, what it is remains for the edit to say.
func (p *Preparer) unchanged(row *store.Parked, u *Unit) error {
	const reissue = "; edit the letter once more, or reissue it to change that"
	is := u.Item.Event
	if is == nil {
		return fmt.Errorf("it is no event any more%s", reissue)
	}
	was := &event.Event{Record: row.Record}
	if err := decode(p.codecOf(row.Record), row.Record, was); err != nil {
		if row.EventType == "" {
			return nil
		}
		known := *is
		known.Type, known.Source, known.ID, known.OccurredAt = row.EventType, row.Source, row.EventID, row.OccurredAt
		was = &known
	}
	was.Record = row.Record
	if err := event.Unchanged(was, is); err != nil {
		return fmt.Errorf("the edit makes another event of it: %w%s", err, reissue)
	}
	it := &Item{Record: row.Record, Event: was}
	for _, h := range p.Wiring.Handlers(is.Type) {
		if row.Handler != "" && h.Name != row.Handler {
			continue
		}
		old, known := entitiesOf(it, h)
		if now, ok := entitiesOf(u.Item, h); known && ok && !slices.Equal(old, now) {
			return fmt.Errorf("the edit changes the entities of handler %s from %q to %q%s", h.Name, old, now, reissue)
		}
	}
	return nil
}

// entitiesOf are the keys of an event's entities under a handler, in order; known is false
// where it can't be said.
func entitiesOf(it *Item, h *handlers.Handler) (keys []string, known bool) {
	for _, u := range appendUnits(nil, it, h) {
		if u.Err != nil {
			return nil, false
		}
		keys = append(keys, u.Key)
	}
	slices.Sort(keys)
	return keys, true
}

// Revise gives what a rebuild reads again the bytes with which its letters were resolved (R20),
// and reports whether that is something else than it has by now. Units without an edit keep
// the record's own.
func (p *Preparer) Revise(group string, it *Item, edits []*store.EditedLetter) (changed bool) {
	for _, e := range edits {
		r := revised(it.Record, e.Revision.Value, e.Revision.Headers)
		if e.Handler == "" {
			if it.revision == e.Revision.N {
				continue
			}
			fresh := p.Prepare(r)
			fresh.Alone, fresh.revision = it.Alone, e.Revision.N
			*it = *fresh
			for _, u := range it.Units {
				u.Item, u.revision = it, e.Revision.N
			}
			changed = true
			continue
		}
		i := slices.IndexFunc(it.Units, func(u *Unit) bool { return u.Handler != nil && u.idIn(group) == e.ID })
		if i < 0 || it.Units[i].revision == e.Revision.N {
			continue
		}
		own := p.Prepare(r)
		own.streams = nil // its number is the record's
		fresh := inPlaceOf(it, it.Units[i], own)
		for _, u := range fresh {
			u.revision = e.Revision.N
		}
		it.Units, changed = slices.Replace(it.Units, i, i+1, fresh...), true
	}
	return changed
}

// inPlaceOf are the units that an edit has made of an item's unit: the same one, or, where
// what came named no entity, all that its handler names now and did not name before.
func inPlaceOf(it *Item, u *Unit, own *Item) (fresh []*Unit) {
	if key := u.Key + u.brokenKey; key != "" {
		same := unitOf(own, u.Handler, key)
		same.Refused = u.Refused
		return []*Unit{same}
	}
	if own.Err != nil {
		return []*Unit{{Item: own, Handler: u.Handler, Err: own.Err, misnamed: u.misnamed}}
	}
	for _, one := range own.Units {
		named := func(other *Unit) bool { return other != u && other.Handler == one.Handler && other.Key == one.Key }
		if one.Handler == u.Handler && !slices.ContainsFunc(it.Units, named) {
			fresh = append(fresh, one)
		}
	}
	return fresh
}
