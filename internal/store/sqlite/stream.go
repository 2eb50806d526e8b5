package sqlite

import (
	"context"
	"database/sql"

	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

const wakeStream = `UPDATE evenkeel_parked SET due = ?1, rev = rev + 1
	WHERE grp = ?2 AND stream = ?3 AND stream <> '' AND entity = ?4 AND place < ?5 AND cause IN ('gap', 'behind', 'replay')`

// streams reads what waits in streams of numbers.
func (s *Store) streams(ctx context.Context, q tables.Querier, want *store.Want, l *store.Loaded) error {
	if len(want.Streams) == 0 {
		return nil
	}
	l.Streams = map[store.StreamKey]*store.Stream{}
	fields := tables.Parkeds()
	const which = " WHERE grp = ?1 AND stream = ?2 AND stream <> '' AND entity = ?3"
	const order = " ORDER BY place, id"
	for _, k := range want.Streams {
		st := &store.Stream{}
		args := []any{want.Group, k.Stream, k.Entity}
		err := each(ctx, q, "SELECT "+tables.Names(fields)+" FROM evenkeel_parked"+which+" AND cause IN ('gap', 'behind')"+order+" LIMIT ?4", append(args, store.StreamRows), func(rows *sql.Rows) error {
			r, err := tables.Scan(rows, fields)
			st.Rows = append(st.Rows, r)
			return err
		})
		if err != nil {
			return err
		}
		err = each(ctx, q, "SELECT id, handler, cause, place, due FROM evenkeel_parked"+which+order, args, func(rows *sql.Rows) error {
			e := store.QueueEntry{Stream: k.Stream}
			var due int64
			err := rows.Scan(&e.ID, &e.Handler, &e.Cause, &e.Place, &due)
			e.Due = tables.Time(due)
			st.Parked = append(st.Parked, e)
			return err
		})
		if err != nil {
			return err
		}
		err = each(ctx, q, "SELECT id, handler, place FROM evenkeel_dead_letters"+which+" AND "+tables.Blocks("")+order, args, func(rows *sql.Rows) error {
			e := store.QueueEntry{Stream: k.Stream}
			err := rows.Scan(&e.ID, &e.Handler, &e.Place)
			st.Letters = append(st.Letters, e)
			return err
		})
		if err != nil {
			return err
		}
		if len(st.Parked) > 0 || len(st.Letters) > 0 {
			l.Streams[k] = st
		}
	}
	return nil
}
