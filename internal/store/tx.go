package store

import (
	"context"

	"gorm.io/gorm"
)

// Tx is an open transaction that takes SQL of handlers' own (R19). It belongs to a Locked,
// which ends it, and is for one goroutine.
type Tx interface {
	// Flush writes a part of what Commit will, with the same conflicts, and leaves the
	// transaction open. After an error nothing goes on but the Undo of a savepoint that was
	// opened before. A row that it has inserted has the revision that Commit would give it.
	Flush(ctx context.Context, b *Batch) error
	// Savepoint opens one. It ends with Keep or Undo before the next is opened.
	Savepoint(ctx context.Context) (Savepoint, error)
}

// Savepoint is the part of a transaction that one handler has written.
type Savepoint interface {
	// DB is the user's GORM handle, bound to the transaction. It refuses what would end
	// the transaction, and writes to tables that are claimed or Evenkeel's.
	DB(ctx context.Context) *gorm.DB
	// Close ends the use of DB, waiting for a statement under way.
	Close() Ended
	// Keep makes what was written part of the transaction, Undo takes it back. An error
	// says that the transaction is lost.
	Keep(ctx context.Context) error
	Undo(ctx context.Context) error
}

// Ended is how the use of a savepoint has ended.
type Ended struct {
	// Refused is the first refusal.
	Refused error
	// Failed is the first error of a statement that was let through, the driver's, and
	// Class the error of this package that it is.
	Failed, Class error
	// Spoiled: the transaction can't go on unless Undo still can.
	Spoiled bool
}
