package stage

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/examples/orders/service"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/testutil/oracle"
)

// table is how the oracle calls the orders, whoever keeps them.
const table = "orders"

// setColumns are the columns that events write.
func setColumns() []string {
	return []string{"customer", "amount", "carrier", "placed_at", "paid_at", "shipped_at", "cancelled_at"}
}

// newOracle describes the shop to the oracle, apart from the service's handlers. from and
// to say when the stream was consumed.
func newOracle(from, to time.Time) *oracle.Oracle {
	return &oracle.Oracle{
		Parse:       parse,
		Tables:      []oracle.Table{{Name: table, Set: setColumns(), Project: project}},
		MaxLateness: service.MaxLateness, MaxFuture: guards.DefaultMaxFuture,
		From: from, To: to,
	}
}

var errNoID = errors.New("no id")

func parse(r *event.Record) (oracle.Event, error) {
	var e struct {
		ID, Source, Type, Subject string
		Time                      time.Time
		Data                      struct {
			Customer, Carrier string
			Amount            int64
		}
	}
	if err := json.Unmarshal(r.Value, &e); err != nil {
		return oracle.Event{}, err
	}
	out := oracle.Event{Type: e.Type, Source: e.Source, ID: e.ID, At: e.Time}
	u := oracle.Unit{Table: table, Key: e.Subject}
	says := func(status string) { u.Hints = map[string]any{"status": status} }
	switch e.Type {
	case "order.created":
		u.Creates = true
		u.Facts = map[string]any{"customer": e.Data.Customer, "amount": e.Data.Amount, "placed_at": e.Time}
		says("placed")
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
	default:
		return out, nil
	}
	out.Units = []oracle.Unit{u}
	if e.ID == "" {
		return out, errNoID
	}
	return out, nil
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
