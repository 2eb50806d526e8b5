package framework

import (
	"context"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/internal/lamport"
	"github.com/evenkeel-go/evenkeel/internal/seam"
	"github.com/evenkeel-go/evenkeel/internal/store/open"
)

// LamportClock gives Lamport times to the events that a service sends, for consumers that
// order by guards.Lamport. A time is after everything that the clock has seen (Lamport,
// Time, Clocks, and the Ordering of Events in a Distributed System, 1978).
//
// All clocks of a group, in all its processes, share the group's database, and no time is
// given out twice, also after a crash. Each reserves blocks of 1,000 times, so most calls
// of Next cost no round trip. Its methods may be called from many goroutines.
type LamportClock struct{ clock *lamport.Clock }

// NewLamportClock returns a clock for a process of the service that runs no consumer, such
// as its API. It does no I/O; the error says that the database's dialect is not known.
func NewLamportClock(db *gorm.DB, group string) (*LamportClock, error) {
	s, err := open.Open(db)
	if err != nil {
		return nil, err
	}
	return &LamportClock{lamport.New(s, group, seam.System())}, nil
}

// Lamport returns the consumer's clock. It sees every event that this consumer reads,
// before its handlers run.
func (c *Consumer) Lamport() *LamportClock { return c.lamport }

// Next returns a time that is greater than every other that this clock has returned or
// witnessed, and than everything that the group had committed when the clock's block was
// reserved: with the first call, and once a block is used up or overtaken. What another
// member has committed since is known to whoever reads its row; tell it to [Witness] then.
// The error is the database's, ctx's, or says that an event has brought the highest time
// that there is (event.MaxLamport).
//
// [Witness]: LamportClock.Witness
func (c *LamportClock) Next(ctx context.Context) (int64, error) { return c.clock.Next(ctx) }

// Witness merges a time, so that Next is after it: that of a message which the consumer
// has not read, or EkTime of a row under guards.Lamport.
func (c *LamportClock) Witness(lamport int64) { c.clock.Witness(lamport) }
