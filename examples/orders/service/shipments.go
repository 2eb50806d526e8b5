package service

import (
	"context"

	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// Shipment is a parcel on its way. Its handlers look at the row, and what they make of it
// depends on the order of the events; so these are numbered, and run in that order.
type Shipment struct {
	ID        string `gorm:"primaryKey"`
	Route     string // "Hamburg > Kassel > Munich"
	Scans     int
	Delivered bool
	guards.Guarded
}

// Scanned is the payload of shipment.scanned.
type Scanned struct {
	Place string `json:"place"`
}

func scanned(_ context.Context, d *handlers.Delivery[Scanned, Shipment]) error {
	if d.Entity.Scans++; d.Entity.Scans > 1 {
		d.Entity.Route += " > "
	}
	d.Entity.Route += d.Payload.Place
	return nil
}

func delivered(_ context.Context, d *handlers.Delivery[Nothing, Shipment]) error {
	d.Entity.Route += ", delivered"
	d.Entity.Delivered = true
	return nil
}
