package postgres

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/evenkeel-go/evenkeel/internal/store"
	"github.com/evenkeel-go/evenkeel/internal/store/tables"
)

// statement is one SQL text with its parameters' types. Its text does not depend on how
// many rows a batch has, so a connection parses and plans it once.
type statement struct {
	name, sql string
	params    []uint32
	results   []int16 // formats; nil: all binary
}

func newStatement(sqlText string, params []uint32, results []int16) *statement {
	sum := sha256.Sum256([]byte(sqlText))
	if results == nil {
		results = []int16{1}
	}
	return &statement{name: "evenkeel_" + hex.EncodeToString(sum[:12]), sql: sqlText, params: params, results: results}
}

// maxMessage keeps a statement's parameters below what the server takes in one message.
const maxMessage = 1<<30 - 1<<20

var errMessage = errors.New("the batch's rows are too large for one statement")

// pipe collects statements that travel in one round trip.
type pipe struct {
	conn  *pgx.Conn
	named bool
	batch pgconn.Batch
	steps []step
	err   error
	sent  bool // run may have sent something
}

type step struct {
	st  *statement
	row func(cells [][]byte) error
}

var binaryFormat = []int16{1} //nolint:gochecknoglobals // a constant

func newPipe(conn *pgx.Conn) *pipe {
	mode := conn.Config().DefaultQueryExecMode
	// The other modes are for poolers that give each transaction another session:
	// there a statement has to be sent with its text.
	return &pipe{conn: conn, named: mode == pgx.QueryExecModeCacheStatement}
}

// prepared is where a connection keeps the names of statements that it knows.
const prepared = "evenkeel prepared statements"

// add queues a statement. The parameters are copied; row is called for each row of the
// result, whose cells are valid until it returns.
func (p *pipe) add(ctx context.Context, st *statement, row func(cells [][]byte) error, params ...[]byte) {
	if p.err != nil {
		return
	}
	size := 0
	for _, b := range params {
		size += len(b)
	}
	if size > maxMessage {
		p.err = &store.DataError{State: "54000", Err: errMessage}
		return
	}
	p.steps = append(p.steps, step{st: st, row: row})
	if !p.named {
		p.batch.ExecParams(st.sql, params, st.params, binaryFormat, st.results)
		return
	}
	known, _ := p.conn.PgConn().CustomData()[prepared].(map[string]*pgconn.StatementDescription)
	if known == nil {
		known = map[string]*pgconn.StatementDescription{}
		p.conn.PgConn().CustomData()[prepared] = known
	}
	if known[st.name] == nil {
		sd, err := p.conn.PgConn().Prepare(ctx, st.name, st.sql, st.params)
		if err != nil {
			p.err = err
			return
		}
		known[st.name] = sd
	}
	p.batch.ExecPrepared(st.name, params, binaryFormat, st.results)
}

// run sends what was queued and reads the results. done is how many statements were
// answered before an error. The error is the driver's; without sent, nothing has left.
func (p *pipe) run(ctx context.Context) (done int, err error) {
	if p.err != nil {
		return 0, p.err
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if p.conn.IsClosed() {
		return 0, pgconn.ErrConnClosed
	}
	p.sent = true
	results := p.conn.PgConn().ExecBatch(ctx, &p.batch)
	var rowErr error
	for results.NextResult() {
		rr := results.ResultReader()
		row := p.steps[done].row
		for rr.NextRow() {
			if row != nil && rowErr == nil {
				rowErr = row(rr.Values())
			}
		}
		if _, err := rr.Close(); err != nil {
			_ = results.Close() // the same error
			return done, err
		}
		done++
	}
	if err := results.Close(); err != nil {
		return done, err
	}
	return done, rowErr
}

// raw runs fn on the pgx connection under a database/sql one.
func raw(conn *sql.Conn, fn func(*pgx.Conn) error) error {
	return conn.Raw(func(dc any) error {
		c, ok := dc.(*stdlib.Conn)
		if !ok {
			return &store.SetupError{Problems: []string{fmt.Sprintf("the database handle's driver is %T; Evenkeel needs pgx, which gorm.io/driver/postgres uses unless Config.DriverName or Config.Conn say otherwise", dc)}}
		}
		return fn(c.Conn())
	})
}

// withConn runs fn on a pgx connection of the pool. A connection that comes back inside
// a transaction, or whose statements can't be trusted any more, is dropped.
func (s *Store) withConn(ctx context.Context, fn func(*pgx.Conn) error) error {
	return s.Conn(ctx, func(conn *sql.Conn) error {
		var drop bool
		err := raw(conn, func(c *pgx.Conn) error {
			err := fn(c)
			drop = stale(err) || !c.IsClosed() && c.PgConn().TxStatus() != 'I'
			return err
		})
		if drop {
			tables.Discard(conn)
		}
		return classify(err)
	})
}
