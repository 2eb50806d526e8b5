package batch

import (
	"bytes"
	"fmt"
	"reflect"
	"runtime/debug"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// resolve admits an event to its entity's siblings and makes the row of them (R14).
func (w *work) resolve(u *Unit, rw *rowWork) error {
	h := u.Handler
	vs, err := w.versions(u, rw)
	if err != nil {
		w.failed(u, rw, &failure{err: err})
		return nil
	}
	next, v := admit(h.Vectors(), vs.list, versionOf(u))
	switch v.Action {
	case guards.Discard:
		w.settle(u, rw, v)
		return nil
	case guards.DeadLetter:
		w.unitLetter(u, rw, v, nil)
		return nil
	case guards.Apply, guards.Park:
	}
	view, deleted, f := w.merged(u, next)
	if f != nil {
		if f.ended {
			return w.ctx.Err()
		}
		w.failed(u, rw, f)
		return nil
	}
	vs.list, vs.changed = next, true
	made := rw.row == nil
	if made {
		w.make(rw)
	}
	row := rw.row
	rw.dirty = true
	w.wrote(u, rw)
	newest := &next[len(next)-1]
	for _, c := range h.Writes {
		c.Value(row.Entity).Set(c.Value(view))
		row.Clocks.Stamps[c.Index] = newest.stamp
	}
	placeholder := 0
	if h.Creates {
		row.Clocks.Stamps[row.Layout.Exists] = newest.stamp
		if row.State == guards.Placeholder {
			w.wake(rw)
			if !made {
				placeholder = -1
			}
		}
		// The siblings alone say since when, as they say whether.
		setExistence(row, newest.at, deleted)
	} else if made && row.State == guards.Placeholder {
		placeholder = 1
	}
	w.settle(u, rw, v)
	w.out.Verdicts[len(w.out.Verdicts)-1].Placeholder = placeholder
	return nil
}

// decodeSibling decodes the payload of an event of the same type as e. Each run gets
// payloads of its own: a resolver may change what it is given, also raw bytes.
func decodeSibling(h *handlers.Handler, e *event.Event, data []byte) (payload any, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &panicError{value: r, stack: string(debug.Stack())}
		}
	}()
	sibling := *e
	sibling.Data = bytes.Clone(data)
	if len(data) == 0 { // as its record had no value at all
		sibling.Record = &event.Record{}
	}
	return h.Decode(&sibling)
}

// merged runs the resolver on a blank entity: what it makes of the siblings can't depend
// on anything else that the row holds.
func (w *work) merged(u *Unit, list []version) (view reflect.Value, deleted bool, f *failure) {
	h := u.Handler
	key, _, err := h.Model.ParseKey(u.Key)
	if err != nil {
		return view, false, &failure{err: err, final: true, reason: guards.Poison}
	}
	siblings := make([]handlers.Sibling[any], len(list))
	for i, v := range list {
		payload, err := decodeSibling(h, u.Item.Event, v.data)
		if err != nil {
			return view, false, &failure{err: fmt.Errorf("the sibling %s of %s: %w", v.id, v.source, err)}
		}
		siblings[i] = handlers.Sibling[any]{Payload: payload, Source: v.source, ID: v.id, OccurredAt: v.at, Vector: v.vector}
	}
	view = h.Model.New(key)
	c := &handlers.Call{
		Event: u.Item.Event, Payload: u.Payload, Entity: view.Interface(), Siblings: siblings,
		Group: w.Group, Handler: h.Name, Key: u.Key, Attempt: u.attempt(),
	}
	if f := w.run(w.ctx, h, c); f != nil {
		return view, false, f
	}
	if c.Deleted {
		if err := mayDelete(h); err != nil {
			return view, false, rejected(err)
		}
	}
	if field := stray(h, w.untouched(h.Model, key), view); field != "" {
		return view, false, rejected(strayError(h, field))
	}
	return view, c.Deleted, nil
}
