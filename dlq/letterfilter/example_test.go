package letterfilter_test

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/dlq/letterfilter"
	"github.com/evenkeel-go/evenkeel/event"
)

// An expression chooses letters wherever a dlq.Filter does.
func ExampleFilter_Match() {
	large, err := letterfilter.Compile("letter.attempts >= 3 && payload.total > 100", time.Now())
	if err != nil {
		fmt.Println(err)
		return
	}
	list := func(ctx context.Context, db *gorm.DB) ([]*dlq.Letter, error) {
		return dlq.List(ctx, db, dlq.Filter{Group: "orders", Match: func(l *dlq.Letter) (bool, error) { return large.Match(ctx, l) }})
	}
	_ = list

	fmt.Println(large.Match(context.Background(), &dlq.Letter{Attempts: 3, Record: &event.Record{Value: []byte(`{"total": 120}`)}}))
	_, err = letterfilter.Compile("payload.total >", time.Now())
	fmt.Println(err)
	// Output:
	// true <nil>
	// column 16: Syntax error: mismatched input '<EOF>' expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}
	//   payload.total >
	//                  ^
}
