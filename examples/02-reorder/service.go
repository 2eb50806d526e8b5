// Command 02-reorder keeps accounts whose events must be applied in their order: whether a
// withdrawal is covered depends on what came before. Events are numbered per account. One
// that comes early waits in the database until the gap is filled. For a number that does not
// come the source is asked after a while; one that never comes leaves a dead letter, for a
// person, and holds up its account and no other.
//
//	go run ./examples/02-reorder
package main

import (
	"context"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// Account is the table.
type Account struct {
	ID       string `gorm:"primaryKey"`
	Balance  int64  // cents
	Refused  int    // withdrawals that were not covered
	LastMove string
	guards.Guarded
}

// Move is the payload of both events.
type Move struct {
	Cents int64 `json:"cents"`
}

// registry makes accounts wait so long for a missing number, ask for it on the topic replays,
// and wait as long again.
func registry(patience time.Duration, replays string) *handlers.Registry {
	reg := handlers.NewRegistry()
	inOrder := guards.Sequence(guards.GapTimeout(patience), guards.RequestReplay(replays))
	handlers.Modify(reg, "account.paid-in", paidIn, inOrder, handlers.Writes("Balance", "LastMove"))
	handlers.Modify(reg, "account.drawn", drawn, inOrder, handlers.Writes("Balance", "Refused", "LastMove"))
	return reg
}

func paidIn(_ context.Context, d *handlers.Delivery[Move, Account]) error {
	d.Entity.Balance += d.Payload.Cents
	d.Entity.LastMove = d.Event.ID
	return nil
}

func drawn(_ context.Context, d *handlers.Delivery[Move, Account]) error {
	if d.Entity.LastMove = d.Event.ID; d.Entity.Balance < d.Payload.Cents {
		d.Entity.Refused++
		return nil
	}
	d.Entity.Balance -= d.Payload.Cents
	return nil
}

func config(patience time.Duration, replays string) framework.Config {
	return framework.Config{Handlers: registry(patience, replays), Codec: event.Envelope(event.EnvelopeConfig{}), SweepInterval: 200 * time.Millisecond}
}
