package batch

import (
	"fmt"
	"time"

	"github.com/evenkeel-go/evenkeel/internal/store"
)

// unreadable says which row holds what can't be read, and how to mend that. It must stop
// nobody but those whose outcome depends on it.
func unreadable(m *store.Memo, err error) error {
	return fmt.Errorf("%w; restore the body of the row in evenkeel_memos (kind %s, scope %s, entity %s), e.g. from a backup, and then replay what became a dead letter", err, m.Kind, m.Scope, m.Entity)
}

// lookAgain is when an event is looked at again whose stream can't be read.
const lookAgain = 5 * time.Minute

// leave lets a claimed unit wait on whose stream can't be read.
func (w *work) leave(u *Unit, due bool, err error) {
	switch {
	case !due:
	case u.replayed():
		w.failReplay(u, nil, poison(err), &failure{err: err})
	default:
		p := *u.Parked
		u.Parked = &p
		w.describeFailure(u.Parked, &failure{err: err})
		w.repark(u, p.Cause, lookAgain)
	}
}
