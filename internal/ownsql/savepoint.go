package ownsql

import (
	"context"
	"database/sql"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/internal/store"
)

// savepoint is store.Savepoint for databases that SQL is spoken to.
type savepoint struct {
	pool *pool
	how  *How
}

// How is what differs between databases.
type How struct {
	// DB is the user's handle, whose dialect, logger, naming and hooks count.
	DB *gorm.DB
	// Classify turns a driver's error into one of package store.
	Classify func(error) error
	// Spoiled reports whether the connection's transaction can't go on.
	Spoiled func(*sql.Conn) bool
	Rules   *Rules
}

const name = prefix + "_unit"

// Begin opens a savepoint in the transaction that is open on the connection.
func Begin(ctx context.Context, conn *sql.Conn, how *How) (store.Savepoint, error) {
	if _, err := conn.ExecContext(ctx, "SAVEPOINT "+name); err != nil {
		return nil, how.Classify(err)
	}
	return &savepoint{pool: &pool{conn: conn, rules: how.Rules}, how: how}, nil
}

// DB is store.Savepoint's.
func (s *savepoint) DB(ctx context.Context) *gorm.DB {
	tx := s.how.DB.Session(&gorm.Session{NewDB: true, Context: ctx, SkipDefaultTransaction: true})
	// Config is the session's own copy. A session of the user's that prepares statements
	// takes its connection from there and would leave the transaction.
	tx.Config.ConnPool, tx.Statement.ConnPool = s.pool, s.pool //nolint:staticcheck // said in full, as DB has methods of its own
	tx.PrepareStmt, tx.DisableNestedTransaction = false, false
	return tx
}

// Close is store.Savepoint's.
func (s *savepoint) Close() store.Ended {
	var e store.Ended
	e.Refused, e.Failed = s.pool.close()
	e.Spoiled = s.how.Spoiled(s.pool.conn)
	if e.Failed != nil {
		e.Class = s.how.Classify(e.Failed)
	}
	return e
}

// Keep is store.Savepoint's.
func (s *savepoint) Keep(ctx context.Context) error { return s.exec(ctx, "RELEASE SAVEPOINT "+name) }

// Undo is store.Savepoint's.
func (s *savepoint) Undo(ctx context.Context) error {
	if err := s.exec(ctx, "ROLLBACK TO SAVEPOINT "+name); err != nil {
		return err
	}
	return s.Keep(ctx)
}

func (s *savepoint) exec(ctx context.Context, sql string) error {
	_, _ = s.pool.close() // for whoever has not asked
	_, err := s.pool.conn.ExecContext(ctx, sql)
	return s.how.Classify(err)
}
