package batch

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// wakeAfterRebuild is when an event that waits for the end of a rebuild is looked at again,
// should nobody wake it.
const wakeAfterRebuild = time.Minute

// Scope is what is being rebuilt: for each model its keys, nil for all.
type Scope map[*handlers.Model]map[string]bool

// has reports whether a model's entity is in the scope.
func (s Scope) has(m *handlers.Model, key string) bool {
	keys, ok := s[m]
	return ok && (keys == nil || keys[key])
}

// Limit leaves of an item what is in the scope, and reports whether that is anything. A unit
// whose entity is not known is kept: it becomes a letter and is not lost.
func (s Scope) Limit(it *Item) bool {
	if it.Err != nil {
		return true
	}
	it.Units = slices.DeleteFunc(it.Units, func(u *Unit) bool {
		if _, ok := s[u.Handler.Model]; ok && u.Key == "" {
			return u.Err == nil
		}
		return !s.has(u.Handler.Model, u.Key)
	})
	it.streams = slices.DeleteFunc(it.streams, func(m membership) bool {
		return !slices.ContainsFunc(m.stream.Models, func(model *handlers.Model) bool { return s.has(model, m.key.Entity) })
	})
	return len(it.Units) > 0 || len(it.streams) > 0
}

// Replay judges records that were judged before, for rows that are being rebuilt (R20). No
// position moves, and admission does not run again (R6).
func (j *Judge) Replay(ctx context.Context, items []*Item, layouts Layouts, loaded *store.Loaded, now time.Time) (*Outcome, error) {
	again := *j
	again.DeadLetterUnhandled, again.KeepOrigins = false, false
	w := again.start(ctx, layouts, loaded, now, len(items))
	w.replay = true
	for _, it := range items {
		again.readmit(it, now)
		if err := w.numbered(it); err != nil {
			return nil, err
		}
	}
	out, err := w.finish()
	if err != nil {
		return nil, err
	}
	out.Batch.Verdicts = slices.DeleteFunc(out.Batch.Verdicts, func(v store.Verdict) bool { return isRepeated(&v.Verdict) })
	return out, nil
}

// isRepeated reports whether a verdict says only what the journal has said before, or that an
// event has its effect already.
func isRepeated(v *guards.Verdict) bool {
	again := []guards.Reason{guards.Redelivered, guards.Duplicate, guards.Superseded, guards.Unhandled, guards.CompactionMarker, guards.NoEntity, guards.Applied}
	return v.Action == guards.Apply || v.Action == guards.Discard && slices.Contains(again, v.Reason)
}

// stands reports whether the outcome of a letter or parked row stands when its record is read
// again (R6). For a row that is made anew one that a replay has ended counts no more: its
// event is judged once more, like all that had an effect (R20).
func (w *work) stands(id string) bool { return w.loaded.Units[id] && !w.resolvedBefore(id) }

func (w *work) resolvedBefore(id string) bool { return w.replay && w.loaded.Resolved[id] }

// elsewhere reports whether the unit's outcome stands: its row, or its stream, is not being
// rebuilt, so that what it has seen it still remembers.
func (w *work) elsewhere(u *Unit) bool {
	if u.Key == "" {
		return false
	}
	if sw := w.streamOf(u); sw != nil && !sw.state.Rebuilding {
		return true
	}
	rw := w.row(u)
	return rw.row != nil && !rw.row.Rebuilding
}

// untouched reports whether a rebuild reads the stream's events again for others' sake: the
// stream remembers them, so nothing is taken, asked for or let go in it.
func (sw *streamWork) untouched() bool { return sw.replay && !sw.state.Rebuilding }

// heldByRebuild reports whether a unit must wait until its row is whole again: what becomes
// of it depends on what the row holds or whether it is there. The units of the others merge
// or add up in any order.
func (w *work) heldByRebuild(u *Unit, rw *rowWork) bool {
	return !w.replay && rw.row != nil && rw.row.Rebuilding && Waits(u.Handler)
}

// Waits reports whether a handler's events wait while their row is being rebuilt.
func Waits(h *handlers.Handler) bool {
	return h.OrderKept() || h.Stream != nil || !h.Creates && h.OnMissing != handlers.MissingPlaceholder
}

// lastPlace is the place of a unit from the log, as far as others before it count: what is
// read again is older than all that waits, but for what parked while it was read again.
func (w *work) lastPlace() int64 {
	if w.replay {
		return 0
	}
	return math.MaxInt64
}

// firstEarly is the first place of what parks while it is read again; the others are above
// zero.
const firstEarly = math.MinInt64 / 2

func (rw *rowWork) earlyPlace() int64 {
	place := int64(firstEarly)
	for _, e := range slices.Concat(rw.queue.Parked, rw.queue.Letters) {
		if e.Stream == "" && e.Place < 0 {
			place = max(place, e.Place+1)
		}
	}
	return place
}

// readAgain reports whether the number n of a stream that is being rebuilt is the item's own,
// and its turn has not come again yet.
func (sw *streamWork) readAgain(n int64, came string, it *Item) bool {
	_, here := sw.known[n]
	return sw.replay && sw.state.Rebuilding && !here && came == identity(it.Event) && sw.state.Waits(n) && !sw.state.Came(n)
}
