package framework_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// A handler has written names in the wrong field. It is mended, and the rows are made anew.
func ExampleRebuild() {
	kafka := startBroker("orders", "orders.dlq")
	defer kafka.close()
	db, remove := openDatabase()
	defer remove()
	if err := framework.Migrate(context.Background(), db); err != nil {
		log.Panic(err)
	}
	if err := db.AutoMigrate(&Order{}); err != nil {
		log.Panic(err)
	}
	kafka.produce("orders", `{"id":"1","type":"created","source":"shop","key":"o-1","time":"2026-10-01T10:00:00Z","data":{"customer":"Ada"}}`)

	service := func(handler func(context.Context, *handlers.Delivery[Created, Order]) error) *framework.Config {
		reg := handlers.NewRegistry(guards.Timestamp())
		handlers.Set(reg, "created", handler, handlers.Creates(), handlers.Writes("Customer", "Status"))
		return &framework.Config{
			Brokers: kafka.Brokers, Group: "orders", Topics: []string{"orders"}, DeadLetterTopic: "orders.dlq",
			Handlers: reg, Codec: event.Envelope(event.EnvelopeConfig{}),
			Logger: framework.Slog(slog.New(slog.NewTextHandler(io.Discard, nil))),
		}
	}
	ctx, enough := context.WithCancel(context.Background())
	buggy := service(func(_ context.Context, d *handlers.Delivery[Created, Order]) error {
		d.Entity.Status = d.Payload.Customer
		return nil
	})
	buggy.Hooks = []any{once{enough}}
	c, err := framework.New(db, buggy)
	if err != nil {
		log.Panic(err)
	}
	if err := c.Run(ctx); err != nil {
		log.Panic(err)
	}

	// The mended service is running by now; it works on meanwhile.
	status, err := framework.Rebuild(context.Background(), db, service(created), framework.RebuildOptions{
		Models: []string{"Order"},
		Confirm: func(p *framework.RebuildPlan) error {
			fmt.Printf("%v become zero in %d rows, %d record is read again\n", p.Models[0].Columns, p.Models[0].Rows["live"], p.Records)
			return nil
		},
	})
	if err != nil {
		log.Panic(err)
	}
	var o Order
	if err := db.First(&o).Error; err != nil {
		log.Panic(err)
	}
	fmt.Printf("%d row: customer %q, status %q\n", status.Ended, o.Customer, o.Status)
	// Output:
	// [customer status] become zero in 1 rows, 1 record is read again
	// 1 row: customer "Ada", status ""
}

// once ends a consumer with its first batch.
type once struct{ enough context.CancelFunc }

func (o once) OnBatch(framework.Batch) { o.enough() }
