package store

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// ErrConflict says that another lane changed a row, a queue or a parked event between
// loading and writing: nothing was written, load again and run the batch again.
var ErrConflict = errors.New("another lane changed what the batch was based on")

// ErrFenced says that the ledger row belongs to another owner, or has moved on under
// another epoch: nothing was written and the lane must abandon its partition.
var ErrFenced = errors.New("the partition has another owner")

// UnknownError says that the answer to COMMIT was lost: ask Settle.
type UnknownError struct{ Err error }

func (e *UnknownError) Error() string { return "the answer to COMMIT was lost: " + e.Err.Error() }
func (e *UnknownError) Unwrap() error { return e.Err }

// DataError says that the database refuses what a row or event holds, so that running
// the batch again changes nothing: find the culprit (R18).
type DataError struct {
	State string // SQLSTATE, or SQLite's extended code
	Table string // where the driver tells
	Err   error
}

func (e *DataError) Error() string { return "the database refuses the data: " + e.Err.Error() }
func (e *DataError) Unwrap() error { return e.Err }

// PanicError is a panic of a column's type, in its Value, Scan or serializer. It comes in a
// DataError: the row at fault is found like one that the database refuses (R18).
type PanicError struct {
	Value any
	Stack string
}

func (e *PanicError) Error() string { return fmt.Sprintf("the type of a column panicked: %v", e.Value) }

// Caught makes a PanicError of what recover returned, nil if that is nil.
func Caught(r any) error {
	if r == nil {
		return nil
	}
	return &PanicError{Value: r, Stack: string(debug.Stack())}
}

// TransientError says that the database can't do it now: it is away, restarting, or
// broke a deadlock. Try again later.
type TransientError struct {
	// Away reports that the database could not be reached at all.
	Away bool
	Err  error
}

func (e *TransientError) Error() string { return "the database can't now: " + e.Err.Error() }
func (e *TransientError) Unwrap() error { return e.Err }

// SetupError says that the database is not as the code needs it. Problems are sentences
// with their mends, SQL included.
type SetupError struct{ Problems []string }

func (e *SetupError) Error() string {
	s := fmt.Sprintf("evenkeel: the database is not ready, %d problems:", len(e.Problems))
	if len(e.Problems) == 1 {
		s = "evenkeel: the database is not ready:"
	}
	for _, p := range e.Problems {
		s += "\n  - " + p
	}
	return s
}
