package store

import (
	"context"
	"time"
)

// Rehearsals show what replays would come to.
type Rehearsals interface {
	// Rehearse opens a transaction that ends with a rollback, whatever happens: what is
	// written in it is seen by what comes after it there, and by nobody else. It takes the
	// locks that batches take, and holds them until End; on SQLite it keeps all writers out.
	Rehearse(ctx context.Context) (Rehearsal, error)
}

// Rehearsal is such a transaction. It is for one goroutine. An error of a method undoes what
// that call has done; one that is none of a letter, of the batch's data, or a conflict, says
// that the transaction is lost.
type Rehearsal interface {
	// Replay does what MoveLetter does with MoveReplay, but for the line in the audit.
	// Errors are MoveLetter's.
	Replay(ctx context.Context, m *LetterMove) error
	// Parked returns what is parked as it stands, nil when there is no such row.
	Parked(ctx context.Context, id string) (*Parked, error)
	// Due are the ids of what is parked in the group under the entity, whatever its table,
	// and due, in the order of places, but for what is to be replayed.
	Due(ctx context.Context, group, entity string, now time.Time) ([]string, error)
	// Lock is Store's, inside the transaction. Commit writes what a batch does to rows and
	// to what waits, and leaves out what only tells of it, and what would take numbers from
	// the database's sequences: verdicts, what is sent, the audit. It looks at what COMMIT
	// would look at. After its error, and after Rollback, all is as it was before Lock.
	Lock(ctx context.Context, want *Want) (Locked, error)
	// End rolls back. Calling it again does nothing.
	End()
}

// Quiet is what a rehearsal writes of a batch.
func (b *Batch) Quiet() *Batch {
	q := *b
	q.Verdicts, q.Outbox, q.Sent, q.Resolve = nil, nil, nil, nil
	return &q
}
