package store

import (
	"context"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/clocks"
	"github.com/evenkeel-go/evenkeel/internal/ledger"
)

// Rebuilds is what making rows anew from the log asks for beside batches (R20).
type Rebuilds interface {
	// ClaimToRebuild is Claim for what makes rows anew. A table whose rows have stamps of
	// another kind than the model's, which Claim refuses, keeps that kind, and its layout
	// names it: it changes with the first claim that finds no stamp left.
	ClaimToRebuild(ctx context.Context, group string, models []*handlers.Model) ([]*clocks.Layout, error)
	// Ledgers returns the group's ledger rows, in the order of topics and partitions, each
	// as it stood when the call began or later.
	Ledgers(ctx context.Context, group string) ([]ledger.State, error)
	// Keys returns the keys of a claimed table's rows, in the order of the database.
	Keys(ctx context.Context, q KeysQuery) ([]string, error)
	// Edited returns what somebody has made of the records at the coordinates, where a replay
	// has then resolved it: purged letters, too.
	Edited(ctx context.Context, group string, at []event.Coordinates) ([]*EditedLetter, error)
}

// EditedLetter is a letter that was resolved with its newest revision.
type EditedLetter struct {
	ID          string
	Coordinates event.Coordinates // without leader epoch and the topic's name
	// Handler and Entity are empty for a letter of a whole record.
	Handler, Entity string
	Revision        dlq.Revision
}

// KeysQuery asks for keys of rows.
type KeysQuery struct {
	Model *handlers.Model
	// Rebuilding asks for rows that are being rebuilt; otherwise it is those that events
	// have written at least once, rebuilt or not.
	Rebuilding bool
	// After is the last key of the page before, HasAfter false for the first page.
	After    string
	HasAfter bool
	Limit    int
}

// IDScope names an entity's ids.
type IDScope struct{ Scope, Entity string }

// KindRebuild is the kind of memo that says what is being rebuilt.
const KindRebuild MemoKind = "rebuild"

// RebuildKey names the memo of the group's rebuild. Its body is empty while there is none.
func RebuildKey() MemoKey { return MemoKey{Kind: KindRebuild} }

// RebuildKeysOf names the memo that lists which keys of a table are being rebuilt.
func RebuildKeysOf(table string) MemoKey {
	return MemoKey{Kind: KindRebuild, Scope: "keys", Entity: table}
}

// StoredState is what ek_state holds.
func (r *Row) StoredState() int64 {
	if r.Rebuilding {
		return int64(r.State) + guards.RebuildingBit
	}
	return int64(r.State)
}
