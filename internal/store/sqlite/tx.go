package sqlite

import (
	"context"
	"database/sql"

	"github.com/evenkeel-go/evenkeel/internal/ownsql"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// Flush is store.Tx's.
func (l *locked) Flush(ctx context.Context, b *store.Batch) error {
	if l.conn == nil {
		return errEnded
	}
	return classify(l.s.write(ctx, l.conn, b))
}

// Savepoint is store.Tx's.
func (l *locked) Savepoint(ctx context.Context) (store.Savepoint, error) {
	if l.conn == nil {
		return nil, errEnded
	}
	if l.how == nil {
		l.how = &ownsql.How{DB: l.s.DB, Classify: classify, Spoiled: spoiled, Rules: &ownsql.Rules{Models: l.s.models()}}
	}
	return ownsql.Begin(ctx, l.conn, l.how)
}

// spoiled reports whether the transaction is gone, as SQLite rolls it back by itself after
// some errors. A driver that does not tell says so at the next statement.
func spoiled(conn *sql.Conn) bool {
	gone := false
	err := conn.Raw(func(dc any) error {
		c, ok := dc.(interface{ AutoCommit() bool })
		gone = ok && c.AutoCommit()
		return nil
	})
	return gone || err != nil
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
