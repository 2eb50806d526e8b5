package batch

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	"strings"
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// failure is a unit that did not come through.
type failure struct {
	err   error
	stack string
	// final says that trying again is pointless, and reason which letter it makes.
	final  bool
	reason guards.Reason
	// after is the least delay that the handler asked for.
	after time.Duration
	// discard says that the handler wants no effect.
	discard bool
	// ended says that the run's context ended: nothing is known of the event.
	ended bool
	// broken is an error that is the batch's and not the event's (R19).
	broken error
}

// stops returns what ends the batch, if it is not the event that has failed.
func (f *failure) stops(ctx context.Context) error {
	switch {
	case f == nil:
		return nil
	case f.broken != nil:
		return f.broken
	case f.ended:
		return ctx.Err()
	}
	return nil
}

// panicError is a panic of the user's code.
type panicError struct {
	value any
	stack string
}

func (p *panicError) Error() string { return fmt.Sprintf("panic: %v", p.value) }

// fieldError is a handler that wrote a field which it does not declare.
type fieldError struct {
	handler, field string
	key            bool // it is the primary key
}

func (f *fieldError) Error() string {
	if f.key {
		return fmt.Sprintf("handler %s changed the primary key %s, which says whose row it is; leave it alone, or name another entity with handlers.Key", f.handler, f.field)
	}
	return fmt.Sprintf("handler %s wrote the field %s, which is not among its handlers.Writes; declare it there, or leave it alone", f.handler, f.field)
}

// Classifier says of an error that a handler returned whether it can heal by itself. An
// error that it does not know counts as one that may.
type Classifier func(error) (permanent bool, reason guards.Reason)

// run calls the handler and catches what it throws.
func (j *Judge) run(ctx context.Context, h *handlers.Handler, c *handlers.Call) (f *failure) {
	defer func() {
		if r := recover(); r != nil {
			p := &panicError{value: r, stack: userPart(string(debug.Stack()))}
			f = &failure{err: p, stack: p.stack}
		}
	}()
	err := h.Run(ctx, c)
	if err == nil {
		return nil
	}
	return j.failure(ctx, err)
}

// userPart leaves out the frames of a stack that are the same for every panic of a handler:
// above the place where it panicked, and below the call of the handler.
func userPart(stack string) string {
	goroutine, _, _ := strings.Cut(stack, "\n")
	at := strings.LastIndex(stack, "\npanic(")
	if at < 0 {
		return stack
	}
	// Two lines for each frame: the call, and where it is.
	frames := strings.SplitN(stack[at+1:], "\n", 3)
	own, _, called := strings.Cut(frames[len(frames)-1], "\n"+reflect.TypeFor[handlers.Handler]().PkgPath()+".(*Handler).Run(")
	if !called {
		return stack
	}
	return goroutine + "\n" + own + "\n"
}

func (j *Judge) failure(ctx context.Context, err error) *failure {
	// An error whose own text panics, e.g. a nil pointer of a type of the user's, does so
	// here, where it is caught.
	_ = err.Error()
	f := &failure{err: err}
	var control *handlers.ControlError
	if errors.As(err, &control) {
		switch control.Control {
		case handlers.ControlDeadLetter:
			f.final, f.reason = true, guards.Rejected
		case handlers.ControlRetry:
			f.after = control.After
		case handlers.ControlDiscard:
			f.discard = true
		case handlers.ControlDelete: // Handler.Run takes it for no error
		}
		return f
	}
	if ctx.Err() != nil {
		f.ended = true
		return f
	}
	var p *panicError
	if errors.As(err, &p) {
		f.stack = p.stack
	}
	if permanent, reason := j.Classify(err); permanent {
		f.final, f.reason = true, reason
	}
	return f
}

// describe fills a letter's or parked row's account of the error.
func describe(f *failure) (errorType, text, stack string) {
	err := f.err
	var control *handlers.ControlError
	if errors.As(err, &control) && control.Err != nil {
		err = control.Err
	}
	inner := err
	for {
		next := errors.Unwrap(inner)
		if next == nil {
			break
		}
		inner = next
	}
	errorType = reflect.TypeOf(inner).String()
	var p *panicError
	var projection *ProjectionError
	var column *store.PanicError
	if errors.As(err, &p) || errors.As(err, &projection) || errors.As(err, &column) {
		errorType = "panic"
	}
	return errorType, dlq.Text(err.Error(), dlq.MaxErrorBytes), dlq.Text(f.stack, dlq.MaxStackBytes)
}
