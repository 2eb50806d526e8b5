package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/evenkeel-go/evenkeel/internal/store"
)

// The SQLSTATEs that evenkeel_require raises.
const (
	stateConflict = "EK001"
	stateFenced   = "EK002"
)

// classify turns a driver's error, of anything but COMMIT, into one of package store. It
// goes by SQLSTATE and type, never by text. What it does not know stays as it is: a
// missing table or a missing right is neither the data's fault nor mended by waiting.
func classify(err error) error {
	if err == nil || classified(err) {
		return err
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		// Without an answer of the server it is the way there.
		return &store.TransientError{Away: !ended(err), Err: err}
	}
	switch pg.Code {
	case stateConflict:
		return store.ErrConflict
	case stateFenced:
		return store.ErrFenced
	case "40001", "40P01": // serialization failure, deadlock: others went first, so load again
		return fmt.Errorf("%w: %w", store.ErrConflict, err)
	case "55P03", // lock not available
		"55006", // object in use
		"25P03", // idle in transaction for too long
		"25006", // read only: a primary that became a replica
		"25P02": // the transaction is lost already
		return &store.TransientError{Err: err}
	case "40002", // a deferred constraint
		"44000", // a view's check option
		"P0001": // a trigger of the user's
		return &store.DataError{State: pg.Code, Table: pg.TableName, Err: err}
	}
	switch pg.Code[:min(2, len(pg.Code))] {
	case "22", "23", "54": // 54: an index entry or a row that is too long
		return &store.DataError{State: pg.Code, Table: pg.TableName, Err: err}
	case "08":
		return &store.TransientError{Away: true, Err: err}
	case "57":
		return &store.TransientError{Away: pg.Code != "57014", Err: err} // 57014: cancelled by a timeout or by hand
	case "53", "58":
		return &store.TransientError{Err: err}
	}
	return err
}

// lost classifies an error of COMMIT after something was sent. The server's refusal, of a
// deferred constraint or by a deadlock, is certain. A connection that ended is not, and
// neither is a session that was ended while COMMIT ran: the server commits before it
// answers.
//
// pgconn.SafeToRetry is not asked. Where a batch's answer is lost, pgx 5.12 peeks at the
// next message, closes the connection on the error that it gets, forgets that error and
// reports "conn closed" instead, which says that nothing was sent.
func lost(err error) error {
	if err == nil || classified(err) {
		return err
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return &store.UnknownError{Err: err}
	}
	switch pg.Code[:min(2, len(pg.Code))] {
	case "08", "53", "57", "58", "XX":
		return &store.UnknownError{Err: err}
	}
	if pg.Code == "40003" { // statement completion unknown
		return &store.UnknownError{Err: err}
	}
	return classify(err)
}

func ended(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

func classified(err error) bool {
	var (
		unknown   *store.UnknownError
		data      *store.DataError
		transient *store.TransientError
		setup     *store.SetupError
	)
	return errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrFenced) || errors.As(err, &unknown) ||
		errors.As(err, &data) || errors.As(err, &transient) || errors.As(err, &setup)
}

// stale reports an error after which a connection's prepared statements can't be
// trusted: a column that changed its type, a statement that a pooler has lost.
func stale(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "0A000" || pg.Code == "26000" || pg.Code == "42P05" || len(pg.Code) == 5 && pg.Code[:2] == "42")
}
