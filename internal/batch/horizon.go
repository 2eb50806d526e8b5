package batch

import (
	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
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

// behindHorizon refuses an event whose row is missing and which is so old that the row may
// have been a tombstone that was purged (R13): whether the entity was deleted after it,
// nobody knows any more. What was admitted before, and waited, becomes a letter as well;
// what is only redelivered has had its outcome.
func (w *work) behindHorizon(u *Unit, rw *rowWork, s *guards.State) guards.Verdict {
	if l := w.layouts[rw.model]; rw.row != nil || l == nil || !l.Purged {
		return guards.Pass()
	}
	h, known := w.horizons[rw.model]
	if !known {
		h.Horizon, h.err = store.ReadHorizon(w.loaded.Memos[store.TombstoneHorizon(rw.model.Table)])
		if w.horizons == nil {
			w.horizons = map[*handlers.Model]horizon{}
		}
		w.horizons[rw.model] = h
	}
	v := guards.Verdict{Action: guards.DeadLetter, Reason: guards.Late}
	at := event.Micros(u.Item.Event.OccurredAt)
	switch {
	case h.err != nil:
		v.Detail = dlq.Text(h.err.Error(), dlq.MaxErrorBytes)
	case h.At == nil || at > *h.At:
		return guards.Pass()
	default:
		v.Numbers = guards.Comparison{What: "horizon", Event: at, Against: *h.At}
		v.Detail = "the row is not there, and deleted ones of that age have been purged"
	}
	if !s.FirstSight && u.Parked == nil {
		v.Action, v.Reason = guards.Discard, guards.Redelivered
	}
	return v
}
