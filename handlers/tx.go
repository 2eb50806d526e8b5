package handlers

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
	"gorm.io/gorm/schema"

	"github.com/evenkeel-go/evenkeel/guards"
)

// UsesTx says that the handler runs SQL of its own, by Delivery.Tx (R19). It has to be
// declared since handlers run with no transaction open otherwise, and no connection held:
// records that have such a handler run one after the other inside the transaction that
// their effects commit with, which costs round trips for each, and keeps the locks of all
// their entities for as long. Call nothing slow from such a handler.
//
// Under [Set] the handler runs once for each event, also for one that newer events have
// superseded: its fields are masked then, its SQL stays, so that what it wrote does not
// depend on the order of events either. The clocks of a row don't tell of superseded events,
// so the ids of its events are remembered as under guards.Once, for guards.DefaultMemory or
// MaxLateness if that is longer: inside that memory a producer's duplicate runs once, and
// never does a record that comes again by a redelivery or a rewind.
func UsesTx() Option { return func(d *declaration) { d.usesTx = true } }

var (
	errTxNoRun    = errors.New("d.Tx: there is no transaction here, since no consumer runs this handler; give the delivery of a unit test one with d.UseTx")
	errTxDeclared = errors.New("declare handlers.UsesTx() on the handler: without it no transaction is open while it runs")
)

// Tx returns GORM's handle on the transaction in which the handler's effects commit, for a
// handler that declares [UsesTx] (R19). What is written through it takes effect exactly once,
// like guarded rows: it commits with them and with the position in the log, and if the
// handler returns an error it is undone, alone. The entity's row is there before the first
// statement, so that your rows may refer to it by a foreign key: if it is missing it is made
// with what d.Entity holds when Tx is first called. Fill in before that what the table's
// constraints ask for.
//
// All tables may be read; those of registered models stand as they did before the batch,
// but for the rows that this one has to make early. Writing to them, or to tables of
// Evenkeel's own, is refused, and the event becomes a letter (rejected) even if the handler
// ignores the error: rows with clocks are written by handlers alone. So are BEGIN, COMMIT
// and ROLLBACK, SET, LISTEN, COPY, DO, PRAGMA and the like; Transaction may be nested, which
// makes a savepoint. The check reads each statement's text: what functions, triggers,
// rules, views and partitions write it can't see.
//
// A statement that fails spoils the transaction on PostgreSQL. Return its error, or run what
// may fail inside d.Tx().Transaction. The handle is the handler's until it returns, from
// one goroutine at a time; afterwards it is refused. The handler may run more often than
// it takes effect: when another lane was faster, all is undone and it runs again.
//
// Where there is no transaction the handle carries an error that says why.
func (d *Delivery[P, E]) Tx() *gorm.DB {
	c := d.said()
	if c.Tx == nil {
		return failedTx(errTxNoRun)
	}
	db, err := c.Tx()
	if err != nil {
		return failedTx(err)
	}
	return db
}

// UseTx gives a delivery that a unit test has made by hand what its Tx returns. A consumer's
// own deliveries it does not change.
func (d *Delivery[P, E]) UseTx(db *gorm.DB) {
	if c := d.said(); c.Handler == "" {
		c.Tx = func() (*gorm.DB, error) { return db, nil }
	}
}

// UndeclaredTx is the error for a handler that asks for a transaction without UsesTx.
func UndeclaredTx(handler string) error {
	return fmt.Errorf("handler %s: d.Tx: %w", handler, errTxDeclared)
}

// checkTx checks a handler's declaration of UsesTx.
func (w *wirer) checkTx(what string, d *declaration, h *Handler) {
	if !d.usesTx {
		return
	}
	h.UsesTx = true
	switch h.Verb {
	case VerbResolve:
		w.mistake("%s is a Resolve with handlers.UsesTx; a resolver runs for each event anew and must have no effects: drop it", what)
	case VerbSet:
		h.memory = guards.DefaultMemory
		for _, g := range w.Admission {
			if b, is := g.(interface{ Bound() time.Duration }); is && reflect.TypeOf(g) == lateType {
				h.memory = max(h.memory, b.Bound())
			}
		}
	case VerbModify, VerbProject:
	}
}

// failedTx is a handle on which nothing runs: each call on it ends with the error.
func failedTx(err error) *gorm.DB {
	db, openErr := gorm.Open(noDatabase{err}, &gorm.Config{
		Logger: logger.New(silent{}, logger.Config{LogLevel: logger.Silent}), DisableAutomaticPing: true, SkipDefaultTransaction: true,
	})
	if openErr == nil {
		_ = db.AddError(err)
	}
	return db
}

type silent struct{}

func (silent) Printf(string, ...any) {}

// noDatabase is the dialect of a handle without a database. It has no callbacks, so that
// nothing reaches a driver.
type noDatabase struct{ err error }

func (noDatabase) Name() string                                   { return "none" }
func (noDatabase) Initialize(*gorm.DB) error                      { return nil }
func (noDatabase) Migrator(*gorm.DB) gorm.Migrator                { return nil }
func (noDatabase) DataTypeOf(*schema.Field) string                { return "" }
func (noDatabase) DefaultValueOf(*schema.Field) clause.Expression { return clause.Expr{SQL: "NULL"} }

func (noDatabase) BindVarTo(w clause.Writer, _ *gorm.Statement, _ any) {
	_ = w.WriteByte('?')
}
func (noDatabase) QuoteTo(w clause.Writer, name string) { _, _ = w.WriteString(name) }
func (noDatabase) Explain(sql string, _ ...any) string  { return sql }
func (n noDatabase) SavePoint(*gorm.DB, string) error   { return n.err }
func (n noDatabase) RollbackTo(*gorm.DB, string) error  { return n.err }
