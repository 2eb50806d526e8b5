package postgres

import (
	"context"
	"database/sql"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/evenkeel-go/evenkeel/internal/ownsql"
	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

// locked holds a connection, and on it a transaction, until Commit or Rollback.
type locked struct {
	s      *Store
	conn   *sql.Conn
	loaded *store.Loaded
	how    *ownsql.How // once a handler has asked for a savepoint
}

// Lock is store.Store's.
func (s *Store) Lock(ctx context.Context, want *store.Want) (store.Locked, error) {
	conn, err := s.Pool.Conn(ctx)
	if err != nil {
		return nil, classify(err)
	}
	l := &locked{s: s, conn: conn}
	err = raw(conn, func(c *pgx.Conn) error {
		p := newPipe(c)
		s.begin(ctx, p, lockedIdleTimeout, noTimeout)
		var err error
		if l.loaded, err = s.load(ctx, p, want, true); err != nil {
			return err
		}
		_, err = p.run(ctx)
		return err
	})
	if err != nil {
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
	err := raw(l.conn, func(c *pgx.Conn) error { return l.s.commit(ctx, newPipe(c), b) })
	if stale(err) {
		tables.Discard(l.conn)
	}
	l.Rollback() //nolint:contextcheck // as above
	return classify(err)
}

// Rollback is store.Locked's. Calling it again, or after Commit, does nothing.
func (l *locked) Rollback() {
	if l.conn == nil {
		return
	}
	conn := l.conn
	l.conn = nil
	open := false
	_ = raw(conn, func(c *pgx.Conn) error {
		if !c.IsClosed() && c.PgConn().TxStatus() != 'I' {
			_, err := c.PgConn().Exec(context.Background(), "ROLLBACK").ReadAll()
			open = err != nil
		}
		return nil
	})
	if open {
		tables.Discard(conn)
	}
	_ = conn.Close() // returns the connection to the pool
}
