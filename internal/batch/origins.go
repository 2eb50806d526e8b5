package batch

import (
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// wrote notes that the unit has written the row, for the case that it is a placeholder
// which nobody completes.
func (w *work) wrote(u *Unit, rw *rowWork) {
	if w.KeepOrigins {
		rw.writers = append(rw.writers, u)
	}
}

// keepOrigins stores who wrote a placeholder in this batch. Each revision of it gets at
// least one origin, also where nothing but its queue has changed: a revision without one
// was made by somebody who keeps none, and then not every writer is known.
func (w *work) keepOrigins(rw *rowWork) {
	if !w.KeepOrigins || rw.row.State != guards.Placeholder {
		return
	}
	key := store.OriginKey{Table: rw.model.Table, Born: rw.row.Born.UnixMicro(), Entity: rw.key}
	rev := key.Born
	if rw.loaded {
		rev = rw.row.Rev + 1
	}
	if len(rw.writers) == 0 {
		w.out.Batch.Origins = append(w.out.Batch.Origins, &store.Origin{OriginKey: key, Group: w.Group, Rev: rev, Record: &event.Record{}})
	}
	for _, u := range rw.writers {
		w.out.Batch.Origins = append(w.out.Batch.Origins, &store.Origin{
			OriginKey: key, Group: w.Group, Rev: rev, ID: w.unitID(u), Handler: u.Handler.Name, Record: u.Item.Record,
		})
	}
}

// allWriters reports whether each revision of the placeholder has its origin.
func allWriters(row *store.Row, origins []*Origin) bool {
	revisions := map[int64]bool{}
	for _, o := range origins {
		revisions[o.Rev] = true
	}
	born := row.Born.UnixMicro()
	for rev := born; rev <= row.Rev; rev++ {
		if !revisions[rev] {
			return false
		}
	}
	return true
}

// Origin is a stored origin with the unit that it is of; no unit where the placeholder was
// only touched.
type Origin struct {
	*store.Origin
	Unit *Unit
}

// PrepareOrigin prepares the unit of an origin.
func (p *Preparer) PrepareOrigin(o *store.Origin) *Origin {
	if o.ID == "" {
		return &Origin{Origin: o}
	}
	u := p.PrepareParked(&store.Parked{ID: o.ID, Table: o.Table, Entity: o.Entity, Handler: o.Handler, Record: o.Record})
	u.Parked = nil // it waits nowhere
	return &Origin{Origin: o, Unit: u}
}
