package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/internal/ownsql"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

// Load is store.Store's.
func (s *Store) Load(ctx context.Context, want *store.Want) (l *store.Loaded, err error) {
	err = s.Conn(ctx, func(conn *sql.Conn) error {
		// One look at everything, so that a number which a stream has taken has its id.
		if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil {
			tables.Discard(conn)
			return classify(err)
		}
		defer tables.Rollback(ctx, conn)
		l, err = s.load(ctx, conn, want)
		return classify(err)
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

func (s *Store) load(ctx context.Context, q tables.Querier, want *store.Want) (*store.Loaded, error) {
	l := &store.Loaded{Rows: map[string]map[string]*store.Row{}}
	for _, w := range want.Rows {
		if len(w.Keys) == 0 {
			continue
		}
		o, err := s.modelOf(w.Model)
		if err != nil {
			return nil, err
		}
		keys, err := o.keys(w.Keys)
		if err != nil {
			return nil, err
		}
		have := make(map[string]*store.Row, len(w.Keys))
		l.Rows[w.Model.Table] = have
		err = each(ctx, q, o.load, []any{keys}, func(rows *sql.Rows) error { //nolint:contextcheck // GORM's accessors do no I/O
			r, err := o.row(w, rows.Scan)
			if err == nil {
				have[r.Key] = r
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	if err := s.memory(ctx, q, want, l); err != nil {
		return nil, err
	}
	if err := s.queues(ctx, q, want, l); err != nil {
		return nil, err
	}
	if err := s.streams(ctx, q, want, l); err != nil {
		return nil, err
	}
	return l, s.units(ctx, q, want, l)
}

func each(ctx context.Context, q tables.Querier, query string, args []any, row func(*sql.Rows) error) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (s *Store) queues(ctx context.Context, q tables.Querier, want *store.Want, l *store.Loaded) error {
	for _, w := range want.Rows {
		if !w.Parked {
			continue
		}
		if l.Queues == nil {
			l.Queues = map[string]map[string]*store.Queue{}
		}
		queues := map[string]*store.Queue{}
		keys, err := (&model{}).keys(w.Keys)
		if err != nil {
			return err
		}
		err = each(ctx, q, `SELECT u.value, 0 AS kind, p.id, p.handler, p.cause, p.place AS place, p.due, p.stream
			FROM json_each(?3) AS u CROSS JOIN evenkeel_parked p ON p.grp = ?1 AND p.tbl = ?2 AND p.entity = u.value
			UNION ALL SELECT u.value, CASE WHEN `+tables.Blocks("l.")+` THEN 1 ELSE 2 END, l.id, l.handler, '', l.place, 0, ''
			FROM json_each(?3) AS u CROSS JOIN evenkeel_dead_letters l ON l.grp = ?1 AND l.tbl = ?2 AND l.entity = u.value AND l.stream = ''
			ORDER BY place, 3`, []any{want.Group, w.Model.Table, keys}, func(rows *sql.Rows) error {
			var key string
			var kind int
			var due int64
			var e store.QueueEntry
			if err := rows.Scan(&key, &kind, &e.ID, &e.Handler, &e.Cause, &e.Place, &due, &e.Stream); err != nil {
				return err
			}
			queue := queues[key]
			if queue == nil {
				queue = &store.Queue{}
				queues[key] = queue
			}
			if e.Stream == "" {
				queue.LastPlace = max(queue.LastPlace, e.Place)
			}
			switch kind {
			case 0:
				e.Due = tables.Time(due)
				queue.Parked = append(queue.Parked, e)
			case 1:
				queue.Letters = append(queue.Letters, e)
			}
			return nil
		})
		if err != nil {
			return err
		}
		for k, queue := range queues {
			if len(queue.Parked) == 0 && len(queue.Letters) == 0 {
				delete(queues, k)
			}
		}
		if len(queues) > 0 {
			l.Queues[w.Model.Table] = queues
		}
	}
	return nil
}

func (s *Store) units(ctx context.Context, q tables.Querier, want *store.Want, l *store.Loaded) error {
	if len(want.Judged) == 0 {
		return nil
	}
	for _, text := range [...]string{"SELECT id, " + tables.HadEffect("") + " FROM evenkeel_dead_letters", "SELECT id, FALSE FROM evenkeel_parked"} {
		for _, c := range want.Judged {
			err := each(ctx, q, text+" WHERE topic_id = ?1 AND partition = ?2 AND log_offset = ?3 AND cluster = ?4 AND grp = ?5",
				[]any{c.TopicID, c.Partition, c.Offset, c.Cluster, want.Group}, func(rows *sql.Rows) error {
					var id string
					var resolved bool
					err := rows.Scan(&id, &resolved)
					l.Judged(id, resolved)
					return err
				})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// Commit is store.Store's.
func (s *Store) Commit(ctx context.Context, b *store.Batch) error {
	return s.Tx(ctx, func(q tables.Querier) error { return s.write(ctx, q, b) })
}

// locked holds a connection and the writer's place until Commit or Rollback.
type locked struct {
	s      *Store
	conn   *sql.Conn
	loaded *store.Loaded
	how    *ownsql.How // once a handler has asked for a savepoint
}

// Lock is store.Store's. It keeps all other writers of the file out.
func (s *Store) Lock(ctx context.Context, want *store.Want) (store.Locked, error) {
	conn, err := s.Pool.Conn(ctx)
	if err != nil {
		return nil, classify(err)
	}
	l := &locked{s: s, conn: conn}
	if _, err := conn.ExecContext(ctx, begin); err != nil {
		tables.Discard(conn)
		_ = conn.Close()
		return nil, classify(err)
	}
	if l.loaded, err = s.load(ctx, conn, want); err != nil {
		l.Rollback() //nolint:contextcheck // has to happen when ctx has ended, too
		return nil, classify(err)
	}
	l.loaded.Tx = l
	return l, nil
}

// Loaded is store.Locked's.
func (l *locked) Loaded() *store.Loaded { return l.loaded }

var errEnded = errors.New("evenkeel: Commit after the end of Locked")

// Commit is store.Locked's. It ends the transaction in any case.
func (l *locked) Commit(ctx context.Context, b *store.Batch) error {
	if l.conn == nil {
		return errEnded
	}
	if err := l.s.write(ctx, l.conn, b); err != nil {
		l.Rollback() //nolint:contextcheck // as above
		return classify(err)
	}
	conn := l.conn
	l.conn = nil
	defer conn.Close() //nolint:errcheck // returns the connection to the pool
	return l.s.Plain.Commit(ctx, conn)
}

// Rollback is store.Locked's. Calling it again, or after Commit, does nothing.
func (l *locked) Rollback() {
	if l.conn == nil {
		return
	}
	conn := l.conn
	l.conn = nil
	tables.Rollback(context.Background(), conn)
	_ = conn.Close() // returns the connection to the pool
}

// deferForeignKeys: rows come in any order, and foreign keys are looked at in the end.
const deferForeignKeys = "PRAGMA defer_foreign_keys = ON"

// write does in one transaction what Postgres does in one pipeline, in the same order.
func (s *Store) write(ctx context.Context, q tables.Querier, b *store.Batch) error {
	if _, err := q.ExecContext(ctx, deferForeignKeys); err != nil {
		return err
	}
	w := &writer{ctx: ctx, q: q, now: b.Now.UnixMicro()}
	defer w.close()
	if err := s.absent(ctx, q, b); err != nil {
		return err
	}
	if err := s.rows(w, b); err != nil { //nolint:contextcheck // GORM's accessors do no I/O
		return err
	}
	if err := w.aged(s, b); err != nil {
		return err
	}
	if err := w.unremember(b); err != nil {
		return err
	}
	if err := w.memory(b); err != nil {
		return err
	}
	for _, m := range b.Release {
		if err := w.guarded(store.ErrConflict, "DELETE FROM evenkeel_parked WHERE id = ?1 AND rev = ?2", m.ID, m.Rev); err != nil {
			return err
		}
	}
	reparks := tables.Reparks()
	for _, p := range b.Repark {
		if err := w.guarded(store.ErrConflict, updateOne("evenkeel_parked", reparks, tables.ReparkKeys), values(reparks, p)...); err != nil {
			return err
		}
	}
	parkeds := tables.Parkeds()
	for _, p := range b.Park {
		if err := w.exec(insertOne("evenkeel_parked", parkeds)+tables.ParkedConflict(), values(parkeds, p)...); err != nil {
			return err
		}
	}
	for _, k := range b.Wake {
		if err := w.exec("UPDATE evenkeel_parked SET due = ?1, rev = rev + 1 WHERE grp = ?2 AND tbl = ?3 AND entity = ?4 AND cause IN ('missing', 'behind', 'replay')", w.now, b.Group, k.Table, k.Entity); err != nil {
			return err
		}
	}
	for _, k := range b.WakeStreams {
		if err := w.exec(wakeStream, w.now, b.Group, k.Stream, k.Entity, k.Next); err != nil {
			return err
		}
	}
	if err := w.letters(b); err != nil {
		return err
	}
	if err := w.resolve(b); err != nil {
		return err
	}
	if err := w.outbox(b); err != nil {
		return err
	}
	if err := w.verdicts(b.Group, b.Verdicts); err != nil {
		return err
	}
	if b.Ledger == nil {
		return nil
	}
	return w.guarded(store.ErrFenced, s.Dialect.Rebind(tables.SetLedger), tables.LedgerArgs(b.Ledger, w.now)...)
}

func (w *writer) verdicts(group string, verdicts []store.Verdict) error {
	fields := tables.Verdicts()
	for i := range verdicts {
		if err := w.exec(insertOne("evenkeel_verdicts", fields, "at", "grp"), append(values(fields, &verdicts[i]), w.now, group)...); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) letters(b *store.Batch) error {
	letters := tables.Letters()
	for i, l := range slices.Concat(b.Letters, b.SweptLetters) {
		swept := b.Ledger == nil || i >= len(b.Letters)
		if err := w.exec(insertOne[dlq.Letter]("evenkeel_dead_letters", letters, "swept")+tables.LetterConflict(), append(values(letters, l), swept)...); err != nil {
			return err
		}
	}
	for _, m := range b.Marks {
		if err := w.exec("UPDATE evenkeel_dead_letters SET published_at = ?1 WHERE id = ?2 AND rev = ?3", w.now, m.ID, m.Rev); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) absent(ctx context.Context, q tables.Querier, b *store.Batch) error {
	for _, a := range b.Absent {
		o, err := s.modelOf(a.Model)
		if err != nil {
			return err
		}
		key, err := o.key(a.Key)
		if err != nil {
			return err
		}
		var rows, parked, letters int
		if err := q.QueryRowContext(ctx, o.absent, key).Scan(&rows); err != nil {
			return err
		}
		if err := q.QueryRowContext(ctx, "SELECT count(*) FROM evenkeel_parked WHERE grp = ?1 AND tbl = ?2 AND entity = ?3", b.Group, a.Model.Table, a.Key).Scan(&parked); err != nil {
			return err
		}
		if err := q.QueryRowContext(ctx, "SELECT count(*) FROM evenkeel_dead_letters WHERE grp = ?1 AND tbl = ?2 AND entity = ?3 AND stream = '' AND "+tables.Blocks(""), b.Group, a.Model.Table, a.Key).Scan(&letters); err != nil {
			return err
		}
		if rows != 0 || parked != a.Parked || letters != a.Letters {
			return store.ErrConflict
		}
	}
	return nil
}

func (s *Store) rows(w *writer, b *store.Batch) error {
	now := any(time.UnixMicro(w.now).UTC())
	for i, rows := range [...][]*store.Row{b.Insert, b.Update} {
		insert := i == 0
		for _, r := range rows {
			o, err := s.modelOf(r.Model)
			if err != nil {
				return err
			}
			args, err := o.args(r, insert, now)
			if err != nil {
				return err
			}
			query := o.update
			if insert {
				query = o.insert
				args = append(args, w.now, w.now)
			}
			if err := w.guarded(store.ErrConflict, query, args...); err != nil {
				return fmt.Errorf("%w (table %s, key %q)", err, r.Model.Table, r.Key)
			}
		}
	}
	return nil
}
