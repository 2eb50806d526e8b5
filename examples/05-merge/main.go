package main

import (
	"context"
	"fmt"
	"time"

	"github.com/evenkeel-go/evenkeel/examples/play"
)

var at = time.Now().Add(-time.Hour).Truncate(time.Minute).UTC() //nolint:gochecknoglobals,forbidigo // when the story plays

// facts are what the systems say about an order, in the order in which it happened.
func facts(order string, no int) []play.Event {
	minute := func(n int) time.Time { return at.Add(time.Duration(n) * time.Minute) }
	parcel := func(typ string, n, m int, address string) play.Event {
		return play.Event{Topic: warehouse, Key: order, Raw: fmt.Appendf(nil, `{"no": %d, "event": %q, "order": %q, "ms": %d, "address": %q}`, n, typ, order, minute(m).UnixMilli(), address)}
	}
	return []play.Event{
		{Topic: shop, ID: order, Type: "order.placed", Source: "shop", Key: order, Time: minute(0), Data: Placed{Customer: "Ada", Address: "1 Old Lane", Amount: 4200}},
		{Topic: payments, ID: "evt_" + order, Type: "payment.succeeded", Source: "provider", Key: "pay_" + order, CorrelationID: order, Time: minute(1), Data: Paid{Payment: "pay_" + order}},
		parcel("parcel.sent", no, 2, ""),
		parcel("address.corrected", no+1, 3, "2 New Street"),
	}
}

func main() {
	play.Main(play.Scene{Models: []any{&Delivery{}}, Config: config()}, func(ctx context.Context, p *play.Play) error {
		f := facts("o-1", 1)
		for _, e := range []play.Event{f[3], f[1], f[2], f[0]} { // the order comes last
			if err := p.Send(ctx, e); err != nil {
				return err
			}
			var d Delivery
			if err := p.DB.WithContext(ctx).First(&d).Error; err != nil {
				return err
			}
			fmt.Printf("%-12s %s: customer=%q address=%q payment=%q shipped=%t (%s)\n", e.Topic, d.Order, d.Customer, d.Address, d.Payment, d.ShippedAt != nil, d.EkState)
		}
		return nil
	})
}
