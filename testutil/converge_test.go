package testutil_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/testutil"
)

// printed is a test that prints its failure instead.
type printed struct{ testing.TB }

func (printed) Helper()                           {}
func (printed) Errorf(format string, args ...any) { fmt.Printf(format, args...) }
func (printed) Fatalf(format string, args ...any) { fmt.Printf(format, args...) }

type Account struct {
	ID    string `gorm:"primaryKey"`
	Owner string
	Total int64
	guards.Guarded
}

type Opened struct{ Owner string }

type Paid struct{ Amount int64 }

// A sum under guards.Timestamp loses what comes late. The story says so on two of the three
// events.
func ExampleConverges() {
	reg := handlers.NewRegistry()
	handlers.Set(reg, "opened", func(_ context.Context, d *handlers.Delivery[Opened, Account]) error {
		d.Entity.Owner = d.Payload.Owner
		return nil
	}, handlers.Creates(), handlers.Writes("Owner"))
	handlers.Modify(reg, "paid", func(_ context.Context, d *handlers.Delivery[Paid, Account]) error {
		d.Entity.Total += d.Payload.Amount
		return nil
	}, guards.Timestamp(), handlers.Writes("Total"))

	var t printed // in a test of yours: the *testing.T
	testutil.Converges(t, reg, []*event.Event{
		testutil.E("opened", "a1", time.Unix(1, 0), Opened{Owner: "ann"}),
		testutil.E("paid", "a1", time.Unix(2, 0), Paid{Amount: 10}),
		testutil.E("paid", "a1", time.Unix(3, 0), Paid{Amount: 5}),
	})
	// Output:
	// testutil.Converges: Total of Account a1 depends on the order in which events come.
	//
	//   events
	//     2  paid  a1  00:00:02  {"Amount":10}
	//     3  paid  a1  00:00:03  {"Amount":5}
	//
	//   order 2, 3
	//     2  paid  applied  placeholder  Total=10
	//     3  paid  applied  placeholder  Total=15
	//
	//   order 3, 2
	//     3  paid  applied                placeholder  Total=5
	//     2  paid  discarded: superseded  placeholder  Total=5
	//
	//   what differs
	//                        2, 3  3, 2
	//     Account a1  Total  15    5
	//
	//   what to do
	//     paid→Account is a Modify under timestamp: an event that comes after a newer one is
	//     discarded, and what it would have done is lost. If the changes commute, as sums do, declare
	//     guards.Once(): each event counts once, whenever it comes. If order decides, declare
	//     guards.Sequence(): what comes early waits. If the event states a fact, use handlers.Set with
	//     a field of its own for each fact, and handlers.Project for what follows from them.
}

// failing notes that it failed.
type failing struct {
	testing.TB
	errors, fatals []string
}

func (*failing) Helper() {}
func (f *failing) Errorf(format string, args ...any) {
	f.errors = append(f.errors, fmt.Sprintf(format, args...))
}

func (f *failing) Fatalf(format string, args ...any) {
	f.fatals = append(f.fatals, fmt.Sprintf(format, args...))
}

func TestConvergesRefusesEventsThatPlayNothing(t *testing.T) {
	t.Parallel()
	reg := handlers.NewRegistry()
	f := &failing{}
	testutil.Converges(f, reg, nil)
	require.Len(t, f.fatals, 1)
	require.Contains(t, f.fatals[0], "no handler is registered")
	require.Empty(t, f.errors)
	require.Panics(t, func() { testutil.E("paid", "a", time.Unix(1, 0), func() {}) })
}

// TestConvergesTakesRecordsOfYourOwnCodec: what the codec made of the record and the record
// itself both reach the handler, in each order.
func TestConvergesTakesRecordsOfYourOwnCodec(t *testing.T) {
	t.Parallel()
	wrong := 0
	reg := handlers.NewRegistry()
	handlers.Set(reg, "opened", func(_ context.Context, d *handlers.Delivery[Opened, Account]) error {
		tenant, _ := d.Event.Record.Header("tenant")
		if string(d.Event.Record.Key) != d.Event.Key || d.Event.Source != "bank" || d.Event.Record.Topic != "accounts" {
			wrong++
		}
		d.Entity.Owner = d.Payload.Owner + "@" + string(tenant)
		return nil
	}, handlers.Creates(), handlers.Writes("Owner"))
	record := func(id, second, owner string) *event.Record {
		return &event.Record{
			Coordinates: event.Coordinates{Topic: "accounts"}, Key: []byte("a1"), Headers: []event.Header{{Key: "tenant", Value: []byte("x")}},
			Value: []byte(`{"id":"` + id + `","type":"opened","source":"bank","time":"2026-03-01T12:00:0` + second + `Z","data":{"Owner":"` + owner + `"}}`),
		}
	}
	codec := event.Envelope(event.EnvelopeConfig{})
	testutil.Converges(t, reg, testutil.Decode(t, codec, record("1", "1", "ann"), record("2", "2", "bob")), testutil.Seed(3), testutil.Samples(50))
	require.Zero(t, wrong)
	f := &failing{}
	require.Nil(t, testutil.Decode(f, codec, record("1", "1", "ann"), &event.Record{Value: []byte("no")}))
	require.Len(t, f.fatals, 1)
	require.Contains(t, f.fatals[0], "record 2")
}

// TestWithoutDuplicates: what a producer may not do is not played.
func TestWithoutDuplicates(t *testing.T) {
	t.Parallel()
	reg := handlers.NewRegistry()
	handlers.Modify(reg, "paid", func(_ context.Context, d *handlers.Delivery[Paid, Account]) error {
		d.Entity.Total += d.Payload.Amount
		return nil
	}, guards.None(), handlers.Writes("Total"))
	events := []*event.Event{testutil.E("paid", "a1", time.Unix(2, 0), Paid{Amount: 10}), testutil.E("paid", "a1", time.Unix(3, 0), Paid{Amount: 5})}
	testutil.Converges(t, reg, events, testutil.WithoutDuplicates())
	f := &failing{}
	testutil.Converges(f, reg, events)
	require.Len(t, f.errors, 1)
}
