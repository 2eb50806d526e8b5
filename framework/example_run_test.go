package framework_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/framework"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// Order is the model. guards.Guarded holds its clocks.
type Order struct {
	ID       string `gorm:"primaryKey"`
	Customer string
	PaidAt   *time.Time
	Status   string
	guards.Guarded
}

type Created struct {
	Customer string `json:"customer"`
}

type Paid struct{}

func created(_ context.Context, d *handlers.Delivery[Created, Order]) error {
	d.Entity.Customer = d.Payload.Customer
	return nil
}

func paid(_ context.Context, d *handlers.Delivery[Paid, Order]) error {
	d.Entity.PaidAt = &d.Event.OccurredAt
	return nil
}

func status(o *Order) {
	if o.Status = "open"; o.PaidAt != nil {
		o.Status = "paid"
	}
}

// journal is a hook: it hears what became of each event, after it has been committed.
type journal struct {
	events int
	enough context.CancelFunc
}

func (j *journal) OnVerdict(v framework.Verdict) {
	name := "a record that is no event"
	if v.Event != nil {
		name = v.Event.ID + " " + v.Event.Type
	}
	fmt.Printf("%s: %s (%s)\n", name, v.Action, v.Reason)
	if j.events++; j.events == 4 {
		j.enough()
	}
}

// A service from end to end: an order is paid before it is created, a duplicate comes, and
// a record that is no event.
func Example() {
	kafka := startBroker("orders", "orders.dlq")
	defer kafka.close()
	db, remove := openDatabase()
	defer remove()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()

	// Once per release: Evenkeel's own tables, and yours.
	if err := framework.Migrate(ctx, db); err != nil {
		log.Panic(err)
	}
	if err := db.AutoMigrate(&Order{}); err != nil {
		log.Panic(err)
	}

	reg := handlers.NewRegistry(guards.Timestamp(), guards.MaxLateness(24*time.Hour))
	handlers.Set(reg, "order.created", created, handlers.Creates(), handlers.Writes("Customer"))
	handlers.Set(reg, "order.paid", paid, handlers.Writes("PaidAt"))
	handlers.Project(reg, status, handlers.Writes("Status"))

	c, err := framework.New(db, &framework.Config{
		Brokers: kafka.Brokers, Group: "orders", Topics: []string{"orders"}, DeadLetterTopic: "orders.dlq",
		Handlers: reg, Codec: event.Envelope(event.EnvelopeConfig{}),
		Hooks:  []any{&journal{enough: cancel}},
		Logger: framework.Slog(slog.New(slog.NewTextHandler(io.Discard, nil))),
	})
	if err != nil {
		log.Panic(err)
	}
	kafka.produce("orders",
		`{"id":"2","source":"shop","type":"order.paid","key":"o-1","time":"2026-03-01T12:05:00Z","data":{}}`,
		`{"id":"1","source":"shop","type":"order.created","key":"o-1","time":"2026-03-01T12:00:00Z","data":{"customer":"ann"}}`,
		`{"id":"1","source":"shop","type":"order.created","key":"o-1","time":"2026-03-01T12:00:00Z","data":{"customer":"ann"}}`,
		`oops`,
	)
	fmt.Println("Run returned", c.Run(ctx)) // until the context ends

	var o Order
	if err := db.First(&o, "id = ?", "o-1").Error; err != nil {
		log.Panic(err)
	}
	fmt.Printf("%s: %s, %s at %s, %s\n", o.ID, o.Customer, o.Status, o.PaidAt.UTC().Format(time.TimeOnly), o.EkState)
	s := c.Stats()
	fmt.Println("records", s.Records, "placeholders", s.PlaceholdersMade, "completed", s.PlaceholdersCompleted, "letters", s.Letters)

	// Output:
	// 2 order.paid: apply (applied)
	// 1 order.created: apply (applied)
	// 1 order.created: discard (duplicate)
	// a record that is no event: dead-letter (poison)
	// Run returned <nil>
	// o-1: ann, paid at 12:05:00, live
	// records 4 placeholders 1 completed 1 letters map[poison:1]
}
