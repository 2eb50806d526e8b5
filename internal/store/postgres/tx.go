package postgres

import (
	"context"
	"database/sql"

	"github.com/jackc/pgx/v5"

	"github.com/evenkeel-go/evenkeel/internal/ownsql"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// Flush is store.Tx's.
func (l *locked) Flush(ctx context.Context, b *store.Batch) error {
	if l.conn == nil {
		return errEnded
	}
	return classify(raw(l.conn, func(c *pgx.Conn) error {
		p := newPipe(c)
		if err := l.s.write(ctx, p, b); err != nil {
			return err
		}
		_, err := p.run(ctx)
		return err
	}))
}

// Savepoint is store.Tx's.
func (l *locked) Savepoint(ctx context.Context) (store.Savepoint, error) {
	if l.conn == nil {
		return nil, errEnded
	}
	if l.how == nil {
		l.how = &ownsql.How{DB: l.s.DB, Classify: classify, Spoiled: spoiled, Rules: &ownsql.Rules{Postgres: true, Models: l.s.models()}}
	}
	return ownsql.Begin(ctx, l.conn, l.how)
}

// spoiled reports whether the connection is in no transaction that can go on.
func spoiled(conn *sql.Conn) bool {
	bad := true
	_ = raw(conn, func(c *pgx.Conn) error {
		bad = c.IsClosed() || c.PgConn().TxStatus() != 'T'
		return nil
	})
	return bad
}

// models names the claimed models by their tables.
func (s *Store) models() map[string]string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	names := make(map[string]string, len(s.claimed))
	for table, o := range s.claimed {
		names[table] = o.m.Name
	}
	return names
}
