package framework_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"gorm.io/driver/sqlite"
	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/framework"
)

func ExampleLamportClock() {
	dir, err := os.MkdirTemp("", "evenkeel")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	db, err := gorm.Open(sqlite.Open(filepath.Join(dir, "orders.db")), &gorm.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	if err := framework.Migrate(ctx, db); err != nil {
		fmt.Println(err)
		return
	}
	clock, err := framework.NewLamportClock(db, "orders") // or Consumer.Lamport
	if err != nil {
		fmt.Println(err)
		return
	}
	first, err := clock.Next(ctx)
	fmt.Println(first, err)
	clock.Witness(41) // an event that another service sent, or a row's EkTime
	second, err := clock.Next(ctx)
	fmt.Println(second, err)
	again, err := framework.NewLamportClock(db, "orders") // after a crash
	if err != nil {
		fmt.Println(err)
		return
	}
	third, err := again.Next(ctx)
	fmt.Println(third > second, err)
	// Output:
	// 1 <nil>
	// 42 <nil>
	// true <nil>
}
