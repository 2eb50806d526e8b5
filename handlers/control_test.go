package handlers

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestControlErrors(t *testing.T) {
	t.Parallel()
	cause := errors.New("no stock")
	for _, c := range []struct {
		err  error
		want ControlError
		text string
	}{
		{DeadLetter(cause), ControlError{Control: ControlDeadLetter, Err: cause}, "dead letter: no stock"},
		{DeadLetter(nil), ControlError{Control: ControlDeadLetter, Err: errUnsaid}, "dead letter: the handler gave no error"},
		{RetryAfter(time.Minute, cause), ControlError{Control: ControlRetry, After: time.Minute, Err: cause}, "retry after 1m0s: no stock"},
		{RetryAfter(-time.Minute, nil), ControlError{Control: ControlRetry, Err: errUnsaid}, "retry after 0s: the handler gave no error"},
		{Delete(), ControlError{Control: ControlDelete}, "delete"},
		{Discard("test data"), ControlError{Control: ControlDiscard, Reason: "test data"}, "discard: test data"},
	} {
		var got *ControlError
		if !errors.As(fmt.Errorf("wrapped: %w", c.err), &got) {
			t.Fatalf("%v is not found in a chain", c.err)
		}
		same(t, "control", *got, c.want)
		same(t, "text", c.err.Error(), c.text)
		same(t, "cause", errors.Unwrap(c.err), c.want.Err)
	}
	same(t, "made by hand", (&ControlError{Control: ControlRetry}).Error(), "retry after 0s: the handler gave no error")
	same(t, "made by hand", (&ControlError{Control: ControlDeadLetter}).Error(), "dead letter: the handler gave no error")
	same(t, "no verb", (&ControlError{}).Error(), "unknown control")
}
