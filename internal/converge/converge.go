// Package converge finds out whether handlers keep the promise that their rows depend on
// the set of events and not on the order in which these come. It plays a small set of
// events in every order, and samples of a larger one, with duplicates, batch boundaries and
// crashes, through the code that runs in production over a store in memory, and compares
// what is left. A difference is shrunk and told as a Story.
package converge

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm/schema"

	"github.com/evenkeel-go/evenkeel/event"
	"github.com/evenkeel-go/evenkeel/guards"
	"github.com/evenkeel-go/evenkeel/handlers"
	"github.com/evenkeel-go/evenkeel/internal/batch"
	"github.com/evenkeel-go/evenkeel/internal/classify"
	"github.com/evenkeel-go/evenkeel/internal/ledger"
	"github.com/evenkeel-go/evenkeel/internal/store/memory"
)

// Options say how much to play.
type Options struct {
	// Seed chooses the samples.
	Seed uint64
	// Samples is how many orders are played at least. Defaults to 500.
	Samples int
	// WithoutDuplicates leaves out what producers send twice.
	WithoutDuplicates bool
}

// Checker plays one set of events. It is for one goroutine.
type Checker struct {
	options Options
	wiring  *handlers.Wiring
	events  []*event.Event
	units   [][]unit // by event
	judge   *batch.Judge
	prepare *batch.Preparer
	layouts batch.Layouts
	store   *memory.Store

	base, now time.Time
	log       []int // the event at each offset of the order that is being played
	orders    int
	// seen are rows as they stood in the first orders, some of each entity.
	seen []memory.Row
}

// unit is an event under one handler for one entity, as a first look found it.
type unit struct {
	event   int
	handler *handlers.Handler
	key     string
}

const group = "converges"

// maxFew is the largest number of events of which all orders are played.
const maxFew = 6

// New checks what it is given. The error lists all that is wrong with the events; a mistake
// in the wiring is a *handlers.WiringError.
func New(reg *handlers.Registry, events []*event.Event, o Options) (*Checker, error) {
	w, err := reg.Wire(schema.NamingStrategy{})
	if err != nil {
		return nil, err
	}
	if o.Samples <= 0 {
		o.Samples = 500
	}
	unbound(w)
	c := &Checker{options: o, wiring: w, layouts: batch.Layouts{}}
	c.store = memory.New(func() time.Time { return c.now })
	layouts, err := c.store.Claim(context.Background(), group, w.Models, false)
	if err != nil {
		return nil, err
	}
	for i, m := range w.Models {
		c.layouts[m] = layouts[i]
	}
	c.judge = &batch.Judge{
		Wiring: w, Group: group, Classify: classify.Handler, MissingFor: 24 * time.Hour, MaxParkedPerKey: math.MaxInt,
		Delay: func(attempt int) (time.Duration, bool) { return time.Second, attempt < 3 },
	}
	codec := event.CodecFunc("converges", func(r *event.Record, e *event.Event) error {
		*e = *c.events[c.log[r.Offset]]
		return nil
	})
	c.prepare = &batch.Preparer{Wiring: w, Codec: func(string) event.Codec { return codec }}
	c.judge.Prepare, c.judge.Outbox = c.prepare, outbox()
	if err := c.take(events); err != nil {
		return nil, err
	}
	return c, nil
}

// unbound takes away the bounds that look at arrival, by intent: what is promised is about
// events that were admitted and that nothing cut short. The time that a gap may stay keeps
// its bound, since it runs only when all events have come.
func unbound(w *handlers.Wiring) {
	w.Admission = slices.DeleteFunc(w.Admission, func(g guards.Guard) bool {
		return reflect.TypeOf(g) == reflect.TypeOf(guards.MaxLateness(0))
	})
	for _, h := range w.All() {
		if h.Stream != nil {
			h.Stream.MaxGap = math.MaxInt
		}
		if h.Causal != nil {
			h.Causal.MaxWaiting = math.MaxInt
		}
	}
}

// take completes and checks the events.
func (c *Checker) take(events []*event.Event) error {
	var faults []string
	fault := func(i int, format string, args ...any) {
		faults = append(faults, fmt.Sprintf("event %d: ", i+1)+fmt.Sprintf(format, args...))
	}
	if len(events) == 0 {
		faults = append(faults, "there are no events")
	}
	type identity struct{ source, id string }
	seen := map[identity]int{}
	for i, given := range events {
		if given == nil {
			fault(i, "is nil")
			c.events = append(c.events, &event.Event{})
			continue
		}
		e := *given
		if e.ID == "" {
			e.ID = fmt.Sprintf("event-%03d", i+1)
		}
		c.events = append(c.events, &e)
		if e.OccurredAt.After(c.base) {
			c.base = e.OccurredAt
		}
		if len(c.wiring.Handlers(e.Type)) == 0 {
			fault(i, "no handler is registered for %q; register one, or leave the event out", e.Type)
		}
		same := identity{e.Source, e.ID}
		if j, ok := seen[same]; ok && !saySame(c.events[j], &e) {
			fault(i, "has the source and id of event %d but says something else, and chance would decide; give it an id of its own", j+1)
		}
		seen[same] = i
	}
	c.base = c.base.Add(time.Hour)
	c.units = make([][]unit, len(c.events))
	if len(faults) == 0 {
		for i := range c.events {
			c.log = []int{i}
			it := c.prepare.Prepare(c.record(0))
			if it.Err != nil {
				fault(i, "%v", it.Err)
			}
			for _, u := range it.Units {
				if u.Err != nil {
					fault(i, "handler %s: %v", u.Handler.Name, u.Err)
				} else if u.Handler.UsesTx {
					fault(i, "handler %s runs SQL of its own (handlers.UsesTx), and the checker has no database to run it on; register it for this test without the option and without its SQL", u.Handler.Name)
				}
			}
			c.units[i] = unitsOf(i, it)
		}
	}
	if len(faults) == 0 {
		return nil
	}
	return errors.New("the events can't be played:\n  - " + strings.Join(faults, "\n  - "))
}

