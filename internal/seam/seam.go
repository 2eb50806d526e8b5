// Package seam is where the runtime touches time and goroutines. Everything else in the
// project asks for the time through a Clock and starts goroutines through a Group, so that
// a simulation can drive the real code with a clock and a scheduler of its own.
package seam

import (
	"context"
	"sync"
	"time"
)

// Clock tells the time and wakes sleepers.
type Clock interface {
	Now() time.Time
	// Sleep waits for d, or until ctx ends, whichever is first, and returns ctx's error
	// in the second case.
	Sleep(ctx context.Context, d time.Duration) error
	// After sends the time on the channel once d has passed; stop frees what it holds.
	After(d time.Duration) (ch <-chan time.Time, stop func())
	// WithTimeout is context.WithTimeout by this clock.
	WithTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc)
}

// System is the machine's clock.
func System() Clock { return system{} }

type system struct{}

func (system) Now() time.Time { return time.Now() }

func (system) Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (system) After(d time.Duration) (<-chan time.Time, func()) {
	t := time.NewTimer(d)
	return t.C, func() { t.Stop() }
}

func (system) WithTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, d)
}

// Group starts goroutines and waits for their end. Each goroutine of the runtime belongs
// to one Group, whose owner is who calls Wait.
type Group struct {
	// Limit is how many may run at a time; 0 is no bound. It must be set before the first Go.
	Limit int

	wg   sync.WaitGroup
	room chan struct{}
	once sync.Once
	done chan struct{}
}

// Go starts f, once there is room for it. The name says what the goroutine is for, in a
// simulation's trace.
func (g *Group) Go(_ string, f func()) {
	if g.Limit == 0 {
		g.wg.Go(f)
		return
	}
	if g.room == nil {
		g.room = make(chan struct{}, g.Limit)
	}
	g.room <- struct{}{}
	g.wg.Go(func() {
		defer func() { <-g.room }()
		f()
	})
}

// Wait waits until every goroutine of the group has returned.
func (g *Group) Wait() { g.wg.Wait() }

// Done returns a channel that is closed when every goroutine has returned. It must be
// called after the last Go.
func (g *Group) Done() <-chan struct{} {
	g.once.Do(func() {
		g.done = make(chan struct{})
		go func() {
			g.wg.Wait()
			close(g.done)
		}()
	})
	return g.done
}
