package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	perOrder   = 10  // events
	customers  = 100 // names
	window     = 400 // events, within which they are shuffled
	partitions = 4
)

// message is an event on its way to the topic.
type message struct {
	key   string
	value []byte
}

type envelope struct {
	ID      string    `json:"id"`
	Type    string    `json:"type"`
	Source  string    `json:"source"`
	Key     string    `json:"key"`
	Time    time.Time `json:"time"`
	Version int64     `json:"version,omitempty"`
	Data    any       `json:"data"`
}

// story is the events of n orders, about as they happened: those of an order lie close to each
// other, and not in their order. One in 20 makes the first release fail:
//
//   - every 8th order has its total as a text,
//   - every 5th is paid without a coupon,
//   - 7 of 40 move once to the Netherlands, every other one of them before its other moves.
func story(n int, began time.Time) ([]message, error) {
	rng := rand.New(rand.NewPCG(20, 1000)) //nolint:gosec // repeatable on purpose
	var all []message
	for i := range n {
		events := order(i, began.Add(time.Duration(i)*time.Millisecond))
		for _, e := range events {
			value, err := json.Marshal(e)
			if err != nil {
				return nil, err
			}
			all = append(all, message{e.Key, value})
		}
	}
	for part := range slices.Chunk(all, window) {
		rng.Shuffle(len(part), func(a, b int) { part[a], part[b] = part[b], part[a] })
	}
	return all, nil
}

func order(i int, at time.Time) []envelope {
	id, customer := fmt.Sprintf("o-%05d", i), fmt.Sprintf("c-%02d", i%customers)
	var events []envelope
	add := func(kind, key string, version int64, data any) {
		events = append(events, envelope{
			ID: fmt.Sprintf("%s-%d", id, len(events)), Type: kind, Source: "shop", Key: key,
			Time: at.Add(time.Duration(len(events)) * time.Second), Version: version, Data: data,
		})
	}
	cents := int64(1000 + i)
	var total any = cents
	if i%8 == 0 {
		total = fmt.Sprintf("%d.%02d", cents/100, cents%100)
	}
	add("order.placed", id, 0, map[string]any{"customer": customer, "total": total})
	payment := Paid{Customer: customer, Amount: cents, Coupon: &Coupon{Factor: 2}}
	if i%5 == 0 {
		payment.Coupon = nil
	}
	add("order.paid", id, 0, payment)
	for move := range 3 {
		to := Moved{Postcode: fmt.Sprintf("%05d", 10000+i+move), Country: "DE"}
		if i%40 < 7 && move == i%2*2 {
			to = Moved{Postcode: fmt.Sprintf("%04d AB", 1000+i), Country: "NL"}
		}
		add("order.moved", id, 0, to)
	}
	for n, place := range []string{"Hamburg", "Bremen", "Osnabrück", "Enschede"} {
		add("parcel.scanned", id, int64(n+1), Scanned{Place: place})
	}
	add("order.closed", id, 0, Closed{})
	return events
}
