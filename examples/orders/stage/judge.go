package stage

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/examples/orders/service"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/testutil/oracle"
)

// How the oracle calls the tables, whoever keeps them.
const (
	orders    = "orders"
	shipments = "shipments"
	customers = "customers"
)

// setColumns are the columns that events write.
func setColumns() []string {
	return []string{"customer", "amount", "carrier", "placed_at", "paid_at", "shipped_at", "cancelled_at"}
}

// newOracle describes the shop to the oracle, apart from the service's handlers. from and
// to say when the stream was consumed.
func newOracle(from, to time.Time) *oracle.Oracle {
	return &oracle.Oracle{
		Parse: parse,
		Tables: []oracle.Table{
			{Name: orders, Set: setColumns(), Project: project},
			{Name: shipments, Unclocked: []string{"route", "scans", "delivered"}, NoCreator: true},
			{Name: customers, Unclocked: []string{"orders", "ordered"}, NoCreator: true},
		},
		MaxLateness: service.MaxLateness, MaxFuture: guards.DefaultMaxFuture,
		From: from, To: to,
	}
}

var errNoID = errors.New("no id")

func parse(r *event.Record) (oracle.Event, error) {
	var e struct {
		ID, Source, Type, Subject string
		Time                      time.Time
		Sequence                  *int64 `json:",string"`
		Data                      struct {
			Customer, Carrier, Place string
			Amount                   int64
		}
	}
	if err := json.Unmarshal(r.Value, &e); err != nil {
		return oracle.Event{}, err
	}
	out := oracle.Event{Type: e.Type, Source: e.Source, ID: e.ID, At: e.Time, Version: e.Sequence}
	u := oracle.Unit{Table: orders, Key: e.Subject}
	says := func(status string) { u.Hints = map[string]any{"status": status} }
	switch e.Type {
	case "order.created":
		u.Creates = true
		u.Facts = map[string]any{"customer": e.Data.Customer, "amount": e.Data.Amount, "placed_at": e.Time}
		says("placed")
		out.Units = append(out.Units, oracle.Unit{Table: customers, Key: e.Data.Customer, Rule: oracle.Once, Change: func(row map[string]any) {
			row["orders"], row["ordered"] = number(row["orders"])+1, number(row["ordered"])+e.Data.Amount
		}})
	case "order.changed":
		u.Facts = map[string]any{"amount": e.Data.Amount}
	case "order.paid":
		u.Facts = map[string]any{"paid_at": e.Time}
		says("paid")
	case "order.shipped":
		u.Facts = map[string]any{"carrier": e.Data.Carrier, "shipped_at": e.Time}
		says("shipped")
	case "order.cancelled":
		u.Facts = map[string]any{"cancelled_at": e.Time}
		says("cancelled")
	case "shipment.scanned":
		u = oracle.Unit{Table: shipments, Key: e.Subject, Rule: oracle.Sequence, Change: func(row map[string]any) {
			route, _ := row["route"].(string)
			row["route"], row["scans"] = strings.TrimPrefix(route+" > "+e.Data.Place, " > "), number(row["scans"])+1
		}}
	case "shipment.delivered":
		u = oracle.Unit{Table: shipments, Key: e.Subject, Rule: oracle.Sequence, Change: func(row map[string]any) {
			route, _ := row["route"].(string)
			row["route"], row["delivered"] = route+", delivered", true
		}}
	default:
		return out, nil
	}
	out.Units = append(out.Units, u)
	if e.ID == "" {
		return out, errNoID
	}
	return out, nil
}

func number(v any) int64 {
	n, _ := v.(int64)
	return n
}

// ordersOnly is what o says of the orders alone.
func ordersOnly(o *oracle.Oracle) *oracle.Oracle {
	only := *o
	only.Tables = o.Tables[:1]
	only.Parse = func(r *event.Record) (oracle.Event, error) {
		e, err := o.Parse(r)
		e.Units = slices.DeleteFunc(e.Units, func(u oracle.Unit) bool { return u.Table != orders })
		return e, err
	}
	return &only
}

// project says the status that follows from the facts: the last word counts.
func project(row map[string]any) {
	row["status"] = "unknown"
	for _, fact := range [][2]string{{"placed_at", "placed"}, {"paid_at", "paid"}, {"shipped_at", "shipped"}, {"cancelled_at", "cancelled"}} {
		if row[fact[0]] != nil {
			row["status"] = fact[1]
		}
	}
}
