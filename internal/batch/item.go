// Package batch decides what a batch of events does: it prepares the records, says what
// must be loaded, judges each unit against the rows and the log's prefix, runs the
// handlers, merges what they wrote and returns one store.Batch. It does no I/O; the
// only foreign code that it runs is the user's handlers.
package batch

import (
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/breaker"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// Item is one record of a batch, prepared once and judged as often as the batch is run.
type Item struct {
	Record *event.Record
	// Event is nil when Err says why the record is none, and for compaction markers.
	Event *event.Event
	Err   error
	// Codec is the name of the codec that was asked.
	Codec string
	Units []*Unit
	// Alone keeps what waits for the item out of its transaction, when the database has
	// refused them together (R18).
	Alone bool
	// Probe lets the item run while the breaker of its handler is open (R22).
	Probe bool
	// Probes are those that have failed with this item.
	Probes int

	streams   []membership
	admission admission
	// revision is that of the letter whose edit the record has, 0 for none.
	revision int
}

// Unit is an event under one handler for one entity.
type Unit struct {
	Item    *Item
	Handler *handlers.Handler
	Payload any
	// Key is the entity's canonical key; empty when there is none, and then Err says why,
	// unless nobody is set: the handler's Keys named no entity.
	Key string
	Err error
	// misnamed is what was said for a key and is none.
	misnamed string
	// id is the unit's id, made when it is first asked for.
	id string

	// idKey names the id under Once, once it was asked for.
	idKey store.IDKey
	// brokenKey is the Key that Break took away.
	brokenKey string
	// stamp is the event's, once it was asked for.
	stamp    event.Stamp
	stampErr error

	// Parked is the row that the unit waits in, nil for a live one.
	Parked *store.Parked
	found  *store.Parked // as it was prepared
	// Refused is the database's refusal of this unit's effect, once a batch of this
	// unit alone has failed on its data (R18).
	Refused error

	held hold
	// revision is that of the letter whose edit it has, in a rebuild; 0 for none.
	revision int

	// blind is what a Set handler filled in: it can't depend on any row, so it is
	// computed once however often the batch is run (R1).
	blind *blindRun

	// ran is what the last run says of the handler, and why it failed; mark is where the
	// breaker has noted it, and probe says that the unit is one of its probes.
	why  string
	mark breaker.Mark
	ran  breaker.Result

	// The flags stand together since every event makes a unit, and each would take a word
	// between the others.
	probe bool
	// nobody: the handler's Keys named no entity.
	nobody bool
	// stamped: the stamp was asked for.
	stamped bool
	// queued: what waits under its key must be loaded, since it has to wait itself.
	queued bool
	// whole: the unit stands for all that is found anew in the record of a letter.
	whole bool
	// accepted: its id may have been forgotten, and somebody has said that it is to be
	// applied all the same.
	accepted bool
	// uncalled: the handler was let through to and not called, in a rehearsal.
	uncalled bool
}

// Break makes a letter of the unit without looking at its row, which can't be read.
func (u *Unit) Break(err error) { u.Err, u.brokenKey, u.Key = err, u.Key, "" }

// Clear takes back Break and Refused.
func (u *Unit) Clear() {
	if u.brokenKey != "" {
		u.Err, u.Key, u.brokenKey = nil, u.brokenKey, ""
	}
	u.Refused = nil
}

// Recall takes over what a Set handler has said in an earlier run of the same unit (R1), and
// what was noted of that run.
func (u *Unit) Recall(before *Unit) {
	u.blind, u.uncalled, u.mark = before.blind, before.uncalled, before.mark
}

type blindRun struct {
	view    reflect.Value
	kept    []string
	deleted bool
	emitted []*store.Outbound
	failure *failure
}

// Preparer turns records into items.
type Preparer struct {
	Wiring *handlers.Wiring
	// Codec returns a topic's codec.
	Codec func(topic string) event.Codec
	// Witness, if any, hears the Lamport time of each event before any handler runs, so
	// that what a handler sends is after what it was called with.
	Witness func(lamport int64)
}

// Prepare decodes a record and finds its units.
func (p *Preparer) Prepare(r *event.Record) *Item {
	it := &Item{Record: r}
	if r.IsCompactionMarker() && len(p.Wiring.Handlers(event.TombstoneType(r.Topic))) == 0 {
		return it
	}
	e := &event.Event{Record: r}
	codec := p.codecOf(r)
	it.Codec = codec.Name()
	if err := decode(codec, r, e); err != nil {
		it.Err = err
		return it
	}
	e.Record = r
	it.Event = e
	p.witness(e)
	hs := p.Wiring.Handlers(e.Type)
	if len(hs) > 0 {
		it.Units = make([]*Unit, 0, len(hs))
	}
	for _, h := range hs {
		it.Units = appendUnits(it.Units, it, h)
	}
	it.streams = p.memberships(it)
	return it
}

// codecOf returns the codec that a record is for: a tombstone is none of the topic's.
func (p *Preparer) codecOf(r *event.Record) event.Codec {
	if r.IsCompactionMarker() {
		return event.Tombstones()
	}
	return p.Codec(r.Topic)
}

// PrepareParked prepares the one unit of a parked row.
func (p *Preparer) PrepareParked(row *store.Parked) *Unit {
	if row.Cause == store.CauseReplay && row.Replay != nil && row.Replay.Edit != nil {
		return p.prepareEdited(row)
	}
	return p.prepareParked(row)
}

func (p *Preparer) prepareParked(row *store.Parked) *Unit {
	it := &Item{Record: row.Record}
	e := &event.Event{Record: row.Record}
	u := &Unit{Item: it, Key: row.Entity, Parked: row, id: row.ID}
	if row.Cause == store.CauseSeen || row.Cause == store.CauseReplay && p.findsAnew(row) {
		u.Item, u.Key, u.whole = p.Prepare(row.Record), "", true
		return u
	}
	it.Units = []*Unit{u}
	if err := decode(p.codecOf(row.Record), row.Record, e); err != nil {
		it.Err, u.Err = err, err
		return u
	}
	e.Record = row.Record
	it.Event = e
	p.witness(e)
	h := p.Wiring.Handler(e.Type, row.Handler)
	if h == nil {
		u.Err = fmt.Errorf("no handler %q is registered for %q any more; register it again under this name (handlers.Name), or discard the letter", row.Handler, e.Type)
		return u
	}
	fresh := unitOf(it, h, row.Entity)
	fresh.Parked, fresh.id = row, row.ID
	it.Units[0] = fresh
	if k, ok := fresh.streamKey(); ok {
		it.streams = []membership{{stream: h.Stream, key: k}}
	}
	return fresh
}

func (p *Preparer) witness(e *event.Event) {
	if e.HasLamport && p.Witness != nil {
		p.Witness(e.Lamport)
	}
}

// stampOf is the unit's stamp (R3).
func (u *Unit) stampOf() (event.Stamp, error) {
	if !u.stamped {
		u.stamped = true
		defer func() {
			if r := recover(); r != nil {
				u.stampErr = &panicError{value: r, stack: string(debug.Stack())}
			}
		}()
		u.stamp, u.stampErr = u.Handler.Stamper.Stamp(u.Item.Event, u.own())
	}
	return u.stamp, u.stampErr
}

var errCodecPanic = errors.New("the codec panicked")

// decode calls a codec that may be the user's.
func decode(c event.Codec, r *event.Record, e *event.Event) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: %v", errCodecPanic, v)
		}
	}()
	if err := c.Decode(r, e); err != nil {
		return err
	}
	// A codec of the user's may leave out the limits and defaults that ours apply.
	if err := event.Finish(c.Name(), e); err != nil {
		return err
	}
	return event.Inherit(e)
}

