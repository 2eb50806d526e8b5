package framework_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/evenkeel-go/evenkeel/framework"
)

func ExampleParked() {
	db, remove := openDatabase()
	defer remove()
	err := errors.Join(
		framework.Migrate(context.Background(), db),
		stream(db, "accounts", "moves", "account-7", `{"next":12,"begun":true,"ahead":[[13,14]]}`, 13, 14),
	)
	if err != nil {
		log.Panic(err)
	}
	waiting, err := framework.Parked(context.Background(), db, framework.ParkedFilter{Group: "accounts", Entity: "account-7"})
	if err != nil {
		log.Panic(err)
	}
	for _, p := range waiting {
		fmt.Println(p.Stream, p.Entity, "number", p.Place, "waits:", p.Cause)
	}
	// Output:
	// moves account-7 number 13 waits: gap
	// moves account-7 number 14 waits: gap
}
