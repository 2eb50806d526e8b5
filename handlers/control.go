package handlers

import (
	"errors"
	"time"
)

// ControlError is what a handler returns to steer what becomes of its event. It is made
// by [DeadLetter], [RetryAfter], [Discard] and [Delete]; find it in a chain with errors.As.
type ControlError struct {
	Control Control
	After   time.Duration // with ControlRetry
	Reason  string        // with ControlDiscard
	Err     error         // may be nil with ControlDiscard and ControlDelete
}

// Control is the verb of a ControlError.
type Control uint8

// The verbs.
const (
	ControlDeadLetter Control = iota + 1
	ControlRetry
	ControlDiscard
	ControlDelete
)

// Error tells the verb and the cause.
func (c *ControlError) Error() string {
	switch c.Control {
	case ControlDeadLetter:
		return "dead letter: " + orUnsaid(c.Err).Error()
	case ControlRetry:
		return "retry after " + c.After.String() + ": " + orUnsaid(c.Err).Error()
	case ControlDiscard:
		return "discard: " + c.Reason
	case ControlDelete:
		return "delete"
	}
	return "unknown control"
}

// Unwrap returns the cause.
func (c *ControlError) Unwrap() error { return c.Err }

// DeadLetter makes the event a dead letter at once, without further tries.
func DeadLetter(err error) error {
	return &ControlError{Control: ControlDeadLetter, Err: orUnsaid(err)}
}

// RetryAfter parks the event and runs it again no sooner than d from now; a negative d is
// now. It counts as one attempt of the schedule.
func RetryAfter(d time.Duration, err error) error {
	return &ControlError{Control: ControlRetry, After: max(d, 0), Err: orUnsaid(err)}
}

// Discard says that the event needs no effect. The verdict journal keeps the reason.
func Discard(reason string) error {
	return &ControlError{Control: ControlDiscard, Reason: reason}
}

// Delete says that the entity is no more, what the handler wrote being written all the same.
// It is how the function of a [Resolve] says so, which has no Delivery; elsewhere it means
// what Delivery.Delete does.
func Delete() error { return &ControlError{Control: ControlDelete} }

var errUnsaid = errors.New("the handler gave no error")

func orUnsaid(err error) error {
	if err == nil {
		return errUnsaid
	}
	return err
}
