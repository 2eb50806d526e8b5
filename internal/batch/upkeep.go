package batch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/clocks"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// Orphans are placeholders of one model that nobody has completed in time.
type Orphans struct {
	Model *handlers.Model
	Age   time.Duration // how long they were given
	// Lives are those of which what wrote them becomes letters, unless they were not born
	// before.
	Lives  []Life
	Before time.Time
}

// IDs are those that the letters of all lives would hold.
func (o *Orphans) IDs() []store.IDKey {
	var items []*Item
	for _, life := range o.Lives {
		for _, origin := range life.Origins {
			if origin.Unit != nil {
				items = append(items, origin.Unit.Item)
			}
		}
	}
	var want store.Want
	wantIDs(&want, items)
	return want.IDs
}

// Life is one life of a placeholder with all that is known of who wrote it.
type Life struct {
	store.OriginKey
	Origins []*Origin
}

// Remove says which placeholders go, and the verdicts on the events whose fields go with
// them, as far as their clocks tell them (R12): their coordinates nobody knows any more. What
// something waits for stays; the store sees to it.
func (j *Judge) Remove(o *Orphans, rows []store.Aged, layout *clocks.Layout, now time.Time) (*store.OrphanRemoval, error) {
	r := &store.OrphanRemoval{
		Group: j.Group, Model: o.Model, Orphans: make([]store.Orphan, len(rows)), Now: now,
		Verdict: store.Verdict{Table: o.Model.Table, Verdict: orphaned(o, 0, guards.Discard, now)},
	}
	events := make([]store.OrphanEvent, 0, len(rows))
	for i := range rows {
		a := &rows[i]
		stamps, err := layout.Decode(a.Clocks(), guards.Placeholder)
		if errors.Is(err, clocks.ErrNewerGeneration) {
			return nil, err
		} else if err != nil {
			return nil, &store.DataError{Table: o.Model.Table, Err: fmt.Errorf("table %s, key %q: %w", o.Model.Table, a.Key, err)}
		}
		from := len(events)
		events = lost(events, stamps.Stamps)
		r.Orphans[i] = store.Orphan{Key: a.Key, Rev: a.Rev, Born: a.Born.UnixMicro(), Events: events[from:len(events):len(events)]}
	}
	return r, nil
}

// lost adds the events that wrote a row.
func lost(events []store.OrphanEvent, stamps []event.Stamp) []store.OrphanEvent {
	from := len(events)
	for i, s := range stamps {
		if s.IsZero() || isPurged(s) || slices.Contains(stamps[:i], s) {
			continue
		}
		source, id := s.Identity()
		events = append(events, store.OrphanEvent{Source: source, ID: id})
	}
	if len(events) == from {
		events = append(events, store.OrphanEvent{})
	}
	return events
}

// Sweep removes placeholders and makes letters of what wrote them. Their rows go by the
// revision that was loaded, so that an event which completes one meanwhile wins, or conflicts
// and finds no row (R15). What something waits for, or what somebody unknown has written, stays.
func (j *Judge) Sweep(ctx context.Context, o *Orphans, layouts Layouts, loaded *store.Loaded, now time.Time) *Outcome {
	w := j.start(ctx, layouts, loaded, now, len(o.Lives))
	for _, life := range o.Lives {
		row := loaded.Rows[o.Model.Table][life.Entity]
		if row == nil || row.State != guards.Placeholder || row.Born.UnixMicro() != life.Born {
			// That placeholder was completed, or is gone: no event will write it again.
			w.out.Batch.Forget = append(w.out.Batch.Forget, life.OriginKey)
			continue
		}
		if w.orphan(o, life.Entity) == nil || !allWriters(row, life.Origins) {
			continue
		}
		w.out.Batch.Delete = append(w.out.Batch.Delete, row)
		w.out.Batch.Forget = append(w.out.Batch.Forget, life.OriginKey)
		// One event may have written twice, e.g. a column that is newer than it when it
		// was read again.
		written := map[string]bool{}
		for _, origin := range life.Origins {
			if origin.Unit != nil && !written[origin.ID] {
				written[origin.ID] = true
				w.orphanLetter(o, origin, row)
			}
		}
	}
	w.out.Batch.IDs = w.changedIDs()
	return w.out
}

// orphan returns the row if it is one that may go.
func (w *work) orphan(o *Orphans, key string) *store.Row {
	row := w.loaded.Rows[o.Model.Table][key]
	if row == nil || row.State != guards.Placeholder || !row.Born.Before(o.Before) || w.awaited(o.Model, key) {
		return nil
	}
	return row
}

// awaited reports whether something waits under the key, or for a letter of it.
func (w *work) awaited(m *handlers.Model, key string) bool {
	q := w.loaded.Queues[m.Table][key]
	return q != nil && (len(q.Parked) > 0 || len(q.Letters) > 0)
}

func orphaned(o *Orphans, born int64, action guards.Action, now time.Time) guards.Verdict {
	return guards.Verdict{
		Action: action, Reason: guards.Orphaned,
		Numbers: guards.Comparison{What: "born", Event: born, Against: now.UnixMicro(), Bound: o.Age.Microseconds()},
		Detail:  fmt.Sprintf("it wrote a placeholder of %s that nothing has completed within %s, and which was removed", o.Model.Name, o.Age),
	}
}

// orphanLetter makes a letter of an event that wrote the placeholder.
func (w *work) orphanLetter(o *Orphans, origin *Origin, row *store.Row) {
	u := origin.Unit
	var rw *rowWork
	if u.Handler != nil && u.Err == nil {
		rw = w.row(u)
	}
	w.ownID(u) // which the letter holds from now on (R8)
	w.unitLetter(u, rw, orphaned(o, row.Born.UnixMicro(), guards.DeadLetter, w.now), nil)
	l := w.out.Batch.Letters[len(w.out.Batch.Letters)-1]
	if u.Handler == nil {
		// Its handler is registered no more, or the codec is another: what the letter is
		// about is known all the same.
		l.Handler, l.Table, l.Entity = origin.Handler, origin.Table, origin.Entity
		l.Fingerprint = dlq.Fingerprint(l)
	}
}

// Tombstones are rows of one model that were deleted long ago.
type Tombstones struct {
	Model *handlers.Model
	// Before bounds their newest stamp and their birth.
	Before time.Time
	Keys   []string
}

// Purge removes tombstones and moves the table's horizon over them in the same batch
// (R13). The batch is nil when there is nothing to remove.
func (j *Judge) Purge(t *Tombstones, loaded *store.Loaded, now time.Time) (*store.Batch, error) {
	memo := loaded.Memos[store.TombstoneHorizon(t.Model.Table)]
	h, err := store.ReadHorizon(memo)
	if err != nil {
		return nil, err
	}
	b := &store.Batch{Group: j.Group, Now: now}
	w := &work{Judge: j, loaded: loaded}
	for _, key := range t.Keys {
		row := loaded.Rows[t.Model.Table][key]
		if row == nil || row.State != guards.Deleted || !row.Born.Before(t.Before) || w.awaited(t.Model, key) {
			continue
		}
		newest := row.Clocks.Newest()
		if newest.IsZero() || newest.Time >= t.Before.UnixMicro() {
			continue
		}
		b.Delete = append(b.Delete, row)
		if h.At == nil || newest.Time > *h.At {
			h.At = &newest.Time
		}
	}
	if len(b.Delete) == 0 {
		return nil, nil //nolint:nilnil // nothing to do is no error
	}
	b.Memos = []*store.Memo{h.Memo(t.Model.Table, memo)}
	return b, nil
}
