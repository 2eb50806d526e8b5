package sqlite

import (
	"context"
	"errors"
	"strconv"

	"github.com/mattn/go-sqlite3"

	"github.com/evenkeel-go/evenkeel/internal/store"
)

// classify turns a driver's error into one of package store, by SQLite's result codes.
// It knows mattn's driver and those whose errors have a method Code.
func classify(err error) error {
	if err == nil {
		return nil
	}
	code, extended, ok := codes(err)
	if !ok {
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			return &store.TransientError{Err: err}
		}
		return err
	}
	switch code {
	case sqlite3.ErrBusy, sqlite3.ErrLocked, sqlite3.ErrInterrupt, sqlite3.ErrNomem,
		sqlite3.ErrFull, sqlite3.ErrProtocol, sqlite3.ErrReadonly, sqlite3.ErrAbort:
		return &store.TransientError{Err: err}
	case sqlite3.ErrIoErr, sqlite3.ErrCantOpen:
		return &store.TransientError{Away: true, Err: err}
	case sqlite3.ErrConstraint, sqlite3.ErrTooBig, sqlite3.ErrMismatch:
		return &store.DataError{State: strconv.Itoa(extended), Err: err}
	}
	return err
}

func codes(err error) (code sqlite3.ErrNo, extended int, ok bool) {
	var mattn sqlite3.Error
	if errors.As(err, &mattn) {
		return mattn.Code, int(mattn.ExtendedCode), true
	}
	var other interface {
		error
		Code() int
	}
	if errors.As(err, &other) {
		return sqlite3.ErrNo(other.Code() & 0xff), other.Code(), true
	}
	return 0, 0, false
}
