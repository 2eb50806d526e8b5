package dlq_test

import (
	"fmt"
	"strings"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
)

// A letter that Spring wrote: what it tells, and what it doesn't.
func ExampleReadRecord() {
	letter := &event.Record{
		Coordinates: event.Coordinates{Topic: "orders-dlt", Partition: 2, Offset: 17},
		Key:         []byte("order-17"),
		Headers: []event.Header{
			{Key: "kafka_dlt-original-topic", Value: []byte("orders")},
			{Key: "kafka_dlt-original-partition", Value: []byte{0, 0, 0, 2}},
			{Key: "kafka_dlt-original-offset", Value: []byte("?")},
			{Key: "kafka_dlt-exception-cause-fqcn", Value: []byte("shop.Declined")},
		},
	}
	told := dlq.ReadRecord(letter)
	fmt.Println(told.Dialect, *told.Source.Topic, *told.Source.Partition, *told.Cause)
	fmt.Println("offset known:", told.Source.Offset != nil, "group known:", told.Group != nil)
	fmt.Println(told.Malformed[0].Error())
	// Output:
	// spring orders 2 shop.Declined
	// offset known: false group known: false
	// header kafka_dlt-original-offset: expected an offset, a whole number of 0 or more, found "?"
}

// Records of a dead-letter topic become letters for [dlq.Import]; framework.ReadTopic reads
// them. One of these two is none.
func ExampleFromRecord() {
	for offset, r := range []*event.Record{
		{Headers: []event.Header{{Key: "x-error-message", Value: []byte("declined")}}},
		{Value: []byte("an event")},
	} {
		r.Topic, r.Offset = "orders.retry", int64(offset)
		letter, _, err := dlq.FromRecord(r)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Printf("%s (%s): %s\n", letter.Verdict.Reason, letter.Verdict.Detail, letter.Error)
	}
	// Output:
	// foreign (trendyol: topic orders.retry, partition 0, offset 0): declined
	// no dead letter of a known kind: it has the headers of none of dlq.Dialects
}

// Lines that are no letters are named, and the others are read.
func ExampleLineReader() {
	file := strings.NewReader(`{"v":1,"id":"5598dac7"}` + "\n[]\n")
	for letter, err := range dlq.NewLineReader(file).Letters() {
		fmt.Println(letter, err)
	}
	// Output:
	// <nil> line 1: field rev: expected it in every line; take the line whole from an export, found none
	// <nil> line 2: expected a JSON object, found []
}
