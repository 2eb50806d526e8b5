package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// The releases of the service. The first has three bugs, the second none.
const (
	badRelease  = "1.5.0"
	goodRelease = "1.5.1"
)

// Order is written by Set handlers: each of its columns takes the newest word about it.
type Order struct {
	ID       string `gorm:"primaryKey"`
	Customer string
	Total    int64 // in cents
	Address  string
	Paid     bool
	Closed   bool
	guards.Guarded
}

// Customer counts: each event once.
type Customer struct {
	Name   string `gorm:"primaryKey"`
	Orders int
	Points int64
	guards.Guarded
}

// Parcel is told by scans in the order of their numbers.
type Parcel struct {
	ID    string `gorm:"primaryKey"`
	Route string
	guards.Guarded
}

// Placed is the payload of order.placed.
type Placed struct {
	Customer string `json:"customer"`
	Total    Cents  `json:"total"`
}

// oldPlaced is what the first release takes it for.
type oldPlaced struct {
	Customer string `json:"customer"`
	Total    int64  `json:"total"`
}

// Paid is the payload of order.paid. Most payments come with a coupon.
type Paid struct {
	Customer string  `json:"customer"`
	Amount   int64   `json:"amount"`
	Coupon   *Coupon `json:"coupon,omitempty"`
}

// Coupon multiplies the points of a payment.
type Coupon struct {
	Factor int64 `json:"factor"`
}

// Moved is the payload of order.moved.
type Moved struct {
	Postcode string `json:"postcode"`
	Country  string `json:"country"`
}

// Scanned is the payload of parcel.scanned.
type Scanned struct {
	Place string `json:"place"`
}

// Closed is the payload of order.closed.
type Closed struct{}

// Cents is an amount of money. Since a change at the shop some come as a text in euros.
type Cents int64

// UnmarshalJSON reads both forms.
func (c *Cents) UnmarshalJSON(b []byte) error {
	if !bytes.HasPrefix(b, []byte(`"`)) {
		return json.Unmarshal(b, (*int64)(c))
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	cents, err := strconv.ParseInt(strings.Replace(s, ".", "", 1), 10, 64)
	if err != nil {
		return fmt.Errorf("total %q: expected euros like 12.50: %w", s, err)
	}
	*c = Cents(cents)
	return nil
}

// postcodes by country. The first release does not know that Dutch ones end with letters.
var (
	digits = regexp.MustCompile(`^[0-9]{4,5}$`)
	dutch  = regexp.MustCompile(`^[0-9]{4} ?[A-Z]{2}$`)

	errPostcode = errors.New("no such postcode")
)

// service is one release of the service.
type service struct{ release string }

func (s service) bad() bool { return s.release == badRelease }

func (s service) registry() *handlers.Registry {
	reg := handlers.NewRegistry()
	if s.bad() {
		handlers.Set(reg, "order.placed", placedBefore, handlers.Creates(), handlers.Writes("Customer", "Total"), handlers.Name("placed"))
	} else {
		handlers.Set(reg, "order.placed", placed, handlers.Creates(), handlers.Writes("Customer", "Total"), handlers.Name("placed"))
	}
	handlers.Set(reg, "order.paid", paid, handlers.Writes("Paid"))
	handlers.Set(reg, "order.moved", s.moved, handlers.Writes("Address"), handlers.Name("address"))
	handlers.Set(reg, "order.closed", closed, handlers.Writes("Closed"))
	handlers.Modify(reg, "order.paid", s.points, guards.Once(), handlers.Key(func(p Paid) string { return p.Customer }), handlers.Writes("Orders", "Points"), handlers.Name("points"))
	handlers.Modify(reg, "parcel.scanned", scanned, guards.Sequence(), handlers.Writes("Route"))
	return reg
}

func placed(_ context.Context, d *handlers.Delivery[Placed, Order]) error {
	d.Entity.Customer, d.Entity.Total = d.Payload.Customer, int64(d.Payload.Total)
	return nil
}

func placedBefore(_ context.Context, d *handlers.Delivery[oldPlaced, Order]) error {
	d.Entity.Customer, d.Entity.Total = d.Payload.Customer, d.Payload.Total
	return nil
}

func paid(_ context.Context, d *handlers.Delivery[Paid, Order]) error {
	d.Entity.Paid = true
	return nil
}

func closed(_ context.Context, d *handlers.Delivery[Closed, Order]) error {
	d.Entity.Closed = true
	return nil
}

func (s service) moved(_ context.Context, d *handlers.Delivery[Moved, Order]) error {
	known := digits.MatchString(d.Payload.Postcode)
	if d.Payload.Country == "NL" && !s.bad() {
		known = dutch.MatchString(d.Payload.Postcode)
	}
	if !known {
		return fmt.Errorf("%w in %s: %q", errPostcode, d.Payload.Country, d.Payload.Postcode)
	}
	d.Entity.Address = d.Payload.Country + "-" + d.Payload.Postcode
	return nil
}

func (s service) points(_ context.Context, d *handlers.Delivery[Paid, Customer]) error {
	points := d.Payload.Amount / 100
	if s.bad() || d.Payload.Coupon != nil {
		points *= d.Payload.Coupon.Factor
	}
	d.Entity.Orders++
	d.Entity.Points += points
	return nil
}

func scanned(_ context.Context, d *handlers.Delivery[Scanned, Parcel]) error {
	d.Entity.Route = strings.TrimPrefix(d.Entity.Route+" > "+d.Payload.Place, " > ")
	return nil
}

// config is that of the service, and of the commands that are mounted in it.
func (s service) config(at stage) framework.Config {
	return framework.Config{
		Brokers: at.brokers, Group: at.group, Topics: []string{at.topic}, DeadLetterTopic: at.deadLetters(),
		Handlers: s.registry(), Codec: event.Envelope(event.EnvelopeConfig{}),
		Retry:          framework.Retry{Initial: 100 * time.Millisecond, Attempts: 2},
		ServiceVersion: s.release,
	}
}
