package batch

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// versions are the maximal events behind columns that are judged by whole vectors (R14):
// the siblings of a Resolve, or the one event that Modify under ConflictLetters took last.
type versions struct {
	memo    *store.Memo // as loaded; nil while there is none
	list    []version   // in the order of R3
	changed bool
}

// version is an event that no other one has seen.
type version struct {
	source, id string
	vector     event.Vector
	stamp      event.Stamp
	at         time.Time
	data       []byte // nil where only the vector counts
}

const kindSiblings store.MemoKind = "siblings"

// versionsKey is where the versions that a unit is judged by are kept. The columns of a
// Resolve are those of its event type, the Modify handlers of a model share theirs.
func versionsKey(u *Unit) (k store.MemoKey, ok bool) {
	if u.Key == "" || u.Handler == nil {
		return k, false
	}
	return versionsUnder(u.Handler, u.Key)
}

func versionsUnder(h *handlers.Handler, entity string) (k store.MemoKey, ok bool) {
	if h.Vectors() == nil {
		return k, false
	}
	scope := h.Model.Table
	if h.Verb == handlers.VerbResolve {
		scope += "/" + h.EventType
	}
	return store.MemoKey{Kind: kindSiblings, Scope: scope, Entity: entity}, true
}

// versions returns what stands behind a unit's columns. It counts only while the row's
// clock names it: a row that somebody removed, or that was written by other rules since,
// starts anew.
func (w *work) versions(u *Unit, rw *rowWork) (*versions, error) {
	key, _ := versionsKey(u)
	vs := w.vectors[key]
	if vs == nil {
		vs = &versions{memo: w.loaded.Memos[key]}
		if vs.memo != nil {
			var err error
			if vs.list, err = decodeVersions(vs.memo.Body, u.Handler.Stamper); err != nil {
				return nil, fmt.Errorf("what is remembered of %s %s in evenkeel_memos (kind %s, scope %s) can't be read: %w", u.Handler.Model.Name, u.Key, key.Kind, key.Scope, err)
			}
		}
		if w.vectors == nil {
			w.vectors = map[store.MemoKey]*versions{}
		}
		w.vectors[key] = vs
	}
	columns := u.Handler.Writes
	if u.Handler.Verb == handlers.VerbModify {
		columns = u.Handler.Model.ModifyColumns
	}
	if n := len(vs.list); n > 0 && (rw.row == nil || rw.row.Clocks.NewestOf(columns) != vs.list[n-1].stamp) {
		vs.list = nil
	}
	return vs, nil
}

// seen is the vector that the row's Modify columns took last, nil when it is not known.
func (w *work) seen(u *Unit, rw *rowWork) (event.Vector, error) {
	vs, err := w.versions(u, rw)
	if err != nil || len(vs.list) == 0 {
		return nil, err
	}
	return vs.list[0].vector, nil
}

// took notes that the row's Modify columns stand at the unit's event now.
func (w *work) took(u *Unit) {
	key, _ := versionsKey(u)
	v := versionOf(u)
	v.data = nil
	w.vectors[key].list, w.vectors[key].changed = []version{v}, true
}

// holds reports whether the unit's event is one of the siblings already.
func (w *work) holds(u *Unit, rw *rowWork) bool {
	vs, err := w.versions(u, rw)
	if err != nil {
		return false // and the unit will say so when it is judged
	}
	v := versionOf(u)
	return slices.ContainsFunc(vs.list, func(have version) bool { return have.is(&v, u.Handler.Vectors()) })
}

// versionOf is a unit's event, whose stamp is known to be good.
func versionOf(u *Unit) version {
	e := u.Item.Event
	source, id := e.Identity()
	stamp, _ := u.stampOf()
	return version{source: source, id: id, vector: e.Vector, stamp: stamp, at: e.OccurredAt, data: e.Data}
}

// is reports whether both are one event.
func (v *version) is(o *version, g *guards.VectorGuard) bool {
	return v.source == o.source && v.id == o.id && g.Compare(v.vector, o.vector) == event.Equal
}

