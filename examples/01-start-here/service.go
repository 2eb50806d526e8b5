// Command 01-start-here is the smallest service that shows the idea: an order is completed
// before it was created, and its row is right all the same.
//
//	go run ./examples/01-start-here
package main

import (
	"context"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// Order is the table. One column holds one fact; the status follows from them.
type Order struct {
	ID                    string `gorm:"primaryKey"`
	Status, Customer      string
	PlacedAt, CompletedAt *time.Time
	guards.Guarded
}

// Created is the payload of order.created.
type Created struct {
	Customer string `json:"customer"`
}

// Completed is the payload of order.completed: its time says all.
type Completed struct{}

func registry() *handlers.Registry {
	reg := handlers.NewRegistry(guards.Timestamp())
	handlers.Set(reg, "order.created", created, handlers.Creates(), handlers.Writes("Customer", "PlacedAt"))
	handlers.Set(reg, "order.completed", completed, handlers.Writes("CompletedAt"))
	handlers.Project(reg, status, handlers.Writes("Status"))
	return reg
}

func created(_ context.Context, d *handlers.Delivery[Created, Order]) error {
	d.Entity.Customer, d.Entity.PlacedAt = d.Payload.Customer, &d.Event.OccurredAt
	return nil
}

func completed(_ context.Context, d *handlers.Delivery[Completed, Order]) error {
	d.Entity.CompletedAt = &d.Event.OccurredAt
	return nil
}

func status(o *Order) {
	switch {
	case o.CompletedAt != nil:
		o.Status = "completed"
	case o.PlacedAt != nil:
		o.Status = "placed"
	default:
		o.Status = "unknown"
	}
}

// config is what framework.New needs beside brokers, group and topics.
func config() framework.Config {
	return framework.Config{Handlers: registry(), Codec: event.Envelope(event.EnvelopeConfig{})}
}
