package dlq_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/evenkeel-go/evenkeel/dlq"
	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
)

// What any Kafka tool sees of a letter: the original, then why it is here.
func ExampleEncode() {
	letter := &dlq.Letter{
		ID: "5598dac7329c9deddaa9cbb505306433", Group: "billing",
		Verdict: guards.Verdict{
			Action: guards.DeadLetter, Reason: guards.Late,
			Numbers: guards.Comparison{
				What:  "watermark",
				Event: 1_792_000_000_000_000, Against: 1_792_090_000_000_000, Bound: 86_400_000_000,
			},
		},
		EventType: "order.paid",
		Record: &event.Record{
			Coordinates:   event.Coordinates{Topic: "orders", Partition: 2, Offset: 4711, LeaderEpoch: -1},
			Key:           []byte("order-17"),
			Value:         []byte(`{"amount": 9007199254740993}`),
			Headers:       []event.Header{{Key: "ce_type", Value: []byte("order.paid")}},
			Timestamp:     time.UnixMilli(1_792_090_000_000).UTC(),
			TimestampType: event.TimestampCreate,
		},
	}
	message, fit := dlq.Encode(letter, 1_000_000)
	fmt.Printf("%s %s (%v)\n", message.Key, message.Value, fit)
	for _, h := range message.Headers {
		fmt.Printf("%s: %s\n", h.Key, h.Value)
	}
	// Output:
	// order-17 {"amount": 9007199254740993} (whole)
	// ce_type: order.paid
	// evenkeel-letter: 5598dac7329c9deddaa9cbb505306433
	// evenkeel-reason: late
	// evenkeel-action: dead-letter
	// evenkeel-group: billing
	// evenkeel-topic: orders
	// evenkeel-partition: 2
	// evenkeel-offset: 4711
	// evenkeel-leader-epoch: -1
	// evenkeel-event-type: order.paid
	// evenkeel-compared: watermark
	// evenkeel-compared-event: 1792000000000000
	// evenkeel-compared-against: 1792090000000000
	// evenkeel-compared-bound: 86400000000
	// evenkeel-timestamp: 2026-10-15T18:46:40Z
	// evenkeel-timestamp-type: create
	// __dlq.errors.topic: orders
	// __dlq.errors.partition: 2
	// __dlq.errors.offset: 4711
	// __dlq.errors.group: billing
	// __dlq.errors.delivery.count: 1
	// __dlq.errors.message: dead-letter (late): watermark: event 2026-10-14T17:46:40Z, against 2026-10-15T18:46:40Z, allowed 24h0m0s
}

// A record of the dead-letter topic becomes the letter again.
func ExampleDecode() {
	letter, fit, err := dlq.Decode(&event.Record{
		Key: []byte("order-17"), Value: []byte("{}"),
		Headers: []event.Header{
			{Key: "evenkeel-letter", Value: []byte("5598dac7329c9deddaa9cbb505306433")},
			{Key: "evenkeel-reason", Value: []byte("poison")},
			{Key: "evenkeel-topic", Value: []byte("orders")},
			{Key: "evenkeel-partition", Value: []byte("2")},
			{Key: "evenkeel-offset", Value: []byte("many")},
		},
	})
	fmt.Println(letter.Verdict.Reason, letter.Record.Topic, letter.Record.Partition, fit)
	fmt.Println(err)
	// Output:
	// poison orders 2 whole
	// header evenkeel-offset: expected a whole number of 64 bits, found "many"
}

// Letters with one cause fall into one group.
func ExampleFingerprint() {
	cause := func(text string) string {
		return dlq.Fingerprint(&dlq.Letter{EventType: "order.paid", ErrorType: "*errors.errorString", Error: text})
	}
	fmt.Println(cause("order 17: no such customer") == cause("order 18: no such customer"))
	fmt.Println(cause("order 17: no such customer") == cause("order 17: card declined"))
	// Output:
	// true
	// false
}

// Texts that come from broken input are made fit for the table and for headers.
func ExampleText() {
	fmt.Println(dlq.Text("value \x00\xff is no JSON", dlq.MaxErrorBytes))
	fmt.Println(dlq.Text(strings.Repeat("no ", 100), 40))
	// Output:
	// value \0� is no JSON
	// no no no no no no no no n…(+275 bytes)
}
