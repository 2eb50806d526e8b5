package ownsql

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync"

	"gorm.io/gorm"
)

var (
	errOver     = errors.New("evenkeel: d.Tx was used after its handler had returned; its transaction belongs to others by now")
	errOurs     = &RefusedError{Reason: "Commit and Rollback: the handler's SQL commits with the batch, and is undone when the handler returns an error"}
	errPrepared = &RefusedError{Reason: "prepared statements; leave PrepareStmt out of the session (pgx keeps its own)"}
)

// pool is the connection that a handler gets, through GORM. That it can commit tells GORM
// that it is a transaction, so that a nested one becomes a savepoint.
type pool struct {
	conn  *sql.Conn
	rules *Rules

	mu      sync.Mutex
	over    bool
	refused error
	failed  error
	open    []*sql.Rows
	single  []*sql.Row
}

var (
	_ gorm.ConnPool    = (*pool)(nil)
	_ gorm.TxCommitter = (*pool)(nil)
)

// enter lets one statement in at a time. Without an error leave must follow.
func (p *pool) enter(sql string) error {
	p.mu.Lock()
	if p.over {
		p.mu.Unlock()
		return errOver
	}
	err := p.rules.Check(sql)
	if err != nil {
		p.refuse(err)
		p.mu.Unlock()
	}
	return err
}

func (p *pool) refuse(err error) {
	if p.refused == nil {
		p.refused = err
	}
}

func (p *pool) leave(err error) {
	if p.failed == nil {
		p.failed = err
	}
	p.mu.Unlock()
}

func (p *pool) deny(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return errOver
	}
	p.refuse(err)
	return err
}

func (p *pool) Commit() error   { return p.deny(errOurs) }
func (p *pool) Rollback() error { return p.deny(errOurs) }

func (p *pool) PrepareContext(context.Context, string) (*sql.Stmt, error) {
	return nil, p.deny(errPrepared)
}

func (p *pool) ExecContext(ctx context.Context, query string, args ...any) (r sql.Result, err error) {
	if err := p.enter(query); err != nil {
		return nil, err
	}
	defer func() { p.leave(err) }()
	return p.conn.ExecContext(ctx, query, args...)
}

func (p *pool) QueryContext(ctx context.Context, query string, args ...any) (rows *sql.Rows, err error) {
	if err := p.enter(query); err != nil {
		return nil, err
	}
	defer func() { p.leave(err) }()
	rows, err = p.conn.QueryContext(ctx, query, args...) //nolint:sqlclosecheck // the caller's, or close's
	if err == nil {
		p.open = append(p.open, rows)
	}
	return rows, err
}

func (p *pool) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if err := p.enter(query); err != nil {
		return failedRow(ctx, err)
	}
	row := p.conn.QueryRowContext(ctx, query, args...)
	defer func() { p.leave(row.Err()) }()
	p.single = append(p.single, row)
	return row
}

// failedRow makes a row of nothing but an error, which only database/sql can.
func failedRow(ctx context.Context, err error) *sql.Row {
	none := sql.OpenDB(nowhere{err})
	defer none.Close() //nolint:errcheck // it has nothing open
	return none.QueryRowContext(ctx, "")
}

type nowhere struct{ err error }

func (n nowhere) Connect(context.Context) (driver.Conn, error) { return nil, n.err }
func (n nowhere) Driver() driver.Driver                        { return nil }

// close ends the handler's use of the connection. Rows that it has left open would keep the
// connection busy, and its end waiting for them.
func (p *pool) close() (refused, failed error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	for _, rows := range p.open {
		_ = rows.Close()
	}
	for _, row := range p.single {
		_ = row.Scan() // closes what was not scanned
	}
	p.open, p.single = nil, nil
	return p.refused, p.failed
}