// unitsOf are an event's units that have an entity. In which order handlers.Keys names them
// makes no difference.
func unitsOf(event int, it *batch.Item) (us []unit) {
	for _, u := range it.Units {
		if u.Key != "" {
			us = append(us, unit{event, u.Handler, u.Key})
		}
	}
	slices.SortFunc(us, func(a, b unit) int {
		return cmp.Or(cmp.Compare(a.handler.Name, b.handler.Name), cmp.Compare(a.key, b.key))
	})
	return us
}

func saySame(a, b *event.Event) bool {
	return a.Type == b.Type && a.Key == b.Key && a.OccurredAt.Equal(b.OccurredAt) && bytes.Equal(a.Data, b.Data) &&
		a.Version == b.Version && a.Lamport == b.Lamport && a.Vector.String() == b.Vector.String()
}

// record is the record at an offset of the order that is being played.
func (c *Checker) record(offset int64) *event.Record {
	e := c.events[c.log[offset]]
	r := event.Record{Key: []byte(e.Key), Value: e.Data, Timestamp: e.OccurredAt, TimestampType: event.TimestampCreate}
	if e.Record != nil {
		r = *e.Record
	} else {
		r.Topic = "events"
	}
	if r.Value == nil && len(r.Headers) == 0 {
		r.Value = []byte{} // a null would be a compaction marker
	}
	k := c.ledgerKey()
	r.Cluster, r.TopicID, r.Partition, r.Offset, r.LeaderEpoch = k.Cluster, k.TopicID, k.Partition, offset, -1
	return &r
}

func (c *Checker) ledgerKey() ledger.Key {
	return ledger.Key{Cluster: "converges", TopicID: "events", Group: group}
}

// Orders is how many orders were played so far.
func (c *Checker) Orders() int { return c.orders }

// Check plays the events. The story is nil when everything came out the same in all orders.
// The error says that the events could not be played to their end.
func (c *Checker) Check(ctx context.Context) (*Story, error) {
	// What comes first sees handlers that nobody has called yet. Events are mostly listed
	// as they happened, so it goes from the last to the first: a handler that remembers
	// what it saw before has not seen it yet.
	for _, look := range []func(context.Context) *Story{c.unstableKeys, c.unstableSets, c.trespassingProjection} {
		if s := look(ctx); s != nil {
			return s, nil
		}
	}
	given, backwards := c.given(), plain(reversed(len(c.events)))
	first, err := c.tell(ctx, backwards, nil)
	if err != nil {
		return nil, err
	}
	reference, s, err := c.reference(ctx, given)
	if s != nil || err != nil {
		return s, err
	}
	for _, look := range []func(context.Context) *Story{c.seeingSets, c.forgetfulSets} {
		if s := look(ctx); s != nil {
			return s, nil
		}
	}
	for o := range c.variations() {
		r, err := c.play(ctx, o, nil)
		if err != nil {
			return nil, err
		}
		if ds := compare(reference, r); len(ds) > 0 {
			return c.explain(ctx, o, ds)
		}
	}
	return c.repeated(ctx, first, backwards)
}

// Reference plays the events in the order in which they were given, one at a time, and
// returns what is left.
func (c *Checker) Reference(ctx context.Context) (*memory.Content, error) {
	r, err := c.play(ctx, c.given(), nil)
	if err != nil {
		return nil, err
	}
	return r.content, nil
}

// maxSeen is how many states of one row are kept.
const maxSeen = 8

// keepRow keeps the row of a verdict as it stands.
func (c *Checker) keepRow(v *batch.Judged) {
	h := c.handlerOf(v)
	if h == nil {
		return
	}
	row, ok := c.store.Row(h.Model, v.Entity)
	states := 0
	for i := range c.seen {
		if c.seen[i].Model == row.Model && c.seen[i].Key == row.Key {
			states++
		}
	}
	if ok && states < maxSeen {
		c.seen = append(c.seen, row)
	}
}

func (c *Checker) given() order {
	all := make([]int, len(c.events))
	for i := range all {
		all[i] = i
	}
	return plain(all)
}

func reversed(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = n - 1 - i
	}
	return all
}

// reference plays the given order, twice, and looks at the projections on the way.
func (c *Checker) reference(ctx context.Context, given order) (*result, *Story, error) {
	var s *Story
	r, err := c.play(ctx, given, func(m *moment) {
		for i := range m.verdicts {
			c.keepRow(&m.verdicts[i])
			if s == nil {
				s = c.impureProjection(&m.verdicts[i])
			}
		}
	})
	if s != nil || err != nil {
		return nil, s, err
	}
	again, err := c.play(ctx, given, nil)
	if err != nil {
		return nil, nil, err
	}
	if ds := compare(r, again); len(ds) > 0 {
		s, err = c.unstable(ctx, given, ds)
	}
	return r, s, err
}
