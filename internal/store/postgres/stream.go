package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

// streams makes the statements on what waits in streams of numbers.
func (f *fixed) stream() {
	const txt, txts = pgtype.TextOID, pgtype.TextArrayOID
	fields := tables.Parkeds()
	// What is whole has all columns; what only stands there, and letters, have NULL in most.
	// Each is looked for once: a search in an index costs more than what it finds.
	parked, letters := make([]string, len(fields)), make([]string, len(fields))
	for i := range fields {
		name := fields[i].Name
		column := name
		if fields[i].Kind == tables.Int {
			column += "::int8"
		}
		parked[i], letters[i] = "CASE WHEN p.whole THEN p."+column+" END AS "+name, "NULL"
		if slices.Contains([]string{"id", "handler", "cause", "place", "due"}, name) {
			parked[i] = "p." + column + " AS " + name
		}
		if slices.Contains([]string{"id", "handler", "place"}, name) {
			letters[i] = "l." + column
		}
	}
	f.streams = newStatement(fmt.Sprintf(`SELECT q.* FROM unnest($2::text[], $3::text[]) WITH ORDINALITY AS u(stream, entity, n) CROSS JOIN LATERAL (
    SELECT u.n, CASE WHEN p.whole THEN 0 ELSE 1 END::int8 AS kind, %s
    FROM (SELECT p.*, p.cause IN ('gap', 'behind') AND row_number() OVER (PARTITION BY p.cause IN ('gap', 'behind') ORDER BY p.place, p.id) <= %d AS whole FROM evenkeel_parked p
        WHERE p.grp = $1 AND p.stream <> '' AND p.stream = u.stream AND p.entity = u.entity) p
    UNION ALL SELECT u.n, 2, %s FROM evenkeel_dead_letters l
    WHERE l.grp = $1 AND l.stream <> '' AND l.stream = u.stream AND l.entity = u.entity AND %s
) q ORDER BY q.n, q.place, q.id`,
		strings.Join(parked, ", "), store.StreamRows, strings.Join(letters, ", "), tables.Blocks("l.")),
		[]uint32{txt, txts, txts}, nil)
}

// loadStreams comes after rows and memos: whoever parks an event in a stream moves its
// memo, so what is read here and not there makes the batch conflict.
func (s *Store) loadStreams(ctx context.Context, p *pipe, want *store.Want, l *store.Loaded) {
	keys := want.Streams
	if len(keys) == 0 {
		return
	}
	l.Streams = map[store.StreamKey]*store.Stream{}
	fields := tables.Parkeds()
	var a [2]array
	a[0].reset(wireText)
	a[1].reset(wireText)
	for _, k := range keys {
		a[0].addString(k.Stream)
		a[1].addString(k.Entity)
	}
	p.add(ctx, s.fixed.streams, func(cells [][]byte) error {
		k := keys[int(readInt(cells[0]))-1]
		st := l.Streams[k]
		if st == nil {
			st = &store.Stream{}
			l.Streams[k] = st
		}
		row := &store.Parked{}
		for i := range fields {
			if cell := cells[2+i]; cell != nil {
				if err := readField(&fields[i], row, cell); err != nil {
					return err
				}
			}
		}
		entry := store.QueueEntry{ID: row.ID, Handler: row.Handler, Cause: row.Cause, Place: row.Place, Due: row.Due, Stream: k.Stream}
		switch readInt(cells[1]) {
		case 0:
			st.Rows = append(st.Rows, row)
			st.Parked = append(st.Parked, entry)
		case 1:
			st.Parked = append(st.Parked, entry)
		case 2:
			st.Letters = append(st.Letters, entry)
		}
		return nil
	}, []byte(want.Group), a[0].bytes(), a[1].bytes())
}

// readField sets a field to a cell that is not NULL.
func readField[T any](f *tables.Field[T], t *T, cell []byte) error {
	switch f.Kind {
	case tables.Text:
		s := string(cell)
		return f.Set(t, &s)
	case tables.Int:
		return f.Set(t, &sql.NullInt64{Int64: readInt(cell), Valid: true})
	case tables.Bytes:
		b := slices.Clone(cell)
		return f.Set(t, &b)
	case tables.Bool:
		b := cell[0] != 0
		return f.Set(t, &b)
	}
	return nil
}
