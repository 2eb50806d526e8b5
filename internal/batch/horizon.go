package batch

import (
	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/clocks"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// horizon is a table's, read once per batch.
type horizon struct {
	store.Horizon
	err error
}

// wantHorizon asks for the horizon of a model that has one (R13). The rows are read before
// it, so a row that a purge has taken meanwhile is behind the horizon that is read.
func wantHorizon(w *store.Want, m *handlers.Model, layouts Layouts) {
	if l := layouts[m]; l != nil && l.Purged {
		w.Memos = append(w.Memos, store.TombstoneHorizon(m.Table))
	}
}

// horizonOf is the model's horizon; ok is false where nothing has been purged.
func (w *work) horizonOf(m *handlers.Model) (h horizon, ok bool) {
	if l := w.layouts[m]; l == nil || !l.Purged {
		return h, false
	}
	h, known := w.horizons[m]
	if !known {
		h.Horizon, h.err = store.ReadHorizon(w.loaded.Memos[store.TombstoneHorizon(m.Table)])
		if w.horizons == nil {
			w.horizons = map[*handlers.Model]horizon{}
		}
		w.horizons[m] = h
	}
	return h, h.err != nil || h.At != nil
}

// behindHorizon refuses an event whose row is missing and which is so old that the row may
// have been a tombstone that was purged (R13): whether the entity was deleted after it,
// nobody knows any more.
func (w *work) behindHorizon(u *Unit, rw *rowWork, s *guards.State) guards.Verdict {
	h, ok := w.horizonOf(rw.model)
	if rw.row != nil || !ok {
		return guards.Pass()
	}
	if h.err != nil {
		return guards.Verdict{Action: guards.DeadLetter, Reason: guards.Late, Detail: dlq.Text(h.err.Error(), dlq.MaxErrorBytes)}
	}
	at := event.Micros(u.Item.Event.OccurredAt)
	if at > *h.At {
		return guards.Pass()
	}
	return purged(u, s, at, *h.At)
}

// purged is the verdict on what may have been deleted. What was admitted before, and
// waited, becomes a letter as well; what is only redelivered has had its outcome.
func purged(u *Unit, s *guards.State, at, horizon int64) guards.Verdict {
	v := guards.Verdict{
		Action: guards.DeadLetter, Reason: guards.Late,
		Numbers: guards.Comparison{What: "horizon", Event: at, Against: horizon},
		Detail:  "the entity may have been deleted since: tombstones of that age have been purged",
	}
	if !s.FirstSight && u.Parked == nil {
		v.Action, v.Reason = guards.Discard, guards.Redelivered
	}
	if u.replayed() { // it stood there before, and nothing will tell more of it
		v.Action = guards.Discard
	}
	return v
}

// markPurged lets a row that is made remember the horizon of that time, on all fields: a
// tombstone of the same key may have gone, which would have masked older events (R13).
func (w *work) markPurged(row *store.Row) {
	h, ok := w.horizonOf(row.Model)
	if !ok || h.At == nil || row.Model.Kind != guards.KindTimestamp {
		return // under another kind, to which the model was rebuilt, a time masks everything
	}
	for i := range row.Clocks.Stamps {
		if row.Layout.Clocked[i] {
			row.Clocks.Stamps[i] = event.Stamp{Time: *h.At, Tie: clocks.PurgedTie}
		}
	}
}

// isPurged reports whether a field's stamp is no event's but a horizon.
func isPurged(s event.Stamp) bool { return s.Tie == clocks.PurgedTie }
