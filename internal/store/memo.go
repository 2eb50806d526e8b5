package store

import "time"

// MemoKind is what a memo is about.
type MemoKind string

// Memo is a small piece of state with a revision that stands beside the entities' rows:
// how far a stream of numbers has come (R7), how far back an id memory reaches (R8).
type Memo struct {
	MemoKey
	// Rev is the revision that was loaded, 0 for a memo that is to be made. A new one
	// starts at the batch's time in microseconds, like a row, so that one that was purged
	// and made again can't be mistaken for its predecessor.
	Rev  int64
	Body string // JSON
}

// MemoKey names a memo of the group.
type MemoKey struct {
	Kind          MemoKind
	Scope, Entity string
}

// ID is one id that an entity has seen.
type ID struct {
	IDKey
	// Value is what came with the id; what it means is the scope's business.
	Value string
	// At is the event's time. Behind the scope's horizon an id is forgotten, unless it is
	// held: then its event is parked or lies as a letter (R8).
	At   time.Time
	Held bool
	// Known says that the id was loaded.
	Known bool
}

// IDKey names an id.
type IDKey struct {
	Scope, Entity, ID string
}