// admit adds an event to the maximal ones: those that it has seen go, and it is not added
// where one of them has seen it. What is left does not depend on the order in which
// events are admitted. Other events with an equal vector count as concurrent.
func admit(g *guards.VectorGuard, have []version, v version) ([]version, guards.Verdict) {
	next := make([]version, 0, len(have)+1)
	size := len(v.data)
	for i := range have {
		h := &have[i]
		relation := g.Compare(v.vector, h.vector)
		switch {
		case v.is(h, g):
			return nil, guards.Verdict{Action: guards.Discard, Reason: guards.Duplicate, Numbers: sums(&v, h)}
		case relation == event.Before:
			return nil, guards.Verdict{Action: guards.Discard, Reason: guards.Superseded, Numbers: sums(&v, h)}
		case relation != event.After:
			next, size = append(next, *h), size+len(h.data)
		}
	}
	next = append(next, v)
	if len(next) > 1 && (len(next) > handlers.MaxSiblings || size > handlers.MaxSiblingBytes) {
		return nil, guards.Verdict{
			Action: guards.DeadLetter, Reason: guards.Conflict, Numbers: sums(&v, &have[len(have)-1]),
			Detail: fmt.Sprintf("it would be one of %d concurrent versions with %d bytes together, of which %d with %d bytes are kept; let a writer that has seen them write one version, then replay this letter", len(next), size, handlers.MaxSiblings, handlers.MaxSiblingBytes),
		}
	}
	slices.SortFunc(next, func(a, b version) int {
		return cmp.Or(a.stamp.Compare(b.stamp), strings.Compare(a.vector.String(), b.vector.String()))
	})
	return next, guards.Pass()
}

func sums(v, against *version) guards.Comparison {
	return guards.Comparison{What: "vector", Event: v.stamp.Time, Against: against.stamp.Time}
}

// putVersions collects what changed.
func (w *work) putVersions() error {
	for key, vs := range w.vectors {
		if !vs.changed {
			continue
		}
		body, err := encodeVersions(vs.list)
		if err != nil {
			return err
		}
		m := &store.Memo{MemoKey: key, Body: body}
		if vs.memo != nil {
			m.Rev = vs.memo.Rev
		}
		w.out.Batch.Memos = append(w.out.Batch.Memos, m)
	}
	return nil
}

// storedVersion is a version in a memo's body. Data that is text stays readable.
type storedVersion struct {
	Source string `json:"source"`
	ID     string `json:"id"`
	Vector string `json:"vector"`
	At     int64  `json:"at"` // microseconds since 1970
	// Tie is that of a derived event, which has its root's (R11).
	Tie    []byte `json:"tie,omitempty"`
	Data   string `json:"data,omitempty"`
	Base64 []byte `json:"data_base64,omitempty"`
}

func encodeVersions(list []version) (string, error) {
	stored := make([]storedVersion, len(list))
	for i, v := range list {
		stored[i] = storedVersion{Source: v.source, ID: v.id, Vector: v.vector.String(), At: event.Micros(v.at)}
		if v.stamp.Tie != event.Tie(true, v.source, v.id) {
			stored[i].Tie = []byte(v.stamp.Tie)
		}
		if utf8.Valid(v.data) {
			stored[i].Data = string(v.data)
		} else {
			stored[i].Base64 = v.data
		}
	}
	body, err := json.Marshal(stored)
	return string(body), err
}

func decodeVersions(body string, s guards.Stamper) ([]version, error) {
	var stored []storedVersion
	if err := json.Unmarshal([]byte(body), &stored); err != nil {
		return nil, err
	}
	list := make([]version, len(stored))
	for i, v := range stored {
		vector, err := event.ParseVector(v.Vector)
		if err != nil {
			return nil, err
		}
		e := &event.Event{Source: v.Source, ID: v.ID, Vector: vector}
		stamp, err := s.Stamp(e, true)
		if err != nil {
			return nil, err
		}
		if len(v.Tie) > 0 {
			stamp.Tie = string(v.Tie)
		}
		data := v.Base64
		if v.Data != "" {
			data = []byte(v.Data)
		}
		list[i] = version{source: v.Source, id: v.ID, vector: vector, stamp: stamp, at: time.UnixMicro(v.At).UTC(), data: data}
	}
	return list, nil
}
