package handlers

import (
	"context"
	"reflect"

	"github.com/evenkeel-go/evenkeel/guards"
)

// Registry collects a service's handlers. It is filled before the consumer is made, by
// one goroutine, and not changed afterwards. A mistake in a registration is not reported
// by it but with all others by [Registry.Wire].
type Registry struct {
	guards       []guards.Guard
	declarations []*declaration
}

// NewRegistry makes a registry whose Set handlers are ordered by the one guard among gs
// that is a guards.Stamper (guards.Timestamp when there is none) and whose events pass
// the others: MaxLateness, MaxFuture and guards of your own. A guards.Chain counts as
// its members.
func NewRegistry(gs ...guards.Guard) *Registry { return &Registry{guards: gs} }

// Set registers a blind handler (R1): the event states facts, fn fills in a blank
// entity, and the framework writes each declared field where nothing newer has written
// it. What fn does must be a function of the event alone. Any order of events gives the
// same row.
func Set[P, E any](r *Registry, eventType string, fn func(context.Context, *Delivery[P, E]) error, opts ...Option) {
	r.declarations = append(r.declarations, declare(VerbSet, eventType, fn, nil, opts))
}

// Modify registers a handler that gets the row, under the guard that fits: with
// guards.Timestamp and guards.Version an event that is not newer than all before is
// discarded, and an overtaken one is lost to this handler by intent. It must name its
// Writes.
func Modify[P, E any](r *Registry, eventType string, fn func(context.Context, *Delivery[P, E]) error, guard guards.Stamper, opts ...Option) {
	r.declarations = append(r.declarations, declare(VerbModify, eventType, fn, guard, opts))
}

// Project registers a pure function that computes derived fields from the merged row,
// each time that the row is written. The fields that it names have no clocks and belong
// to it alone.
func Project[E any](r *Registry, fn func(*E), opts ...Option) {
	d := &declaration{verb: VerbProject, entity: reflect.TypeFor[E]()}
	if fn == nil {
		d.lacks("the projection function")
	} else {
		d.project = func(e any) { fn(e.(*E)) }
	}
	d.apply(opts)
	r.declarations = append(r.declarations, d)
}

type runFunc func(ctx context.Context, c *Call) error

func declare[P, E any](verb Verb, eventType string, fn func(context.Context, *Delivery[P, E]) error, guard guards.Stamper, opts []Option) *declaration {
	d := &declaration{
		verb: verb, eventType: eventType, guard: guard,
		entity: reflect.TypeFor[E](), payload: reflect.TypeFor[P](),
		decode: decodePayload[P],
	}
	if fn == nil {
		d.lacks("the handler function")
	}
	d.run = func(ctx context.Context, c *Call) error {
		dl := &Delivery[P, E]{
			Event: c.Event, Payload: *c.Payload.(*P), Entity: c.Entity.(*E),
			Attempt: c.Attempt, DryRun: c.DryRun, call: c,
		}
		return fn(ctx, dl)
	}
	d.apply(opts)
	return d
}
