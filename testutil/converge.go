package testutil

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/converge"
)

// Converges fails the test if what your handlers leave depends on the order in which events
// come. It plays the events through the code that runs in production, over a store in
// memory, thousands of orders in a second: every permutation of up to six events, and
// samples of more; plain, and with duplicates, several events in one batch, batches that
// run again because the process died before their commit, and partitions that were set back
// and read once more. Each handler runs thousands of times, so give outside services a fake.
//
// Compared with the order in which you list the events are, when everything that waits has
// had its time:
//
//   - the rows: all managed columns, and whether a row is live, deleted or a placeholder;
//   - what became of each event under each handler: taken in, refused by the handler, discarded
//     since its row was missing, dead-lettered for a reason, or still waiting. Whether an event
//     was applied or superseded by a newer one depends on the order, and should: both are
//     taken in;
//   - the clocks, and what is remembered beside the rows: ids under guards.Once, the versions
//     behind handlers.Resolve, and how far the numbers of guards.Sequence have come.
//
// Not compared are revisions and times of writing. guards.MaxLateness and guards.MaxGap are
// not asked: what they refuse depends on arrival, by intent, and the promise is about events
// that were admitted and that nothing cut short. The time of guards.GapTimeout runs when all
// events have come, so that a gap is what is missing among them. guards.ConflictLetters looks
// at arrival by its own intent, and is reported.
//
// Besides, each Set handler runs several times on one blank entity, before and after it has
// seen the other events, and on entities with something in every field: what it writes must
// be the same (R1). A field that it writes for one event and leaves alone for a newer one,
// without Keep, is reported where a value is lost by it. Projections must compute their fields
// from the others alone, and key functions must always find the same entity.
//
// A difference is shrunk to the fewest events and told as a story: two orders, the verdict and
// the row after each step, what differs, and what to declare instead. What a test can't
// show stays hidden: a query that reads the database finds there what the test has put there.
//
// Handlers with handlers.UsesTx need a database, and there is none here: events that reach one
// are refused. Register such a handler without the option and without its SQL for this test.
//
// Some of the events should be about one entity, and some at the same time. An event without
// an ID gets one.
func Converges(t testing.TB, reg *handlers.Registry, events []*event.Event, opts ...ConvergesOption) {
	t.Helper()
	var o converge.Options
	for _, opt := range opts {
		opt(&o)
	}
	c, err := converge.New(reg, events, o)
	if err != nil {
		t.Fatalf("testutil.Converges: %v", err)
		return
	}
	story, err := c.Check(context.Background()) //nolint:usetesting // a TB of the caller's own, which takes the story, may have none
	switch {
	case err != nil:
		t.Errorf("testutil.Converges: %v", err)
	case story != nil:
		t.Errorf("testutil.Converges: %s", story)
	}
}

// ConvergesOption changes how [Converges] plays.
type ConvergesOption func(*converge.Options)

// Seed chooses other samples; the same seed gives the same ones. Defaults to 0.
func Seed(seed uint64) ConvergesOption { return func(o *converge.Options) { o.Seed = seed } }

// Samples is how many orders are played at least. Defaults to 500.
func Samples(n int) ConvergesOption { return func(o *converge.Options) { o.Samples = n } }

// WithoutDuplicates says that no producer sends an event twice, for handlers under
// guards.None that rely on it.
func WithoutDuplicates() ConvergesOption {
	return func(o *converge.Options) { o.WithoutDuplicates = true }
}

// E makes an event of a type about an entity, that occurred at a time and carries a payload
// as JSON; a nil payload is none. Set what else it says (ID, Source, Version with HasVersion
// …) in the result. It panics if the payload can't be written as JSON.
func E(eventType, key string, at time.Time, payload any) *event.Event {
	e := &event.Event{Type: eventType, Key: key, OccurredAt: at}
	if payload != nil {
		var err error
		if e.Data, err = json.Marshal(payload); err != nil {
			panic(fmt.Sprintf("testutil.E: the payload of %s: %v", eventType, err))
		}
	}
	return e
}

// Decode makes events of records by your own codec, for [Converges]. A record that the codec
// refuses fails the test.
func Decode(t testing.TB, codec event.Codec, records ...*event.Record) []*event.Event {
	t.Helper()
	events := make([]*event.Event, 0, len(records))
	for i, r := range records {
		e := &event.Event{Record: r}
		if err := codec.Decode(r, e); err != nil {
			t.Fatalf("testutil.Decode: record %d: %v", i+1, err)
			return nil
		}
		events = append(events, e)
	}
	return events
}
