package framework_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/lettertest"
)

// Before letters are replayed, their rows are shown as they would be.
func ExampleDryRun() {
	ctx := context.Background()
	db, remove := openDatabase()
	defer remove()
	check(framework.Migrate(ctx, db))
	check(db.AutoMigrate(&Order{}))
	for id, customer := range map[string]string{"1": "Ada", "2": ""} {
		l := lettertest.Full()
		l.Group, l.Handler, l.Table, l.Entity, l.Stream, l.EventType = "orders", "created→Order", "orders", "o-"+id, "", "created"
		l.Record.Value = fmt.Appendf(nil, `{"id":%q,"type":"created","source":"shop","key":%q,"time":"2026-10-01T10:00:00Z","data":{"customer":%q}}`, id, l.Entity, customer)
		l.Record.Offset++
		l.ID = dlq.UnitID(l.Record.Coordinates, l.Group, l.Handler, l.Entity)
		check(lettertest.Insert(ctx, db, l))
	}

	reg := handlers.NewRegistry(guards.Timestamp())
	handlers.Set(reg, "created", func(_ context.Context, d *handlers.Delivery[Created, Order]) error {
		if d.Entity.Customer = d.Payload.Customer; d.Entity.Customer == "" {
			return handlers.DeadLetter(errors.New("no customer"))
		}
		return nil
	}, handlers.Creates(), handlers.Writes("Customer"))
	config := &framework.Config{
		Brokers: "kafka:9092", Group: "orders", Topics: []string{"orders"}, DeadLetterTopic: "orders.dlq", Handlers: reg,
		Codec: event.Envelope(event.EnvelopeConfig{}), Logger: framework.Slog(slog.New(slog.NewTextHandler(io.Discard, nil))),
	}
	chosen, err := dlq.Refs(ctx, db, dlq.Filter{Group: "orders", State: dlq.Open})
	check(err)
	for letter, err := range framework.DryRun(ctx, db, config, chosen, framework.DryRunOptions{}) {
		check(err)
		fmt.Println(letter.Letter.Entity, letter.Outcome+":", letter.Why)
		for _, row := range letter.Rows {
			fmt.Println(" ", row.Model, row.Key, row.Before, "→", row.After)
			for _, f := range row.Fields {
				if f.Column == "customer" {
					fmt.Println("   ", f.Column, *f.After)
				}
			}
		}
	}
	var rows int64
	check(db.Table("orders").Count(&rows).Error)
	fmt.Println(rows, "rows were made")
	// Output:
	// o-1 applied: apply (applied)
	//   Order o-1 missing → live
	//     customer Ada
	// o-2 fails: no customer
	// 0 rows were made
}
