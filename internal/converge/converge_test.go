package converge_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/converge"
)

type Order struct {
	ID                string `gorm:"primaryKey"`
	Status, Customer  string
	PaidAt, ShippedAt *time.Time
	guards.Guarded
}

type facts struct{ Customer string }

func shop(opts ...handlers.Option) *handlers.Registry {
	reg := handlers.NewRegistry()
	handlers.Set(reg, "created", func(_ context.Context, d *handlers.Delivery[facts, Order]) error {
		d.Entity.Customer = d.Payload.Customer
		return nil
	}, handlers.Creates(), handlers.Writes("Customer"))
	handlers.Set(reg, "paid", func(_ context.Context, d *handlers.Delivery[facts, Order]) error {
		d.Entity.PaidAt = &d.Event.OccurredAt
		return nil
	}, append(opts, handlers.Writes("PaidAt"))...)
	handlers.Set(reg, "shipped", func(_ context.Context, d *handlers.Delivery[facts, Order]) error {
		d.Entity.ShippedAt = &d.Event.OccurredAt
		return nil
	}, append(opts, handlers.Writes("ShippedAt"))...)
	handlers.Project(reg, func(o *Order) {
		o.Status = "new"
		if o.PaidAt != nil {
			o.Status = "paid"
		}
	}, handlers.Writes("Status"))
	return reg
}

func ev(eventType string, second int64, data string) *event.Event {
	return &event.Event{Type: eventType, Key: "a", OccurredAt: time.Unix(second, 0), Data: []byte(data)}
}

func six() []*event.Event {
	return []*event.Event{
		ev("created", 1, `{"Customer":"ann"}`), ev("paid", 2, "{}"), ev("shipped", 3, "{}"),
		ev("created", 4, `{"Customer":"bob"}`), ev("paid", 5, "{}"), ev("shipped", 6, "{}"),
	}
}

func TestAllOrdersOfSixEventsArePlayed(t *testing.T) {
	t.Parallel()
	c, err := converge.New(shop(), six(), converge.Options{})
	require.NoError(t, err)
	story, err := c.Check(t.Context())
	require.NoError(t, err)
	require.Nil(t, story)
	require.Greater(t, c.Orders(), 2*720)
}

// TestEventsThatCantBePlayedAreNamed: a test that plays nothing must not pass.
func TestEventsThatCantBePlayedAreNamed(t *testing.T) {
	t.Parallel()
	one, two := ev("created", 1, `{"Customer":"ann"}`), ev("created", 1, `{"Customer":"bob"}`)
	one.ID, two.ID = "x", "x"
	keyless := ev("paid", 1, "{}")
	keyless.Key = ""
	for name, c := range map[string]struct {
		events []*event.Event
		want   string
	}{
		"none":               {nil, "there are no events"},
		"nil":                {[]*event.Event{nil}, "event 1: is nil"},
		"unhandled":          {[]*event.Event{ev("paint", 1, "")}, `event 1: no handler is registered for "paint"; register one, or leave the event out`},
		"no time":            {[]*event.Event{{Type: "paid", Key: "a"}}, "event 1: converges: time: expected"},
		"no key":             {[]*event.Event{keyless}, "event 1: handler paid→Order: the entity key is empty"},
		"a payload's type":   {[]*event.Event{ev("created", 1, `{"Customer":7}`)}, "event 1: handler created→Order: payload: data.Customer: expected string"},
		"one id, two truths": {[]*event.Event{one, two}, "event 2: has the source and id of event 1 but says something else"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := converge.New(shop(), c.events, converge.Options{})
			require.ErrorContains(t, err, c.want)
		})
	}
	reg := shop()
	handlers.Set(reg, "billed", func(context.Context, *handlers.Delivery[struct{}, Order]) error { return nil },
		handlers.Writes(), handlers.OnMissing(handlers.MissingPlaceholder), handlers.UsesTx())
	_, err := converge.New(reg, []*event.Event{ev("paid", 1, "{}"), ev("billed", 1, "{}")}, converge.Options{})
	require.ErrorContains(t, err, "event 2: handler billed→Order runs SQL of its own (handlers.UsesTx), and the checker has no database to run it on")
	_, err = converge.New(reg, []*event.Event{ev("paid", 1, "{}")}, converge.Options{})
	require.NoError(t, err, "no event comes to it")
	_, err = converge.New(handlers.NewRegistry(), six(), converge.Options{})
	var wiring *handlers.WiringError
	require.ErrorAs(t, err, &wiring)
}

// TestAPanickingProjectionIsAnError: nothing can be compared.
func TestAPanickingProjectionIsAnError(t *testing.T) {
	t.Parallel()
	reg := handlers.NewRegistry()
	handlers.Modify(reg, "paid", func(_ context.Context, d *handlers.Delivery[facts, Order]) error {
		d.Entity.PaidAt = &d.Event.OccurredAt
		return nil
	}, guards.Timestamp(), handlers.Writes("PaidAt"))
	handlers.Project(reg, func(o *Order) { o.Status = o.ShippedAt.String() }, handlers.Writes("Status"))
	c, err := converge.New(reg, []*event.Event{ev("paid", 1, "{}")}, converge.Options{})
	require.NoError(t, err)
	_, err = c.Check(t.Context())
	require.ErrorContains(t, err, "the projection of Order panicked")
}

// BenchmarkOrders plays all orders of six events, plain and varied.
func BenchmarkOrders(b *testing.B) {
	for name, opts := range map[string][]handlers.Option{
		"placeholders": nil, "parked": {handlers.OnMissing(handlers.MissingPark)},
	} {
		b.Run(name, func(b *testing.B) {
			orders := 0
			for b.Loop() {
				c, err := converge.New(shop(opts...), six(), converge.Options{})
				require.NoError(b, err)
				story, err := c.Check(b.Context())
				require.NoError(b, err)
				require.Nil(b, story)
				orders += c.Orders()
			}
			b.ReportMetric(float64(orders)/b.Elapsed().Seconds(), "orders/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}