// Gather says what must be loaded to judge the items.
func Gather(group string, items []*Item, layouts Layouts, firstSight func(offset int64) bool) *store.Want {
	return gather(group, items, layouts, func(it *Item) bool { return firstSight != nil && !firstSight(it.Record.Offset) })
}

// GatherAdmitted is Gather for records that were admitted.
func GatherAdmitted(group string, items []*Item, layouts Layouts) *store.Want {
	return gather(group, items, layouts, func(it *Item) bool { return !it.admission.firstSight })
}

func gather(group string, items []*Item, layouts Layouts, judged func(*Item) bool) *store.Want {
	w := &store.Want{Group: group}
	at := map[*handlers.Model]int{}
	seen := map[*handlers.Model]map[string]bool{}
	memos := map[store.MemoKey]bool{}
	row := func(m *handlers.Model, key string, parked bool) {
		i, ok := at[m]
		if !ok {
			i = len(w.Rows)
			at[m] = i
			seen[m] = make(map[string]bool, len(items))
			wantHorizon(w, m, layouts)
			w.Rows = append(w.Rows, store.WantRows{Model: m, Layout: layouts[m], Keys: make([]string, 0, len(items))})
		}
		if parked || m.Awaited {
			w.Rows[i].Parked = true
		}
		w.Rows[i].Keys = appendNew(w.Rows[i].Keys, seen[m], key)
	}
	gatherStreams(w, items, row)
	for _, it := range items {
		w.Tx = w.Tx || it.UsesTx()
		if judged(it) {
			w.Judged = append(w.Judged, it.Record.Coordinates)
		}
		for _, u := range it.Units {
			if u.Key == "" || u.Handler == nil {
				continue
			}
			if k, ok := versionsKey(u); ok {
				w.Memos = appendNew(w.Memos, memos, k)
			}
			row(u.Handler.Model, u.Key, loadsQueue(u.Handler) || u.queued)
		}
	}
	gatherCauses(w, items, memos)
	wantIDs(w, items)
	return w
}

// appendNew appends k to the list unless it was seen.
func appendNew[T comparable](list []T, seen map[T]bool, k T) []T {
	if seen[k] {
		return list
	}
	seen[k] = true
	return append(list, k)
}

// loadsQueue reports whether what waits under the key of a unit is read along with its row.
func loadsQueue(h *handlers.Handler) bool { return needsQueue(h) || h.Causal != nil }

func needsQueue(h *handlers.Handler) bool {
	return h.OrderKept() || h.OnMissing == handlers.MissingPark
}

// gatherStreams asks for the streams that the items' numbers belong to, and for the rows of
// what may follow in them.
func gatherStreams(w *store.Want, items []*Item, row func(m *handlers.Model, key string, parked bool)) {
	streams, ids := map[store.StreamKey]bool{}, map[store.IDKey]bool{}
	for _, it := range items {
		for _, m := range it.streams {
			if !streams[m.key] {
				streams[m.key] = true
				w.Streams = append(w.Streams, m.key)
				w.Memos = append(w.Memos, store.MemoOf(m.key))
			}
			if !it.Alone { // one of them may be what can't be read (R18)
				for _, model := range m.stream.Models {
					row(model, m.key.Entity, false)
				}
			}
			w.IDs = appendNew(w.IDs, ids, numberKey(m.key, it.Event.Version))
		}
	}
}
