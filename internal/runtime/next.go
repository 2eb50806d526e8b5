package runtime

import (
	"errors"
	"time"

	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/clocks"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// step is what to do about a batch that did not commit.
type step uint8

const (
	// stepAgain: load and run it again.
	stepAgain step = iota + 1
	// stepSettle: ask the ledger whether it committed after all.
	stepSettle
	// stepSplit: run its halves, or find the culprit unit.
	stepSplit
	// stepLayout: read the layouts again, then run it again.
	stepLayout
	// stepAbandon: the partition is somebody else's.
	stepAbandon
)

// next decides what follows a failed attempt; try counts from 1. wait is how long before
// another one, before jitter.
func next(err error, try int) (s step, wait time.Duration) {
	var unknown *store.UnknownError
	var data *store.DataError
	var projection *batch.ProjectionError
	var tx *batch.TxError
	switch {
	case errors.Is(err, store.ErrFenced), errors.Is(err, errUnsettled), errors.Is(err, errAbandoned), errors.Is(err, errShut):
		return stepAbandon, 0
	case errors.As(err, &unknown):
		return stepSettle, 0
	case errors.As(err, &data), errors.As(err, &projection), errors.As(err, &tx):
		return stepSplit, 0
	case errors.Is(err, store.ErrConflict):
		return stepAgain, backoff(time.Millisecond, 200*time.Millisecond, try)
	case errors.Is(err, clocks.ErrNewerGeneration):
		return stepLayout, backoff(10*time.Millisecond, time.Second, try)
	}
	// A failing database is the batch's failure, never the event's: it is tried until
	// it works.
	return stepAgain, backoff(50*time.Millisecond, 5*time.Second, try)
}

// locks says which attempts lock the rows before they read them (R15): every second one
// from the third on. Under locks the handlers run in a transaction that the database ends
// when it idles too long, so a batch of slow handlers must get its turn without.
func locks(try int) bool { return try >= 3 && try%2 == 1 }

// loadError is an error of reading, which says nothing of what would be written.
type loadError struct{ error }

func (e *loadError) Unwrap() error { return e.error }

// accuse makes a unit the culprit of the database's refusal (R18): what can't even be read
// is broken, what can't be written goes the way of failures.
func accuse(u *batch.Unit, refusal error) {
	var unread *loadError
	if errors.As(refusal, &unread) {
		u.Break(refusal)
		return
	}
	u.Refused = refusal
}

func backoff(first, most time.Duration, try int) time.Duration {
	d := first
	for i := 1; i < try && d < most; i++ {
		d *= 2
	}
	return min(d, most)
}
