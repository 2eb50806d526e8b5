package confluent

import (
	"errors"
	"sync"
)

// gate keeps calls out of a client that is being closed: librdkafka frees its handle then,
// and a call that is under way, or that comes after it, would end the process. An
// AdminClient that is made from a client does not notice that the client was closed.
type gate struct {
	mu     sync.Mutex
	closed bool
	inside sync.WaitGroup
}

var errClosed = errors.New("the Kafka client is closed")

// enter lets a call in; who was let in calls leave.
func (g *gate) enter() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return errClosed
	}
	g.inside.Add(1)
	return nil
}

func (g *gate) leave() { g.inside.Done() }

// shut lets nobody in any more and waits for those who are inside.
func (g *gate) shut() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.inside.Wait()
}
