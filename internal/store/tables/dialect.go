package tables

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"strings"

	"gorm.io/gorm"
	"gorm.io/gorm/schema"

	"github.com/evenkeel-go/evenkeel/handlers"
)

// Dialect is what differs between databases in statements that are otherwise shared.
type Dialect struct {
	Begin string
	// Bounds limits, in the transaction that it is run in, how long that waits for a lock
	// and stands idle; empty where nobody else can be held up for long.
	Bounds string
	// Brief is Bounds for a transaction in which handlers run and which others must not wait
	// long for.
	Brief string
	// LockKey holds the lock in $1, see LockKey, until the transaction ends; empty where one
	// writer has the whole database to itself.
	LockKey string
	// ForUpdate and SkipLocked end a SELECT; empty where one writer has the whole
	// database to itself.
	ForUpdate, SkipLocked string
	// ByIndex makes the rest of a transaction go by indexes where there are any; "" where
	// the planner is not mistaken.
	ByIndex string
	// EachFirst joins to each row of the FROM item before it, as r, those rows q of the
	// table that a WHERE with ORDER BY and LIMIT finds for it.
	EachFirst func(table, where string) string
	// RowID is where a row lies, good for the statement that asks.
	RowID string
	// Now is the database's clock in microseconds.
	Now string
	// Marks is a FROM item named m with columns id and rev, made of a JSON list
	// [{"id": …, "rev": …}] in the parameter $1.
	Marks string
	// Rebind turns $1 into what the driver takes.
	Rebind func(string) string
	// Classify turns a driver's error into one of package store.
	Classify func(error) error
	// Lost turns an error of COMMIT into one of package store.
	Lost func(error) error
	// Local: COMMIT is a call and not a message, so that waiting for it is short and
	// giving up on it would only lose its answer.
	Local bool
	// Table reads a table's columns; ok is false when there is no such table.
	Table func(ctx context.Context, q Querier, table string) (columns map[string]Info, ok bool, err error)
	// Indexes reads the definitions of the indexes of the table whose quoted name is $1.
	Indexes string
	// CreateIndex begins the statement that makes an index beside running services.
	CreateIndex string
	// EkTypes are the types of guards.Guarded's columns, with their defaults.
	EkTypes map[string]string
	// Prepare is called at the end of a claim with the columns that Table returned, so
	// that the store can make its statements. Its problems go into the SetupError.
	Prepare func(ctx context.Context, q Querier, m *handlers.Model, columns map[string]Info) (problems []string, err error)
}

// Info is what a claim must know of a table's column.
type Info struct {
	// Type is the type as the dialect names it in a cast, without modifiers.
	Type string
	// OID identifies the type in Postgres.
	OID     uint32
	NotNull bool
	// Unique: the column alone is a primary key or has a whole unique index.
	Unique bool
}

// Querier is a *sql.Conn in a transaction.
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// Quote quotes a name, and the parts of "schema.table" each for itself.
func Quote(name string) string {
	parts := strings.Split(name, ".")
	for i, p := range parts {
		parts[i] = QuoteOne(p)
	}
	return strings.Join(parts, ".")
}

// QuoteOne quotes a name that may hold a dot.
func QuoteOne(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// Readable are the fields of a model that are read from its table, but for those of
// guards.Guarded and the key, which comes first.
func Readable(m *handlers.Model) []*schema.Field {
	fs := []*schema.Field{m.Key.Field}
	for _, f := range m.Schema.Fields {
		if f.DBName != "" && f.Readable && !f.PrimaryKey && ekOrder[f.DBName] == 0 {
			fs = append(fs, f)
		}
	}
	return fs
}

// ekOrder is the place of each column of guards.Guarded in lists, from 1.
var ekOrder = map[string]int{ //nolint:gochecknoglobals // a constant
	"ek_rev": 1, "ek_time": 2, "ek_tie": 3, "ek_fields": 4, "ek_state": 5, "ek_born": 6, "ek_gen": 7,
}

// EkColumns are the columns of guards.Guarded in the order of statements.
func EkColumns() []string {
	names := make([]string, len(ekOrder))
	for n, i := range ekOrder {
		names[i-1] = n
	}
	return names
}

// Plain answers those methods of store.Store that no batch waits for, by plain
// statements that all dialects share.
type Plain struct {
	DB      *gorm.DB
	Pool    *sql.DB
	Dialect *Dialect
}

// Conn runs fn on one connection.
func (p *Plain) Conn(ctx context.Context, fn func(*sql.Conn) error) error {
	conn, err := p.Pool.Conn(ctx)
	if err != nil {
		return p.Dialect.Classify(err)
	}
	defer conn.Close() //nolint:errcheck // returns the connection to the pool
	return fn(conn)
}

// Tx runs fn in a transaction. An error of fn, or a panic, rolls it back.
func (p *Plain) Tx(ctx context.Context, fn func(Querier) error) error {
	return p.Conn(ctx, func(conn *sql.Conn) error {
		if _, err := conn.ExecContext(ctx, p.Dialect.Begin); err != nil {
			Discard(conn) // a BEGIN that was cut off may still have begun
			return p.Dialect.Classify(err)
		}
		done := false
		defer func() {
			if !done {
				Rollback(ctx, conn)
			}
		}()
		if err := fn(conn); err != nil {
			return p.Dialect.Classify(err)
		}
		done = true
		return p.Commit(ctx, conn)
	})
}

// inOrder runs a query for the first rows in the order of an index, of which there may be
// millions.
func (p *Plain) inOrder(ctx context.Context, fn func(Querier) error) error {
	if p.Dialect.ByIndex == "" {
		return p.Conn(ctx, func(conn *sql.Conn) error { return p.Dialect.Classify(fn(conn)) })
	}
	return p.Tx(ctx, func(q Querier) error {
		if err := p.byIndex(ctx, q); err != nil {
			return err
		}
		return fn(q)
	})
}

// byIndex is for queries that want few of many rows. A planner whose statistics are older
// than the rows takes those for few, and would read them all and sort or hash them.
func (p *Plain) byIndex(ctx context.Context, q Querier) error {
	if p.Dialect.ByIndex == "" {
		return nil
	}
	_, err := q.ExecContext(ctx, p.Dialect.ByIndex)
	return err
}

// Commit ends the connection's transaction. An error says whether it took effect.
func (p *Plain) Commit(ctx context.Context, conn *sql.Conn) error {
	if p.Dialect.Local {
		ctx = context.WithoutCancel(ctx)
	}
	if _, err := conn.ExecContext(ctx, "COMMIT"); err != nil {
		Rollback(ctx, conn)
		return p.Dialect.Lost(err)
	}
	return nil
}

// Rollback ends the connection's transaction, also when ctx has ended; where it can't,
// the connection is dropped.
func Rollback(ctx context.Context, conn *sql.Conn) {
	if _, err := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK"); err != nil {
		Discard(conn)
	}
}

// Discard keeps the connection from going back into the pool.
func Discard(conn *sql.Conn) {
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
}

func (p *Plain) query(ctx context.Context, q Querier, sql string, args []any, row func(*sql.Rows) error) error {
	rows, err := q.QueryContext(ctx, p.Dialect.Rebind(sql), args...)
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

func (p *Plain) exec(ctx context.Context, q Querier, sql string, args ...any) (int64, error) {
	r, err := q.ExecContext(ctx, p.Dialect.Rebind(sql), args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}
