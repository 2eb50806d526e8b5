package oracle_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/testutil/oracle"
)

func Example() {
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	// Records say "id minute status"; the second came late.
	var log []event.Record
	for i, value := range []string{"e-2 9 shipped", "e-1 5 paid"} {
		log = append(log, event.Record{
			Coordinates: event.Coordinates{Topic: "orders", Offset: int64(i)},
			Key:         []byte("o-1"), Value: []byte(value),
		})
	}
	o := &oracle.Oracle{
		Tables: []oracle.Table{{Name: "orders", Set: []string{"status"}}},
		Parse: func(r *event.Record) (oracle.Event, error) {
			var minute int
			words := strings.Fields(string(r.Value))
			if _, err := fmt.Sscan(words[1], &minute); err != nil {
				return oracle.Event{}, err
			}
			return oracle.Event{
				Type: words[2], ID: words[0], At: noon.Add(time.Duration(minute) * time.Minute),
				Units: []oracle.Unit{{Table: "orders", Key: string(r.Key), Facts: map[string]any{"status": words[2]}}},
			}, nil
		},
	}
	want, err := o.Predict(log)
	if err != nil {
		panic(err)
	}
	found := oracle.Row{Fields: map[string]any{"status": "paid"}}
	report := want.Compare(oracle.Actual{
		Plain: true, // a consumer without guards: fields alone are compared
		Rows:  map[string]map[string]oracle.Row{"orders": {"o-1": found}},
	})
	fmt.Println(report)
	// Output:
	// 1 rows: 0 right, 1 wrong; lost 0; duplicate-effect 0; stale-overwrite 1; stuck 0; offset-ahead 0
	//   stale-overwrite: orders o-1: status must be "shipped" and is "paid": paid e-1 of 2026-03-01 12:05:00 (record 0/1) came after shipped e-2 of 2026-03-01 12:09:00 (record 0/0), which is newer, and overwrote it
}
