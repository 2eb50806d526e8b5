package handlers_test

import (
	"context"
	"fmt"

	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/handlers"
)

// Booking is a row of the service's own: no model of the framework's.
type Booking struct {
	ID      uint `gorm:"primaryKey"`
	OrderID string
	Amount  int64
}

type Paid struct{ Amount int64 }

func paid(_ context.Context, d *handlers.Delivery[Paid, Order]) error {
	d.Entity.PaidAt = &d.Event.OccurredAt
	// The order's row is there by now, also if this event is the first one of it.
	return d.Tx().Create(&Booking{OrderID: d.Entity.ID, Amount: d.Payload.Amount}).Error
}

// The handler writes a table of the service's own, in the transaction of its other effects.
func ExampleUsesTx() {
	reg := handlers.NewRegistry()
	handlers.Set(reg, "order.paid", paid, handlers.Writes("PaidAt"), handlers.UsesTx())
	fmt.Println(wire(reg).Handlers("order.paid")[0].UsesTx)
	// Output: true
}

// A unit test gives the delivery a transaction and looks at what was written.
func ExampleDelivery_UseTx() {
	db, err := gorm.Open(sqlite.Open("file::memory:"), &gorm.Config{Logger: logger.Discard})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := db.AutoMigrate(&Booking{}); err != nil {
		fmt.Println(err)
		return
	}
	d := &handlers.Delivery[Paid, Order]{Event: &event.Event{}, Payload: Paid{Amount: 7}, Entity: &Order{ID: "o-1"}}
	fmt.Println(paid(context.Background(), d) != nil)
	d.UseTx(db)
	fmt.Println(paid(context.Background(), d))
	var b Booking
	db.First(&b)
	fmt.Println(b.OrderID, b.Amount)
	// Output:
	// true
	// <nil>
	// o-1 7
}
