// Package lamport is the logical clock of a consuming service (Lamport, Time, Clocks, and
// the Ordering of Events in a Distributed System, 1978): it merges the times of the events
// that come in, and gives out greater ones to what the service sends.
package lamport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/internal/seam"
	"github.com/evenkeel-go/evenkeel/internal/store"
)

// Store is what a clock needs of a database.
type Store interface {
	Lamport(ctx context.Context, group string) (int64, error)
	Load(ctx context.Context, want *store.Want) (*store.Loaded, error)
	Commit(ctx context.Context, b *store.Batch) error
}

// Block is how many times a clock reserves at once: the "low" part of Hi/Lo (Ambler).
const Block = 1000

// Clock gives out times. All clocks of a group share one durable number, the highest time
// that any of them may have given out.
type Clock struct {
	store Store
	group string
	time  seam.Clock

	seen atomic.Int64
	// turn guards last and end: times up to end are reserved.
	turn      chan struct{}
	last, end int64
}

// New makes a clock. It does no I/O.
func New(s Store, group string, time seam.Clock) *Clock {
	return &Clock{store: s, group: group, time: time, turn: make(chan struct{}, 1)}
}

// Witness merges a time that came in.
func (c *Clock) Witness(n int64) {
	for {
		have := c.seen.Load()
		if n <= have || c.seen.CompareAndSwap(have, n) {
			return
		}
	}
}

// Next gives out a time above all that were witnessed and all that were given out before.
func (c *Clock) Next(ctx context.Context) (int64, error) {
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	defer func() { <-c.turn }()
	next := max(c.last, c.seen.Load()) + 1
	if next > c.end {
		first, err := c.reserve(ctx, next)
		if err != nil {
			return 0, fmt.Errorf("evenkeel: the Lamport clock of group %s: %w", c.group, err)
		}
		next = first
	}
	c.last = next
	return next, nil
}

var errEnd = errors.New("it stands at the highest time that there is, which an event must have brought; mend its producer, then lower evenkeel_ledger.lamport and the row of evenkeel_memos whose kind is lamport")

// reserved is the memo's body.
type reserved struct {
	Until int64 `json:"until"`
}

// tries bounds how often another clock may come first: it makes as much way each time.
const tries = 100

// reserve moves the durable number on and returns the first time of the new block, which
// is no less than least and above what the group's ledgers have seen.
func (c *Clock) reserve(ctx context.Context, least int64) (int64, error) {
	key := store.MemoKey{Kind: "lamport"}
	var err error
	for range tries {
		seen, failed := c.store.Lamport(ctx, c.group)
		if failed != nil {
			return 0, failed
		}
		loaded, failed := c.store.Load(ctx, &store.Want{Group: c.group, Memos: []store.MemoKey{key}})
		if failed != nil {
			return 0, failed
		}
		memo := &store.Memo{MemoKey: key}
		var until reserved
		if had := loaded.Memos[key]; had != nil {
			memo.Rev = had.Rev
			if failed := json.Unmarshal([]byte(had.Body), &until); failed != nil {
				return 0, fmt.Errorf("the row of evenkeel_memos whose kind is lamport holds %q: %w", had.Body, failed)
			}
		}
		first := max(least, seen+1, until.Until+1)
		if first > event.MaxLamport {
			return 0, errEnd
		}
		until.Until = min(first+Block-1, event.MaxLamport)
		body, failed := json.Marshal(until)
		if failed != nil {
			return 0, failed
		}
		memo.Body = string(body)
		err = c.store.Commit(ctx, &store.Batch{Group: c.group, Memos: []*store.Memo{memo}, Now: c.time.Now()})
		if err == nil {
			c.end = until.Until
			return first, nil
		}
		if !errors.Is(err, store.ErrConflict) {
			break
		}
	}
	return 0, err
}
